//! The devices at their beginning: which class each is of, and when it is there.

use dunlin_agent::session::{Resting, Session};
use dunlin_protocol::presence::Presence;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;

use super::event::Event;
use super::{DAY_MS, HOUR_MS, World, ms};
use crate::sim::scenario::{Availability, Class};
use crate::sim::wire::Pipe;

pub(super) enum Body {
    Off,
    Awake(Box<Session>),
    Resting(Box<Resting>),
}

/// One device.
pub(super) struct Slot {
    pub(super) body: Body,
    /// What is on its disk; empty on a device that never started.
    pub(super) saved: Vec<u8>,
    /// What was there before the last write.
    pub(super) before: Vec<u8>,
    pub(super) presence: Option<Presence>,
    pub(super) up_pipe: Pipe,
    pub(super) down_pipe: Pipe,
    pub(super) rng: Rng,
    pub(super) tick: Option<Instant>,
    /// Topics of single objects that it listens to.
    pub(super) objects: Vec<Topic>,
    pub(super) epoch: u32,
    pub(super) life: u32,
    pub(super) class: u16,
    pub(super) connected: bool,
    pub(super) hears_down: bool,
    /// Parts in a million by which its clock is fast.
    pub(super) drift_ppm: f32,
}

impl World {
    pub(super) fn populate(&mut self) {
        let devices = self.scenario.population.devices;
        self.slots.reserve_exact(devices as usize);
        let join_ms = ms(self.scenario.population.join_s);
        for device in 0..devices {
            let mut rng = Rng::for_stream(self.seed, 1_000 + u64::from(device));
            let class = pick(&self.scenario.classes, f64::from(rng.unit_f32()));
            let drift = self.scenario.faults.clock_drift_ppm;
            #[allow(clippy::cast_possible_truncation)]
            let drift_ppm = drift as f32 * rng.uniform(-1.0, 1.0);
            let joins = match self.scenario.population.availability {
                Availability::Always => rng.below(usize::try_from(join_ms).unwrap_or(0) + 1) as u64,
                Availability::Diurnal => next_day_start(&mut rng, 0),
            };
            self.queue.at(Instant(joins), Event::PowerOn { device });
            self.slots.push(Slot {
                body: Body::Off,
                saved: Vec::new(),
                before: Vec::new(),
                presence: None,
                up_pipe: Pipe::default(),
                down_pipe: Pipe::default(),
                rng,
                tick: None,
                objects: Vec::new(),
                epoch: 0,
                life: 0,
                class,
                connected: false,
                hears_down: false,
                drift_ppm,
            });
        }
    }
}

pub(super) fn secret(seed: u64, device: u32) -> [u8; 32] {
    let mut rng = Rng::for_stream(seed ^ 0x5EC2_E75E, u64::from(device));
    let mut secret = [0; 32];
    for part in secret.chunks_mut(8) {
        part.copy_from_slice(&rng.next_u64().to_le_bytes());
    }
    secret
}

/// The class that a number from 0 to 1 falls to.
fn pick(classes: &[Class], mut luck: f64) -> u16 {
    for (at, class) in (0..).zip(classes) {
        if luck < class.share {
            return at;
        }
        luck -= class.share;
    }
    u16::try_from(classes.len().saturating_sub(1)).unwrap_or(0)
}

/// When a device comes on day `day`: likelier at night than by day, by four to one.
pub(super) fn next_day_start(rng: &mut Rng, day: u64) -> u64 {
    loop {
        let hour = f64::from(rng.unit_f32()) * 24.0;
        let weight = 2.5 + 1.5 * libm::cos((hour - 2.0) / 24.0 * core::f64::consts::TAU);
        if f64::from(rng.unit_f32()) * 4.0 < weight {
            return day * DAY_MS + (hour * HOUR_MS) as u64;
        }
    }
}
