//! A configuration file in TOML and its drop-ins.
//!
//! Beside `agent.toml` lies a folder `agent.d`. The files `*.toml` in it are read in the order of
//! their names, and each wins over what came before, key by key: a package brings the main file,
//! the owner of the device changes a drop-in, and an upgrade touches neither.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use crate::problems::{ConfigError, Problem, Problems};

/// Most drop-ins in one folder; more are an error.
const FILES_MAX: usize = 64;

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct ConfigFileError {
    /// The file, or the folder of the drop-ins.
    pub path: PathBuf,
    /// What is wrong with it and what to do.
    pub problem: String,
}

/// Reads the configuration at `path` and its drop-ins, each of at most `bytes_max`.
///
/// # Errors
/// [`ConfigFileError`] for a file that cannot be read or is too long, more than 64 drop-ins, wrong
/// TOML, and keys or values that `T` does not have.
pub fn read<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> Result<T, ConfigFileError> {
    let dir = drop_in_dir(path);
    let files = drop_ins(&dir)?;
    if files.is_empty() {
        return read_file(path, bytes_max);
    }
    let mut all: Table = read_file(path, bytes_max)?;
    for file in &files {
        merge(&mut all, read_file(file, bytes_max)?);
    }
    let names = files.iter().filter_map(|file| file.file_name()?.to_str());
    let names = names.collect::<Vec<_>>().join(", ");
    let together = format!("with {names} in {}", dir.display());
    T::deserialize(Value::Table(all)).map_err(|error| problem(path, format!("{together}: {error}")))
}

/// Reads the TOML file at `path` alone.
///
/// # Errors
/// As [`read`], with the line.
pub fn read_file<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> Result<T, ConfigFileError> {
    let text = read_text(path, bytes_max)?;
    toml::from_str(&text).map_err(|error| match line_of(&text, &error) {
        Some(line) => problem(path, format!("{line}\n{}", error.message())),
        None => problem(path, error),
    })
}

/// The line of the key that `error` names, where its own place is only that of the section: what is read
/// in two steps has lost the places of its keys.
fn line_of(text: &str, error: &toml::de::Error) -> Option<String> {
    let start = error.span()?.start;
    let section = text.get(start..)?.lines().next()?;
    let name = section.strip_prefix('[')?.split(']').next()?;
    let key = key_of(error.message())?;
    let before = text.get(..start)?.lines().count();
    let mut lines = text.get(start..)?.lines().enumerate();
    let own = |line: &str| {
        let header = line.strip_prefix('[').and_then(|line| line.split(']').next());
        header.is_none_or(|header| header == name || header.starts_with(&format!("{name}.")))
    };
    let names = |line: &str| {
        let line = line.trim_start();
        let key_value =
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        key_value || line.starts_with(&format!("[{name}.{key}]"))
    };
    let found = lines.by_ref().take_while(|(_, line)| own(line)).find(|(_, line)| names(line));
    found.map(|(at, line)| format!("line {}: {}", before + at + 1, line.trim()))
}

/// The key that the message of an error names: the unknown field, or the last one in which something is.
fn key_of(message: &str) -> Option<&str> {
    let after = |mark: &str| message.rfind(mark).map(|at| &message[at + mark.len()..]);
    let rest = after("unknown field `").or_else(|| after("\nin `"))?;
    let path = rest.split('`').next()?;
    path.rsplit('.').next().filter(|key| !key.is_empty())
}

/// The folder of the drop-ins of the configuration at `path`: `agent.d` beside `agent.toml`.
pub fn drop_in_dir(path: &Path) -> PathBuf {
    path.with_extension("d")
}

/// The drop-ins in `dir`, in the order in which they are read; none where there is no folder.
///
/// # Errors
/// When the folder cannot be read, or has more than 64.
pub fn drop_ins(dir: &Path) -> Result<Vec<PathBuf>, ConfigFileError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| problem(dir, error))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| problem(dir, error))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|ending| ending == "toml") && !hidden {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(problem(dir, format!("more than {FILES_MAX} drop-ins; join some of them")));
        }
    }
    files.sort();
    Ok(files)
}

fn problem(path: &Path, problem: impl fmt::Display) -> ConfigFileError {
    ConfigFileError { path: path.to_owned(), problem: problem.to_string() }
}

