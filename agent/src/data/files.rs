//! The files of a live source in its state folder, without opening the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use dunlin_service::file::{Durability, replace};

use super::DataError;
use super::ring::{Header, Ring, open_file};

/// Samples.
pub(super) const RING: &str = "samples.ring";
/// Texts of labels.
pub(super) const LABELS: &str = "samples.labels";
/// How far a file is read.
pub(super) const POSITION: &str = "samples.position";
/// The topic that is the one, where several would do.
pub(super) const TOPIC: &str = "samples.topic";
/// For which moments the label file had a label.
pub(super) const SPANS: &str = "samples.spans";
/// What the index of recordings looked like when it was read last.
pub(super) const INDEX: &str = "samples.index";
/// The keys that say what a file means, as they were when it was read.
const WRITTEN: &str = "samples.source";
/// Begins the key of the unit of a channel.
const UNIT_OF: &str = "unit of ";
/// Longest such file in bytes.
const WRITTEN_BYTES_MAX: u64 = 256 * 1024;
/// What may be left of a ring that was being brought over, or could not be read.
const REMAINS: [&str; 2] = ["samples.resize", "samples.damaged"];

/// Compares the ring in the folder `state_dir` with `header`. See [`Ring::check`].
pub(super) fn check_ring(state_dir: &Path, header: &Header) -> Result<(), DataError> {
    Ring::check(&state_dir.join(RING), header)
}

/// Compares the keys by which samples in the folder `state_dir` were read with `written`. Nothing is
/// wrong where there are no samples, or nobody noted the keys. `again`: whether the input can be read
/// again; where it cannot, only a unit that was added gives the samples that are kept another meaning.
///
/// # Errors
/// [`DataError::Ring`] with the keys that differ, or that the note is damaged; [`DataError::Io`].
pub(super) fn check_written(state_dir: &Path, written: &str, again: bool) -> Result<(), DataError> {
    let (ring, path) = (state_dir.join(RING), state_dir.join(WRITTEN));
    let mut bytes = Vec::new();
    match fs::File::open(&path) {
        Ok(file) => file.take(WRITTEN_BYTES_MAX).read_to_end(&mut bytes).map(drop),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    }
    .map_err(DataError::io(&path, "read"))?;
    let known = ring.try_exists().map_err(DataError::io(&ring, "look for the file"))?;
    if !known || bytes == written.as_bytes() {
        return Ok(());
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        let problem = "is damaged: it does not say by which keys of [source] the samples were read; \
                       forget them and read the file anew: dunlin-agent data reset";
        DataError::Ring { path: path.clone(), problem: problem.to_owned() }
    })?;
    let (then, now) = (by_key(&text), by_key(written));
    let keys: BTreeSet<&str> = then.keys().chain(now.keys()).copied().collect();
    let say = |value: Option<&&str>| match value {
        Some(value) if !value.is_empty() => (*value).to_owned(),
        Some(_) | None => "not set".to_owned(),
    };
    let differ = keys.into_iter().filter(|key| then.get(key) != now.get(key));
    let lines: Vec<String> = differ
        .filter(|key| again || adds_unit(key, then.get(key), now.get(key)))
        .map(|key| format!("{key} was {}, is {}", say(then.get(key)), say(now.get(key))))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    let anew = if again { " and read the file anew" } else { "" };
    let problem = format!(
        "its samples were read by other keys of [source] than the configuration has now: {}; put the \
         keys back, or forget the samples{anew}: dunlin-agent data reset",
        lines.join("; ")
    );
    Err(DataError::Ring { path: ring, problem })
}

/// Whether a unit is named that was not named before: the ring compares those that were.
fn adds_unit(key: &str, then: Option<&&str>, now: Option<&&str>) -> bool {
    let named = |unit: Option<&&str>| unit.is_some_and(|unit| !unit.is_empty());
    let is_unit = matches!(key, "unit" | "units");
    let is_known = key.starts_with(UNIT_OF) && then.is_some();
    (is_unit || is_known) && !named(then) && named(now)
}

/// The unit of each channel as the configuration names it, a line each, for sources that cannot be read
/// again.
pub(super) fn units_written<'a>(units: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    units.map(|(name, unit)| format!("{UNIT_OF}{name:?} = {unit}\n")).collect()
}

/// Lines `key = value` by their keys.
fn by_key(lines: &str) -> BTreeMap<&str, &str> {
    lines.lines().filter_map(|line| line.split_once(" = ")).collect()
}

/// Notes the keys by which samples in the folder `state_dir` are read from now on.
///
/// # Errors
/// [`DataError::Io`].
pub(super) fn note_written(state_dir: &Path, written: &str) -> Result<(), DataError> {
    let path = state_dir.join(WRITTEN);
    if fs::read_to_string(&path).is_ok_and(|known| known == written) {
        return Ok(());
    }
    replace(&path, written.as_bytes(), Durability::PowerCut).map_err(DataError::io(&path, "write"))
}

