//! One running agent for each state directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The locked file; it carries the number of the process that holds it.
const FILE: &str = "agent.lock";

/// Why a state directory cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// Another agent runs on it.
    #[error(
        "another agent ({holder}) uses {}; stop it, or give this one another state_dir",
        .state_dir.display()
    )]
    InUse {
        /// The state directory that was asked for.
        state_dir: PathBuf,
        /// The process of the other agent, in words.
        holder: String,
    },
    /// The file that is locked can be neither made nor opened.
    #[error("{}: {source}; check the folder's owner", .path.display())]
    Io {
        /// The file, in the state directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The right to run on a state directory; given back when it is dropped or the process ends.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes `state_dir`, which exists, for this process.
    ///
    /// # Errors
    /// When another agent has it, or the file cannot be made; the text says what to do.
    pub fn take(state_dir: &Path) -> Result<Self, InstanceError> {
        let path = state_dir.join(FILE);
        let mut options = dunlin_service::file::private();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|source| InstanceError::Io { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let (state_dir, holder) = (state_dir.to_owned(), process(&mut file));
                return Err(InstanceError::InUse { state_dir, holder });
            }
            // Some file systems have no locks.
            Err(TryLockError::Error(error)) => log::warn!("{}: {error}", path.display()),
        }
        // For people only.
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            log::warn!("{}: {error}", path.display());
        }
        Ok(Self { _file: file })
    }

    /// The process that runs on `state_dir`, in words; `None` when there is none, or nobody can
    /// tell.
    pub fn holder(state_dir: &Path) -> Option<String> {
        let mut file = File::open(state_dir.join(FILE)).ok()?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Some(process(&mut file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

fn process(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(id) if read.is_ok() => format!("process {id}"),
        Ok(_) | Err(_) => "a process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_agent_at_a_time_and_says_which() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(InstanceLock::holder(dir.path()), None);
        let lock = InstanceLock::take(dir.path()).unwrap();
        let me = format!("process {}", std::process::id());
        assert_eq!(InstanceLock::holder(dir.path()), Some(me.clone()));
        let error = InstanceLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&me) && error.contains("stop it"), "{error}");
        drop(lock);
        assert_eq!(InstanceLock::holder(dir.path()), None);
        InstanceLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_file_full_of_rubbish_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), vec![0xff; 1 << 16]).unwrap();
        let file = File::open(dir.path().join(FILE)).unwrap();
        file.lock().unwrap();
        assert_eq!(InstanceLock::holder(dir.path()).unwrap(), "a process");
        drop(file);
        InstanceLock::take(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }
}
