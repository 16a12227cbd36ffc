//! When to try again, and at which broker.

use std::time::Duration;

use dunlin_protocol::backoff::Reconnect;

use crate::connection::End;
use crate::dialer::Dialer;

/// Between two brokers of one round.
const NEXT_BROKER: Duration = Duration::from_millis(200);

/// Attempts in a row that came to nothing: all URLs are tried before the wait grows.
pub(crate) struct Attempts {
    waits: Reconnect,
    failed: usize,
    refused: usize,
}

impl Attempts {
    pub(crate) fn new(waits: Reconnect) -> Self {
        Self { waits, failed: 0, refused: 0 }
    }

    /// The wait after a connection that ended so, which had stood for `lasted_ms`, or did not come
    /// about: then the next URL is dialled.
    pub(crate) fn wait_after(
        &mut self,
        end: &End,
        lasted_ms: Option<u64>,
        dialer: &Dialer,
    ) -> Duration {
        if matches!(end, End::Renewed) {
            return NEXT_BROKER;
        }
        if lasted_ms.is_some() {
            (self.failed, self.refused) = (0, 0);
            return Duration::from_millis(self.waits.after_loss_ms(lasted_ms));
        }
        dialer.next_url();
        self.failed += 1;
        self.refused += usize::from(matches!(end, End::Refused(_)));
        if self.failed < dialer.config().urls().count() {
            return NEXT_BROKER;
        }
        let all_refuse = self.refused == self.failed;
        (self.failed, self.refused) = (0, 0);
        Duration::from_millis(if all_refuse {
            self.waits.after_refusal_ms()
        } else {
            self.waits.after_loss_ms(None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff;
    use crate::config::LinkConfig;

    fn two() -> (Attempts, Dialer) {
        let mut config = LinkConfig::new("mqtt://a".parse().unwrap(), "wrist-1");
        config.more_urls = vec!["mqtt://b".parse().unwrap()];
        (Attempts::new(backoff::waits("wrist-1")), Dialer::new(config).unwrap())
    }

    fn lost() -> End {
        End::Lost("test".into())
    }

    #[test]
    fn the_wait_comes_after_all_urls_were_tried() {
        let (mut attempts, dialer) = two();
        for _ in 0..3 {
            assert_eq!(dialer.url().host(), "a");
            assert_eq!(attempts.wait_after(&lost(), None, &dialer), NEXT_BROKER);
            assert_eq!(dialer.url().host(), "b");
            assert!(attempts.wait_after(&lost(), None, &dialer) >= Duration::from_secs(1));
        }
    }

    #[test]
    fn the_url_of_a_connection_that_stood_is_tried_first() {
        let (mut attempts, dialer) = two();
        attempts.wait_after(&lost(), None, &dialer);
        assert!(attempts.wait_after(&lost(), Some(10_000), &dialer) > NEXT_BROKER);
        assert_eq!(dialer.url().host(), "b");
    }

    #[test]
    fn a_person_has_to_mend_what_all_brokers_refuse() {
        let (mut attempts, dialer) = two();
        let refused = || End::Refused("test".into());
        attempts.wait_after(&refused(), None, &dialer);
        assert!(attempts.wait_after(&refused(), None, &dialer) >= Duration::from_secs(10));
        attempts.wait_after(&refused(), None, &dialer);
        assert!(attempts.wait_after(&lost(), None, &dialer) <= Duration::from_secs(4));
    }
}
