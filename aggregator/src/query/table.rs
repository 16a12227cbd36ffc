//! An answer for people and programs: a table, or JSON.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use dunlin_protocol::task::Task;
use dunlin_protocol::work::CHANNEL_SUMS;
use serde::{Deserialize, Serialize};

use super::QueryResult;
use crate::summary::{Failure, RoundOutcome};

/// What came of a query, with names and units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerTable {
    /// Name of the query that was asked.
    pub query: String,
    /// The round that it was put in; `None` when too few devices were there to ask.
    pub round: Option<u32>,
    /// Devices that answered, too few included.
    pub devices: u32,
    /// Why nothing is shown, when that is so.
    pub failure: Option<Failure>,
    /// Windows of all devices.
    pub windows: i128,
    /// Windows of each label.
    pub labels: Vec<LabelCount>,
    /// The channels in the order of the query.
    pub channels: Vec<ChannelTable>,
}

/// How many windows have a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelCount {
    /// The label as the task names it.
    pub label: String,
    /// Windows with this label, of all devices.
    pub windows: i128,
}

/// The sums of one channel. Whole numbers count steps of `2^-fraction_bits` units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelTable {
    /// Name of the channel, as the task has it.
    pub name: String,
    /// Unit of its values, such as `g`.
    pub unit: String,
    /// Bits behind the point of each value.
    pub fraction_bits: u8,
    /// Largest magnitude that a value was limited to, in `unit`.
    pub max_abs: f32,
    /// Samples of all windows.
    pub samples: i128,
    /// Their sum in steps: exact.
    pub sum: i128,
    /// The sum of their squares in steps squared: exact.
    pub sum_of_squares: i128,
    /// Mean in `unit`; `None` without samples.
    pub mean: Option<f64>,
    /// Standard deviation in `unit`, over all samples; `None` without samples.
    pub deviation: Option<f64>,
    /// Edges of the histogram in `unit`.
    pub edges: Vec<f32>,
    /// Samples below the first edge, between each two, and from the last edge on.
    pub histogram: Vec<i128>,
}

impl AnswerTable {
    /// What `answer` says, in the words of `task`.
    pub fn new(answer: &QueryResult, task: &Task) -> Self {
        let failure = match answer.outcome {
            RoundOutcome::Done(_) => None,
            RoundOutcome::Failed(failure) => Some(failure),
        };
        let (query, round) = (answer.query.to_string(), answer.round.map(|round| round.0));
        if failure.is_some() {
            let (labels, channels) = (Vec::new(), Vec::new());
            let devices = answer.devices;
            return Self { query, round, devices, failure, windows: 0, labels, channels };
        }
        let mut numbers = answer.values.iter().copied();
        let windows = numbers.next().unwrap_or(0);
        let counted = answer.work.labels(task);
        let labels = task.labels().iter().take(counted);
        let labels = labels
            .map(|label| LabelCount { label: label.clone(), windows: numbers.next().unwrap_or(0) });
        let labels = labels.collect();
        let mut channels = Vec::new();
        for query in &answer.work.channels {
            let Some(channel) = task.input.channels.get(usize::from(query.channel)) else {
                continue;
            };
            let sums: Vec<i128> = numbers.by_ref().take(CHANNEL_SUMS).collect();
            let [samples, sum, sum_of_squares] = sums[..] else { break };
            let moments = moments(samples, sum, sum_of_squares, query.fraction_bits);
            channels.push(ChannelTable {
                name: channel.name.clone(),
                unit: channel.unit.clone(),
                fraction_bits: query.fraction_bits,
                max_abs: query.max_abs,
                samples,
                sum,
                sum_of_squares,
                mean: moments.map(|(mean, _)| mean),
                deviation: moments.map(|(_, deviation)| deviation),
                edges: query.edges.clone(),
                histogram: numbers.by_ref().take(query.bins()).collect(),
            });
        }
        Self { query, round, devices: answer.devices, failure, windows, labels, channels }
    }
}

/// Mean and standard deviation; `None` without samples. The variance is `(n * squares - sum^2) / n^2`
/// in whole numbers as long as these fit, so that a mean far from 0 costs no digits.
#[allow(clippy::cast_precision_loss)]
fn moments(samples: i128, sum: i128, squares: i128, fraction_bits: u8) -> Option<(f64, f64)> {
    if samples <= 0 {
        return None;
    }
    let (n, step) = (samples as f64, libm::ldexp(1.0, -i32::from(fraction_bits)));
    let exact = samples.checked_mul(squares).zip(sum.checked_mul(sum));
    let exact = exact.and_then(|(one, two)| one.checked_sub(two));
    let spread =
        exact.map_or_else(|| n * squares as f64 - sum as f64 * sum as f64, |spread| spread as f64);
    Some((sum as f64 / n * step, libm::sqrt(spread.max(0.0)) / n * step))
}

