//! Channels that are made from others: body, gravity, magnitude.

use std::collections::BTreeMap;

use super::Reading;
use super::butterworth::LowPass;
use crate::data::config::Derived;

/// Below this frequency in hertz acceleration is gravity, as in the UCI HAR data set.
const GRAVITY_HZ: f64 = 0.3;

/// Makes the kept channels of those that are read.
#[derive(Debug)]
pub(super) struct Deriver {
    /// For each kept channel, in the order of their names, what it is.
    kept: Vec<Part>,
    /// Channels whose gravity is wanted, by their place among those that are read.
    filters: Vec<(usize, LowPass)>,
    gravity: Vec<f64>,
    values: Vec<f32>,
    /// Longest step over which the filters go on, in microseconds: that of a row.
    step_max_us: i64,
    last_us: Option<i64>,
}

/// What a channel is.
#[derive(Clone, Debug)]
enum Part {
    /// One that is read, by its place.
    Read(usize),
    /// One that is read without its gravity, by the places of the channel and of its filter.
    Body(usize, usize),
    /// The gravity of one that is read, by the place of its filter.
    Gravity(usize),
    /// The length of a vector.
    Magnitude(Vec<Part>),
}

impl Deriver {
    /// Makes `derive` of `channels`, which are read every `period_ns` nanoseconds. Names are checked
    /// before: one that there is not counts as the first channel.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn new(
        derive: &BTreeMap<String, Derived>,
        channels: &[String],
        period_ns: u64,
    ) -> Self {
        let rate_hz = 1e9 / period_ns.max(1) as f64;
        let mut filters: Vec<(usize, LowPass)> = Vec::new();
        let place = |name: &String| channels.iter().position(|have| have == name).unwrap_or(0);
        let mut filter = |channel: usize| {
            let known = filters.iter().position(|(at, _)| *at == channel);
            known.unwrap_or_else(|| {
                filters.push((channel, LowPass::new(GRAVITY_HZ, rate_hz)));
                filters.len() - 1
            })
        };
        let mut part = |name: &String| match derive.get(name) {
            Some(Derived::Body(source)) => Part::Body(place(source), filter(place(source))),
            Some(Derived::Gravity(source)) => Part::Gravity(filter(place(source))),
            Some(Derived::Magnitude(_)) | None => Part::Read(place(name)),
        };
        let mut names: Vec<&String> = channels.iter().chain(derive.keys()).collect();
        names.sort();
        names.dedup();
        let kept = names.into_iter().map(|name| match derive.get(name) {
            Some(Derived::Magnitude(of)) => Part::Magnitude(of.iter().map(&mut part).collect()),
            _ => part(name),
        });
        let kept = kept.collect();
        let step_max_us = i64::try_from(period_ns.saturating_mul(3) / 2000).unwrap_or(i64::MAX);
        Self { kept, filters, gravity: Vec::new(), values: Vec::new(), step_max_us, last_us: None }
    }

    /// The sample with the kept channels.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn take<'a>(&'a mut self, row: Reading<'a>) -> Reading<'a> {
        let step_us = self.last_us.map(|last| row.time_us.saturating_sub(last));
        if !step_us.is_some_and(|us| (0..=self.step_max_us).contains(&us)) {
            self.filters.iter_mut().for_each(|(_, filter)| filter.restart());
        }
        self.last_us = Some(row.time_us);
        let Self { kept, filters, gravity, values, .. } = self;
        gravity.clear();
        gravity.extend(filters.iter_mut().map(|(at, filter)| filter.next(value(row.values, *at))));
        values.clear();
        values.extend(kept.iter().map(|part| match part {
            // Not by way of 64 bits: as it came.
            Part::Read(at) => row.values.get(*at).copied().unwrap_or(f32::NAN),
            Part::Body(..) | Part::Gravity(_) | Part::Magnitude(_) => {
                part.value(row.values, gravity) as f32
            }
        }));
        Reading { values: &self.values, ..row }
    }

    /// Forgets the samples before.
    pub(super) fn restart(&mut self) {
        self.last_us = None;
    }
}

impl Part {
    fn value(&self, values: &[f32], gravity: &[f64]) -> f64 {
        let gravity_of = |at: usize| gravity.get(at).copied().unwrap_or(f64::NAN);
        match self {
            Self::Read(at) => value(values, *at),
            Self::Body(at, filter) => value(values, *at) - gravity_of(*filter),
            Self::Gravity(filter) => gravity_of(*filter),
            Self::Magnitude(parts) => {
                let squares = parts.iter().map(|part| part.value(values, gravity).powi(2));
                squares.sum::<f64>().sqrt()
            }
        }
    }
}

fn value(values: &[f32], at: usize) -> f64 {
    values.get(at).copied().map_or(f64::NAN, f64::from)
}
