//! The devices: what each of them owns, and what all have in common.

mod attendance;
mod clock;
mod device;
mod link;
mod storage;

use std::ops::{Index, IndexMut, Range};

use dunlin_agent::session::{LinkPolicy, Session, Settings};
use dunlin_agent::state::DeviceState;
use dunlin_protocol::id::{DeviceId, FederationId, Name};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::{Topic, Topics};

use super::breakage::Breakage;
use super::figures::ClassFigures;
use super::hibernation::PlanNews;
use super::scenario::{Class, Scenario};
use super::setup::{Prepared, milliseconds};
use super::wire::Arrival;
use attendance::Attendance;
pub(super) use device::{Body, Device};
use storage::Writing;
pub(super) use storage::Written;

/// All devices, by their numbers.
pub(super) struct Devices {
    list: Vec<Device>,
    classes: Vec<Class>,
    /// What every session is told, but for the device's name.
    settings: Settings,
    attendance: Attendance,
    writing: Writing,
    /// How far ahead their clocks may start.
    skew_ms: u64,
    seed: u64,
    /// Devices that are connected.
    connected: u32,
}

impl Index<u32> for Devices {
    type Output = Device;

    fn index(&self, device: u32) -> &Device {
        &self.list[device as usize]
    }
}

impl IndexMut<u32> for Devices {
    fn index_mut(&mut self, device: u32) -> &mut Device {
        &mut self.list[device as usize]
    }
}

impl Devices {
    /// The devices at their beginning: none was ever switched on.
    pub(super) fn new(prepared: &Prepared, breakage: Option<Breakage>) -> Self {
        let scenario = &prepared.scenario;
        let Ok(device) = Name::new("device") else { unreachable!("a constant, valid name") };
        let settings = Settings {
            device,
            federation: prepared.settings.federation.clone(),
            topics: Topics::new(prepared.settings.topics_root.clone()),
            memory_kib: 0,
            link: LinkPolicy::default(),
        };
        let writing = Writing {
            fails: scenario.faults.failed_write,
            tears: scenario.faults.torn_write != 0.0,
            turns: breakage != Some(Breakage::OneSlot),
        };
        Self {
            list: (0..scenario.population.devices).map(|device| made(scenario, device)).collect(),
            classes: scenario.classes.clone(),
            settings,
            attendance: Attendance::new(&scenario.population, prepared.trace.clone()),
            writing,
            skew_ms: milliseconds(scenario.faults.clock_skew_s),
            seed: scenario.seed,
            connected: 0,
        }
    }