impl fmt::Display for AnswerTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failure.is_some() {
            let Self { query, devices, .. } = self;
            return match (self.failure, self.round) {
                (Some(Failure::Withdrawn), _) => write!(f, "query {query}: withdrawn"),
                (_, None) => write!(
                    f,
                    "query {query}: not asked, fewer devices than its quorum were there; is the \
                     broker connected, and are they online? (status)"
                ),
                (_, Some(_)) => write!(
                    f,
                    "query {query}: no answer, {devices} device(s) are fewer than its quorum"
                ),
            };
        }
        let Self { query, devices, windows, .. } = self;
        write!(f, "query {query}: {devices} device(s), {windows} windows")?;
        for LabelCount { label, windows } in &self.labels {
            write!(f, "\n  {label:<32} {windows:>12} windows")?;
        }
        let labelled: i128 = self.labels.iter().map(|count| count.windows).sum();
        if !self.labels.is_empty() && labelled < *windows {
            let (none, rest) = ("(none of these labels)", windows - labelled);
            write!(f, "\n  {none:<32} {rest:>12} windows")?;
        }
        for channel in &self.channels {
            let ChannelTable { name, unit, samples, .. } = channel;
            write!(f, "\n{name} [{unit}]: {samples} samples")?;
            if let (Some(mean), Some(deviation)) = (channel.mean, channel.deviation) {
                write!(f, ", mean {mean:.6}, standard deviation {deviation:.6}")?;
            }
            let most = channel.histogram.iter().copied().max().unwrap_or(0).max(1);
            for (bin, count) in channel.histogram.iter().enumerate() {
                let edge = |at: Option<usize>| at.and_then(|at| channel.edges.get(at));
                let from = edge(bin.checked_sub(1)).map_or("-inf".into(), ToString::to_string);
                let to = edge(Some(bin)).map_or("inf".into(), ToString::to_string);
                let bar = "#".repeat(usize::try_from(count * 40 / most).unwrap_or(0));
                write!(f, "\n  {from:>10} to {to:>10} {count:>12} {bar}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{name, task};
    use dunlin_protocol::id::{ModelVersion, RoundId};
    use dunlin_protocol::work::{ChannelQuery, SumsWork};

    fn answer(outcome: RoundOutcome) -> QueryResult {
        let edges = vec![0.0, 1.0];
        let channel = ChannelQuery { channel: 0, fraction_bits: 1, max_abs: 8.0, edges };
        QueryResult {
            query: name("q"),
            work: SumsWork { labels: true, channels: vec![channel] },
            round: Some(RoundId(3)),
            devices: 2,
            // Two samples each of 1.5 and 2.5.
            values: vec![1, 1, 0, 4, 16, 68, 0, 0, 4],
            outcome,
        }
    }

    #[test]
    fn an_answer_has_names_units_moments_and_a_histogram_and_json_gives_it_back() {
        let task = Task::new(task(4)).unwrap();
        let table = AnswerTable::new(&answer(RoundOutcome::Done(ModelVersion(1))), &task);
        let channel = &table.channels[0];
        assert_eq!((channel.mean, channel.deviation), (Some(2.0), Some(0.5)));
        assert_eq!((channel.unit.as_str(), &channel.histogram[..]), ("g", &[0, 0, 4][..]));
        let text = table.to_string();
        for part in ["2 device(s), 1 windows", "rest", "mean 2.000000", "1 to        inf"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<AnswerTable>(&json).unwrap(), table);
    }

    #[test]
    fn a_failed_query_shows_no_number() {
        let failed =
            QueryResult { values: vec![], ..answer(RoundOutcome::Failed(Failure::TooFew)) };
        let table = AnswerTable::new(&failed, &Task::new(task(4)).unwrap());
        assert!(table.channels.is_empty() && table.to_string().contains("fewer than its quorum"));
    }

    #[test]
    fn moments_of_numbers_too_large_for_whole_arithmetic_are_close() {
        let large = 1_i128 << 100;
        let (mean, deviation) = moments(1 << 40, large, large * 2, 0).unwrap();
        assert!((mean - 2.0_f64.powi(60)).abs() < 1.0 && deviation >= 0.0);
        assert_eq!(moments(0, 0, 0, 3), None);
    }
}
