//! Attributes of devices: small text files, read and written whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Longest attribute in bytes: one page.
const ATTRIBUTE_BYTES_MAX: usize = 4096;
/// Most entries of a folder that are looked at.
pub(super) const ENTRIES_MAX: usize = 1024;
/// Longest piece of somebody else's text in a message, in characters.
const QUOTED_CHARS_MAX: usize = 200;

/// Reads an attribute, without outer spaces.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(ATTRIBUTE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    let garbage = |problem| io::Error::new(io::ErrorKind::InvalidData, problem);
    if bytes.len() > ATTRIBUTE_BYTES_MAX {
        return Err(garbage("longer than 4096 bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| garbage("not text"))?;
    Ok(text.trim().to_owned())
}

/// Reads a finite number.
pub(super) fn read_number(path: &Path) -> io::Result<f64> {
    let text = read(path)?;
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| {
        let problem = format!("{:?} is not a number", quoted(&text));
        io::Error::new(io::ErrorKind::InvalidData, problem)
    })
}

/// `None` for a file that is not there.
pub(super) fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes an attribute that is there.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(text.as_bytes())
}

/// What is wrong with a file, for people.
pub(super) fn problem(path: &Path, doing: &str, error: &io::Error) -> String {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let advice = if denied { "; let the agent's user do so, by a udev rule, say" } else { "" };
    format!("{}: cannot {doing}: {error}{advice}", path.display())
}

/// Whether `error` says that the device is no longer there.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO))
}

/// Somebody else's text, cut to what fits a message.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}

/// Names of the entries of `folder` that begin with `prefix`, in the order of their lengths and
/// letters, so that `device2` comes before `device10`.
pub(super) fn entries(folder: &Path, prefix: &str) -> Vec<String> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    let names =
        found.take(ENTRIES_MAX).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    names
}

/// The folder of the device or trigger `wanted`, by its folder's name, its own name or its label;
/// `prefix` is what such folders begin with.
///
/// # Errors
/// What was looked for, and what there is; also where several are called so.
pub(super) fn find(sysfs: &Path, prefix: &str, wanted: &str) -> Result<PathBuf, String> {
    let home = sysfs.join("bus/iio/devices");
    let found = entries(&home, prefix);
    if found.iter().any(|entry| entry == wanted) {
        return Ok(home.join(wanted));
    }
    let (mut has, mut called_so) = (Vec::new(), Vec::new());
    for entry in &found {
        let text = |file: &str| read(&home.join(entry).join(file)).unwrap_or_default();
        let (name, label) = (text("name"), text("label"));
        let title = if name.is_empty() { "without name" } else { &name };
        let labelled = if label.is_empty() { String::new() } else { format!(", label {label:?}") };
        has.push(format!("{title} ({entry}{labelled})"));
        if name == wanted || label == wanted {
            called_so.push(entry);
        }
    }
    let has = if has.is_empty() { "none".to_owned() } else { quoted(&has.join(", ")) };
    match called_so.as_slice() {
        [entry] => Ok(home.join(entry)),
        [] => Err(format!("{}: no {prefix} is {wanted:?}; there are: {has}", home.display())),
        several => Err(format!(
            "{}: {} {prefix}s are {wanted:?}; name one by its label or its folder; there are: {has}",
            home.display(),
            several.len()
        )),
    }
}
