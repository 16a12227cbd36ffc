//! When devices are there, as it was recorded: a CSV file with the header `device,from_s,to_s` and
//! one row for each stay, in seconds from the beginning of the recording.
//!
//! Device `n` of a simulation follows the `n`-th device of the file, or the one that comes there
//! when the file is counted round and round. The recording repeats every so many whole days.

use std::collections::BTreeMap;
use std::path::Path;

use super::DAY_MS;

/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Latest time of a recording: a year.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// A stay: from and to, in milliseconds.
pub(super) type Stay = (u64, u64);

/// The stays of recorded devices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trace {
    /// Of each device, in order and apart.
    stays: Vec<Vec<Stay>>,
    /// After this time it repeats.
    period_ms: u64,
}

impl Trace {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let named = |what: String| format!("population.trace {}: {what}", path.display());
        let bytes = path.metadata().map_err(|error| named(error.to_string()))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(named(format!("{bytes} bytes; at most {FILE_BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Self::parse(&text).map_err(named)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut places = BTreeMap::new();
        let mut stays: Vec<Vec<Stay>> = Vec::new();
        let mut rows = (1..).zip(text.lines()).filter(|(_, row)| !row.trim().is_empty());
        if rows.next().is_none_or(|(_, header)| header.replace(' ', "") != "device,from_s,to_s") {
            return Err("its first line is not `device,from_s,to_s`".into());
        }
        for (line, row) in rows {
            let mut fields = row.split(',').map(str::trim);
            let (Some(device), Some(from), Some(to), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return Err(format!("line {line}: three fields, `device,from_s,to_s`"));
            };
            let stay = stay(from, to).ok_or_else(|| {
                format!("line {line}: from {from:?} to {to:?}: seconds, the first below the second")
            })?;
            let place = *places.entry(device).or_insert_with(|| {
                stays.push(Vec::new());
                stays.len() - 1
            });
            stays[place].push(stay);
        }
        let last = stays.iter().flatten().map(|stay| stay.1).max();
        let Some(last) = last else { return Err("it has no rows".into()) };
        stays.iter_mut().for_each(join);
        Ok(Self { stays, period_ms: last.div_ceil(DAY_MS) * DAY_MS })
    }

    /// The stay of `device` at `at`, or its next one, as virtual time. One that goes on as the
    /// recording begins anew is one stay; it ends at `u64::MAX` when there is no other.
    pub(super) fn stay(&self, device: u32, at: u64) -> Stay {
        let stays = &self.stays[device as usize % self.stays.len()];
        let wraps = stays[0].0 == 0 && stays[stays.len() - 1].1 == self.period_ms;
        if wraps && stays.len() == 1 {
            return (0, u64::MAX);
        }
        let (turn, within) = (at / self.period_ms, at % self.period_ms);
        let next = stays.iter().find(|stay| stay.1 > within);
        let (turn, (from, to)) = match next {
            Some(stay) => (turn, *stay),
            None => (turn + 1, stays[0]),
        };
        let base = turn * self.period_ms;
        let goes_on = if wraps && to == self.period_ms { stays[0].1 } else { 0 };
        (base + from, base + to + goes_on)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: 0 to a year
fn stay(from: &str, to: &str) -> Option<Stay> {
    let seconds = |text: &str| {
        let seconds: f64 = text.parse().ok()?;
        (0.0..=SECONDS_MAX).contains(&seconds).then_some((seconds * 1000.0) as u64)
    };
    let (from, to) = (seconds(from)?, seconds(to)?);
    (from < to).then_some((from, to))
}

/// Puts stays in order and makes one of those that touch.
fn join(stays: &mut Vec<Stay>) {
    stays.sort_unstable();
    let mut joined: Vec<Stay> = Vec::with_capacity(stays.len());
    for &(from, to) in &*stays {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            Some(_) | None => joined.push((from, to)),
        }
    }
    *stays = joined;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_are_joined_and_repeat_with_the_recording() {
        let text = "device,from_s,to_s\nb,100,200\na,10,20\na,15,40\na,90000,90001.5\n";
        let trace = Trace::parse(text).unwrap();
        assert_eq!(trace.period_ms, 2 * DAY_MS);
        // Devices count in the order of the file: 0 is `b`, 1 is `a`, 2 is `b` again.
        assert_eq!(trace.stay(0, 0), (100_000, 200_000));
        assert_eq!(trace.stay(2, 150_000), (100_000, 200_000), "in the middle of it");
        assert_eq!(trace.stay(1, 0), (10_000, 40_000));
        assert_eq!(trace.stay(1, 40_000), (90_000_000, 90_001_500));
        assert_eq!(trace.stay(0, 200_000), (2 * DAY_MS + 100_000, 2 * DAY_MS + 200_000));
    }

    #[test]
    fn a_stay_goes_on_where_the_recording_begins_anew() {
        let text = "device,from_s,to_s\nalways,0,86400\nnight,0,21600\nnight,79200,86400\n";
        let trace = Trace::parse(text).unwrap();
        assert_eq!(trace.stay(0, 5 * DAY_MS), (0, u64::MAX));
        assert_eq!(trace.stay(1, 80_000_000), (79_200_000, DAY_MS + 21_600_000));
        assert_eq!(trace.stay(1, DAY_MS), (DAY_MS, DAY_MS + 21_600_000), "later in the same one");
    }

    #[test]
    fn a_wrong_trace_names_the_line() {
        let of = |text: &str| Trace::parse(text).unwrap_err();
        assert!(of("a,1,2").contains("first line"));
        assert!(of("device,from_s,to_s\n").contains("no rows"));
        for row in ["a,1", "a,2,1", "a,x,2", "a,-1,2", "a,1,inf", "a,nan,2", "a,1,2,3"] {
            assert!(of(&format!("device,from_s,to_s\n{row}\n")).contains("line 2"), "{row}");
        }
    }
}
