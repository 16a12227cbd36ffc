//! What a simulation comes to, in figures. Equal for equal scenarios and seeds, whatever the number
//! of threads.

use std::collections::BTreeMap;

use dunlin_aggregator::query::AnswerTable;
use dunlin_protocol::work::FitFigures;
use serde::Serialize;

use super::check::Violation;

/// How well a version does on some windows, in the figures that its target has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Share of windows classified rightly; `None` for a target without classes.
    pub accuracy: Option<f64>,
    /// Errors by channel; none for classes.
    pub fit: Vec<FitFigures>,
}

impl Judgement {
    /// The one figure by which devices are compared: the accuracy, or the mean absolute error of the
    /// first channel in its unit.
    pub fn figure(&self) -> Option<f64> {
        self.accuracy.or_else(|| self.fit.first().map(|fit| fit.mae))
    }

    /// What [`Judgement::figure`] is, such as `accuracy` or `mean absolute error of glucose in mg/dL`.
    pub fn what(&self) -> String {
        match self.fit.first() {
            None => "accuracy".to_owned(),
            Some(fit) if fit.unit.is_empty() => {
                format!("mean absolute error of {}, scaled", fit.name)
            }
            Some(fit) => format!("mean absolute error of {} in {}", fit.name, fit.unit),
        }
    }
}

/// One training round, over.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoundFigures {
    /// Number of the round in its lineage, from 1.
    pub round: u32,
    /// The version that it made; none when it failed.
    pub version: Option<u32>,
    /// Virtual time of its end in seconds.
    pub ended_s: f64,
    /// How long it took in seconds.
    pub took_s: f64,
    /// How long it took until it had its quorum, in seconds.
    pub quorum_s: Option<f64>,
    /// Time lost to stragglers in seconds: from the quorum to the end.
    pub waited_s: Option<f64>,
    /// Devices connected at its end.
    pub online: u32,
    /// Devices that were let in.
    pub granted: u32,
    /// Updates in the version.
    pub accepted: u32,
    /// Claims and updates refused, by reason.
    pub refused: BTreeMap<String, u32>,
    /// Bytes of the updates.
    pub update_bytes: u64,
    /// Payload bytes of all devices since the last round's end: what reached the broker.
    pub bytes_up: u64,
    /// Payload bytes that reached devices since the last round's end.
    pub bytes_down: u64,
    /// Accuracy of the version on windows that no device learns from, where it was judged.
    pub accuracy: Option<f64>,
    /// Its errors on these windows by channel, where it was judged; none for classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fit: Vec<FitFigures>,
}

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Events of virtual time that happened.
    pub events: u64,
    /// Payload bytes that reached the broker from devices.
    pub bytes_up: u64,
    /// Payload bytes that reached devices.
    pub bytes_down: u64,
    /// Time that devices spent on training, in milliseconds.
    pub device_ms: u64,
    /// The part of it that went into versions.
    pub counted_ms: u64,
    /// Jobs that were trained to their end.
    pub jobs: u64,
    /// Jobs that a device gave up for something else.
    pub dropped_jobs: u64,
    /// Jobs that could not be trained.
    pub failed_jobs: u64,
    /// Power cuts of devices.
    pub power_cuts: u64,
    /// Writes to devices' disks that a power cut tore.
    pub torn_writes: u64,
    /// Writes to devices' disks that failed.
    pub failed_writes: u64,
    /// Connections that broke by themselves.
    pub cuts: u64,
    /// Restarts of the broker.
    pub broker_restarts: u64,
    /// Retained messages that somebody changed.
    pub spoiled: u64,
    /// Connections of the aggregator that broke by themselves.
    pub server_cuts: u64,
    /// Kills of the aggregator.
    pub server_kills: u64,
    /// Partitions that began, drawn or at a given time.
    pub partitions: u64,
}

/// What one kind of device had a part in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Name of the kind in the scenario.
    pub name: String,
    /// Devices of this kind.
    pub devices: u32,
    /// Those that had an update accepted.
    pub took_part: u32,
    /// Updates of these devices that were accepted.
    pub updates: u64,
}

/// How well the last version serves single devices, on their own windows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fairness {
    /// What is compared: `accuracy`, or which error in which unit.
    pub of: String,
    /// The figure of each device that was asked, from the lowest to the highest.
    pub values: Vec<f64>,
    /// Mean of the figures; accuracies are from 0 to 1.
    pub mean: f64,
    /// Standard deviation of the figures, with `n` as the divisor.
    pub deviation: f64,
    /// A tenth of the devices is not above this.
    pub lowest_tenth: f64,
    /// A tenth of the devices is not below this.
    pub highest_tenth: f64,
}

impl Fairness {
    /// Of what was said of single devices; `None` where nothing was.
    pub fn of(judged: &[Judgement]) -> Option<Self> {
        let mut values: Vec<f64> = judged.iter().filter_map(Judgement::figure).collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let square = values.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / n;
        Some(Self {
            of: judged.first().map(Judgement::what)?,
            mean,
            deviation: square.sqrt(),
            lowest_tenth: values[last / 10],
            highest_tenth: values[last - last / 10],
            values,
        })
    }

    /// Whether the figures are shares of windows that are right.
    pub fn is_accuracy(&self) -> bool {
        self.of == "accuracy"
    }
}

/// What came out of a whole run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Each training round that ended, in order.
    pub rounds: Vec<RoundFigures>,
    /// Updates accepted over all rounds.
    pub accepted: u64,
    /// Refusals over all rounds, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Virtual time of the end in seconds.
    pub ended_s: f64,
    /// Whether all rounds were done in time.
    pub finished: bool,
    /// First eight bytes of the SHA-256 of the last version, as text.
    pub model_digest: String,
    /// Accuracy of the last version that was judged; `None` for a target without classes.
    pub accuracy: Option<f64>,
    /// Errors of the last version that was judged by channel; none for classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fit: Vec<FitFigures>,
    /// How well the last version serves single devices.
    pub fairness: Option<Fairness>,
    /// Who took part, by kind of device in the scenario's order.
    pub classes: Vec<ClassFigures>,
    /// Counts over the whole run.
    pub tally: Tally,
    /// What of recorded data could not be used, by kind; windows that cutting left out as `windows_` and
    /// why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// What came of the scenario's queries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswerTable>,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_spread_and_tails() {
        let right = |n| Judgement { accuracy: Some(f64::from(n) / 10.0), fit: vec![] };
        let judged: Vec<Judgement> = (0..=10).rev().map(right).collect();
        let fairness = Fairness::of(&judged).unwrap();
        assert!(fairness.is_accuracy());
        assert!((fairness.mean - 0.5).abs() < 1e-12);
        assert!((fairness.deviation - 0.1_f64.sqrt()).abs() < 1e-12);
        assert_eq!((fairness.lowest_tenth, fairness.highest_tenth), (0.1, 0.9));
        assert_eq!(fairness.values[0], 0.0);
        assert_eq!(Fairness::of(&[]), None);
    }
}
