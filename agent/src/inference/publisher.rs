//! Which results are worth saying, and how many there were.

use std::time::{Duration, SystemTime};

use dunlin_protocol::time::Instant;
use log::info;

use super::{Estimate, Finding, InferenceConfig, PublishOn};
use crate::session::Session;

/// Time between two lines in the log.
const LOG_MS: u64 = 10 * 60_000;

/// Figures of inference since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InferenceStatus {
    /// Windows that a model was asked about.
    pub results: u64,
    /// Results given to the connection.
    pub sent: u64,
    /// Results that were to be sent and were not: no connection, or no room in the data cap.
    pub unsent: u64,
    /// Version of the model that was asked last.
    pub version: u32,
    /// Mean time from looking for a window to the model's answer, in milliseconds.
    pub latency_mean_ms: f64,
    /// Longest such time in milliseconds.
    pub latency_max_ms: f64,
}

/// Decides what is said, and counts.
pub(super) struct Publisher {
    on: PublishOn,
    repeat_ms: Option<u64>,
    min_confidence: f32,
    /// The label said last, and when.
    said: Option<(String, Instant)>,
    status: InferenceStatus,
    logged: Option<Instant>,
}

impl Publisher {
    pub(super) fn new(config: &InferenceConfig) -> Self {
        Self {
            on: config.on,
            repeat_ms: config.repeat_ms(),
            min_confidence: config.min_confidence,
            said: None,
            status: InferenceStatus::default(),
            logged: None,
        }
    }

    pub(super) fn status(&self) -> InferenceStatus {
        self.status
    }

    /// Counts a result and gives it to `session` if it is to be said.
    pub(super) fn take(&mut self, now: Instant, finding: &Finding, session: &mut Session) {
        self.take_with(now, finding, |payload| session.say_result(now, payload));
    }

    fn take_with(&mut self, now: Instant, finding: &Finding, say: impl FnOnce(Vec<u8>) -> bool) {
        self.count(finding);
        if self.is_due(now, &finding.estimate) {
            if say(finding.json(unix_time()).into_bytes()) {
                self.status.sent += 1;
                if let Estimate::Class { label, .. } = &finding.estimate {
                    self.said = Some((label.clone(), now));
                }
            } else {
                self.status.unsent += 1;
            }
        }
        self.log(now, finding);
    }

    #[allow(clippy::cast_precision_loss)] // a mean
    fn count(&mut self, finding: &Finding) {
        let status = &mut self.status;
        let latency_ms = finding.latency.as_secs_f64() * 1000.0;
        status.results += 1;
        status.version = finding.version.0;
        status.latency_mean_ms += (latency_ms - status.latency_mean_ms) / status.results as f64;
        status.latency_max_ms = status.latency_max_ms.max(latency_ms);
    }

    /// Whether this is to be said. What could not be said before does not count as said.
    fn is_due(&self, now: Instant, estimate: &Estimate) -> bool {
        let Estimate::Class { label, confidence } = estimate else { return true };
        if *confidence < self.min_confidence {
            return false;
        }
        match (self.on, &self.said) {
            (PublishOn::Always, _) | (PublishOn::Change, None) => true,
            (PublishOn::Change, Some((said, at))) => {
                said != label || self.repeat_ms.is_some_and(|ms| now.since(*at) >= ms)
            }
        }
    }

    fn log(&mut self, now: Instant, finding: &Finding) {
        if self.logged.is_some_and(|at| now.since(at) < LOG_MS) {
            return;
        }
        let first = self.logged.replace(now).is_none();
        let InferenceStatus { results, sent, unsent, version, .. } = self.status;
        let (mean, max) = (self.status.latency_mean_ms, self.status.latency_max_ms);
        if first {
            let estimate = &finding.estimate;
            info!("classifies with version {version}: {estimate} after {max:.1} ms");
        } else {
            info!(
                "{results} windows classified, now with version {version}; {mean:.1} ms on \
                 average, {max:.1} ms at most; {sent} results sent, {unsent} not"
            );
        }
    }
}

/// Time since the Unix epoch by the clock of the machine; nothing is decided by it.
#[allow(clippy::disallowed_methods)] // told to whoever listens, with care for 1970
fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::id::ModelVersion;

    fn finding(label: &str, confidence: f32, latency_ms: u64) -> Finding {
        Finding {
            version: ModelVersion(3),
            estimate: Estimate::Class { label: label.into(), confidence },
            end_us: 0,
            latency: Duration::from_millis(latency_ms),
        }
    }

    fn publisher(more: &str) -> Publisher {
        Publisher::new(&toml::from_str(&format!("name = 'activity'\n{more}")).unwrap())
    }

    /// Which of these results are said, one a second.
    fn said(publisher: &mut Publisher, labels: &[&str]) -> Vec<usize> {
        let mut said = Vec::new();
        for (at, label) in labels.iter().enumerate() {
            let now = Instant(at as u64 * 1000);
            publisher.take_with(now, &finding(label, 0.6, 1), |_| {
                said.push(at);
                true
            });
        }
        said
    }

    #[test]
    fn a_label_is_said_when_it_changes_and_again_after_a_while() {
        let mut publisher = publisher("repeat_s = 3");
        let labels = ["a", "a", "b", "b", "b", "b", "b", "a"];
        assert_eq!(said(&mut publisher, &labels), [0, 2, 5, 7]);
        assert_eq!((publisher.status().results, publisher.status().sent), (8, 4));
    }

    #[test]
    fn every_result_is_said_where_that_is_asked_for_unless_it_is_unsure() {
        assert_eq!(said(&mut publisher("on = 'always'"), &["a", "a", "a"]), [0, 1, 2]);
        let mut unsure = publisher("on = 'always'\nmin_confidence = 0.7");
        assert_eq!(said(&mut unsure, &["a", "b"]), [0usize; 0]);
        assert_eq!(unsure.status().unsent, 0, "it was not to be sent");
    }

    #[test]
    fn what_could_not_be_said_is_said_when_it_can() {
        let mut publisher = publisher("repeat_s = 0");
        publisher.take_with(Instant(0), &finding("a", 1.0, 1), |_| false);
        assert_eq!((publisher.status().sent, publisher.status().unsent), (0, 1));
        assert_eq!(said(&mut publisher, &["a", "a"]), [0]);
    }

    #[test]
    fn errors_have_no_change_and_are_always_said() {
        let mut publisher = publisher("min_confidence = 1.0");
        for _ in 0..2 {
            let error = Finding { estimate: Estimate::Error(0.1), ..finding("", 0.0, 1) };
            publisher.take_with(Instant(0), &error, |_| true);
        }
        assert_eq!(publisher.status().sent, 2);
    }

    #[test]
    fn the_status_has_mean_and_worst_latency() {
        let mut publisher = publisher("");
        for latency_ms in [1, 2, 9] {
            publisher.take_with(Instant(0), &finding("a", 1.0, latency_ms), |_| true);
        }
        let status = publisher.status();
        assert!((status.latency_mean_ms - 4.0).abs() < 1e-6, "{status:?}");
        assert!((status.latency_max_ms - 9.0).abs() < 1e-6 && status.version == 3, "{status:?}");
    }
}
