//! What the broker keeps of this aggregator: its state, its plan, its objects. Others can delete, empty
//! and overwrite them, or say old ones again: the aggregator listens to them and sets them right.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use dunlin_protocol::id::ShortDigest;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::retained::Insistence;
use dunlin_protocol::time::Instant;
use dunlin_protocol::wire;

use super::{Aggregator, Connection};
use crate::snapshot::Record;

/// How long devices are missed before they are asked to say their state, in milliseconds; then twice as
/// long each time, up to the longest.
const CALL_FIRST_MS: u64 = 15_000;
const CALL_MOST_MS: u64 = 600_000;
/// When a word is said once more that contradicts a higher number, in milliseconds: devices pass over it
/// the first time.
const INSIST_MS: u64 = 3_000;

/// The words that this aggregator says of itself, and what became of them.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnWords {
    /// The number of this start's last connection; 0 before the first.
    connection: u32,
    /// How often devices were asked on this connection to say their state.
    calls: u32,
    /// When they are asked next, and the wait that follows.
    next_call: Option<Instant>,
    call_wait_ms: u64,
    state: Insistence,
    plan: Insistence,
    objects: Insistence,
    /// Chunks of our objects that are to be said again.
    chunks: BTreeSet<(ShortDigest, u16)>,
}

impl OwnWords {
    /// A connection begins: its number is another, and nobody was called on it.
    pub(super) fn begin(&mut self) {
        *self = Self { connection: self.connection.saturating_add(1), ..Self::default() };
    }

    /// Devices are asked at `at`, or before if they were to be anyway.
    fn call_at(&mut self, at: Instant) {
        self.next_call = Some(self.next_call.map_or(at, |before| before.min(at)));
    }

    fn due(&self) -> Option<Instant> {
        let insistence = [&self.state, &self.plan, &self.objects].map(Insistence::due);
        insistence.into_iter().flatten().chain(self.next_call).min()
    }
}

impl Aggregator {
    /// The presence of this aggregator while it runs.
    pub(super) fn own_presence(&self, state: State) -> Presence {
        let plain = Presence::new(state, self.boot).on(self.own.connection);
        Presence { call: self.own.calls, ..plain }
    }

    /// The number that the next connection will have.
    pub(super) fn next_connection(&self) -> u32 {
        self.own.connection.saturating_add(1)
    }

    /// Takes what the broker says of this aggregator. What an earlier start or connection left, such
    /// as a last will that comes late, or what a stranger says would silence devices: it is set right.
    pub(super) fn hear_of_itself(&mut self, now: Instant, payload: &[u8]) {
        let own = self.own_presence(State::Online);
        let heard = Presence::decode(payload);
        let Some(heard) = heard else {
            if !payload.is_empty() {
                self.counters.unreadable += 1;
            }
            if self.own.state.contradicted(now) {
                log::warn!(
                    "the state of this aggregator was removed from the broker or made unreadable; it is said again"
                );
            }
            return;
        };
        if heard == own {
            return self.own.state.heard();
        }
        if heard.state == State::Online && heard.order() == own.order() {
            // Its own word before the last call, on its way.
            return self.own.state.doubted(now);
        }
        if heard.order() > own.order() {
            self.own.call_at(now.after(INSIST_MS));
        }
        if !self.own.state.contradicted(now) {
            return;
        }
        let (boot, connection) = heard.order();
        if heard.order() < own.order() && heard.state == State::Lost {
            log::info!(
                "the last will of start {boot}, connection {connection} came late; says that it is here"
            );
        } else {
            log::warn!(
                "somebody else speaks for {} (start {boot}, connection {connection}; this is start {}, connection {}, lineage {}); it is said again. Two aggregators of one name push each other off the broker: stop one, or give it another `instance` and federation. Otherwise a stranger: check the broker's ACL",
                self.settings.instance,
                self.boot,
                self.own.connection,
                self.lineage
            );
        }
    }

