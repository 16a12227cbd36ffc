//! What is wrong with the device's data, on its way to whoever should know: the service manager at
//! once, the federation at most once a minute.

use dunlin_protocol::presence::DataTrouble;
use dunlin_protocol::time::Instant;

use crate::data::trouble::DataReport;

/// Least time between two words to the federation in milliseconds: counts rise with each sample.
const NEWS_MS: u64 = 60_000;

/// The last report, and what of it the federation knows.
#[derive(Debug, Default)]
pub(super) struct DataNews {
    report: DataReport,
    told: DataTrouble,
    /// When the federation may be told again.
    due: Instant,
}

impl DataNews {
    /// Takes a new report in.
    pub(super) fn take(&mut self, report: DataReport) {
        self.report = report;
    }

    /// What the federation is to hear now; `None` where it knows, or has heard something within the last
    /// minute. Empty where the trouble is over.
    pub(super) fn due(&mut self, now: Instant) -> Option<DataTrouble> {
        if now < self.due {
            return None;
        }
        let trouble: DataTrouble = self.report.reasons.iter().copied().collect();
        if trouble == self.told {
            return None;
        }
        self.told = trouble.clone();
        self.due = now.after(NEWS_MS);
        Some(trouble)
    }

    /// `line` with what is wrong behind it.
    pub(super) fn behind(&self, mut line: String) -> String {
        if !self.report.line.is_empty() {
            line.push_str("; data: ");
            line.push_str(&self.report.line);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reasons: &[(&'static str, u64)]) -> DataReport {
        DataReport { reasons: reasons.to_vec(), line: "7 values cut".into() }
    }

    #[test]
    fn the_federation_hears_of_a_change_at_once_and_then_once_a_minute() {
        let mut news = DataNews::default();
        assert_eq!(news.due(Instant(5)), None, "nothing is wrong");
        news.take(report(&[("cut", 7)]));
        let heard = news.due(Instant(10)).unwrap();
        assert_eq!(heard.iter().collect::<Vec<_>>(), [("cut", 7)]);
        news.take(report(&[("cut", 8)]));
        assert_eq!(news.due(Instant(10 + NEWS_MS - 1)), None);
        let heard = news.due(Instant(10 + NEWS_MS)).unwrap();
        assert_eq!(heard.iter().collect::<Vec<_>>(), [("cut", 8)]);
        assert_eq!(news.due(Instant(10 + 3 * NEWS_MS)), None, "it knows");
        news.take(DataReport::default());
        assert!(news.due(Instant(10 + 3 * NEWS_MS)).unwrap().is_empty(), "it is over");
    }

    #[test]
    fn the_line_for_the_service_manager_ends_with_what_is_wrong() {
        let mut news = DataNews::default();
        assert_eq!(news.behind("waits".into()), "waits");
        news.take(report(&[("cut", 7)]));
        assert_eq!(news.behind("waits".into()), "waits; data: 7 values cut");
    }
}
