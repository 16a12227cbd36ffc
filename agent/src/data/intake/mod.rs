//! What happens to samples between their reader and the ring.
//!
//! A [`Reading`] goes through the stages in this order: `value * factor + offset`; rows of one time
//! are spread (`spread`); missing values are held or interpolated (`missing`); one missing sample
//! is filled in (`fill`), or all samples are brought to the configured rate (`resample`); channels
//! are made from others ([`derive`]). Nothing here does IO or looks at a clock, and what comes out does
//! not depend on how the input was cut into pieces. With the default configuration a sample passes
//! as it came, bit by bit, at once, and without memory being asked for.

mod batch;
mod butterworth;
mod derive;
mod fill;
mod kernel;
mod missing;
mod resample;
mod spread;
mod stretch;
mod tally;

use self::batch::Batches;
use self::derive::Deriver;
use self::fill::Filler;
use self::missing::Mender;
use self::resample::Resampler;
use self::spread::Spreader;
use super::Loss;
use super::config::IntakeConfig;

/// A sample as a reader has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// Time in microseconds.
    pub time_us: i64,
    /// Text of the label; empty for none.
    pub label: &'a str,
    /// `[channels]` in the order of their names; what is not finite is missing.
    pub values: &'a [f32],
}

/// A [`Reading`] that can wait.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnedReading {
    /// Time in microseconds.
    pub time_us: i64,
    /// Text of the label; empty for none.
    pub label: String,
    /// `[channels]` in the order of their names; what is not finite is missing.
    pub values: Vec<f32>,
}

impl OwnedReading {
    /// The same, lent.
    pub fn lend(&self) -> Reading<'_> {
        Reading { time_us: self.time_us, label: &self.label, values: &self.values }
    }
}

impl From<Reading<'_>> for OwnedReading {
    fn from(reading: Reading<'_>) -> Self {
        let Reading { time_us, label, values } = reading;
        Self { time_us, label: label.to_owned(), values: values.to_vec() }
    }
}

/// Where samples go: time in microseconds, label, and the values of the kept channels.
pub type Out<'a> = dyn FnMut(i64, &str, &[f32]) + 'a;

/// Where a stage puts what it has made.
type Next<'a> = dyn FnMut(Reading<'_>) + 'a;

/// All stages between a reader and the ring. See the module.
#[derive(Debug)]
pub struct Intake {
    batches: Batches,
    /// Factor and offset by channel; `None` where values stay as they are.
    conversion: Option<Vec<(f64, f64)>>,
    converted: Vec<f32>,
    spread: Option<Spreader>,
    rest: Rest,
    /// Whether everything was flushed since the last sample.
    flushed: bool,
}

/// The stages behind the spreading.
#[derive(Debug)]
struct Rest {
    missing: Mender,
    grid: Grid,
    derive: Option<Deriver>,
}

/// What is done about the times of samples.
#[derive(Debug)]
enum Grid {
    AsIs,
    Fill(Filler),
    Resample(Box<Resampler>),
}

impl Intake {
    /// The stages that `config` asks for; `channels` are those that are read, in the order of their
    /// names, every `period_ns` nanoseconds.
    pub fn new(config: &IntakeConfig, channels: &[String], period_ns: u64) -> Self {
        let conversion: Vec<_> = channels.iter().map(|name| config.conversion(name)).collect();
        let changes = conversion.iter().any(|&pair| pair != (1.0, 0.0));
        let grid = if config.resample {
            Grid::Resample(Box::new(Resampler::new(period_ns, config.missing_max_s)))
        } else if config.fill {
            Grid::Fill(Filler::new(period_ns))
        } else {
            Grid::AsIs
        };
        let derives = !config.derive.is_empty();
        Self {
            batches: Batches::new(period_ns),
            conversion: changes.then_some(conversion),
            converted: Vec::new(),
            spread: config.spread.then(|| Spreader::new(period_ns)),
            rest: Rest {
                missing: Mender::new(config, channels, period_ns),
                grid,
                derive: derives.then(|| Deriver::new(&config.derive, channels, period_ns)),
            },
            flushed: false,
        }
    }

    /// Brings the samples of one message into the order of their times, newest first or mixed as they may
    /// be, and drops those that came before, with the same time and values. Take them one by one then.
    pub fn sort(&mut self, readings: &mut Vec<OwnedReading>) {
        self.batches.sort(readings);
    }

    /// Takes the next sample; `out` gets what can go on to the ring, with time, label and the values
    /// of the kept channels in the order of their names. May give none, or several.
    pub fn take(&mut self, reading: Reading<'_>, out: &mut Out<'_>) {
        self.flushed = false;
        let Self { conversion, converted, spread, rest, .. } = self;
        let mut out = |row: Reading<'_>| out(row.time_us, row.label, row.values);
        let row = match conversion {
            Some(pairs) => {
                converted.clear();
                converted.extend(reading.values.iter().zip(pairs.iter()).map(convert));
                Reading { values: converted, ..reading }
            }
            None => reading,
        };
        match spread {
            Some(spread) => spread.take(row, &mut |row| rest.take(row, &mut out)),
            None => rest.take(row, &mut out),
        }
    }