    /// The numbers of all devices.
    pub(super) fn numbers(&self) -> Range<u32> {
        // They were counted by such a number.
        0..u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn name(device: u32) -> DeviceId {
        match Name::new(&format!("d{device}")) {
            Ok(name) => name,
            Err(_) => unreachable!("a letter and digits"),
        }
    }

    /// The number of the device with this name, if there is one.
    pub(super) fn number(&self, name: &DeviceId) -> Option<u32> {
        let number: u32 = name.as_str().strip_prefix('d')?.parse().ok()?;
        self.numbers().contains(&number).then_some(number)
    }

    pub(super) fn class(&self, device: u32) -> &Class {
        &self.classes[usize::from(self[device].class)]
    }

    pub(super) fn federation(&self) -> &FederationId {
        &self.settings.federation
    }

    /// What the session of `device` is told.
    pub(super) fn settings(&self, device: u32) -> Settings {
        Settings { device: Self::name(device), ..self.settings.clone() }
    }

    /// When `device` comes first.
    pub(super) fn joins(&mut self, device: u32) -> Instant {
        let Self { list, attendance, .. } = self;
        attendance.joins(device, &mut list[device as usize].rng)
    }

    /// Until when `device` is away, where that was recorded.
    pub(super) fn away_until(&self, device: u32, now: Instant) -> Option<Instant> {
        self.attendance.away_until(device, now)
    }

    /// When `device`, which comes at `now`, leaves again; `None` when it stays.
    pub(super) fn leaves(&mut self, device: u32, now: Instant) -> Option<Instant> {
        let Self { list, attendance, .. } = self;
        attendance.leaves(device, now, &mut list[device as usize].rng)
    }

    /// When `device`, which leaves at `now`, comes back.
    pub(super) fn comes(&mut self, device: u32, now: Instant) -> Instant {
        let Self { list, attendance, .. } = self;
        let Device { day, rng, .. } = &mut list[device as usize];
        attendance.comes(device, now, day, rng)
    }

    /// Switches a device on, with what it finds on its disk.
    ///
    /// # Errors
    /// In words, when that is not what it wrote; it stays off.
    pub(super) fn switch_on(&mut self, device: u32, now: Instant) -> Result<(), String> {
        let state = self[device].storage.read()?;
        let state = state.unwrap_or_else(|| DeviceState::fresh(secret(self.seed, device)));
        let session = Session::new(self.settings(device), state);
        let skew_ms = self.skew_ms;
        self[device].switch_on(now, skew_ms, session);
        Ok(())
    }

    /// Writes a device's state.
    pub(super) fn write(&mut self, device: u32, state: &[u8]) -> Written {
        let writing = self.writing;
        let Device { storage, rng, .. } = &mut self[device];
        storage.write(state, writing, rng)
    }

    /// Connects a device anew.
    pub(super) fn connect(&mut self, device: u32, now: Instant) {
        let comes = self[device].link.connect(now);
        self.connected += u32::from(comes);
    }

    /// A device's connection is gone; the objects that it listened to.
    pub(super) fn disconnect(&mut self, device: u32) -> Vec<Topic> {
        self.connected -= u32::from(self[device].link.is_connected());
        self[device].link.disconnect()
    }

    /// Devices that are connected.
    pub(super) fn connected(&self) -> u32 {
        self.connected
    }

    /// Gives so many bytes to a device's uplink; nothing where it is not connected.
    pub(super) fn carry_up(&mut self, device: u32, now: Instant, bytes: usize) -> Option<Arrival> {
        let Self { list, classes, .. } = self;
        let Device { link, rng, class, .. } = &mut list[device as usize];
        let class = &classes[usize::from(*class)];
        link.is_connected().then(|| link.carry_up(now, bytes, class, rng))
    }

    /// Gives so many bytes to a device's downlink; nothing where it is not connected.
    pub(super) fn carry_down(
        &mut self,
        device: u32,
        now: Instant,
        bytes: usize,
    ) -> Option<Arrival> {
        let Self { list, classes, .. } = self;
        let Device { link, rng, class, .. } = &mut list[device as usize];
        let class = &classes[usize::from(*class)];
        link.is_connected().then(|| link.carry_down(now, bytes, class, rng))
    }

    /// Whether a device must be woken for a plan with these news.
    pub(super) fn must_hear(&mut self, device: u32, now: Instant, news: Option<&PlanNews>) -> bool {
        let Self { list, settings, .. } = self;
        list[device as usize].must_hear(now, &settings.federation, news)
    }

    /// What each kind of device had a part in.
    pub(super) fn figures(&self) -> Vec<ClassFigures> {
        let names = self.classes.iter().map(|class| class.name.clone());
        let mut figures: Vec<ClassFigures> =
            names.map(|name| ClassFigures { name, ..ClassFigures::default() }).collect();
        for device in &self.list {
            let class = &mut figures[usize::from(device.class)];
            class.devices += 1;
            class.took_part += u32::from(device.counted() > 0);
            class.updates += u64::from(device.counted());
        }
        figures
    }
}

/// A device as it is made: its class and its clock are drawn.
fn made(scenario: &Scenario, device: u32) -> Device {
    let mut rng = Rng::for_stream(scenario.seed, 1_000 + u64::from(device));
    let class = pick(&scenario.classes, f64::from(rng.unit_f32()));
    #[allow(clippy::cast_possible_truncation)]
    let drift_ppm = scenario.faults.clock_drift_ppm as f32 * rng.uniform(-1.0, 1.0);
    Device::new(class, drift_ppm, rng)
}

fn secret(seed: u64, device: u32) -> [u8; 32] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::setup::prepare;

    fn devices(text: &str) -> Devices {
        let prepared = prepare(&Scenario::parse(text).unwrap()).unwrap();
        Devices::new(&prepared, None)
    }

    const TWO_KINDS: &str = r#"
        name = "two kinds"
        population.devices = 400
        rounds = { count = 1, target = 10 }
        [[class]]
        name = "many"
        share = 0.75
        [[class]]
        name = "few"
        share = 0.25
    "#;

    #[test]
    fn connections_are_counted_however_often_they_are_made() {
        let mut devices = devices(TWO_KINDS);
        for device in [1, 2, 2] {
            devices.connect(device, Instant(0));
        }
        assert_eq!(devices.connected(), 2);
        devices.disconnect(2);
        devices.disconnect(2);
        assert_eq!(devices.connected(), 1);
        assert_eq!(devices.carry_up(2, Instant(0), 10), None);
        assert!(devices.carry_up(1, Instant(0), 10).is_some());
    }

    #[test]
    fn devices_have_names_and_kinds_by_their_shares() {
        let devices = devices(TWO_KINDS);
        assert_eq!(devices.number(&Devices::name(399)), Some(399));
        assert_eq!(devices.number(&Devices::name(400)), None);
        let figures = devices.figures();
        assert_eq!(figures[0].devices + figures[1].devices, 400);
        assert!((60..140).contains(&figures[1].devices), "{figures:?}");
        let few = devices.numbers().find(|device| devices.class(*device).name == "few").unwrap();
        assert_eq!(devices[few].class, 1);
    }
}
