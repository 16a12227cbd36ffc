//! Links that cost: a cap on bytes, kept by waiting, and connections only for work.

use alloc::collections::VecDeque;

use dunlin_protocol::codec::Codec;
use dunlin_protocol::object::{CHUNK_HEADER_BYTES, ObjectRef};
use dunlin_protocol::presence::State;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::{Coding, Section, VectorSpec};
use log::{info, warn};

use super::phase::{Item, Phase};
use super::route::route;
use super::uplink::Uplink;
use super::{Output, PLAN_WAIT_MS, Session};
use crate::meter::{CONNECT_BYTES, FORGETS_MS, Meter, message_bytes};

/// Bytes of plans, claim, go, acknowledgements and verdict of one round, and of a connection.
pub(super) const ROUND_BYTES: u64 = 4_000 + CONNECT_BYTES;
/// Characters of a topic where it is not known yet.
const TOPIC_BYTES: usize = 60;
/// How long to sleep when nobody is there to say when to come back.
const SLEEP_MS: u64 = 15 * 60_000;

/// What the device's link costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkPolicy {
    /// Most bytes on the wire, both ways, in any 24 hours.
    pub cap_per_day: Option<u64>,
    /// Time between signs of life of the connection, in milliseconds; 0 when there are none.
    pub keep_alive_ms: u64,
    /// Whether the device connects only to look for work and to do it.
    pub intermittent: bool,
}

impl LinkPolicy {
    pub(super) fn meter(self, spent: u64) -> Option<Meter> {
        self.cap_per_day.map(|cap| Meter::new(cap, self.keep_alive_ms, spent))
    }
}

/// Bytes on the wire of fetching these objects.
pub(super) fn way_bytes(way: &VecDeque<ObjectRef>) -> u64 {
    way.iter().map(|object| message_bytes(TOPIC_BYTES, object.bytes as usize)).sum()
}

/// Bytes of the payload that `vector` declares, as many as are likely.
fn likely_bytes(vector: &VectorSpec) -> usize {
    /// Of a whole number.
    const INTEGER_BYTES: usize = 6;
    let bytes = |section: &Section| match section.coding {
        Coding::Real(codec) => {
            Codec::from_spec(codec).map_or(0, |codec| codec.payload_bytes_likely(section.len))
        }
        Coding::Integers => INTEGER_BYTES * section.len,
    };
    vector.sections.iter().map(bytes).sum()
}

impl Session {
    /// Queues an output and counts what it costs.
    pub(super) fn push(&mut self, output: Output) {
        let cost = match &output {
            Output::Publish { topic, payload, .. } => message_bytes(topic.len(), payload.len()),
            Output::Subscribe(topic) | Output::Unsubscribe(topic) => message_bytes(topic.len(), 0),
            Output::Save(_)
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
        if let Some(meter) = self.meter.as_mut().filter(|_| self.uplink.is_connected()) {
            meter.spend(self.now, bytes);
        }
    }

    /// Whether `bytes` may be spent now; else notes when they may.
    fn affords(&mut self, bytes: u64) -> bool {
        let Some(meter) = &mut self.meter else { return true };
        let fits = meter.fits_at(self.now, bytes);
        if fits == Some(self.now) {
            return true;
        }
        let later = fits.unwrap_or_else(|| self.now.after(FORGETS_MS));
        if self.room_at.is_none() {
            let hours = later.since(self.now).div_ceil(3_600_000);
            let device = &self.settings.device;
            match fits {
                Some(_) => info!("{device}: waits up to {hours} h for the day's data cap"),
                None => warn!(
                    "{device}: {bytes} bytes are more than the data cap of a day: raise \
                     link.cap_mb_per_day, or ask for smaller updates"
                ),
            }
            self.counters.cap_waits += 1;
        }
        self.room_at = Some(self.room_at.map_or(later, |at| at.min(later)));
        false
    }

    /// Whether the round of `item` can be paid for: what is to be fetched, and an update.
    pub(super) fn affords_round(&mut self, item: &Item) -> bool {
        if self.meter.is_none() {
            return true;
        }
        let (Some(plan), Some(task)) = (&self.plan, &self.task) else { return true };
        let update = likely_bytes(&item.asked.vector(task));
        let way = item.needs_model().then(|| route(plan, self.held(), item.base_version));
        let way = way.flatten().unwrap_or_default();
        self.affords(ROUND_BYTES + way_bytes(&way) + message_bytes(TOPIC_BYTES, update))
    }

    /// Whether one more chunk of `bytes` can be paid for, with `open` more on their way.
    pub(super) fn affords_chunk(&mut self, bytes: u32, open: usize) -> bool {
        let chunk = message_bytes(TOPIC_BYTES, bytes as usize + CHUNK_HEADER_BYTES);
        self.affords(chunk.saturating_mul(open as u64 + 1))
    }

    /// Goes on when what the cap held back fits.
    pub(super) fn check_room(&mut self, now: Instant) {
        if self.room_at.is_some_and(|at| at <= now) {
            self.room_at = None;
            if self.can_talk() {
                self.publish_chunks();
                self.request_chunks();
            }
        }
    }

    /// Leaves the broker when there is nothing to do on a link that is not always up, or when the
    /// data cap holds back what there is to do: signs of life and plans would cost on.
    pub(super) fn rest(&mut self, now: Instant) {
        let training = matches!(self.phase, Phase::Training { .. });
        if !matches!(self.uplink, Uplink::Up(_)) || training {
            return;
        }
        let room = self.room_at.map_or(0, |at| at.since(now));
        let check_in = if self.settings.link.intermittent && matches!(self.phase, Phase::Waiting) {
            self.next_check_in(now)
        } else {
            None
        };
        // Not before the cap allows work, and not all devices at one moment.
        let Some(ms) = check_in.map(|ms| ms.max(room)).or(Some(room).filter(|ms| *ms > 0)) else {
            return;
        };
        let jitter = self.rng.below(usize::try_from(ms / 10).unwrap_or(0)) as u64;
        self.say_state(State::Asleep);
        self.push(Output::Sleep { ms: ms.saturating_add(jitter).max(1) });
        self.uplink.leave();
    }

    /// When to look for work again, in milliseconds; `None` while it is not known whether there is
    /// work now.
    fn next_check_in(&self, now: Instant) -> Option<u64> {
        let known = self.uplink.has_plan() && self.can_talk() && self.survey.is_some();
        let patience = self.uplink.since().is_some_and(|at| at.after(PLAN_WAIT_MS) > now);
        match &self.plan {
            Some(plan) if known => Some(u64::from(plan.next_check_in_ms)),
            Some(_) | None if patience => None,
            Some(_) | None => Some(SLEEP_MS),
        }
    }
}
