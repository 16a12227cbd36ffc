//! Figures of samples, gathered in one pass over them.

use std::collections::BTreeMap;

use super::{ChannelShown, RowShown, iso};
use crate::data::ring::{Header, Record};

/// Points of a plot: they fit beside a name into a line of a terminal.
const POINTS: usize = 48;
/// Steps from which the rate is measured.
const STEPS_MAX: usize = 10_000;

/// What is known of samples that were taken in so far.
pub(super) struct Summary {
    /// Samples taken in.
    pub(super) samples: u64,
    /// Time of the first in microseconds.
    pub(super) first: Option<i64>,
    /// Time of the last.
    pub(super) last: Option<i64>,
    /// Steps of more than one and a half periods.
    pub(super) gaps: u64,
    /// The longest step in microseconds.
    pub(super) longest_us: i64,
    /// Samples older than the one before.
    pub(super) steps_back: u64,
    expected: u64,
    rows_max: usize,
    period_us: f64,
    steps: Vec<i64>,
    kept: Vec<Record>,
    labels: BTreeMap<u16, u64>,
    channels: Vec<Channel>,
}

#[derive(Clone)]
struct Channel {
    low: f32,
    high: f32,
    sum: f64,
    count: u64,
    cut: u64,
    /// Sum and count of each part.
    points: Vec<(f64, u32)>,
}

impl Summary {
    /// For about `expected` samples of a ring with this header, of which `rows_max` are kept.
    pub(super) fn new(header: &Header, expected: u64, rows_max: usize) -> Self {
        let channel = Channel {
            low: f32::INFINITY,
            high: f32::NEG_INFINITY,
            sum: 0.0,
            count: 0,
            cut: 0,
            points: vec![(0.0, 0); POINTS],
        };
        Self {
            samples: 0,
            first: None,
            last: None,
            gaps: 0,
            longest_us: 0,
            steps_back: 0,
            expected: expected.max(1),
            rows_max,
            period_us: header.period_ns as f64 / 1e3,
            steps: Vec::new(),
            kept: Vec::new(),
            labels: BTreeMap::new(),
            channels: vec![channel; header.channels.len()],
        }
    }

    /// Takes the next sample in.
    pub(super) fn take(&mut self, record: &Record) {
        if self.kept.len() < self.rows_max {
            self.kept.push(record.clone());
        }
        if let Some(last) = self.last {
            self.step(record.time_us.saturating_sub(last));
        }
        self.first.get_or_insert(record.time_us);
        self.last = Some(record.time_us);
        *self.labels.entry(record.label).or_insert(0) += 1;
        let part = self.samples.saturating_mul(POINTS as u64) / self.expected;
        let part = usize::try_from(part).unwrap_or(POINTS).min(POINTS - 1);
        for (channel, &value) in self.channels.iter_mut().zip(&record.values) {
            channel.take(value, part);
        }
        self.samples += 1;
    }

    fn step(&mut self, step_us: i64) {
        self.steps_back += u64::from(step_us < 0);
        self.gaps += u64::from(step_us as f64 > 1.5 * self.period_us);
        self.longest_us = self.longest_us.max(step_us);
        if step_us > 0 && self.steps.len() < STEPS_MAX {
            self.steps.push(step_us);
        }
    }

    /// Samples a second by the step in the middle of all; `None` where there is none.
    pub(super) fn measured_hz(&self) -> Option<f64> {
        let mut steps = self.steps.clone();
        let middle = steps.len() / 2;
        if steps.is_empty() {
            return None;
        }
        let (_, step, _) = steps.select_nth_unstable(middle);
        Some(1e6 / *step as f64)
    }

    /// Puts what the values are like into `channels`, which are in the same order.
    #[allow(clippy::cast_possible_truncation)] // of values with 24 bits
    pub(super) fn describe(&self, channels: &mut [ChannelShown]) {
        for (channel, shown) in self.channels.iter().zip(channels) {
            shown.cut = channel.cut;
            let point =
                |&(sum, count): &(f64, u32)| (count > 0).then(|| (sum / f64::from(count)) as f32);
            shown.plot = channel.points.iter().map(point).collect();
            if self.expected < POINTS as u64 {
                // Fewer samples than points: those without a sample are no gaps.
                shown.plot.retain(Option::is_some);
            }
            if channel.count > 0 {
                (shown.low, shown.high) = (Some(channel.low), Some(channel.high));
                shown.mean = Some(channel.sum / channel.count as f64);
            }
        }
    }

    /// Samples by label, and those without one; labels are numbered as `texts`.
    pub(super) fn labels(&self, texts: &[String], none: u16) -> (BTreeMap<String, u64>, u64) {
        let mut by_text = BTreeMap::new();
        for (label, count) in self.labels.iter().filter(|(label, _)| **label != none) {
            *by_text.entry(text_of(texts, *label).unwrap_or_default()).or_insert(0) += count;
        }
        (by_text, self.labels.get(&none).copied().unwrap_or(0))
    }

    /// The samples that were kept, as `channels` and their task see them.
    pub(super) fn rows(&self, channels: &[ChannelShown], texts: &[String]) -> Vec<RowShown> {
        let row = |record: &Record| {
            let each = |view: fn(&ChannelShown, f32) -> Option<f32>| {
                let values = channels.iter().zip(&record.values);
                values.map(|(channel, &value)| view(channel, value)).collect()
            };
            RowShown {
                time: iso(record.time_us),
                label: text_of(texts, record.label),
                values: record.values.clone(),
                in_task_unit: each(ChannelShown::in_task_unit),
                scaled: each(ChannelShown::scaled),
            }
        };
        self.kept.iter().map(row).collect()
    }
}

impl Channel {
    fn take(&mut self, value: f32, part: usize) {
        if !value.is_finite() {
            self.cut += 1;
            return;
        }
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
        self.sum += f64::from(value);
        self.count += 1;
        if let Some((sum, count)) = self.points.get_mut(part) {
            (*sum, *count) = (*sum + f64::from(value), *count + 1);
        }
    }
}

fn text_of(texts: &[String], label: u16) -> Option<String> {
    texts.get(usize::from(label)).cloned()
}
