//! Values that are missing: held, interpolated, or the sample is refused.

use std::collections::VecDeque;

use super::tally::Tally;
use super::{Next, OwnedReading, Reading};
use crate::data::Loss;
use crate::data::config::{IntakeConfig, Missing};

/// Samples at the most that wait for a value.
const WAITING_MAX: usize = 4096;
/// Where nothing is set: for how many periods a value is held, but no less than [`HOLD_MIN_NS`], and
/// over how many periods values are interpolated.
const HOLD_PERIODS: u64 = 10;
const HOLD_MIN_NS: u64 = 10_000_000_000;
const INTERPOLATE_PERIODS: u64 = 5;

/// Mends samples in which values are missing.
#[derive(Debug)]
pub(super) struct Mender {
    channels: Vec<Channel>,
    /// Whether each sample with a missing value is refused.
    refuses: bool,
    hold_us: i64,
    interpolate_us: i64,
    /// Samples that wait for a value, and those behind them.
    waiting: VecDeque<OwnedReading>,
    values: Vec<f32>,
    newest_us: Option<i64>,
    /// Missing values that were held or interpolated.
    mended: u64,
    pub(super) lost: Tally,
}

#[derive(Debug)]
struct Channel {
    name: String,
    rule: Missing,
    /// The last value that came, and its time in microseconds.
    known: Option<(i64, f32)>,
}

impl Channel {
    /// The value at `time_us`, where the last one is no older than `most_us`.
    fn held(&self, time_us: i64, most_us: i64) -> Option<f32> {
        self.known.filter(|(at, _)| time_us.saturating_sub(*at) <= most_us).map(|(_, value)| value)
    }
}

impl Mender {
    /// A mender as `config` asks for; `channels` come every `period_ns` nanoseconds.
    pub(super) fn new(config: &IntakeConfig, channels: &[String], period_ns: u64) -> Self {
        #[allow(clippy::cast_possible_truncation)] // checked to be at most a year
        let set_us = config.missing_max_s.map(|seconds| (seconds * 1e6).round() as i64);
        let us = |ns: u64| set_us.unwrap_or(i64::try_from(ns / 1000).unwrap_or(i64::MAX));
        let channel = |name: &String| {
            let rule = config.missing.of(name);
            Channel { name: name.clone(), rule, known: None }
        };
        let channels: Vec<Channel> = channels.iter().map(channel).collect();
        Self {
            refuses: channels.iter().all(|channel| channel.rule == Missing::Refuse),
            channels,
            hold_us: us(period_ns.saturating_mul(HOLD_PERIODS).max(HOLD_MIN_NS)),
            interpolate_us: us(period_ns.saturating_mul(INTERPOLATE_PERIODS)),
            waiting: VecDeque::new(),
            values: Vec::new(),
            newest_us: None,
            mended: 0,
            lost: Tally::default(),
        }
    }

    /// Takes the next sample.
    pub(super) fn take(&mut self, row: Reading<'_>, next: &mut Next<'_>) {
        let gap = row.values.iter().position(|value| !value.is_finite());
        if self.refuses {
            return match gap {
                None => next(row),
                Some(at) => self.refuse(at, row.time_us),
            };
        }
        if self.newest_us.is_some_and(|newest| row.time_us < newest) {
            // The clock was set: what is known is of another time.
            self.restart();
        }
        self.newest_us = Some(row.time_us);
        let mended = self.mend(row, gap.is_some());
        self.settle(row.time_us, next);
        match mended {
            Err(at) => self.refuse(at, row.time_us),
            Ok(Some(owned)) => self.waiting.push_back(owned),
            Ok(None) if self.waiting.is_empty() => {
                next(Reading { values: &self.values, ..row });
            }
            Ok(None) => self.waiting.push_back(Reading { values: &self.values, ..row }.into()),
        }
        while self.waiting.len() > WAITING_MAX {
            self.refuse_oldest();
        }
    }

