//! Reads the values of a device one by one from sysfs, at the agent's own rate.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::channel::Conversion;
use super::plan::{Input, Output, Plan};
use super::watch::{Device, Now};
use super::{rate, sysfs};
use crate::data::Loss;
use crate::data::config::IioConfig;
use crate::data::live::{Pace, lock};
use crate::data::store::SampleStore;

/// Readings that fail in a row before the source says that it has a problem.
const FAILURES_MAX: u32 = 10;

/// Open devices that are read value by value.
#[derive(Debug)]
pub(super) struct Polled {
    /// By device, in the order of the plan.
    parts: Vec<Vec<Channel>>,
    /// In the order of the task's channel names.
    outputs: Vec<Output>,
    /// Devices that run slower than they are read, in words, until the store knows.
    slow: Vec<String>,
    ticks: Option<Ticks>,
    pace: Pace,
    period_ns: u64,
    failures: u32,
}

#[derive(Debug)]
struct Channel {
    file: PathBuf,
    conversion: Conversion,
}

/// Why there is no sample at a tick.
enum Failure {
    /// A device went away.
    Gone(String),
    /// A value could not be read; the next may be.
    Reading(String),
}

/// Moments that are whole periods after the first: being late once delays none that follow.
#[derive(Debug)]
struct Ticks {
    start: Instant,
    period_ns: u64,
    /// Number of the last tick that was used.
    last: u64,
}

impl Ticks {
    /// Ticks that are missed by `now`, when a new one is due.
    fn due(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.start).as_nanos();
        let tick = u64::try_from(passed / u128::from(self.period_ns)).unwrap_or(u64::MAX);
        let steps = tick.saturating_sub(self.last);
        self.last = self.last.max(tick);
        steps.checked_sub(1)
    }

    /// Time from `now` to the next tick.
    fn wait(&self, now: Instant) -> Duration {
        let next = self.period_ns.saturating_mul(self.last.saturating_add(1));
        Duration::from_nanos(next).saturating_sub(now.saturating_duration_since(self.start))
    }
}

impl Channel {
    fn open(device: &Path, input: &Input) -> Result<Self, String> {
        let name = &input.name;
        let file = device.join(format!("in_{name}_input"));
        if file.exists() {
            return Ok(Self { file, conversion: Conversion::PROCESSED });
        }
        let file = device.join(format!("in_{name}_raw"));
        if !file.exists() {
            let has = sysfs::entries(device, "in_").into_iter().filter_map(|entry| {
                let name = entry.strip_prefix("in_")?;
                name.strip_suffix("_raw").or(name.strip_suffix("_input")).map(str::to_owned)
            });
            let has = sysfs::quoted(&has.collect::<Vec<_>>().join(", "));
            let problem = format!("no channel {name:?}; it has: {has}; correct source.channels");
            return Err(input.explain(problem));
        }
        Ok(Self { file, conversion: Conversion::of_raw(device, name)? })
    }

    fn read(&self) -> Result<f64, Failure> {
        let raw = sysfs::read_number(&self.file).map_err(|error| {
            let problem = sysfs::problem(&self.file, "read", &error);
            match sysfs::is_gone(&error) {
                true => Failure::Gone(format!("{problem}; the device went away; waiting for it")),
                false => Failure::Reading(problem),
            }
        })?;
        Ok(self.conversion.value(raw))
    }
}

impl Polled {
    /// The values of the task's channels at this moment.
    fn read(&self) -> Result<Vec<f32>, Failure> {
        let read = |channels: &Vec<Channel>| {
            channels.iter().map(Channel::read).collect::<Result<Vec<f64>, Failure>>()
        };
        let parts = self.parts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let value = |output: &Output| {
            let readings = parts.get(output.part).map_or(&[][..], Vec::as_slice);
            output.value(readings).ok_or_else(|| {
                Failure::Reading(format!("readings of {readings:?} are too large for a value"))
            })
        };
        self.outputs.iter().map(value).collect()
    }

    /// Takes a reading at `wall_us` on the wall clock.
    ///
    /// # Errors
    /// When a device is gone.
    fn take(&mut self, wall_us: i64, store: &Mutex<SampleStore>) -> Result<(), String> {
        match self.read() {
            Ok(values) => {
                self.failures = 0;
                lock(store).take(self.pace.next(wall_us), "", &values);
            }
            Err(Failure::Gone(problem)) => return Err(problem),
            Err(Failure::Reading(problem)) => self.fail(problem, store),
        }
        Ok(())
    }

    fn fail(&mut self, problem: String, store: &Mutex<SampleStore>) {
        self.pace.skip(1);
        self.failures = self.failures.saturating_add(1);
        let mut store = lock(store);
        store.lose(Loss::Reading, 1, || problem.clone());
        if self.failures == FAILURES_MAX {
            store.set_problem(Some(problem));
        }
    }
}

impl Device for Polled {
    fn open(config: &IioConfig) -> Result<Self, String> {
        let Plan { parts, outputs } = Plan::of(config)?;
        let mut slow = Vec::new();
        for part in &parts {
            let names = part.inputs.iter().map(|input| input.name.as_str());
            slow.extend(rate::set_at_least(&part.folder, None, names, config.sampling.rate_hz));
        }
        let parts = parts.iter().map(|part| {
            part.inputs.iter().map(|input| Channel::open(&part.folder, input)).collect()
        });
        let period_ns = config.sampling.period_ns();
        Ok(Self {
            parts: parts.collect::<Result<_, String>>()?,
            outputs,
            slow,
            ticks: None,
            pace: Pace::new(period_ns),
            period_ns,
            failures: 0,
        })
    }

    fn poll(&mut self, now: Now, store: &Mutex<SampleStore>) -> Result<bool, String> {
        for problem in self.slow.drain(..) {
            lock(store).lose(Loss::Reading, 1, || problem);
        }
        let missed = match &mut self.ticks {
            Some(ticks) => ticks.due(now.steady),
            None => {
                self.ticks = Some(Ticks { start: now.steady, period_ns: self.period_ns, last: 0 });
                Some(0)
            }
        };
        let Some(missed) = missed else { return Ok(false) };
        if missed > 0 {
            self.pace.skip(missed);
            lock(store).lose(Loss::Reading, missed, || {
                "too late for a reading; where that goes on, lower rate_hz or set mode = \"buffered\""
                    .to_owned()
            });
        }
        self.take(now.wall_us, store)?;
        Ok(false)
    }

    fn pause(&self, now: Instant) -> Duration {
        self.ticks.as_ref().map_or(Duration::ZERO, |ticks| ticks.wait(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::log_limit::clock;

    #[test]
    fn ticks_do_not_drift_and_late_ones_are_skipped_and_not_made_up_for() {
        let start = clock();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ticks = Ticks { start, period_ns: 20_000_000, last: 0 };
        assert_eq!(ticks.due(at(19)), None);
        assert_eq!(ticks.wait(at(19)), Duration::from_millis(1));
        assert_eq!(ticks.due(at(25)), Some(0));
        assert_eq!(ticks.due(at(39)), None);
        assert_eq!(ticks.wait(at(25)), Duration::from_millis(15), "late once delays none after");
        assert_eq!(ticks.due(at(105)), Some(3));
        assert_eq!(ticks.due(at(106)), None, "no burst");
        assert_eq!(ticks.wait(at(500)), Duration::ZERO);
    }
}