/// The text of the file at `path`, if that has at most `bytes_max`.
///
/// # Errors
/// [`ConfigFileError`] when it cannot be read or is longer.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, ConfigFileError> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| problem(path, error))?;
    let read = file.take(bytes_max + 1).read_to_string(&mut text);
    let bytes = read.map_err(|error| problem(path, error))?;
    if bytes as u64 > bytes_max {
        return Err(problem(
            path,
            format!("longer than {bytes_max} bytes; is this the right file?"),
        ));
    }
    Ok(text)
}

/// Puts `over` on top of `table`: tables are joined key by key, all else is replaced.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(more)) => merge(known, more),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        name: String,
        broker: Broker,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Broker {
        url: String,
        #[serde(default)]
        ports: Vec<u16>,
    }

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("agent.d")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let path = dir.path().join("agent.toml");
        (dir, path)
    }

    const MAX: u64 = 100;
    const MAIN: &str = "name = 'a'\n[broker]\nurl = 'x'\nports = [1, 2]";

    #[test]
    fn later_drop_ins_win_key_by_key() {
        let (_dir, path) = folder(&[
            ("agent.toml", MAIN),
            ("agent.d/20-url.toml", "[broker]\nurl = 'late'"),
            ("agent.d/10-url.toml", "[broker]\nurl = 'early'\nports = [3]"),
            ("agent.d/30-notes.txt", "not read"),
            ("agent.d/.10-url.toml.swp.toml", "not = read"),
        ]);
        let broker = Broker { url: "late".into(), ports: vec![3] };
        assert_eq!(read::<Config>(&path, MAX).unwrap(), Config { name: "a".into(), broker });
    }

    #[test]
    fn a_main_file_alone_is_enough_and_names_the_line_of_an_error() {
        let (_dir, path) = folder(&[("agent.toml", MAIN)]);
        assert_eq!(read::<Config>(&path, MAX).unwrap().broker.ports, [1, 2]);
        fs::write(&path, "name = 'a'\n[broker]\nurl = 7").unwrap();
        let text = read::<Config>(&path, MAX).unwrap_err().to_string();
        assert!(text.contains("agent.toml") && text.contains("line 3"), "{text}");
    }

    /// A section that is read in two steps.
    #[derive(Debug, Deserialize)]
    struct InSteps {
        #[serde(deserialize_with = "in_steps")]
        broker: Broker,
    }

    fn in_steps<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Broker, D::Error> {
        let table = Table::deserialize(deserializer)?;
        Value::Table(table).try_into().map_err(serde::de::Error::custom)
    }

    #[test]
    fn a_wrong_key_of_a_section_that_is_read_in_steps_is_shown_with_its_line() {
        let wrong = |text: &str| {
            let (_dir, path) = folder(&[("agent.toml", text)]);
            let config = read::<InSteps>(&path, MAX).map(|config| config.broker);
            config.unwrap_err().to_string()
        };
        let text = wrong("ulr = 'no'\n\n[broker]\nurl = 'x'\n  ulr = 'y'\n[other]\nulr = 1");
        assert!(text.contains("line 5: ulr = 'y'\nunknown field `ulr`"), "{text}");
        let text = wrong("[broker]\n# url\nurl = 7");
        assert!(text.contains("line 3: url = 7\ninvalid type: integer `7`"), "{text}");
        let text = wrong("[broker]\nports = []\n[other]\nurl = 1");
        assert!(text.contains("line 1") && text.contains("missing field `url`"), "{text}");
        assert!(wrong("broker = { ulr = 1 }").contains("line 1"));
    }

    #[test]
    fn errors_name_the_file_or_the_key() {
        let wrong = |name: &str, text: &str| {
            let (_dir, path) = folder(&[("agent.toml", MAIN), (name, text)]);
            read::<Config>(&path, MAX).unwrap_err().to_string()
        };
        assert!(wrong("agent.d/a.toml", "[broker\n").contains("a.toml"));
        assert!(wrong("agent.d/a.toml", "[broker]\nulr = 'x'").contains("ulr"));
        assert!(wrong("agent.d/a.toml", "broker = 7").contains("broker"));
        let long = "#".repeat(101);
        assert!(wrong("agent.d/a.toml", &long).contains("longer than 100 bytes"));
        let (dir, _) = folder(&[]);
        assert!(read::<Config>(&dir.path().join("agent.toml"), MAX).is_err());
    }
}
