//! What is said and heard, and what it costs: the queue of outputs and the asking for bytes.

use alloc::collections::VecDeque;

use dunlin_protocol::codec::Codec;
use dunlin_protocol::object::{CHUNK_HEADER_BYTES, ObjectRef};
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::Work;
use log::{info, warn};

use super::phase::Item;
use super::route::route;
use super::{Output, Session};
use crate::meter::{CONNECT_BYTES, message_bytes};

/// Bytes of plans, claim, go, acknowledgements and verdict of one round, and of a connection.
pub(super) const ROUND_BYTES: u64 = 4_000 + CONNECT_BYTES;
/// Characters of a topic where it is not known yet.
const TOPIC_BYTES: usize = 60;
/// Bytes on the wire of fetching these objects.
pub(super) fn path_bytes(path: &VecDeque<ObjectRef>) -> u64 {
    path.iter().map(|object| message_bytes(TOPIC_BYTES, object.bytes as usize)).sum()
}

/// Bytes of the payload that `work` sends, as many as are likely.
fn likely_bytes(work: &Work, task: &Task) -> usize {
    /// Of a whole number.
    const INTEGER_BYTES: usize = 6;
    match work {
        Work::Train(work) => {
            let n = task.layout().n_update();
            Codec::from_spec(work.codec).map_or(0, |codec| codec.payload_bytes_likely(n))
        }
        Work::Sums(work) => INTEGER_BYTES * work.numbers(task),
        Work::Evaluate | Work::Unknown(_) => 0,
    }
}

impl Session {
    /// Queues an output and counts what it costs.
    pub(super) fn push(&mut self, output: Output) {
        let cost = match &output {
            Output::Publish { topic, payload, .. } => {
                message_bytes(self.settings.topics.length(topic), payload.len())
            }
            Output::Subscribe(topic) | Output::Unsubscribe(topic) => {
                message_bytes(self.settings.topics.length(topic), 0)
            }
            Output::Save
            | Output::UseTask(_)
            | Output::UseModel(_)
            | Output::Start(_)
            | Output::Cancel(_)
            | Output::Sleep { .. } => 0,
        };
        self.spend(cost);
        if let Output::Publish { payload, .. } = &output {
            self.counters.bytes_out += payload.len() as u64;
        }
        self.outputs.push_back(output);
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        if self.uplink.is_connected() {
            self.budget.spend(self.now, bytes);
        }
    }

    /// Whether `bytes` may be spent now; else they wait.
    fn affords(&mut self, bytes: u64) -> bool {
        let Err(held) = self.budget.ask(self.now, bytes) else { return true };
        if held.is_first {
            let device = &self.settings.device;
            match held.until {
                Some(until) => {
                    let hours = until.since(self.now).div_ceil(3_600_000);
                    info!("{device}: waits up to {hours} h for the day's data cap");
                }
                None => warn!(
                    "{device}: {bytes} bytes are more than the data cap of a day: raise \
                     link.cap_mb_per_day, or ask for smaller updates"
                ),
            }
            self.counters.cap_waits += 1;
        }
        false
    }

    /// Whether the round of `item` can be paid for: what is to be fetched, and an update.
    pub(super) fn affords_round(&mut self, item: &Item) -> bool {
        if !self.budget.is_capped() {
            return true;
        }
        let (Some(plan), Some(task)) = (self.planner.plan(), self.holding.task()) else {
            return true;
        };
        let update = likely_bytes(&item.asked, task);
        let path = item
            .needs_model()
            .then(|| route(plan, self.holding.version_of(plan), item.base_version));
        let path = path.flatten().unwrap_or_default();
        self.affords(ROUND_BYTES + path_bytes(&path) + message_bytes(TOPIC_BYTES, update))
    }

    /// Whether one more chunk of `bytes` can be paid for, with `open` more on their way.
    pub(super) fn affords_chunk(&mut self, bytes: u32, open: usize) -> bool {
        let chunk = message_bytes(TOPIC_BYTES, bytes as usize + CHUNK_HEADER_BYTES);
        self.affords(chunk.saturating_mul(open as u64 + 1))
    }

    /// Goes on when what the cap held back fits.
    pub(super) fn check_room(&mut self, now: Instant) {
        if self.budget.has_room(now) && self.can_talk() {
            self.publish_chunks();
            self.request_chunks();
        }
    }
}
