//! `kind = "iio"`

use std::collections::BTreeMap;
use std::path::PathBuf;

use dunlin_service::config::Problems;
use serde::Deserialize;

use super::Live;
use super::sampling::is_factor;

/// Highest rate at which values are read one by one.
const POLLED_HZ_MAX: f64 = 1000.0;
/// Longest name of a device, trigger or channel in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A sensor of Linux's industrial I/O. Each channel of the task comes from a channel of the device
/// as sysfs names it between `in_` and `_raw`, such as `accel_x`.
pub type IioConfig = Live<String, IioInput>;

/// Which sensor, and how it is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IioInput {
    /// What the device's file `name` says, such as `lsm6dsl_accel`, or its folder, such as
    /// `iio:device0`, where several have the same name. It need not be there yet.
    pub device: String,
    /// Who keeps the rate.
    pub mode: IioMode,
    /// Trigger to set on the device; only with [`IioMode::Buffered`].
    pub trigger: Option<String>,
    /// Factor from the units of IIO (m/s2, rad/s, V/1000, degrees C/1000) to the task's.
    #[serde(default = "default_factor")]
    pub factor: f32,
    /// Factors of single channels of the task, instead of `factor`.
    #[serde(default)]
    pub factors: BTreeMap<String, f32>,
    /// Where sysfs is mounted.
    #[serde(default = "default_sysfs")]
    pub sysfs: PathBuf,
    /// Where device files are.
    #[serde(default = "default_dev")]
    pub dev: PathBuf,
}

/// Who keeps the rate of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IioMode {
    /// The agent reads each value from sysfs: any device, some 100 samples a second at the most.
    Polled,
    /// The device or its trigger fills a buffer in the kernel, which the agent empties.
    Buffered,
}

fn default_factor() -> f32 {
    1.0
}

fn default_sysfs() -> PathBuf {
    PathBuf::from("/sys")
}

fn default_dev() -> PathBuf {
    PathBuf::from("/dev")
}

impl IioInput {
    /// Factor of the task's `channel`.
    pub fn factor_of(&self, channel: &str) -> f32 {
        self.factors.get(channel).copied().unwrap_or(self.factor)
    }
}

impl IioConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        let input = &self.input;
        let plain = |name: &str| {
            !name.is_empty()
                && name.len() <= NAME_BYTES_MAX
                && !name.contains(|c: char| c == '/' || c.is_control())
        };
        let advice = format!("must have 1 to {NAME_BYTES_MAX} bytes and no `/`");
        let device = format!("{advice}; /sys/bus/iio/devices/iio:device0/name has such a name");
        problems.add_if(!plain(&input.device), "device", device);
        if let Some(trigger) = &input.trigger {
            problems.add_if(!plain(trigger), "trigger", advice.clone());
            let polled = input.mode == IioMode::Polled;
            problems.add_if(polled, "trigger", "has no use with mode = \"polled\"; remove it");
        }
        self.sampling.check(problems, "accel_x");
        let polled_fast = input.mode == IioMode::Polled && self.sampling.rate_hz > POLLED_HZ_MAX;
        let problem = format!("is over {POLLED_HZ_MAX}; set mode = \"buffered\" for such rates");
        problems.add_if(polled_fast, "rate_hz", problem);
        for (name, channel) in &self.sampling.channels {
            let key = format!("channels.{name}");
            problems.add_if(!plain(channel), &key, advice.clone());
            let file = channel.starts_with("in_") || channel.ends_with("_raw");
            let problem = "is the name of a file; leave out in_ and _raw, such as \"accel_x\"";
            problems.add_if(file, &key, format!("{channel:?} {problem}"));
        }
        let factor = "must be a number other than 0, such as 0.101972 from m/s2 to g";
        problems.add_if(!is_factor(input.factor), "factor", factor);
        for (name, &value) in &input.factors {
            problems.add_if(!is_factor(value), &format!("factors.{name}"), factor);
            self.sampling.check_channel(problems, "factors", name);
        }
        for (key, path) in [("sysfs", &input.sysfs), ("dev", &input.dev)] {
            let empty = path.as_os_str().is_empty();
            problems.add_if(empty, key, "is empty; remove it for the usual place");
        }
    }
}
