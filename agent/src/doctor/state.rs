//! The state directory: whether the agent can keep there what it must not forget.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dunlin_protocol::task::Task;
use dunlin_service::file::{is_open_to_all, make_folder, private};

use super::report::{Finding, Outcome};
use crate::ports::StateStore;
use crate::state::DeviceState;
use crate::store::FileStore;

/// Free space below this is a warning: state and update of a large model, twice, and room to live.
const FREE_BYTES_MIN: u64 = 50_000_000;

/// What the state directory tells later checks.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The task last worked on.
    pub(super) task: Option<Task>,
    /// Why files must not be made there by this process.
    pub(super) hands_off: Option<String>,
}

/// Looks at `dir`, on which `ring_bytes` bytes of samples must find room.
pub(super) fn check(dir: &Path, ring_bytes: u64) -> (Finding, Option<Kept>) {
    let shown = dir.display();
    let made = match make(dir) {
        Ok(made) => made,
        Err(error) => {
            let step = format!("create it for the agent's user: install -d -o USER -m 700 {shown}");
            return (Finding::failed(format!("{shown}: {error}"), step), None);
        }
    };
    let looked = look(dir, ring_bytes, !made.is_empty());
    // What was made only to try comes away again; the agent makes it when it starts.
    made.iter().rev().for_each(|dir| drop(fs::remove_dir(dir)));
    looked
}

/// Makes `dir`: the directories that were not there, outermost first.
fn make(dir: &Path) -> io::Result<Vec<PathBuf>> {
    if dir.is_dir() {
        return Ok(Vec::new());
    }
    let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let made: Vec<PathBuf> = dir.ancestors().filter(missing).map(Path::to_owned).collect();
    make_folder(dir)?;
    Ok(made.into_iter().rev().collect())
}

fn look(dir: &Path, ring_bytes: u64, is_new: bool) -> (Finding, Option<Kept>) {
    let shown = dir.display();
    let user = match write_and_sync(dir) {
        Ok(user) => user,
        Err(error) => {
            let step =
                "check its owner, the free space, and that the disk is not read-only (mount)";
            return (Finding::failed(format!("cannot write in {shown}: {error}"), step), None);
        }
    };
    let mut kept = Kept::default();
    let mut text = format!("{shown}: {}", if is_new { "can be made" } else { "can be written" });
    match load(dir) {
        Ok(Some(state)) => {
            text.push_str(&format!("; the device has started {} times", state.boot));
            let task = state.task.and_then(|task| Task::decode(&task.object).ok());
            kept.task = task;
        }
        Ok(None) => text.push_str("; no state yet"),
        Err(error) => {
            let step = "put a copy of the state back, or start once with --reset-state";
            return (Finding::failed(error, step), None);
        }
    }
    let owner = fs::metadata(dir).map_or(user, |data| data.uid());
    if user == 0 && owner != 0 {
        let step = format!("for its rights to be tried: sudo -u '#{owner}' dunlin-agent doctor");
        kept.hands_off = Some(format!("{shown} belongs to user {owner}, and this is root"));
        let text = format!("{text}\nit belongs to user {owner}, and root may do everything");
        return (Finding::warning(text, step), Some(kept));
    }
    let found = with_space(dir, text, ring_bytes);
    if is_new || found.outcome != Outcome::Ok || !is_open_to_all(dir) {
        return (found, Some(kept));
    }
    let text = format!("{}\neverybody on this machine may read the samples there", found.text);
    (Finding::warning(text, format!("chmod 700 {shown}")), Some(kept))
}

/// Writes a file, brings it to the disk and removes it: the user that it belonged to.
fn write_and_sync(dir: &Path) -> io::Result<u32> {
    let path = dir.join(format!("doctor.{}", std::process::id()));
    let mut file = private().write(true).create(true).truncate(true).open(&path)?;
    let written = file
        .write_all(&[0; 4096])
        .and_then(|()| file.sync_all())
        .and_then(|()| file.metadata())
        .and_then(|data| File::open(dir)?.sync_all().map(|()| data.uid()));
    fs::remove_file(&path).and(written)
}

