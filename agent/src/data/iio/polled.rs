//! Reads the values of a device one by one from sysfs, at the agent's own rate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::channel::Conversion;
use super::sysfs;
use super::watch::{Device, Now};
use crate::data::Loss;
use crate::data::config::IioConfig;
use crate::data::live::{Pace, lock};
use crate::data::store::SampleStore;

/// Readings that fail in a row before the source says that it has a problem.
const FAILURES_MAX: u32 = 10;

/// An open device that is read value by value.
#[derive(Debug)]
pub(super) struct Polled {
    /// In the order of the task's channel names.
    channels: Vec<Channel>,
    ticks: Option<Ticks>,
    pace: Pace,
    period_ns: u64,
    values: Vec<f32>,
    failures: u32,
}

#[derive(Debug)]
struct Channel {
    file: PathBuf,
    conversion: Conversion,
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
    fn open(device: &Path, name: &str, factor: f32) -> Result<Self, String> {
        let input = device.join(format!("in_{name}_input"));
        if input.exists() {
            return Ok(Self { file: input, conversion: Conversion::of_processed(factor) });
        }
        let file = device.join(format!("in_{name}_raw"));
        if !file.exists() {
            let has = sysfs::entries(device, "in_").into_iter().filter_map(|entry| {
                let name = entry.strip_prefix("in_")?;
                name.strip_suffix("_raw").or(name.strip_suffix("_input")).map(str::to_owned)
            });
            let has = sysfs::quoted(&has.collect::<Vec<_>>().join(", "));
            return Err(format!("no channel {name:?}; it has: {has}; correct source.channels"));
        }
        let conversion = Conversion::of_raw(device, name, factor)?;
        Ok(Self { file, conversion })
    }

    fn read(&self) -> io::Result<f32> {
        let raw = sysfs::read_number(&self.file)?;
        let too_large =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{raw} is too large"));
        self.conversion.value(raw).ok_or_else(too_large)
    }
}

impl Polled {
    /// Takes a reading at `wall_us` on the wall clock.
    ///
    /// # Errors
    /// When the device is gone.
    fn take(&mut self, wall_us: i64, store: &Mutex<SampleStore>) -> Result<(), String> {
        self.values.clear();
        for channel in &self.channels {
            match channel.read() {
                Ok(value) => self.values.push(value),
                Err(error) => {
                    let problem = sysfs::problem(&channel.file, "read", &error);
                    if sysfs::is_gone(&error) {
                        return Err(format!("{problem}; the device went away; waiting for it"));
                    }
                    self.fail(problem, store);
                    return Ok(());
                }
            }
        }
        self.failures = 0;
        lock(store).take(self.pace.next(wall_us), "", &self.values);
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
        let input = &config.input;
        let device = sysfs::find(&input.sysfs, "iio:device", &input.device)?;
        let channels = config.sampling.channels.iter();
        let open = |(name, channel): (&String, &String)| {
            Channel::open(&device, channel, input.factor_of(name))
        };
        let period_ns = config.sampling.period_ns();
        Ok(Self {
            channels: channels.map(open).collect::<Result<_, _>>()?,
            ticks: None,
            pace: Pace::new(period_ns),
            period_ns,
            values: Vec::new(),
            failures: 0,
        })
    }

    fn poll(&mut self, now: Now, store: &Mutex<SampleStore>) -> Result<bool, String> {
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
