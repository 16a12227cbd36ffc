//! A device: power, connection, and what its session asks for.

use std::sync::Arc;

use dunlin_agent::session::{Input, Output, Resting, Session, Settings};
use dunlin_agent::state::DeviceState;
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;

use super::event::{Event, Said};
use super::population::{Body, next_day_start, secret};
use super::{DAY_MS, HOUR_MS, World};
use crate::sim::broker::Shared;
use crate::sim::scenario::Availability;

impl World {
    pub(super) fn is_current(&self, device: u32, epoch: u32) -> bool {
        let slot = &self.slots[device as usize];
        slot.connected && slot.epoch == epoch
    }

    /// A device's own time: its clock is fast or slow.
    pub(super) fn local(&self, device: u32, at: Instant) -> Instant {
        let ppm = f64::from(self.slots[device as usize].drift_ppm);
        Instant((at.0 as f64 * (1.0 + ppm * 1e-6)) as u64)
    }

    /// When a device's own time is `at`.
    pub(super) fn global(&self, device: u32, at: Instant) -> Instant {
        let ppm = f64::from(self.slots[device as usize].drift_ppm);
        Instant((at.0 as f64 / (1.0 + ppm * 1e-6)).ceil() as u64)
    }

    pub(super) fn power_on(&mut self, device: u32) {
        let now = self.queue.now();
        let secret = secret(self.seed, device);
        let slot = &mut self.slots[device as usize];
        if !matches!(slot.body, Body::Off) {
            return;
        }
        let state = match slot.saved.as_slice() {
            [] => Ok(DeviceState::fresh(secret)),
            saved => DeviceState::decode(saved),
        };
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                let what = format!("d{device}: {error}");
                return self.checks.broken(now, "storage is never torn", what);
            }
        };
        slot.life += 1;
        slot.tick = None;
        let settings = Settings { device: Self::name(device), ..self.device_settings.clone() };
        slot.body = Body::Awake(Box::new(Session::new(settings, state)));
        self.connect(device);
        if self.scenario.population.availability == Availability::Diurnal {
            let hours =
                -libm::log(1.0 - f64::from(self.slots[device as usize].rng.unit_f32())) * 3.0;
            self.queue.after(60_000 + (hours * HOUR_MS) as u64, Event::Leave { device });
        }
    }

    /// A device is no longer there for the federation until tomorrow.
    pub(super) fn leave(&mut self, device: u32) {
        if matches!(self.slots[device as usize].body, Body::Off) {
            return;
        }
        self.tell(device, Input::Stop);
        let boot = self.slots[device as usize].presence.as_ref().map_or(0, |p| p.boot);
        self.disconnect(device);
        self.presence(device, Presence { state: State::Offline, boot });
        self.switch_off(device);
        let today = self.queue.now().0 / DAY_MS;
        let slot = &mut self.slots[device as usize];
        let next = next_day_start(&mut slot.rng, today + 1);
        self.queue.at(Instant(next), Event::PowerOn { device });
    }

    pub(super) fn switch_off(&mut self, device: u32) {
        let slot = &mut self.slots[device as usize];
        let body = std::mem::replace(&mut slot.body, Body::Off);
        slot.life += 1;
        if let (Body::Resting(resting), Some(common), true) =
            (body, &self.common, slot.saved.is_empty())
        {
            slot.saved = resting.saved(common);
        }
    }

    pub(super) fn connect(&mut self, device: u32) {
        let slot = &mut self.slots[device as usize];
        slot.epoch += 1;
        slot.connected = true;
        slot.hears_down = false;
        self.tell(device, Input::Connected);
    }

    /// The broker's side of a lost connection: no listener, and the last will.
    pub(super) fn disconnect(&mut self, device: u32) {
        let slot = &mut self.slots[device as usize];
        slot.connected = false;
        slot.hears_down = false;
        let objects = std::mem::take(&mut slot.objects);
        self.broker.unlisten(device, Shared::Plan);
        self.broker.unlisten(device, Shared::Server);
        for topic in objects {
            if let Topic::Object(_, digest, index) = topic {
                self.broker.unlisten(device, Shared::Object(digest, index));
            }
        }
    }

    /// Breaks a device's connection; it comes back after `back_ms` and a little more.
    pub(super) fn lose(&mut self, device: u32, back_ms: u64) {
        if !self.slots[device as usize].connected {
            return;
        }
        self.disconnect(device);
        if let Some(boot) = self.slots[device as usize].presence.as_ref().map(|p| p.boot) {
            self.presence(device, Presence { state: State::Lost, boot });
        }
        if back_ms == u64::MAX {
            return;
        }
        self.tell(device, Input::Disconnected);
        let slot = &mut self.slots[device as usize];
        let back = back_ms + slot.rng.below(2_000) as u64;
        let life = slot.life;
        self.queue.after(back, Event::Connect { device, life });
    }

    /// Gives a device's session an input; wakes it if it rests.
    pub(super) fn tell(&mut self, device: u32, input: Input<'_>) {
        let now = self.local(device, self.queue.now());
        let Some(mut session) = self.wake(device) else { return };
        session.handle(now, input);
        self.drain(device, session);
    }

    pub(super) fn wake(&mut self, device: u32) -> Option<Box<Session>> {
        let slot = &mut self.slots[device as usize];
        match std::mem::replace(&mut slot.body, Body::Off) {
            Body::Off => None,
            Body::Awake(session) => Some(session),
            Body::Resting(resting) => {
                let common = self.common.as_ref()?;
                Some(Box::new(resting.wake(Self::name(device), &self.device_settings, common)))
            }
        }
    }

    /// Performs what a session asks for and puts it back, to rest if it can.
    pub(super) fn drain(&mut self, device: u32, mut session: Box<Session>) {
        let epoch = self.slots[device as usize].epoch;
        let connected = self.slots[device as usize].connected;
        while let Some(output) = session.poll_output() {
            match output {
                Output::Publish { topic, payload, .. } => {
                    if let Some(topic) = self.topics.parse(&topic).filter(|_| connected) {
                        let bytes = payload.len();
                        self.send(device, epoch, bytes, Said::Publish(topic, payload));
                    }
                }
                Output::Subscribe(topic) => {
                    if let Some(topic) = self.topics.parse(&topic).filter(|_| connected) {
                        self.send(device, epoch, 0, Said::Listen(topic));
                    }
                }
                Output::Unsubscribe(topic) => {
                    if let Some(topic) = self.topics.parse(&topic).filter(|_| connected) {
                        self.send(device, epoch, 0, Said::Unlisten(topic));
                    }
                }
                Output::Save(state) => {
                    let slot = &mut self.slots[device as usize];
                    slot.before = std::mem::replace(&mut slot.saved, state);
                    if self.scenario.faults.lost_write == 0.0 {
                        slot.before = Vec::new();
                    }
                }
                Output::UseTask(_) => {
                    let windows = self.workers.windows(device);
                    let now = self.local(device, self.queue.now());
                    session.handle(now, Input::Windows(windows));
                }
                Output::Start(job) => {
                    if let Some(work) = session.current_work() {
                        self.start_job(device, work, Box::new(job));
                    }
                }
                Output::Cancel(_) | Output::Sleep { .. } => {}
            }
        }
        self.schedule_tick(device, &session);
        self.put_back(device, session);
    }

    pub(super) fn schedule_tick(&mut self, device: u32, session: &Session) {
        let Some(due) = session.next_deadline() else { return };
        let due = self.global(device, due).max(self.queue.now().after(1));
        let slot = &mut self.slots[device as usize];
        if slot.tick.is_none_or(|tick| due < tick) {
            slot.tick = Some(due);
            let life = slot.life;
            self.queue.at(due, Event::Tick { device, life });
        }
    }

    pub(super) fn put_back(&mut self, device: u32, session: Box<Session>) {
        if self.common.is_none() {
            self.common = session.common();
        }
        let connected = self.slots[device as usize].connected;
        let body = if self.common.is_some() && connected {
            match session.rest_now() {
                Ok(mut resting) => {
                    self.share_model(device, &mut resting);
                    Body::Resting(Box::new(resting))
                }
                Err(session) => Body::Awake(session),
            }
        } else {
            Body::Awake(session)
        };
        self.slots[device as usize].body = body;
    }

    /// Devices that hold the same version share its parameters, which must be the same bits.
    pub(super) fn share_model(&mut self, device: u32, resting: &mut Resting) {
        let Some((version, params)) = resting.model() else { return };
        let known = self.models.entry(version).or_insert_with(|| params.clone());
        if !Arc::ptr_eq(known, params) {
            let same = known.len() == params.len()
                && known.iter().zip(params.iter()).all(|(a, b)| a.to_bits() == b.to_bits());
            let known = known.clone();
            if !same {
                let what = format!("d{device} has another version {version}");
                let now = self.queue.now();
                return self.checks.broken(now, "all devices have the same bits", what);
            }
            resting.share(known);
        }
    }
}
