//! What a simulation comes to, in figures. Equal for equal scenarios and seeds, whatever the number
//! of threads.

use std::collections::BTreeMap;

use dunlin_aggregator::query::AnswerTable;
use serde::Serialize;

use super::check::Violation;

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
    /// Accuracy on each device that was asked, from the lowest to the highest.
    pub accuracies: Vec<f64>,
    /// Mean of the accuracies, 0 to 1.
    pub mean: f64,
    /// Standard deviation of the accuracies, with `n` as the divisor.
    pub deviation: f64,
    /// A tenth of the devices is not above this.
    pub lowest_tenth: f64,
    /// A tenth of the devices is not below this.
    pub highest_tenth: f64,
}

impl Fairness {
    /// The figures of these accuracies; `None` where there are none.
    pub fn of(mut accuracies: Vec<f64>) -> Option<Self> {
        accuracies.sort_by(f64::total_cmp);
        let last = accuracies.len().checked_sub(1)?;
        let n = accuracies.len() as f64;
        let mean = accuracies.iter().sum::<f64>() / n;
        let square = accuracies.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / n;
        Some(Self {
            mean,
            deviation: square.sqrt(),
            lowest_tenth: accuracies[last / 10],
            highest_tenth: accuracies[last - last / 10],
            accuracies,
        })
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
    /// Accuracy of the last version that was judged.
    pub accuracy: Option<f64>,
    /// How well the last version serves single devices.
    pub fairness: Option<Fairness>,
    /// Who took part, by kind of device in the scenario's order.
    pub classes: Vec<ClassFigures>,
    /// Counts over the whole run.
    pub tally: Tally,
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
        let fairness = Fairness::of((0..=10).rev().map(|n| f64::from(n) / 10.0).collect()).unwrap();
        assert!((fairness.mean - 0.5).abs() < 1e-12);
        assert!((fairness.deviation - 0.1_f64.sqrt()).abs() < 1e-12);
        assert_eq!((fairness.lowest_tenth, fairness.highest_tenth), (0.1, 0.9));
        assert_eq!(fairness.accuracies[0], 0.0);
        assert_eq!(Fairness::of(vec![]), None);
    }
}
