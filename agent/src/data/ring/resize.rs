//! Another capacity for a ring that holds samples, or another way to keep them.

use std::fs;
use std::path::Path;

use dunlin_service::file;

use super::{Header, Ring, open_file};
use crate::data::DataError;

impl Ring {
    /// Moves the newest samples into a file with this header, whose channels are the same.
    pub(super) fn brought_over(self, header: Header) -> Result<Self, DataError> {
        let fresh_path = self.path.with_extension("resize");
        let moved = self.moved_to(&fresh_path, header);
        if moved.is_err() && fresh_path.exists() {
            // On a full disk it would only take room.
            let _ = fs::remove_file(&fresh_path);
        }
        moved
    }

    fn moved_to(mut self, fresh_path: &Path, header: Header) -> Result<Self, DataError> {
        log::info!(
            "{}: brings its samples over into a ring of {} samples of {} bytes (it had {} of {})",
            self.path.display(),
            header.capacity,
            header.record_bytes(),
            self.header.capacity,
            self.layout.bytes()
        );
        let path = self.path.clone();
        header.create(fresh_path)?;
        let mut file = open_file(fresh_path)?;
        let (_, start) = Header::read(&mut file).map_err(DataError::io(fresh_path, "read"))?;
        let layout = header.layout();
        let mut fresh = Self::scan_file(fresh_path, file, (header, layout), start)?;
        fresh.next = self.next.saturating_sub(fresh.header.capacity).max(self.oldest);
        let from = fresh.next;
        let mut result = Ok(());
        self.scan(from, |record| {
            if result.is_ok() && record.sequence >= fresh.next {
                // A missing sample stays missing: its place is left empty.
                result = fresh
                    .skip_to(record.sequence)
                    .and_then(|()| fresh.append(record.time_us, record.label, &record.values));
            }
        })?;
        result?;
        fresh.skip_to(self.next)?;
        fresh.oldest = fresh.next.saturating_sub(fresh.header.capacity).max(from);
        (fresh.cut, fresh.gone) = (0, self.gone);
        if fresh.next > fresh.header.capacity {
            fresh.fill_up().map_err(DataError::io(fresh_path, "write"))?;
        }
        fresh.sync()?;
        fs::rename(fresh_path, &path).map_err(DataError::io(&path, "replace"))?;
        file::sync_folder(&path).map_err(DataError::io(&path, "sync the folder"))?;
        fresh.path = path;
        Ok(fresh)
    }

    fn skip_to(&mut self, sequence: u64) -> Result<(), DataError> {
        if self.next < sequence {
            self.flush()?;
            self.next = sequence;
        }
        Ok(())
    }
}
