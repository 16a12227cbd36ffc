//! Empties the buffers of all devices of a source and joins their scans to samples.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::buffer::Buffer;
use super::join::{Join, Joined};
use super::plan::{Output, Plan};
use super::watch::{Device, Now};
use crate::data::Loss;
use crate::data::config::IioConfig;
use crate::data::live::{POLL, lock};
use crate::data::store::SampleStore;

/// Open devices that fill their buffers.
#[derive(Debug)]
pub(super) struct Buffered {
    buffers: Vec<Buffer>,
    /// What the devices are called, for people.
    titles: Vec<String>,
    /// In the order of the task's channel names.
    outputs: Vec<Output>,
    join: Join,
}

impl Device for Buffered {
    fn open(config: &IioConfig) -> Result<Self, String> {
        let Plan { parts, outputs } = Plan::of(config)?;
        let buffers = parts.iter().map(|part| {
            let several = parts.len() > 1;
            let named = |problem: String| match several {
                true => format!("{}: {problem}", part.title),
                false => problem,
            };
            let buffer = Buffer::open(config, part).map_err(named)?;
            if (several || config.sampling.intake.resample) && !buffer.has_times() {
                let problem = "its buffer has no timestamp, by which scans are resampled, or joined to \
                               those of other devices; set source.mode to \"polled\"";
                return Err(named(problem.to_owned()));
            }
            Ok(buffer)
        });
        let buffers: Vec<Buffer> = buffers.collect::<Result<_, String>>()?;
        let join = Join::new(buffers.len(), config.sampling.period_ns());
        let titles = parts.into_iter().map(|part| part.title).collect();
        Ok(Self { buffers, titles, outputs, join })
    }

    fn poll(&mut self, now: Now, store: &Mutex<SampleStore>) -> Result<bool, String> {
        let Self { buffers, join, titles, .. } = self;
        let (mut more, mut lost) = (false, 0);
        for ((part, buffer), title) in buffers.iter_mut().enumerate().zip(&*titles) {
            let read = buffer.read(now, |scan| lost += join.push(part, scan));
            more |= read.map_err(|problem| match titles.len() {
                1 => problem,
                _ => format!("{title}: {problem}"),
            })?;
        }
        if lost > 0 {
            lock(store).lose(Loss::Reading, lost, || {
                let (first, others) = titles.split_first().map_or(("", &[][..]), |(f, o)| (f, o));
                let others = others.join(", ");
                format!("scans of {first} found none of {others}, or the clock was set back")
            });
        }
        self.give(store);
        Ok(more)
    }

    fn pause(&self, _: Instant) -> Duration {
        self.buffers.iter().map(|buffer| buffer.pause).min().unwrap_or(POLL)
    }
}

impl Buffered {
    /// Puts the samples that are whole into the store.
    fn give(&mut self, store: &Mutex<SampleStore>) {
        let mut values = Vec::with_capacity(self.outputs.len());
        let mut locked = None;
        while let Some(joined) = self.join.next() {
            let store = locked.get_or_insert_with(|| lock(store));
            match joined {
                Joined::Alone { part, apart_us } => store.lose(Loss::Reading, 1, || {
                    let title = |at: usize| self.titles.get(at).map_or("", String::as_str);
                    format!(
                        "no scan of {} within half a period of one of {}: the nearest is {apart_us} \
                         us away; do both run at source.rate_hz?",
                        title(part),
                        title(0)
                    )
                }),
                Joined::Sample(time_us, parts) => {
                    values.clear();
                    let readings = |output: &Output| parts.get(output.part);
                    let value = |output: &Output| output.value(readings(output)?);
                    values.extend(self.outputs.iter().map_while(value));
                    if values.len() == self.outputs.len() {
                        store.take(time_us, "", &values);
                    } else {
                        store.lose(Loss::Reading, 1, || {
                            format!("readings of {parts:?} are too large for a value")
                        });
                    }
                }
            }
        }
    }
}
