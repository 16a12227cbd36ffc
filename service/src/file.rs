//! Files that are replaced: others see the old or the new one whole. Files and folders that are made
//! here belong to their owner alone; those that are there keep their modes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What a file that was replaced outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of this program.
    Process,
    /// A power cut: its bytes and its name are on the disk.
    PowerCut,
}

/// How an open file or folder is brought to the disk.
type Flush<'a> = &'a dyn Fn(&File) -> io::Result<()>;

/// Puts a file of `bytes` at `path`, in place of one that may be there: whoever looks sees the old
/// or the new file. They are written to `path` with `.tmp` behind it first. Only the owner may read
/// the new one.
///
/// # Errors
/// [`io::Error`] when the disk refuses. The old file is then still there, but where all that failed
/// is to bring the new one's name to the disk.
pub fn replace(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    match durability {
        Durability::Process => replace_with(path, bytes, None),
        Durability::PowerCut => replace_with(path, bytes, Some(&File::sync_all)),
    }
}

/// Options for a file that only its owner may read and write, if opening it makes it.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the folder at `path` and those above it that are missing; only their owner may enter them.
/// A folder that is there stays as it is.
///
/// # Errors
/// [`io::Error`] when the system refuses.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whether everybody on the machine may look into the folder at `path`.
pub fn is_open_to_all(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o005 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Makes it survive a power cut that the file at `path` was given its name.
///
/// # Errors
/// [`io::Error`] when the folder cannot be read or the disk refuses.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    flush_folder(path, &File::sync_all)
}

fn replace_with(path: &Path, bytes: &[u8], flush: Option<Flush<'_>>) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    if let Err(error) = write(&temporary, bytes, flush).and_then(|()| fs::rename(&temporary, path))
    {
        // On a full disk it would only take room.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    flush.map_or(Ok(()), |flush| flush_folder(path, flush))
}

fn write(path: &Path, bytes: &[u8], flush: Option<Flush<'_>>) -> io::Result<()> {
    // One that was left behind may have another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = private().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    flush.map_or(Ok(()), |flush| flush(&file))
}

fn flush_folder(path: &Path, flush: Flush<'_>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    match flush(&File::open(folder)?) {
        // A file system that has no such thing for folders keeps names by itself, or not at all.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        flushed => flushed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        for durability in [Durability::Process, Durability::PowerCut] {
            for text in ["a longer text", "short"] {
                replace(&path, text.as_bytes(), durability).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_outlives_a_power_cut_is_on_the_disk_before_its_name_and_its_name_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.a");
        fs::write(&path, "old").unwrap();
        let flushed = RefCell::new(Vec::new());
        let flush = |file: &File| -> io::Result<()> {
            let data = file.metadata()?;
            let what = if data.is_dir() { "folder" } else { "file" };
            flushed.borrow_mut().push((what, fs::read_to_string(&path)?));
            Ok(())
        };
        replace_with(&path, b"new", Some(&flush)).unwrap();
        let expected = [("file", "old".to_owned()), ("folder", "new".to_owned())];
        assert_eq!(*flushed.borrow(), expected);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.a");
        fs::write(&path, "old").unwrap();
        let full = |_: &File| -> io::Result<()> { Err(ErrorKind::StorageFull.into()) };
        let error = replace_with(&path, b"new", Some(&full)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("none/x"), b"new", Durability::Process).is_err());
        assert!(replace(folder.path(), b"new", Durability::Process).is_err(), "a folder is there");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_made_belongs_to_its_owner_and_what_is_there_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        make_folder(&deep).unwrap();
        assert_eq!((mode(&deep), mode(&folder.path().join("a"))), (0o700, 0o700));
        let path = deep.join("state.a");
        // Somebody's umask let others read what an earlier program wrote.
        for left in [path.clone(), deep.join("state.a.tmp")] {
            fs::write(&left, "old").unwrap();
            fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        }
        replace(&path, b"new", Durability::PowerCut).unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"new".to_vec()));
        let lock = deep.join("agent.lock");
        private().write(true).create(true).truncate(true).open(&lock).unwrap();
        assert_eq!(mode(&lock), 0o600);
        assert!(!is_open_to_all(&deep));
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o755)).unwrap();
        make_folder(&deep).unwrap();
        assert_eq!(mode(&deep), 0o755);
        assert!(is_open_to_all(&deep));
    }
}