    /// Takes what stands on the plan's topic.
    pub(super) fn hear_of_plan(&mut self, now: Instant, payload: &[u8]) {
        let plan = wire::decode::<Plan>(payload).ok();
        let Some(own) = self.plans.last() else { return };
        if plan.as_ref() == Some(own) {
            return self.own.plan.heard();
        }
        let is_ours = |plan: &Plan| plan.lineage == own.lineage && plan.instance == own.instance;
        let ours = plan.as_ref().filter(|plan| is_ours(plan));
        if ours.is_some_and(|plan| plan.sequence < own.sequence && self.plans.is_of_start(plan)) {
            // Our own word before the last one, on its way.
            return self.own.plan.doubted(now);
        }
        let outbid = ours.filter(|plan| plan.sequence > own.sequence).map(|plan| plan.sequence);
        if let Some(sequence) = outbid {
            // Devices that heard it pass over ours from now on.
            self.plans.outbid(sequence);
        } else if !payload.is_empty() {
            // Devices may have gone to another history, and come back for a new number only.
            self.plans.renumber();
        }
        if !self.own.plan.contradicted(now) {
            return;
        }
        let federation = &self.settings.federation;
        match plan {
            Some(plan)
                if plan.instance != self.settings.instance || plan.lineage != self.lineage =>
            {
                log::warn!("{}", self.other_aggregator(&plan));
            }
            Some(_) => log::warn!(
                "somebody says another plan of federation {federation} in our name and of our lineage {}; ours is said again: a second aggregator on a copy of this store, which must be stopped, or a stranger: check the broker's ACL",
                self.lineage
            ),
            None if payload.is_empty() => log::warn!(
                "the plan of federation {federation} was removed from the broker; it is said again"
            ),
            None => log::warn!(
                "something that is no plan stands in place of that of federation {federation}; it is said again"
            ),
        }
    }

    /// Who publishes `plan` for this federation, what tells the two apart, and what to do.
    pub(super) fn other_aggregator(&self, plan: &Plan) -> String {
        let (federation, own) = (&self.settings.federation, &self.settings.instance);
        let same = if plan.instance == *own { " of the same name" } else { "" };
        format!(
            "another aggregator{same}, {} with lineage {}, publishes plans for federation \
             {federation}; ours, of {own} with lineage {}, is said again: stop one of the two, or \
             give it an `instance` and a federation of its own",
            plan.instance, plan.lineage, self.lineage
        )
    }

    /// Takes what stands on the topic of an object's chunk.
    pub(super) fn hear_of_object(
        &mut self,
        now: Instant,
        object: ShortDigest,
        index: u16,
        payload: &[u8],
    ) {
        let Some(chunk) = self.own_chunk(object, index) else { return };
        if chunk == payload {
            self.own.chunks.remove(&(object, index));
            if self.own.chunks.is_empty() {
                self.own.objects.heard();
            }
            return;
        }
        self.own.chunks.insert((object, index));
        if self.own.objects.contradicted(now) {
            log::warn!(
                "chunk {index} of object {object} was removed from the broker or overwritten; it is said again"
            );
        }
    }

    /// A device could not have an object: all are said again.
    pub(super) fn objects_are_missed(&mut self, now: Instant) {
        self.own.chunks.extend(self.all_chunks());
        if self.own.objects.contradicted(now) {
            log::warn!("a device could not fetch its base version; all objects are said again");
        }
    }

    /// Says again what others have changed, and asks for devices that are missed.
    pub(super) fn check_own(&mut self, now: Instant) {
        if !matches!(self.connection, Connection::Up { .. }) {
            return;
        }
        let misses = self.misses_devices(now);
        match (misses, self.own.next_call) {
            (true, None) => {
                self.own.call_wait_ms = self.own.call_wait_ms.max(CALL_FIRST_MS);
                self.own.next_call = Some(now.after(self.own.call_wait_ms));
            }
            (false, None) => self.own.call_wait_ms = 0,
            (_, Some(_)) => {}
        }
        let called = self.own.next_call.is_some_and(|at| at <= now);
        if called {
            self.own.calls = self.own.calls.saturating_add(1);
            self.own.call_wait_ms = self.own.call_wait_ms.saturating_mul(2).min(CALL_MOST_MS);
            self.own.next_call = None;
        }
        if self.own.state.take(now) || called {
            self.say(State::Online);
        }
        if self.own.objects.take(now) {
            self.say_chunks_again();
        }
        if self.own.plan.take(now) {
            // Its number may have left what the start has saved.
            self.save(alloc::vec![Record::Head(self.head())]);
            self.publish_plan(now);
        }
    }

    /// Devices that are invited do not answer: they are asked to say their state soon.
    pub(super) fn nobody_answered(&mut self, now: Instant) {
        self.own.call_at(now.after(self.own.call_wait_ms));
        self.own.call_wait_ms = self.own.call_wait_ms.max(CALL_FIRST_MS);
    }

    /// When something is to be said again.
    pub(super) fn own_due(&self) -> Option<Instant> {
        let up = matches!(self.connection, Connection::Up { .. });
        self.own.due().filter(|_| up)
    }

    fn say_chunks_again(&mut self) {
        for (object, index) in core::mem::take(&mut self.own.chunks) {
            if let Some(chunk) = self.own_chunk(object, index) {
                self.publish_chunk(object, index, chunk);
            }
        }
    }
}
