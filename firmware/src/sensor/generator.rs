//! Invented windows for any task: a device can be tried before it has a sensor.

use core::f32::consts::TAU;

use dunlin_models::ReadWindows;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::TaskSpec;

/// Keeps the streams of the classes apart from those of the devices.
const CLASSES: u64 = 0x63_6c_61_73_73;

/// Windows in which each class has a level and a rhythm of its own in each channel, under noise.
/// Classes are the same for everybody; how strongly they show, and the noise, differ from device to
/// device. A pure function of seed and number.
pub struct Generator {
    seed: u64,
    windows: u16,
    channels: usize,
    classes: u16,
    gain: f32,
}

impl Generator {
    /// `windows` windows for `task`, of the device with this `seed`.
    pub fn new(task: &TaskSpec, seed: u64, windows: u16) -> Self {
        let gain = Rng::new(seed).uniform(0.7, 1.3);
        let classes = u16::try_from(task.labels().len()).unwrap_or(u16::MAX).max(1);
        Self { seed, windows, channels: task.input.channels.len().max(1), classes, gain }
    }

    fn class(&self, index: usize) -> u16 {
        u16::try_from(index % usize::from(self.classes)).unwrap_or(0)
    }
}

impl ReadWindows for Generator {
    fn len(&self) -> usize {
        self.windows.into()
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        let class = u64::from(self.class(index));
        let mut own = Rng::for_stream(self.seed, index as u64);
        let start = own.unit_f32();
        for channel in 0..self.channels {
            let mut of_class = Rng::for_stream(CLASSES ^ class, channel as u64);
            let level = of_class.uniform(-0.6, 0.6);
            let turn = of_class.uniform(0.02, 0.25);
            let (mut sin, mut cos) = libm::sincosf(TAU * start);
            let (turn_sin, turn_cos) = libm::sincosf(TAU * turn);
            for sample in out.chunks_exact_mut(self.channels) {
                (sin, cos) = (sin * turn_cos + cos * turn_sin, cos * turn_cos - sin * turn_sin);
                sample[channel] = self.gain * (level + 0.6 * sin) + own.uniform(-0.9, 0.9);
            }
        }
    }

    fn label(&self, index: usize) -> Option<u16> {
        Some(self.class(index))
    }
}