/// Removes the samples in the folder `state_dir`, their labels, and how far a file was read: the source
/// begins anew, and reads a file again from its start. Gives the files that are gone, which may be none.
///
/// # Errors
/// [`DataError::State`] when another process has the ring open; nothing is then removed.
/// [`DataError::Io`].
pub fn reset(state_dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let ring = state_dir.join(RING);
    let known = ring.try_exists().map_err(DataError::io(&ring, "look for the file"))?;
    // Until the last file is gone, nobody else may begin.
    let _locked = known.then(|| open_file(&ring)).transpose()?;
    let mut gone = Vec::new();
    let notes = [POSITION, TOPIC, SPANS, INDEX, LABELS, WRITTEN];
    for name in notes.into_iter().chain(REMAINS).chain([RING]) {
        let path = state_dir.join(name);
        match fs::remove_file(&path) {
            Ok(()) => gone.push(path),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(DataError::io(&path, "remove")(error)),
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store::SampleStore;
    use crate::data::{Loss, ring::RingChannel};

    fn header(quantum: f32) -> Header {
        let channels = vec![RingChannel::new("x", quantum)];
        Header { channels, period_ns: 20_000_000, capacity: 1024 }
    }

    #[test]
    fn a_reset_empties_the_source_but_not_while_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SampleStore::open(dir.path(), header(0.0)).unwrap();
        store.take(0, "walk", &[1.0]);
        fs::write(dir.path().join("state.a"), "another file").unwrap();
        fs::write(dir.path().join(POSITION), "7").unwrap();
        fs::write(dir.path().join(TOPIC), "sensors/left").unwrap();
        let error = reset(dir.path()).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        assert!(dir.path().join(POSITION).exists(), "nothing is gone");
        drop(store);
        let gone = reset(dir.path()).unwrap();
        assert_eq!(gone, [POSITION, TOPIC, LABELS, RING].map(|name| dir.path().join(name)));
        assert!(dir.path().join("state.a").exists());
        assert_eq!(reset(dir.path()).unwrap(), [""; 0].map(PathBuf::from));
        let store = SampleStore::open(dir.path(), header(0.5)).unwrap();
        assert!(store.ring().is_empty() && store.label_texts().is_empty());
    }

    #[test]
    fn damaged_notes_of_the_keys_name_the_remedy_which_mends_them() {
        let dir = tempfile::tempdir().unwrap();
        drop(SampleStore::open(dir.path(), header(0.5)).unwrap());
        fs::write(dir.path().join(WRITTEN), b"time = \xff\xfe\n").unwrap();
        let error = check_written(dir.path(), "time = \"t\"\n", true).unwrap_err();
        assert!(error.is_config(), "another start would not help");
        let text = error.to_string();
        assert!(
            text.contains("samples.source: is damaged") && text.contains("data reset"),
            "{text}"
        );
        reset(dir.path()).unwrap();
        check_written(dir.path(), "time = \"t\"\n", true).unwrap();
    }

    #[test]
    fn a_unit_that_is_named_later_is_another_meaning_where_nothing_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let units = |x: &'static str| units_written([("x", x), ("y", "g")].into_iter());
        drop(SampleStore::open(dir.path(), header(0.0)).unwrap());
        check_written(dir.path(), &units("g"), false).unwrap();
        note_written(dir.path(), &units("")).unwrap();
        check_written(dir.path(), &units(""), false).unwrap();
        let error = check_written(dir.path(), &units("mg"), false).unwrap_err().to_string();
        assert!(error.contains("unit of \"x\" was not set, is mg"), "{error}");
        assert!(error.contains("data reset") && !error.contains("read the file anew"), "{error}");
        // A change is the ring's business, as are channels that come or go.
        note_written(dir.path(), &units("m/s2")).unwrap();
        check_written(dir.path(), &units("m/s^2"), false).unwrap();
        check_written(dir.path(), &units_written([("z", "g")].into_iter()), false).unwrap();
    }

    #[test]
    fn a_ring_is_compared_without_opening_it() {
        let dir = tempfile::tempdir().unwrap();
        check_ring(dir.path(), &header(0.5)).unwrap();
        let store = SampleStore::open(dir.path(), header(0.5)).unwrap();
        let error = check_ring(dir.path(), &header(0.25)).unwrap_err().to_string();
        assert!(error.contains("quantum 0.5, the configuration 0.25"), "{error}");
        check_ring(dir.path(), &header(0.0)).unwrap();
        drop(store);
    }

    #[test]
    fn what_cannot_be_kept_is_counted_with_channel_value_and_range() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SampleStore::open(dir.path(), header(0.001)).unwrap();
        for (time_us, value) in [(0, 1.0), (20_000, 112.0), (40_000, 119.0)] {
            store.take(time_us, "", &[value]);
        }
        store.take(60_000, "", &[f32::NAN]);
        let status = store.status();
        assert_eq!((status.accepted, status.samples, status.losses.count(Loss::Cut)), (3, 3, 2));
        let last = status.losses.last(Loss::Cut).unwrap();
        assert!(last.contains("x = 119") && last.contains("-32.767 to 32.767"), "{last}");
        assert_eq!(status.losses.count(Loss::Missing), 1);
        let text = status.to_string();
        assert!(text.contains("3 samples held, 3 taken in; 2 values outside"), "{text}");
    }
}