    /// Gives what only waits for rows of the same time, because nothing has come for a while. More
    /// rows of that time may follow.
    pub fn pause(&mut self, out: &mut Out<'_>) {
        let Self { spread, rest, .. } = self;
        let mut out = |row: Reading<'_>| out(row.time_us, row.label, row.values);
        if let Some(spread) = spread {
            spread.pause(&mut |row| rest.take(row, &mut out));
        }
    }

    /// Gives everything that waits, because nothing more will come for now. A sample that waits for a
    /// missing value is refused.
    pub fn flush(&mut self, out: &mut Out<'_>) {
        self.pause(out);
        let mut out = |row: Reading<'_>| out(row.time_us, row.label, row.values);
        self.rest.flush(&mut out);
        self.flushed = true;
    }

    /// Says that what comes does not continue what was, as with another file: everything that waits
    /// is given, and nothing is remembered.
    pub fn gap(&mut self, out: &mut Out<'_>) {
        self.flush(out);
        if let Some(spread) = &mut self.spread {
            spread.restart();
        }
        self.rest.restart();
    }

    /// Remembers a sample of the ring as the one before the next: an earlier program has taken it in,
    /// `step_us` microseconds after the one before it. Its values are those of the kept channels.
    pub fn prime(&mut self, step_us: Option<i64>, time_us: i64, values: &[f32]) {
        if let Some(spread) = &mut self.spread {
            spread.prime(time_us);
        }
        // The filters of derived channels begin anew, and values of other channels stand in between.
        if self.rest.derive.is_none() {
            self.rest.missing.prime(time_us, values);
            if let Grid::Fill(fill) = &mut self.rest.grid {
                fill.prime(step_us, time_us, values);
            }
        }
    }

    /// Whether nothing waits, and a program that begins with the next sample would give the same after
    /// [`Intake::prime`]; but for filters of derived channels, which begin anew. After
    /// [`Intake::flush`], whether nothing waits.
    pub fn is_settled(&self) -> bool {
        let grid = match &self.rest.grid {
            Grid::AsIs => true,
            Grid::Fill(fill) => self.flushed || fill.is_settled(),
            Grid::Resample(resample) => resample.is_empty(),
        };
        let missing = &self.rest.missing;
        let missing = if self.flushed { missing.is_empty() } else { missing.is_settled() };
        grid && missing && self.spread.as_ref().is_none_or(Spreader::is_settled)
    }

    /// Samples that were filled in so far.
    pub fn filled(&self) -> u64 {
        match &self.rest.grid {
            Grid::Fill(fill) => fill.filled(),
            Grid::AsIs | Grid::Resample(_) => 0,
        }
    }

    /// Missing values that were held or interpolated so far.
    pub fn mended(&self) -> u64 {
        self.rest.missing.mended()
    }

    /// A kind of samples that could not be used, how many of it, and what was wrong with the last,
    /// since this was asked last; `None` when there are no more.
    pub fn next_loss(&mut self) -> Option<(Loss, u64, String)> {
        let loss = self.spread.as_mut().and_then(|spread| spread.lost.next());
        let loss = loss.or_else(|| self.rest.missing.lost.next());
        let loss = loss.or_else(|| self.batches.lost.next());
        loss.or_else(|| match &mut self.rest.grid {
            Grid::Resample(resample) => resample.lost.next(),
            Grid::AsIs | Grid::Fill(_) => None,
        })
    }
}

impl Rest {
    fn take(&mut self, row: Reading<'_>, out: &mut Next<'_>) {
        let Self { missing, grid, derive } = self;
        missing.take(row, &mut |row| grid.take(row, &mut |row| finish(derive, row, out)));
    }

    fn flush(&mut self, out: &mut Next<'_>) {
        let Self { missing, grid, derive } = self;
        missing.flush();
        if let Grid::Resample(resample) = grid {
            resample.flush(&mut |row| finish(derive, row, out));
        }
    }

    fn restart(&mut self) {
        self.missing.restart();
        if let Grid::Fill(fill) = &mut self.grid {
            fill.restart();
        }
        if let Some(derive) = &mut self.derive {
            derive.restart();
        }
    }
}

impl Grid {
    fn take(&mut self, row: Reading<'_>, next: &mut Next<'_>) {
        match self {
            Self::AsIs => next(row),
            Self::Fill(fill) => fill.take(row, next),
            Self::Resample(resample) => resample.take(row, next),
        }
    }
}

/// The last stage.
fn finish(derive: &mut Option<Deriver>, row: Reading<'_>, out: &mut Next<'_>) {
    match derive {
        Some(derive) => out(derive.take(row)),
        None => out(row),
    }
}

/// `value * factor + offset`, rounded once.
#[allow(clippy::cast_possible_truncation)]
fn convert((&value, &(factor, offset)): (&f32, &(f64, f64))) -> f32 {
    (f64::from(value) * factor + offset) as f32
}

#[cfg(test)]
mod tests;