    /// Puts the values of `row` into `values`, those that are held among them, and notes what came.
    /// Gives the sample where it must wait for a value, and the channel where it can have none.
    fn mend(&mut self, row: Reading<'_>, gap: bool) -> Result<Option<OwnedReading>, usize> {
        let (mut waits, mut hopeless, mut mended) = (false, None, 0);
        self.values.clear();
        for (at, (&value, channel)) in row.values.iter().zip(&mut self.channels).enumerate() {
            if value.is_finite() {
                self.mended += interpolate(
                    &mut self.waiting,
                    at,
                    channel,
                    (row.time_us, value),
                    self.interpolate_us,
                );
                channel.known = Some((row.time_us, value));
                self.values.push(value);
                continue;
            }
            let held = match channel.rule {
                Missing::Refuse => None,
                Missing::Hold => channel.held(row.time_us, self.hold_us),
                Missing::Interpolate => {
                    waits = true;
                    channel.held(row.time_us, self.interpolate_us).map(|_| f32::NAN)
                }
            };
            mended += u64::from(held.is_some_and(f32::is_finite));
            hopeless = hopeless.or(held.is_none().then_some(at));
            self.values.push(held.unwrap_or(f32::NAN));
        }
        self.mended += if hopeless.is_none() { mended } else { 0 };
        match hopeless {
            Some(at) => Err(at),
            None if gap && waits => Ok(Some(Reading { values: &self.values, ..row }.into())),
            None => Ok(None),
        }
    }

    /// Missing values that were held or interpolated so far.
    pub(super) fn mended(&self) -> u64 {
        self.mended
    }

    /// Gives the oldest samples that wait no more, and refuses those that wait in vain by `now_us`.
    fn settle(&mut self, now_us: i64, next: &mut Next<'_>) {
        while let Some(row) = self.waiting.front() {
            let missing = || row.values.iter().zip(&self.channels).enumerate();
            let hopeless = missing().find(|(_, (value, channel))| {
                let late = channel.held(now_us, self.interpolate_us).is_none();
                let passed = channel.known.is_none_or(|(at, _)| at > row.time_us);
                !value.is_finite() && (late || passed)
            });
            if hopeless.is_some() {
                self.refuse_oldest();
            } else if row.values.iter().all(|value| value.is_finite()) {
                next(row.lend());
                self.waiting.pop_front();
            } else {
                return;
            }
        }
    }

    /// Refuses what waits.
    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() {
            self.refuse_oldest();
        }
    }

    /// Refuses what waits, and forgets all values.
    pub(super) fn restart(&mut self) {
        self.flush();
        self.newest_us = None;
        self.channels.iter_mut().for_each(|channel| channel.known = None);
    }

    /// Takes a sample with these values to have come.
    pub(super) fn prime(&mut self, time_us: i64, values: &[f32]) {
        self.newest_us = Some(time_us);
        for (channel, &value) in self.channels.iter_mut().zip(values) {
            channel.known = value.is_finite().then_some((time_us, value));
        }
    }

    /// Whether no sample waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether no sample waits and the last one tells all that is known.
    pub(super) fn is_settled(&self) -> bool {
        let fresh = |channel: &Channel| {
            channel.rule == Missing::Refuse || channel.known.map(|(at, _)| at) == self.newest_us
        };
        self.waiting.is_empty() && (self.refuses || self.channels.iter().all(fresh))
    }

    fn refuse_oldest(&mut self) {
        if let Some(row) = self.waiting.pop_front() {
            let at = row.values.iter().position(|value| !value.is_finite());
            self.refuse(at.unwrap_or(0), row.time_us);
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn refuse(&mut self, at: usize, time_us: i64) {
        let Some(channel) = self.channels.get(at) else { return };
        let seconds = |us: i64| us as f64 / 1e6;
        let why = match channel.rule {
            Missing::Refuse => "set source.missing to \"hold\" or \"interpolate\"".to_owned(),
            Missing::Hold => format!("the last one is over {} s old", seconds(self.hold_us)),
            Missing::Interpolate => {
                format!("there are none around it within {} s", seconds(self.interpolate_us))
            }
        };
        let problem = format!("{:?} has no value at {} s; {why}", channel.name, seconds(time_us));
        self.lost.lose(Loss::Missing, problem);
    }
}

/// Gives the samples that wait the values of channel `at` between the last one that came and `new`; how
/// many.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn interpolate(
    waiting: &mut VecDeque<OwnedReading>,
    at: usize,
    channel: &Channel,
    new: (i64, f32),
    most_us: i64,
) -> u64 {
    let Some((from_us, from)) = channel.known else { return 0 };
    let span_us = new.0.saturating_sub(from_us);
    if channel.rule != Missing::Interpolate || span_us <= 0 || span_us > most_us {
        return 0;
    }
    let mut given = 0;
    let (from, rise) = (f64::from(from), f64::from(new.1) - f64::from(from));
    for row in waiting.iter_mut().rev().take_while(|row| row.time_us >= from_us) {
        if let Some(value) = row.values.get_mut(at).filter(|value| !value.is_finite()) {
            let share = row.time_us.saturating_sub(from_us) as f64 / span_us as f64;
            *value = (from + rise * share) as f32;
            given += 1;
        }
    }
    given
}
