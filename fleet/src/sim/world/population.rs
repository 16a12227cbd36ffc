//! The devices at their beginning: which class each is of, and when it is there.

use dunlin_agent::session::Session;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;

use super::World;
use super::event::Event;
use crate::sim::disk::Disk;
use crate::sim::hibernation::Hibernating;
use crate::sim::scenario::{Availability, Class};
use crate::sim::setup::milliseconds;
use crate::sim::wire::Pipe;
use crate::sim::{DAY_MS, HOUR_MS};

pub(super) enum Body {
    Off,
    Awake(Box<Session>),
    Hibernating(Box<Hibernating>),
}

/// One device.
pub(super) struct Slot {
    pub(super) body: Body,
    pub(super) disk: Disk,
    /// Checksum of the state that was written last.
    pub(super) written: Option<u32>,
    pub(super) presence: Option<Presence>,
    pub(super) up_pipe: Pipe,
    pub(super) down_pipe: Pipe,
    pub(super) rng: Rng,
    pub(super) tick: Option<Instant>,
    /// When it was switched on.
    pub(super) booted: Instant,
    /// What its clock said then, in milliseconds.
    pub(super) ahead_ms: u32,
    /// Parts in a million by which its clock is fast.
    pub(super) drift_ppm: f32,
    /// Payload bytes that its session said and heard since it was switched on.
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    /// Topics of single objects that it listens to.
    pub(super) objects: Vec<Topic>,
    /// Until when it cannot reach the broker.
    pub(super) cut_off_until: Instant,
    /// Since when it is connected.
    pub(super) connected_at: Instant,
    /// The day on which it came last, where it comes once a day.
    pub(super) day: u32,
    pub(super) epoch: u32,
    pub(super) life: u32,
    /// Since when it trains.
    pub(super) trains_since: Option<Instant>,
    /// How long its last training took, in milliseconds.
    pub(super) trained_ms: u64,
    /// Its updates that counted.
    pub(super) counted: u32,
    pub(super) class: u16,
    pub(super) connected: bool,
    pub(super) hears_down: bool,
    /// Whether the broker has a last will of a connection that is gone.
    pub(super) has_will: bool,
    /// Whether the power goes in the middle of its next write.
    pub(super) doomed: bool,
}

impl World {
    pub(super) fn populate(&mut self) {
        let devices = self.scenario.population.devices;
        self.slots.reserve_exact(devices as usize);
        let stay_h = self.scenario.population.stay_h;
        let join_ms = milliseconds(self.scenario.population.join_s);
        for device in 0..devices {
            let mut rng = Rng::for_stream(self.seed, 1_000 + u64::from(device));
            let class = pick(&self.scenario.classes, f64::from(rng.unit_f32()));
            let drift = self.scenario.faults.clock_drift_ppm;
            #[allow(clippy::cast_possible_truncation)]
            let drift_ppm = drift as f32 * rng.uniform(-1.0, 1.0);
            let joins = rng.below(usize::try_from(join_ms).unwrap_or(0) + 1) as u64;
            let joins = match (self.scenario.population.availability, &self.trace) {
                (Availability::Diurnal, _) => next_day_start(&mut rng, 0, stay_h),
                (Availability::Trace, Some(trace)) => joins.max(trace.stay(device, joins).0),
                (Availability::Always | Availability::Trace, _) => joins,
            };
            self.queue.at(Instant(joins), Event::PowerOn { device });
            self.slots.push(Slot {
                body: Body::Off,
                disk: Disk::default(),
                written: None,
                presence: None,
                up_pipe: Pipe::default(),
                down_pipe: Pipe::default(),
                rng,
                tick: None,
                booted: Instant(0),
                ahead_ms: 0,
                drift_ppm,
                bytes_out: 0,
                bytes_in: 0,
                objects: Vec::new(),
                cut_off_until: Instant(0),
                connected_at: Instant(0),
                day: 0,
                epoch: 0,
                life: 0,
                trains_since: None,
                trained_ms: 0,
                counted: 0,
                class,
                connected: false,
                hears_down: false,
                has_will: false,
                doomed: false,
            });
        }
    }

    /// When `device`, which comes at `now`, leaves again; `None` when it stays.
    pub(super) fn leaves_at(&mut self, device: u32, now: Instant) -> Option<Instant> {
        match (self.scenario.population.availability, &self.trace) {
            (Availability::Always, _) | (Availability::Trace, None) => None,
            (Availability::Diurnal, _) => {
                let luck = f64::from(self.slots[device as usize].rng.unit_f32());
                let hours = -libm::log(1.0 - luck) * self.scenario.population.stay_h;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                Some(now.after(60_000 + (hours * HOUR_MS) as u64))
            }
            (Availability::Trace, Some(trace)) => {
                Some(Instant(trace.stay(device, now.0).1)).filter(|leaves| leaves.0 < u64::MAX)
            }
        }
    }

    /// When `device`, which leaves at `now`, comes back.
    pub(super) fn comes_at(&mut self, device: u32, now: Instant) -> Instant {
        match &self.trace {
            Some(trace) => Instant(trace.stay(device, now.0).0).max(now),
            None => {
                let stay_h = self.scenario.population.stay_h;
                let slot = &mut self.slots[device as usize];
                loop {
                    // Once a day, however long the last stay was.
                    slot.day += 1;
                    let comes = next_day_start(&mut slot.rng, u64::from(slot.day), stay_h);
                    if comes > now.0 {
                        return Instant(comes);
                    }
                }
            }
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

/// When a device comes on day `day`, so that four times as many are there at two at night as twelve
/// hours later.
///
/// Stays of the mean length `stay_h` smooth and delay the swing of arrivals as a low-pass of first
/// order does; arrivals swing so much more and so much earlier, as far as they can.
fn next_day_start(rng: &mut Rng, day: u64, stay_h: f64) -> u64 {
    const MEAN: f64 = 2.5;
    const SWING: f64 = 1.5;
    const NIGHT_H: f64 = 2.0;
    let turn = core::f64::consts::TAU / 24.0;
    let lag = turn * stay_h;
    let swing = (SWING * libm::sqrt(1.0 + lag * lag)).min(MEAN);
    let peak_h = NIGHT_H - libm::atan(lag) / turn;
    loop {
        let hour = f64::from(rng.unit_f32()) * 24.0;
        let weight = MEAN + swing * libm::cos((hour - peak_h) * turn);
        if f64::from(rng.unit_f32()) * (MEAN + swing) < weight {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below 24 hours
            return day * DAY_MS + (hour * HOUR_MS) as u64;
        }
    }
}
