//! Sets the rate at which a device, or its trigger, takes samples.

use std::path::{Path, PathBuf};

use super::channel;
use super::sysfs;

const ATTRIBUTE: &str = "sampling_frequency";
/// Share by which a rate may be off, as the rate of the task may.
const SHARE: f64 = 0.01;

/// Sets each rate that the device and its trigger have to `rate_hz`.
///
/// # Errors
/// When one of them runs at another rate all the same: which it has, and what to do.
pub(super) fn set<'a>(
    device: &Path,
    trigger: Option<&Path>,
    channels: impl Iterator<Item = &'a str>,
    rate_hz: f64,
) -> Result<(), String> {
    let files = files(device, trigger, channels);
    files.iter().filter(|file| file.exists()).try_for_each(|file| set_one(file, rate_hz))
}

/// Sets each rate that the device and its trigger have to the lowest that is not below `rate_hz`.
/// What runs slower all the same, in words: polled, old values would show again.
pub(super) fn set_at_least<'a>(
    device: &Path,
    trigger: Option<&Path>,
    channels: impl Iterator<Item = &'a str>,
    rate_hz: f64,
) -> Option<String> {
    let files = files(device, trigger, channels);
    files.iter().filter(|file| file.exists()).find_map(|file| raise_one(file, rate_hz))
}

/// Files that may hold a rate of these channels, each once.
fn files<'a>(
    device: &Path,
    trigger: Option<&Path>,
    channels: impl Iterator<Item = &'a str>,
) -> Vec<PathBuf> {
    let names = channels.flat_map(|channel| channel::names(channel, ATTRIBUTE));
    let mut files: Vec<PathBuf> = names.map(|name| device.join(name)).collect();
    files.sort();
    files.dedup();
    files.extend(trigger.map(|trigger| trigger.join(ATTRIBUTE)));
    files
}

fn set_one(file: &Path, rate_hz: f64) -> Result<(), String> {
    let written = sysfs::write(file, &rate_hz.to_string());
    let now = sysfs::read_number(file);
    if now.as_ref().is_ok_and(|now| (now - rate_hz).abs() <= rate_hz * SHARE) {
        return Ok(());
    }
    let now = now.map_or("an unknown rate".to_owned(), |now| format!("{now} Hz"));
    let why = written.err().map_or(String::new(), |error| format!(" ({error})"));
    Err(format!(
        "{}: runs at {now} and does not take {rate_hz} Hz{why}; {}; set source.rate_hz to a rate \
         that it has, or source.mode to \"polled\"",
        file.display(),
        available(file)
    ))
}

fn raise_one(file: &Path, rate_hz: f64) -> Option<String> {
    let list = list(file).map(|(_, text)| text).unwrap_or_default();
    let wanted = lowest(&list, rate_hz * (1.0 - SHARE)).unwrap_or_else(|| rate_hz.to_string());
    let before = sysfs::read_number(file);
    let same = |text: &str| before.as_ref().is_ok_and(|now| text.parse() == Ok(*now));
    let written = if same(&wanted) { Ok(()) } else { sysfs::write(file, &wanted) };
    let now = sysfs::read_number(file);
    if now.as_ref().is_ok_and(|now| *now >= rate_hz * (1.0 - SHARE)) {
        return None;
    }
    let now = now.map_or("an unknown rate".to_owned(), |now| format!("{now} Hz"));
    let why = written.err().map_or(String::new(), |error| format!(" ({error})"));
    // The path comes last: details are cut where they are long.
    Some(format!(
        "too slow for source.rate_hz = {rate_hz}, old values show again: the device runs at {now} and \
         does not take {wanted} Hz{why}; {}; lower source.rate_hz, or let the agent's user write {}",
        available(file),
        file.display()
    ))
}

/// The lowest rate of a list, or of a range `[min step max]`, that is not below `least`, as the
/// driver writes it; its highest where all are below.
fn lowest(list: &str, least: f64) -> Option<String> {
    let number = |text: &str| text.parse().ok().filter(|rate: &f64| rate.is_finite());
    if let Some(range) = list.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let numbers: Vec<f64> = range.split_whitespace().filter_map(number).collect();
        let &[min, step, max] = numbers.as_slice() else { return None };
        let steps = if step > 0.0 { ((least - min) / step).ceil().max(0.0) } else { 0.0 };
        return Some((min + steps * step).min(max).to_string());
    }
    let rates = list.split_whitespace().filter_map(|text| Some((number(text)?, text)));
    let mut rates: Vec<(f64, &str)> = rates.collect();
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let fits = rates.iter().find(|rate| rate.0 >= least).or(rates.last());
    fits.map(|rate| rate.1.to_owned())
}

/// The file that lists the rates that there are, and what it says.
fn list(file: &Path) -> Option<(String, String)> {
    let own = file.file_name().unwrap_or_default().to_string_lossy();
    let names = [format!("{own}_available"), format!("{ATTRIBUTE}_available")];
    let read = |name: String| {
        let text = sysfs::read(&file.with_file_name(&name)).ok()?;
        Some((name, text))
    };
    names.into_iter().find_map(read)
}

/// The rates that there are, in the words of the driver.
fn available(file: &Path) -> String {
    match list(file) {
        Some((name, rates)) => format!("{name}: {}", sysfs::quoted(&rates)),
        None => "there is no list of its rates".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_lowest_rate_that_is_enough_is_taken_from_lists_and_ranges() {
        let lowest = |list, least| lowest(list, least).unwrap_or_default();
        let list = "12.500 26.000 52.000 104.000";
        assert_eq!(lowest(list, 50.0), "52.000");
        assert_eq!(lowest(list, 52.0), "52.000");
        assert_eq!(lowest("104 52 26", 30.0), "52", "in whatever order");
        assert_eq!(lowest(list, 300.0), "104.000");
        assert_eq!(lowest("[1 0.5 100]", 50.2), "50.5");
        assert_eq!(lowest("[1 0.5 100]", 0.1), "1");
        assert_eq!(lowest("[1 0.5 100]", 500.0), "100");
        for nothing in ["", "fast", "[1 2]"] {
            assert_eq!(lowest(nothing, 50.0), "");
        }
    }

    #[test]
    fn a_polled_device_is_set_to_a_rate_that_is_enough_or_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sampling_frequency");
        let set = |rate_hz| set_at_least(dir.path(), None, ["accel_x"].into_iter(), rate_hz);
        assert_eq!(set(50.0), None, "a device need not have a rate");
        fs::write(&file, "12.500\n").unwrap();
        let list = dir.path().join("sampling_frequency_available");
        fs::write(&list, "12.500 26.000 52.000 104.000").unwrap();
        assert_eq!(set(50.0), None);
        assert_eq!(fs::read_to_string(&file).unwrap(), "52.000");
        let problem = set(200.0).unwrap_or_default();
        assert!(
            problem.contains("104 Hz") && problem.contains("lower source.rate_hz"),
            "{problem}"
        );
        fs::remove_file(&list).unwrap();
        assert_eq!(set(20.0), None);
        assert_eq!(fs::read_to_string(&file).unwrap(), "20");
    }
}
