//! One device: its power, its session and its training, with a clock, a disk and a link of its own.

use dunlin_agent::session::Session;
use dunlin_protocol::id::FederationId;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;

use super::clock::Clock;
use super::link::Link;
use super::storage::Storage;
use crate::sim::hibernation::{Hibernating, PlanNews};

/// What runs on a device.
pub(in crate::sim) enum Body {
    Off,
    Awake(Box<Session>),
    Hibernating(Box<Hibernating>),
}

/// One device: its program, clock, link, storage, and what it has done.
pub(in crate::sim) struct Device {
    pub(in crate::sim) link: Link,
    pub(in crate::sim) storage: Storage,
    /// All that is drawn for this device.
    pub(in crate::sim) rng: Rng,
    /// Its place among the kinds of devices.
    pub(super) class: u16,
    /// The day on which it came last, where it comes once a day.
    pub(super) day: u32,
    body: Body,
    clock: Clock,
    /// Number of its starts and ends.
    life: u32,
    /// When its session is to be called next.
    tick: Option<Instant>,
    /// Since when it trains.
    trains_since: Option<Instant>,
    /// How long its last training took, in milliseconds.
    trained_ms: u64,
    /// Its updates that counted.
    counted: u32,
}

impl Device {
    /// One that was never switched on.
    pub(super) fn new(class: u16, drift_ppm: f32, rng: Rng) -> Self {
        Self {
            link: Link::new(),
            storage: Storage::default(),
            rng,
            class,
            day: 0,
            body: Body::Off,
            clock: Clock::new(drift_ppm),
            life: 0,
            tick: None,
            trains_since: None,
            trained_ms: 0,
            counted: 0,
        }
    }

    /// Switches it on: its clock starts up to `skew_ms` ahead.
    pub(super) fn switch_on(&mut self, now: Instant, skew_ms: u64, session: Session) {
        self.life += 1;
        self.tick = None;
        let ahead_ms = self.rng.below(usize::try_from(skew_ms).unwrap_or(0) + 1);
        self.clock.start(now, u32::try_from(ahead_ms).unwrap_or(u32::MAX));
        self.link.restart_counts();
        self.body = Body::Awake(Box::new(session));
    }

    /// Switches it off, whatever it is at.
    pub(in crate::sim) fn switch_off(&mut self) {
        self.life += 1;
        self.body = Body::Off;
    }

    pub(in crate::sim) fn is_off(&self) -> bool {
        matches!(self.body, Body::Off)
    }

    /// Changes whenever it is switched on or off: what was meant for an earlier life is void.
    pub(in crate::sim) fn life(&self) -> u32 {
        self.life
    }

    /// What its clock says at `at`.
    pub(in crate::sim) fn local(&self, at: Instant) -> Instant {
        self.clock.local(at)
    }

    /// Its session, while it is awake.
    pub(in crate::sim) fn session(&self) -> Option<&Session> {
        match &self.body {
            Body::Awake(session) => Some(session),
            Body::Off | Body::Hibernating(_) => None,
        }
    }

    /// What its session said last of itself on this connection.
    pub(in crate::sim) fn said(&self) -> Option<Presence> {
        match &self.body {
            Body::Awake(session) => session.said().cloned(),
            Body::Hibernating(hibernating) => Some(hibernating.said()),
            Body::Off => None,
        }
    }

    /// Takes out what runs on it; nothing does until that is put back.
    pub(in crate::sim) fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::Off)
    }

    pub(in crate::sim) fn put_back(&mut self, body: Body) {
        self.body = body;
    }

    /// Whether it must be woken for a plan with these news; without news it must. What is on its way
    /// to it may wake it, and then the plan comes after that.
    pub(super) fn must_hear(
        &mut self,
        now: Instant,
        federation: &FederationId,
        news: Option<&PlanNews>,
    ) -> bool {
        match (&mut self.body, news) {
            (Body::Hibernating(hibernating), Some(news)) if self.link.is_quiet(now) => {
                hibernating.concerns(federation, news)
            }
            _ => true,
        }
    }

    /// Its session wants to be called when its clock says `due`. The moment for that, unless it is to
    /// be called no later anyway.
    pub(in crate::sim) fn set_tick(&mut self, now: Instant, due: Instant) -> Option<Instant> {
        let due = self.clock.global(due).max(now.after(1));
        if self.tick.is_some_and(|tick| tick <= due) {
            return None;
        }
        self.tick = Some(due);
        Some(due)
    }

    /// Whether its session is to be called now. A timer that was set anew for an earlier moment still
    /// fires at the later one.
    pub(in crate::sim) fn take_tick(&mut self, now: Instant, life: u32) -> bool {
        self.life == life && self.tick.take_if(|tick| *tick == now).is_some()
    }

    pub(in crate::sim) fn begin_training(&mut self, now: Instant) {
        self.trains_since = Some(now);
    }

    /// Stops training, for whatever reason; for how many milliseconds it trained, if it did.
    pub(in crate::sim) fn end_training(&mut self, now: Instant) -> Option<u64> {
        self.trained_ms = now.since(self.trains_since.take()?);
        Some(self.trained_ms)
    }

    /// Whether it still waits for the end of this work's job.
    pub(in crate::sim) fn wants(&self, life: u32, work: WorkRef) -> bool {
        let at_it = |session: &Session| {
            session.phase_name() == "training" && session.current_work() == Some(work)
        };
        self.life == life && self.session().is_some_and(at_it)
    }

    /// An update of it counts; how many milliseconds it trained for that.
    pub(in crate::sim) fn count_update(&mut self) -> u64 {
        self.counted += 1;
        self.trained_ms
    }

    /// Its updates that counted.
    pub(super) fn counted(&self) -> u32 {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_earliest_timer_of_the_same_life_fires() {
        let mut device = Device::new(0, 0.0, Rng::new(1));
        assert_eq!(device.set_tick(Instant(10), Instant(50)), Some(Instant(50)));
        assert_eq!(device.set_tick(Instant(10), Instant(80)), None, "it is called before that");
        assert_eq!(device.set_tick(Instant(10), Instant(5)), Some(Instant(11)), "never at once");
        assert!(!device.take_tick(Instant(11), 1), "of another life");
        assert!(device.take_tick(Instant(11), 0));
        assert!(!device.take_tick(Instant(50), 0), "set anew since");
    }

    #[test]
    fn an_update_counts_with_the_training_behind_it() {
        let mut device = Device::new(0, 0.0, Rng::new(1));
        assert_eq!(device.end_training(Instant(5)), None);
        device.begin_training(Instant(10));
        assert_eq!(device.end_training(Instant(250)), Some(240));
        assert_eq!(device.end_training(Instant(300)), None, "it has stopped");
        assert_eq!((device.count_update(), device.counted()), (240, 1));
    }
}