fn load(dir: &Path) -> Result<Option<DeviceState>, String> {
    let bytes = FileStore::open(dir).and_then(|mut store| store.load());
    let bytes = bytes.map_err(|error| error.to_string())?;
    let state = bytes.map(|bytes| DeviceState::decode(&bytes)).transpose();
    state.map_err(|error| format!("{}: {error}", dir.display()))
}

fn with_space(dir: &Path, text: String, ring_bytes: u64) -> Finding {
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Finding::ok(text) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    // What the ring has taken already is not wanted again.
    let taken = fs::metadata(dir.join("samples.ring")).map_or(0, |data| data.blocks() * 512);
    let wanted = ring_bytes.saturating_sub(taken).saturating_add(FREE_BYTES_MIN);
    let text = format!("{text}; {} MB free", free / 1_000_000);
    if free >= wanted {
        return Finding::ok(text);
    }
    let wanted = wanted.div_ceil(1_000_000);
    let step = "make room, or choose a smaller ring (source.capacity_mb) or another state_dir";
    Finding::warning(format!("{text}, {wanted} MB are wanted for state and samples"), step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{CachedTask, STATE_SCHEMA};
    use dunlin_protocol::id::Digest;

    #[test]
    fn a_missing_directory_is_tried_out_and_left_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (finding, kept) = check(&dir.path().join("a/b"), 0);
        assert!(kept.is_some() && finding.text.contains("can be made"), "{finding:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_its_place_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::write(&path, "x").unwrap();
        for path in [path.clone(), path.join("below")] {
            let (finding, kept) = check(&path, 0);
            assert!(kept.is_none() && finding.outcome == Outcome::Failed, "{finding:?}");
            assert!(finding.text.contains("state") && finding.next_step.is_some());
        }
    }

    #[test]
    fn the_state_is_read_and_one_of_another_schema_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(dir.path()).unwrap();
        let mut state = DeviceState::fresh([1; 32]);
        state.boot = 7;
        state.task = Some(CachedTask { digest: Digest::of(b""), object: b"rubbish".to_vec() });
        store.save(&state.encode()).unwrap();
        let (finding, kept) = check(dir.path(), 0);
        assert!(finding.text.contains("started 7 times"), "{finding:?}");
        assert_eq!(kept.unwrap().task, None);
        let mut other = state.encode();
        other[0] = STATE_SCHEMA + 1;
        store.save(&other).unwrap();
        let (finding, kept) = check(dir.path(), 0);
        assert!(kept.is_none() && finding.outcome == Outcome::Failed);
        assert!(finding.text.contains("schema"), "{finding:?}");
    }

    #[test]
    fn a_ring_without_room_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        make_folder(&dir).unwrap();
        let (finding, kept) = check(&dir, 0);
        assert!(kept.is_some() && finding.outcome == Outcome::Ok, "{finding:?}");
        let (finding, _) = check(&dir, u64::MAX);
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.next_step.unwrap().contains("capacity_mb"));
    }

    #[test]
    fn a_directory_that_everybody_may_read_is_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (finding, kept) = check(dir.path(), 0);
        assert!(kept.is_some() && finding.outcome == Outcome::Warning, "{finding:?}");
        assert!(finding.next_step.unwrap().contains("chmod 700"));
    }

    #[test]
    fn root_is_told_that_it_is_not_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        // Only root can give a directory away, and only root has to be told.
        if std::os::unix::fs::chown(dir.path(), Some(4711), None).is_err() {
            return;
        }
        let (finding, kept) = check(dir.path(), 0);
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.next_step.unwrap().contains("sudo -u '#4711'"));
        assert!(kept.unwrap().hands_off.is_some());
    }
}
