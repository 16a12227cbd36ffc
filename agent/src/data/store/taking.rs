//! How samples come from a reader into the ring.

use std::time::{Duration, Instant};

use super::SampleStore;
use crate::data::DataError;
use crate::data::intake::{Intake, Out, OwnedReading, Reading};
use crate::data::ring::Record;

/// Nothing came for so long, or for 20 periods: rows of one time are complete.
const PAUSE: Duration = Duration::from_secs(5);

/// Rows of one time may lie so much later, or 64 periods, when the rows behind them are known, too.
const LATER_US: i64 = 2_000_000;

/// Samples that the ring has already and that are read again after a restart. Their number tells them;
/// their time tells where other settings make other samples of the same rows.
#[derive(Debug, Default)]
pub(super) struct Again {
    count: u64,
    /// None of them is later.
    until_us: i64,
}

impl SampleStore {
    /// Takes a sample as a reader has it, with the values of the channels that are read in the order of
    /// their names; what is no number is missing. It goes through the [`Intake`] and is appended then,
    /// now or later. What goes wrong, or that nothing does, is noted as the problem that keeps samples
    /// from coming in.
    pub fn take(&mut self, time_us: i64, label: &str, values: &[f32]) {
        self.busy = true;
        let before = self.ring.next_sequence();
        let lost = self.pass(|intake, out| intake.take(Reading { time_us, label, values }, out));
        if !lost && !self.failing && self.ring.next_sequence() == before {
            // It waits, or is known.
            self.set_problem(None);
        }
    }

    /// Takes the samples of one message, sorted by their times first; leaves `readings` empty. What
    /// earlier messages brought already is dropped.
    pub fn take_batch(&mut self, readings: &mut Vec<OwnedReading>) {
        self.busy = true;
        let _ = self.pass(|intake, out| {
            intake.sort(readings);
            readings.drain(..).for_each(|reading| intake.take(reading.lend(), out));
        });
    }

    /// Says that the next sample does not continue the one before, as with another file.
    pub fn gap(&mut self) {
        let _ = self.pass(Intake::gap);
        self.again = Again::default();
    }

    /// Appends the samples that still wait in the [`Intake`], because no more will come for now.
    pub fn finish(&mut self) {
        let _ = self.pass(Intake::flush);
    }

    /// Says that there is nothing to read at `now`. After a while of that, samples that only wait for
    /// others of the same time are appended.
    pub fn rest(&mut self, now: Instant) {
        if std::mem::take(&mut self.busy) {
            self.idle_since = Some(now);
        }
        let periods = Duration::from_nanos(self.ring.header().period_ns.saturating_mul(20));
        let pause = periods.max(PAUSE);
        if self.idle_since.is_some_and(|since| now.saturating_duration_since(since) >= pause) {
            self.idle_since = None;
            let _ = self.pass(Intake::pause);
        }
    }

    /// Whether no sample waits in the [`Intake`]: whoever goes on with the next one loses nothing.
    pub fn is_settled(&self) -> bool {
        self.intake.as_ref().is_some_and(|intake| intake.is_settled())
    }

    /// Number that the ring gives the next sample to be taken; see [`SampleStore::resume`].
    pub fn next_sequence(&self) -> u64 {
        self.ring.next_sequence().saturating_sub(self.again.count)
    }

    /// Says that the reader goes on with the sample that has this number in the ring: those that the
    /// ring has already are not appended again. Gives the time of the sample before it.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn resume(&mut self, sequence: u64) -> Result<Option<i64>, DataError> {
        let period_us = i64::try_from(self.ring.header().period_ns / 1000).unwrap_or(i64::MAX);
        let count = self.ring.next_sequence().saturating_sub(sequence);
        let latest_us = self.ring.times().map_or(i64::MIN, |times| times.latest);
        let later_us = period_us.saturating_mul(64).max(LATER_US);
        self.again = Again { count, until_us: latest_us.saturating_add(later_us) };
        let (mut before, mut step_us) = (None::<Record>, None);
        let first = sequence.saturating_sub(2);
        self.ring.scan(first, |record| {
            if record.sequence < sequence {
                step_us = before.as_ref().map(|last| record.time_us.saturating_sub(last.time_us));
                before = Some(record.clone());
            }
        })?;
        let before = before.filter(|record| record.sequence + 1 == sequence);
        if let (Some(record), Some(intake)) = (&before, &mut self.intake) {
            intake.prime(step_us, record.time_us, &record.values);
        }
        let newest_us = self.ring.times().map(|times| times.newest);
        let passed_us = period_us.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        let guess = newest_us.map(|newest| newest.saturating_sub(passed_us));
        Ok(before.map(|record| record.time_us).or(guess))
    }

    /// Lets `step` put samples through the intake into the ring; whether some could not be used.
    fn pass(&mut self, step: impl FnOnce(&mut Intake, &mut Out<'_>)) -> bool {
        let Some(mut intake) = self.intake.take() else { return false };
        step(&mut intake, &mut |time_us, label, values| self.put(time_us, label, values));
        let mut lost = false;
        while let Some((loss, count, detail)) = intake.next_loss() {
            self.lose(loss, count, || detail);
            lost = true;
        }
        self.intake = Some(intake);
        lost
    }

    /// Appends a sample that has gone through the intake, unless the ring has it.
    fn put(&mut self, time_us: i64, label: &str, values: &[f32]) {
        if self.again.count > 0 && time_us <= self.again.until_us {
            self.again.count -= 1;
            return;
        }
        self.again.count = 0;
        let problem = self.append(time_us, label, values).err();
        self.failing = problem.is_some();
        self.set_problem(problem.map(|error| error.to_string()));
    }
}
