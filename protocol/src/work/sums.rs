//! Exact sums of small statistics over a device's windows: how many of each label, and of each
//! channel how many samples, their sum, their sum of squares and a histogram.
//!
//! A sample counts once for each window that it is in: where windows overlap, the sums are those of
//! what training sees. Values are in the channel's unit, before the task scales them, on a grid of
//! `2^-fraction_bits`; a whole number `q = round(value * 2^fraction_bits)`, halves to even, stands for
//! each, after the value was limited to `max_abs`. So sums are whole numbers, and those of many
//! devices are exactly those of all their windows together.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::{Bound, Coding, Metric, Protection, Section, VectorSpec};
use crate::limits::{CHANNELS_MAX, EDGES_MAX, WINDOW_SAMPLES_MAX};
use crate::task::Task;
use crate::wire::{self, WireError};

/// What a report of sums says beside its payload.
pub(super) const METRICS: [Metric; 1] = [Metric::count("windows")];

/// Sums of each channel in front of its histogram: samples, sum, sum of squares.
pub const CHANNEL_SUMS: usize = 3;

/// Most fraction bits of a grid.
const FRACTION_BITS_MAX: u8 = 24;
/// Largest number on a grid: `2^40`.
const ON_GRID_MAX: f64 = 1_099_511_627_776.0;

/// Which statistics are asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SumsWork {
    /// Whether to count the windows of each label; a task without classes has none.
    pub labels: bool,
    /// The channels, each at most once.
    #[serde(deserialize_with = "wire::take_list::<CHANNELS_MAX, _, _>")]
    pub channels: Vec<ChannelQuery>,
}

/// What is asked of one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelQuery {
    /// Its place among the task's channels, from 0.
    pub channel: u8,
    /// Bits behind the point of each value, 0 to 24.
    pub fraction_bits: u8,
    /// Largest magnitude in the channel's unit; a value beyond counts as this one.
    pub max_abs: f32,
    /// Edges of the histogram in the channel's unit, rising; bin `i` counts the values from edge
    /// `i - 1` on and below edge `i`, the first and the last bin everything beyond. None: no histogram.
    #[serde(deserialize_with = "wire::take_list::<EDGES_MAX, _, _>")]
    pub edges: Vec<f32>,
}

impl ChannelQuery {
    /// Bins of the histogram, 0 without one.
    pub fn bins(&self) -> usize {
        if self.edges.is_empty() { 0 } else { self.edges.len() + 1 }
    }

    /// The bin of `value`.
    pub fn bin(&self, value: f32) -> usize {
        self.edges.partition_point(|edge| *edge <= value)
    }

    /// `value` on the grid.
    #[allow(clippy::cast_possible_truncation)] // at most 40 bits
    pub fn on_grid(&self, value: f32) -> i64 {
        let limited = f64::from(value.clamp(-self.max_abs, self.max_abs));
        libm::rint(limited * f64::from(1_u32 << self.fraction_bits)) as i64
    }

    /// The largest number on the grid.
    fn largest(&self) -> i64 {
        self.on_grid(self.max_abs)
    }

    fn check(&self) -> Result<(), WireError> {
        let positive = self.max_abs.is_finite() && self.max_abs > 0.0;
        let fits = self.fraction_bits <= FRACTION_BITS_MAX
            && f64::from(self.max_abs) * f64::from(1_u32 << self.fraction_bits) <= ON_GRID_MAX;
        if !positive || !fits {
            return Err(WireError::Invalid(
                "fraction_bits is from 0 to 24, and max_abs above 0 with at most 40 bits on that grid",
            ));
        }
        let rising = self.edges.windows(2).all(|two| two[0] < two[1]);
        if self.edges.len() > EDGES_MAX || !rising || !self.edges.iter().all(|e| e.is_finite()) {
            return Err(WireError::Invalid(
                "the edges of a histogram are finite and rise, at most 256",
            ));
        }
        Ok(())
    }
}

impl SumsWork {
    pub(super) fn check(&self) -> Result<(), WireError> {
        if self.channels.len() > CHANNELS_MAX {
            return Err(WireError::Invalid("at most 64 channels are asked for"));
        }
        if !self.labels && self.channels.is_empty() {
            return Err(WireError::Invalid("sums of labels or of a channel are asked for"));
        }
        let once = |(place, query): (usize, &ChannelQuery)| {
            self.channels[..place].iter().all(|before| before.channel != query.channel)
        };
        if !self.channels.iter().enumerate().all(once) {
            return Err(WireError::Invalid("a channel is asked for once"));
        }
        self.channels.iter().try_for_each(ChannelQuery::check)
    }

    /// Labels that are counted of `task`.
    pub fn labels(&self, task: &Task) -> usize {
        if self.labels { task.labels().len() } else { 0 }
    }

    /// Whole numbers of an answer for `task`: the length of its vector.
    pub fn numbers(&self, task: &Task) -> usize {
        let of_channel = |query: &ChannelQuery| CHANNEL_SUMS + query.bins();
        1 + self.labels(task) + self.channels.iter().map(of_channel).sum::<usize>()
    }

    /// Windows, then labels, then for each channel its sums and its histogram.
    #[allow(clippy::cast_precision_loss)] // bounds
    pub fn vector(&self, task: &Task) -> VectorSpec {
        let section = |name, len, most: f64| Section {
            name,
            len,
            coding: Coding::Integers,
            bounds: Vec::from([Bound::LInf(most)]),
        };
        let windows = f64::from(u32::MAX);
        let samples = windows * WINDOW_SAMPLES_MAX as f64;
        let mut sections = Vec::from([
            section("windows", 1, windows),
            section("labels", self.labels(task), windows),
        ]);
        for query in &self.channels {
            let largest = query.largest() as f64;
            sections.push(section("samples", 1, samples));
            sections.push(section("sum", 1, samples * largest));
            sections.push(section("sum of squares", 1, samples * largest * largest));
            sections.push(section("histogram", query.bins(), samples));
        }
        VectorSpec { sections, protection: Protection::Clear }
    }

    /// Whether `values` can be the sums of windows of `task`: lengths, signs and bounds, and counts
    /// that add up.
    pub fn is_consistent(&self, task: &Task, values: &[i128]) -> bool {
        let Some((&windows, rest)) = values.split_first() else { return false };
        let labels = self.labels(task);
        let counts_windows = |count: &i128| (0..=i128::from(u32::MAX)).contains(count);
        if values.len() != self.numbers(task) || !counts_windows(&windows) {
            return false;
        }
        let (counts, mut rest) = rest.split_at(labels);
        if !counts.iter().all(counts_windows) || counts.iter().sum::<i128>() > windows {
            return false;
        }
        for query in &self.channels {
            let (sums, after) = rest.split_at(CHANNEL_SUMS);
            let (bins, after) = after.split_at(query.bins());
            rest = after;
            let [samples, sum, squares] = sums else { return false };
            let largest = i128::from(query.largest());
            // Nothing overflows: 45 bits of samples, 40 of a value.
            let sane = *samples == windows * i128::from(task.input.window)
                && (-samples * largest..=samples * largest).contains(sum)
                && (0..=samples * largest * largest).contains(squares)
                && bins.iter().all(|count| (0..=*samples).contains(count))
                && (bins.is_empty() || bins.iter().sum::<i128>() == *samples);
            if !sane {
                return false;
            }
        }
        true
    }
}
