//! Samples of one message, in the order of their times.

use std::collections::BTreeSet;

use super::OwnedReading;
use super::tally::Tally;
use crate::data::Loss;

/// Samples that are remembered, to know them again.
const KNOWN_MAX: usize = 4096;
/// Where samples have times of their own, these are no more than so many tenths of a period apart.
const OWN_TIMES_TENTHS: i128 = 15;

/// Sorts the samples of messages.
///
/// Messages may bring what earlier ones brought: programs that ask a server again and again get its
/// newest 24 values each time. A sample with the time and the values of an earlier one is dropped. That
/// is not done where many samples share a time, such as a whole second: equal ones may be different
/// samples. What is older than the samples before comes too late, unless all of a message is: then a
/// clock was set back.
#[derive(Debug)]
pub(super) struct Batches {
    period_ns: u64,
    newest_us: Option<i64>,
    /// Time, and checksum of the values.
    known: BTreeSet<(i64, u32)>,
    own_times: bool,
    pub(super) lost: Tally,
}

impl Batches {
    /// For samples that come every `period_ns` nanoseconds.
    pub(super) fn new(period_ns: u64) -> Self {
        Self {
            period_ns,
            newest_us: None,
            known: BTreeSet::new(),
            own_times: false,
            lost: Tally::default(),
        }
    }

    /// Sorts `readings` by time; those of one time keep their order. See the type for what is dropped.
    pub(super) fn sort(&mut self, readings: &mut Vec<OwnedReading>) {
        let ends = readings.first().zip(readings.last());
        if ends.is_some_and(|(first, last)| first.time_us > last.time_us) {
            readings.reverse();
        }
        readings.sort_by_key(|reading| reading.time_us);
        self.own_times = self.have_own_times(readings).unwrap_or(self.own_times);
        if self.own_times {
            readings.retain(|reading| self.known.insert((reading.time_us, checksum(reading))));
            while self.known.len() > KNOWN_MAX {
                self.known.pop_first();
            }
        }
        let Some(last_us) = readings.last().map(|reading| reading.time_us) else { return };
        if let Some(newest_us) = self.newest_us.filter(|&newest| last_us > newest) {
            let late = readings.partition_point(|reading| reading.time_us < newest_us);
            for reading in readings.drain(..late) {
                let (at, newest) = (reading.time_us, newest_us);
                let problem = format!("a sample of {at} us came after one of {newest} us");
                self.lost.lose(Loss::Order, problem);
            }
        }
        self.newest_us = Some(last_us);
    }

    /// Whether each sample has a time of its own; `None` where this cannot be seen.
    fn have_own_times(&self, sorted: &[OwnedReading]) -> Option<bool> {
        let pairs = sorted.iter().zip(sorted.iter().skip(1));
        let steps = pairs.map(|(a, b)| b.time_us.saturating_sub(a.time_us)).filter(|&us| us > 0);
        let mut steps: Vec<i64> = steps.collect();
        steps.sort_unstable();
        let usual_us = i128::from(*steps.get(steps.len().checked_sub(1)? / 2)?);
        Some(usual_us * 10_000 <= i128::from(self.period_ns) * OWN_TIMES_TENTHS)
    }
}

fn checksum(reading: &OwnedReading) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    reading.values.iter().for_each(|value| hasher.update(&value.to_bits().to_le_bytes()));
    hasher.finalize()
}
