//! A device: power, clock, disk, and what its session asks for.

use std::sync::Arc;

use dunlin_agent::job::{Job, ModelInUse, Survey};
use dunlin_agent::session::{Input, Ports, Session, Settings};
use dunlin_agent::state::DeviceState;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;

use super::World;
use super::event::{Event, Said};
use super::population::{Body, secret};
use crate::sim::breakage::Breakage;
use crate::sim::check::rule;
use crate::sim::hibernation::{Common, Hibernating};
use crate::sim::profile::Part;

impl World {
    /// A device's own time: its clock starts with it, somewhere, and is fast or slow.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn local(&self, device: u32, at: Instant) -> Instant {
        let slot = &self.slots[device as usize];
        let ticks = at.since(slot.booted) as f64 * (1.0 + f64::from(slot.drift_ppm) * 1e-6);
        Instant(u64::from(slot.ahead_ms) + ticks as u64)
    }

    /// When a device's own time is `at`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn global(&self, device: u32, at: Instant) -> Instant {
        let slot = &self.slots[device as usize];
        let ticks = at.0.saturating_sub(u64::from(slot.ahead_ms)) as f64;
        slot.booted.after((ticks / (1.0 + f64::from(slot.drift_ppm) * 1e-6)).ceil() as u64)
    }

    pub(super) fn power_on(&mut self, device: u32) {
        let now = self.queue.now();
        if !matches!(self.slots[device as usize].body, Body::Off) {
            return;
        }
        if self.trace.is_some() {
            let comes = self.comes_at(device, now);
            if comes > now {
                return self.queue.at(comes, Event::PowerOn { device });
            }
        }
        let Some(state) = self.read_state(device) else { return };
        let skew = crate::sim::setup::milliseconds(self.scenario.faults.clock_skew_s);
        let slot = &mut self.slots[device as usize];
        slot.life += 1;
        slot.tick = None;
        slot.booted = now;
        slot.ahead_ms = u32::try_from(slot.rng.below(usize::try_from(skew).unwrap_or(0) + 1))
            .unwrap_or(u32::MAX);
        (slot.bytes_out, slot.bytes_in) = (0, 0);
        let life = slot.life;
        let settings = Settings { device: Self::name(device), ..self.device_settings.clone() };
        slot.body = Body::Awake(Box::new(Session::new(settings, state)));
        if let Some(leaves) = self.leaves_at(device, now) {
            self.queue.at(leaves, Event::Leave { device, life });
        }
        self.connect(device);
    }

    /// What a device finds on its disk; `None`, a violation, when it is not what it wrote.
    fn read_state(&mut self, device: u32) -> Option<DeviceState> {
        let slot = &mut self.slots[device as usize];
        let found = slot.disk.load();
        let checksum = found.as_ref().map(|state| crc32fast::hash(state));
        let state = match (&found, slot.written == checksum) {
            (None, true) => return Some(DeviceState::fresh(secret(self.seed, device))),
            (Some(state), true) => DeviceState::decode(state).map_err(|error| error.to_string()),
            (None, false) => Err("nothing whole is on the disk".into()),
            (Some(_), false) => Err("another state than the last one written".into()),
        };
        let error = match state {
            Ok(state) => return Some(state),
            Err(error) => error,
        };
        let now = self.queue.now();
        self.checks.broken(now, rule::STORAGE, format!("d{device}: {error}"));
        None
    }

    /// Writes a device's state; whether its program goes on after that.
    fn write_state(&mut self, device: u32, state: &[u8]) -> bool {
        let turns = self.breakage != Some(Breakage::OneSlot);
        let failed_write = self.scenario.faults.failed_write;
        let slot = &mut self.slots[device as usize];
        if slot.doomed {
            let bytes = slot.rng.below(crate::sim::disk::Disk::written_bytes(state));
            slot.disk.tear(state, bytes, turns);
            slot.doomed = false;
            self.tally.torn_writes += 1;
            return false;
        }
        if failed_write > 0.0 && f64::from(slot.rng.unit_f32()) < failed_write {
            self.tally.failed_writes += 1;
            return false;
        }
        slot.disk.save(state, turns);
        if self.scenario.faults.torn_write == 0.0 {
            slot.disk.forget_older();
        }
        slot.written = Some(crc32fast::hash(state));
        true
    }

    /// A device's program ends at once, and starts again `back_ms` later.
    pub(super) fn crash(&mut self, device: u32, back_ms: u64) {
        self.break_connection(device);
        self.switch_off(device);
        self.queue.after(back_ms, Event::PowerOn { device });
    }

    /// A device is no longer there for the federation for a while.
    pub(super) fn leave(&mut self, device: u32, life: u32) {
        let slot = &self.slots[device as usize];
        if matches!(slot.body, Body::Off) || slot.life != life {
            return;
        }
        self.tell(device, Input::Stop);
        let boot = self.slots[device as usize].presence.as_ref().map_or(0, |p| p.boot);
        self.disconnect(device);
        self.presence(device, Presence::new(State::Offline, boot));
        self.switch_off(device);
        let comes = self.comes_at(device, self.queue.now());
        self.queue.at(comes, Event::PowerOn { device });
    }

    fn switch_off(&mut self, device: u32) {
        self.job_time(device);
        let slot = &mut self.slots[device as usize];
        slot.body = Body::Off;
        slot.life += 1;
    }

    /// Gives a device's session an input; wakes it if it hibernates.
    pub(super) fn tell(&mut self, device: u32, input: Input<'_>) {
        let now = self.local(device, self.queue.now());
        let Some(mut session) = self.wake(device) else { return };
        let before = self.profile.enter(Part::Devices);
        session.handle(now, input);
        self.profile.enter(before);
        self.drain(device, session);
    }

    pub(super) fn wake(&mut self, device: u32) -> Option<Box<Session>> {
        let slot = &mut self.slots[device as usize];
        match std::mem::replace(&mut slot.body, Body::Off) {
            Body::Off => None,
            Body::Awake(session) => Some(session),
            Body::Hibernating(hibernating) => {
                let common = self.common.as_ref()?;
                Some(Box::new(hibernating.wake(Self::name(device), &self.device_settings, common)))
            }
        }
    }

    /// Performs what a session asks for and puts it back, to hibernate if it can.
    fn drain(&mut self, device: u32, mut session: Box<Session>) {
        let epoch = self.slots[device as usize].epoch;
        loop {
            let mut ports = SimPorts { world: self, device, epoch, new_task: false };
            if session.perform(&mut ports).is_err() {
                let back = 2_000 + self.slots[device as usize].rng.below(20_000) as u64;
                return self.crash(device, back);
            }
            if !ports.new_task {
                break;
            }
            let survey = Survey::of(self.workers.windows(device));
            let now = self.local(device, self.queue.now());
            session.handle(now, Input::Survey(survey));
        }
        let (slot, counted) = (&self.slots[device as usize], session.counters());
        if (slot.bytes_out, slot.bytes_in) != (counted.bytes_out, counted.bytes_in) {
            let what = format!(
                "d{device} counts {} bytes out and {} in, its link {} and {}",
                counted.bytes_out, counted.bytes_in, slot.bytes_out, slot.bytes_in
            );
            let now = self.queue.now();
            self.checks.broken(now, rule::BYTES, what);
        }
        self.schedule_tick(device, &session);
        self.put_back(device, session);
    }

    fn publishes(&mut self, device: u32, epoch: u32, topic: Topic, mut payload: Vec<u8>) {
        if self.breakage == Some(Breakage::ShortUpdates) && matches!(topic, Topic::Up(..)) {
            payload.pop();
        }
        let bytes = payload.len();
        self.slots[device as usize].bytes_out += bytes as u64;
        self.send(device, epoch, bytes, Said::Publish(topic, payload));
    }

    fn schedule_tick(&mut self, device: u32, session: &Session) {
        let Some(due) = session.next_deadline() else { return };
        let due = self.global(device, due).max(self.queue.now().after(1));
        let slot = &mut self.slots[device as usize];
        if slot.tick.is_none_or(|tick| due < tick) {
            slot.tick = Some(due);
            let life = slot.life;
            self.queue.at(due, Event::Tick { device, life });
        }
    }

    fn put_back(&mut self, device: u32, session: Box<Session>) {
        if !self.slots[device as usize].connected {
            self.slots[device as usize].body = Body::Awake(session);
            return;
        }
        let idle = match session.into_idle() {
            Ok(idle) => idle,
            Err(session) => {
                self.slots[device as usize].body = Body::Awake(session);
                return;
            }
        };
        if self.common.is_none() {
            self.common = Common::of(&idle);
            // This device may have heard an older plan than the others will.
            if let (Some(common), Some(plan)) = (&mut self.common, &self.plan) {
                common.plan = plan.clone();
            }
        }
        let mut hibernating = Hibernating::new(idle);
        self.share_model(device, &mut hibernating);
        self.slots[device as usize].body = Body::Hibernating(Box::new(hibernating));
    }

    /// Devices that hold the same version share its parameters, which must be the same bits.
    fn share_model(&mut self, device: u32, hibernating: &mut Hibernating) {
        if self.breakage == Some(Breakage::OtherBits) && device % 10 == 3 {
            let changed = |params: &Arc<Vec<f32>>| params.iter().map(|value| -value).collect();
            let changed: Option<Vec<f32>> = hibernating.model().map(|(_, params)| changed(params));
            changed.into_iter().for_each(|params| hibernating.share(Arc::new(params)));
        }
        let Some((version, params)) = hibernating.model() else { return };
        let known = match self.models.get(&version) {
            Some(known) => known.clone(),
            None => {
                // The aggregator's own, while it has the version.
                let models = self.snapshot.as_ref().map(|snapshot| &snapshot.models);
                let own = models.and_then(|models| models.get(&version));
                let known =
                    own.map_or_else(|| params.clone(), |m| Arc::new(m.published_params().to_vec()));
                self.models.insert(version, known.clone());
                known
            }
        };
        if Arc::ptr_eq(&known, params) {
            return;
        }
        let same = known.len() == params.len()
            && known.iter().zip(params.iter()).all(|(a, b)| a.to_bits() == b.to_bits());
        if same {
            hibernating.share(known);
        } else {
            let what = format!("d{device} has another version {version}");
            let now = self.queue.now();
            self.checks.broken(now, rule::SAME_BITS, what);
        }
    }
}

