//! `dunlin-fleet invent`: recordings of invented persons as CSV files, for a first federation by hand.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use dunlin_fleet::synthetic::{
    self, CHANNEL_COUNT, CHANNELS, LABELS, Mix, RATE_MILLIHERTZ, WINDOW_VALUES, person_windows,
};

use super::{Failure, failed, shown, usage};

/// Seconds without samples between two stretches: windows never reach over it.
const PAUSE_S: f64 = 1.0;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder for the files; it is made where it is missing.
    folder: PathBuf,
    /// Persons, each with a file person-N.csv, 1 to 1000.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    persons: u32,
    /// Stretches of 2.56 s that each person's watch records, 6 to 100,000.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(6..=100_000))]
    stretches: u32,
    /// Another number makes other persons.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Writes the task and one file for each person; files that are there are not written over.
#[allow(clippy::print_stdout)] // a program's answer
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let named = |path: &Path, error| usage(format!("{}: {error}", shown(path)));
    fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    let task = synthetic::task();
    let mut files =
        vec![(format!("{}.toml", task.name.as_str()), toml::to_string(&task).map_err(failed)?)];
    for person in 1..=arguments.persons {
        let text = recording(arguments.seed, person, arguments.stretches).map_err(failed)?;
        files.push((format!("person-{person}.csv"), text));
    }
    for (name, text) in files {
        let path = folder.join(name);
        let mut file = fs::File::create_new(&path).map_err(|error| named(&path, error))?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(|e| named(&path, e))?;
        dunlin_service::output::print(&format!("{}\n", shown(&path))).map_err(failed)?;
    }
    Ok(())
}

/// What the watch of `person` records, as CSV with a header: time in seconds, channels, activity.
/// Stretches of one activity each follow each other after a pause.
fn recording(seed: u64, person: u32, stretches: u32) -> Result<String, std::fmt::Error> {
    let (values, labels) = person_windows(seed, person, stretches as usize, Mix::Balanced);
    let period_s = 1000.0 / f64::from(RATE_MILLIHERTZ);
    let mut text = String::from("t");
    for channel in CHANNELS {
        write!(text, ",{}", channel.name)?;
    }
    text.push_str(",activity\n");
    let mut time_s = 0.0;
    for (window, label) in values.chunks_exact(WINDOW_VALUES).zip(labels) {
        let label = LABELS.get(usize::from(label)).copied().unwrap_or_default();
        for sample in window.chunks_exact(CHANNEL_COUNT) {
            write!(text, "{time_s:.2}")?;
            for value in sample {
                write!(text, ",{value:.4}")?;
            }
            writeln!(text, ",{label}")?;
            time_s += period_s;
        }
        time_s += PAUSE_S;
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a failed test may panic
mod tests {
    use super::*;
    use dunlin_protocol::task::TaskSpec;

    #[test]
    fn the_task_reads_back_from_its_file() {
        let task = synthetic::task();
        let read: TaskSpec = toml::from_str(&toml::to_string(&task).unwrap()).unwrap();
        assert_eq!(read, task);
    }

    #[test]
    fn a_recording_has_each_activity_and_pauses_between_stretches() {
        let text = recording(1, 2, 6).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("t,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,activity"));
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len(), 6 * 128);
        for label in LABELS {
            assert_eq!(rows.iter().filter(|row| row[7] == label).count(), 128, "{label}");
        }
        let times: Vec<f64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
        let steps = times.windows(2).map(|two| ((two[1] - two[0]) * 100.0).round());
        assert_eq!(steps.filter(|step| *step == 102.0).count(), 5, "one second more than 0.02 s");
    }
}
