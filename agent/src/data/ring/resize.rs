//! Another capacity for a ring that holds samples.

use std::fs;

use dunlin_service::file;

use super::{Header, Ring, open_file};
use crate::data::DataError;

impl Ring {
    /// Moves the newest samples into a file of another capacity.
    pub(super) fn resized(mut self, header: Header) -> Result<Self, DataError> {
        log::info!(
            "{}: resizing from {} to {} samples",
            self.path.display(),
            self.header.capacity,
            header.capacity
        );
        let path = self.path.clone();
        let fresh_path = path.with_extension("resize");
        header.create(&fresh_path)?;
        let mut file = open_file(&fresh_path)?;
        let (_, start) = Header::read(&mut file).map_err(DataError::io(&fresh_path, "read"))?;
        let mut fresh = Self::scan_file(&fresh_path, file, header, start)?;
        fresh.next = self.next.saturating_sub(fresh.header.capacity).max(self.oldest);
        let from = fresh.next;
        let mut result = Ok(());
        self.scan(from, |record| {
            if result.is_ok() && record.sequence >= fresh.next {
                // A missing sample stays missing: its place is left empty.
                result = fresh.skip_to(record.sequence).and_then(|()| fresh.push(record.clone()));
            }
        })?;
        result?;
        fresh.skip_to(self.next)?;
        fresh.oldest = fresh.next.saturating_sub(fresh.header.capacity).max(from);
        fresh.sync()?;
        fs::rename(&fresh_path, &path).map_err(DataError::io(&path, "replace"))?;
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
