//! Chunks that a broker cuts the connection for are made smaller.

use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::object::smaller_chunk;
use dunlin_protocol::time::Instant;

use super::{Aggregator, Connection};
use alloc::vec::Vec;

impl Aggregator {
    /// The broker ends the connection again and again over a packet of `bytes`: cuts everything
    /// into smaller chunks, and says so. Objects keep their bytes and their addresses, updates are
    /// taken in any cut, so that open rounds go on; the next plan names the new size.
    ///
    /// The store keeps the configured size: a broker may have been mended until the next start.
    pub(super) fn shrink_chunks(&mut self, now: Instant, bytes: usize) {
        let before = self.settings.chunk_bytes;
        let packet = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Some(chunk) = smaller_chunk(before, packet) else {
            log::error!(
                "the broker ends the connection over a packet of {bytes} bytes, and chunks cannot be smaller than they are: raise its limit (max_packet_size, message_size_limit, max_payload) above 8 KiB"
            );
            return;
        };
        log::warn!(
            "the broker ends the connection over a packet of {bytes} bytes: chunks have {} KiB from now on, {} KiB before; write updates.chunk_kib = {} to begin so, or raise its limit (max_packet_size, message_size_limit, max_payload)",
            chunk / 1024,
            before / 1024,
            chunk / 1024
        );
        self.settings.chunk_bytes = chunk;
        self.task_object.cut_into(chunk);
        self.models.cut_into(chunk);
        if matches!(self.connection, Connection::Up { .. }) {
            self.publish_objects(now);
        }
    }

    /// Publishes all chunks and the plan that names them.
    pub(super) fn publish_objects(&mut self, now: Instant) {
        for (index, chunk) in self.task_object.chunks().collect::<Vec<_>>() {
            self.publish_chunk(self.task_object.reference.digest.short(), index, chunk);
        }
        let versions: Vec<ModelVersion> = self.models.versions().collect();
        versions.into_iter().for_each(|version| self.publish_model(version));
        self.publish_plan(now);
    }
}