/// What a simulated session acts on.
struct SimPorts<'a> {
    world: &'a mut World,
    device: u32,
    epoch: u32,
    /// A survey was asked for.
    new_task: bool,
}

/// The power went, or the disk failed.
struct Crashed;

impl Ports for SimPorts<'_> {
    type Error = Crashed;

    fn subscribe(&mut self, topic: &Topic) -> bool {
        self.world.send(self.device, self.epoch, 0, Said::Listen(topic.clone()));
        true
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        self.world.send(self.device, self.epoch, 0, Said::Unlisten(topic.clone()));
        true
    }

    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, _retain: bool) -> Result<(), Vec<u8>> {
        self.world.publishes(self.device, self.epoch, topic.clone(), payload);
        Ok(())
    }

    fn save(&mut self, state: &DeviceState) -> Result<(), Crashed> {
        let goes_on = self.world.write_state(self.device, &state.encode());
        if goes_on { Ok(()) } else { Err(Crashed) }
    }

    fn use_task(&mut self, _task: Arc<Task>) -> Result<(), Crashed> {
        self.new_task = true;
        Ok(())
    }

    // Simulated devices do not classify.
    fn use_model(&mut self, _model: ModelInUse) {}

    fn start(&mut self, job: Job) -> Result<(), Crashed> {
        self.world.start_job(self.device, job.work, Box::new(job));
        Ok(())
    }

    fn cancel(&mut self, _work: WorkRef) {
        self.world.job_time(self.device);
    }

    // Simulated links are always up.
    fn sleep(&mut self, _ms: u64) {}
}
