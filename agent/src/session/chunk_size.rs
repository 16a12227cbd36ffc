//! Chunks: shorter ones where the broker lets no longer ones through, and a word about those that
//! do not come.

use dunlin_protocol::object::{ObjectRef, smaller_chunk};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::time::Instant;
use log::{debug, warn};

use super::phase::Phase;
use super::transfer::Download;
use super::{Output, Session};

/// A chunk that has not come for so long is worth a warning, in milliseconds.
const LATE_MS: u64 = 10_000;

impl Session {
    /// The broker ends the connection again and again over a packet of `bytes`: sends the update in
    /// shorter chunks.
    pub(super) fn on_oversize(&mut self, now: Instant, bytes: usize) {
        let device = &self.settings.device;
        let Phase::Sending { upload, .. } = &self.phase else { return };
        let packet = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Some(chunk) = smaller_chunk(upload.reference.chunk_bytes, packet) else {
            warn!(
                "{device}: the broker ends the connection over a packet of {bytes} bytes while the update is sent, and chunks cannot be smaller: raise its limit (max_packet_size, message_size_limit, max_payload) above 8 KiB"
            );
            return;
        };
        warn!(
            "{device}: the broker ends the connection over a packet of {bytes} bytes: sends updates in chunks of {} KiB from now on; its limit may be raised (max_packet_size, message_size_limit, max_payload)",
            chunk / 1024
        );
        self.chunk_bytes_max = chunk;
        self.cut_upload(now, chunk);
    }

    fn cut_upload(&mut self, now: Instant, chunk_bytes: u32) {
        let Phase::Sending { upload, .. } = &mut self.phase else { return };
        if upload.cut_into(chunk_bytes, now, &mut self.rng) && self.can_talk() {
            self.publish_chunks();
        }
    }

    /// A plan may name other chunks for what is on its way: the aggregator has found out that the
    /// broker takes no longer ones.
    pub(super) fn take_cut(&mut self, now: Instant, plan: &Plan) {
        self.cut_upload(now, plan.chunk_bytes);
        let anew = |reference: &ObjectRef| {
            let mut objects = plan.models.iter().map(|entry| entry.object);
            let same = |object: &ObjectRef| {
                object.digest == reference.digest && object.chunk_bytes != reference.chunk_bytes
            };
            objects.find(same)
        };
        let Phase::FetchingModel { download, path, .. } = &mut self.phase else { return };
        for reference in &mut path.remaining {
            *reference = anew(reference).unwrap_or(*reference);
        }
        let Some(reference) = anew(&download.reference) else { return };
        self.abandon_download();
        let fresh = Download::new(reference, now, &mut self.rng);
        if let Phase::FetchingModel { download, .. } = &mut self.phase {
            *download = fresh;
        }
        self.request_chunks();
    }

    /// Asks again for a chunk that was lost, as those that came after it tell.
    pub(super) fn ask_for_lost(&mut self, reference: &ObjectRef) {
        let lost = match &mut self.phase {
            Phase::FetchingTask(download) | Phase::FetchingModel { download, .. } => {
                download.lost()
            }
            Phase::Waiting
            | Phase::Claiming { .. }
            | Phase::Training { .. }
            | Phase::Sending { .. } => None,
        };
        let Some(index) = lost else { return };
        let topic = self.object_topic(reference, index);
        debug!("{}: {topic} was lost, asks again", self.settings.device);
        self.push(Output::Unsubscribe(topic.clone().into()));
        self.subscribe(topic);
    }

    /// Says which chunk does not come, before it is asked for again.
    pub(super) fn say_missing(&self, now: Instant) {
        let (Phase::FetchingTask(download) | Phase::FetchingModel { download, .. }) = &self.phase
        else {
            return;
        };
        let Some((index, missing, heard)) = download.awaited() else { return };
        let waited_ms = now.since(heard);
        if waited_ms < LATE_MS {
            return;
        }
        let (device, topic) =
            (&self.settings.device, self.object_topic(&download.reference, index));
        warn!(
            "{device}: {topic} has not come for {} s; {missing} of {} chunks are missing ({}); asks again. Does the aggregator run, may this device read {topic}, and is the broker's limit for packets above {} bytes?",
            waited_ms / 1000,
            download.reference.chunks(),
            self.phase.name(),
            download.reference.chunk_len() + 256
        );
    }
}
