//! Sets the rate at which a device, or its trigger, takes samples.

use std::path::{Path, PathBuf};

use super::channel;
use super::sysfs;

const ATTRIBUTE: &str = "sampling_frequency";

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
    let mut files: Vec<PathBuf> = channels
        .flat_map(|channel| channel::names(channel, ATTRIBUTE))
        .map(|name| device.join(name))
        .chain(trigger.map(|trigger| trigger.join(ATTRIBUTE)))
        .collect();
    files.sort();
    files.dedup();
    files.iter().filter(|file| file.exists()).try_for_each(|file| set_one(file, rate_hz))
}

fn set_one(file: &Path, rate_hz: f64) -> Result<(), String> {
    let written = sysfs::write(file, &rate_hz.to_string());
    let now = sysfs::read_number(file);
    // The rate of the task may differ by 1 %, too.
    if now.as_ref().is_ok_and(|now| (now - rate_hz).abs() <= rate_hz / 100.0) {
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

/// The rates that there are, in the words of the driver.
fn available(file: &Path) -> String {
    let own = file.file_name().unwrap_or_default().to_string_lossy();
    let names = [format!("{own}_available"), format!("{ATTRIBUTE}_available")];
    let found =
        names.iter().find_map(|name| Some((name, sysfs::read(&file.with_file_name(name)).ok()?)));
    match found {
        Some((name, rates)) => format!("{name}: {}", sysfs::quoted(&rates)),
        None => format!("there is no {} that lists its rates", names[0]),
    }
}
