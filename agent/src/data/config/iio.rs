//! `kind = "iio"`

use std::collections::BTreeMap;
use std::path::PathBuf;

use dunlin_service::config::Problems;
use serde::Deserialize;

use super::{IntakeConfig, Live};
use crate::data::iio;
use crate::data::units::conversion;

/// Highest rate at which values are read one by one.
const POLLED_HZ_MAX: f64 = 1000.0;
/// Longest name of a device, trigger or channel in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Factor and offset that change nothing.
const PLAIN: (f64, f64) = (1.0, 0.0);
/// Most devices of one source.
const DEVICES_MAX: usize = 8;

/// Sensors of Linux's industrial I/O. Each channel of the task comes from a channel of a device
/// as sysfs names it between `in_` and `_raw`, such as `accel_x`; with several devices the name of
/// the device and a colon stand before it, such as `gyro:anglvel_x`.
pub type IioConfig = Live<String, IioInput>;

/// Which sensor, and how it is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IioInput {
    /// What the device's file `name` or `label` says, such as `lsm6dsl_accel`, or its folder, such
    /// as `iio:device0`. It need not be there yet.
    pub device: Option<String>,
    /// Several devices instead of one, by names of the user's own.
    #[serde(default)]
    pub devices: BTreeMap<String, String>,
    /// Who keeps the rate.
    pub mode: IioMode,
    /// Trigger to set on each device; only with [`IioMode::Buffered`].
    pub trigger: Option<String>,
    /// Whether the mount matrix of a device turns its axes into those of the thing it sits in.
    #[serde(default = "default_mount_matrix")]
    pub mount_matrix: bool,
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

fn default_mount_matrix() -> bool {
    true
}

fn default_sysfs() -> PathBuf {
    PathBuf::from("/sys")
}

fn default_dev() -> PathBuf {
    PathBuf::from("/dev")
}

impl IioInput {
    /// The devices: the user's name, empty where there is only `device`, and what each is found by.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        let one = self.device.iter().map(|device| ("", device.as_str()));
        one.chain(self.devices.iter().map(|(name, device)| (name.as_str(), device.as_str())))
    }

    /// The devices in words.
    pub fn title(&self) -> String {
        self.parts().map(|(_, device)| device).collect::<Vec<_>>().join(", ")
    }

    /// The place among [`IioInput::parts`] of the device that `channel` names, or of the only one,
    /// and the channel's name there; no place where there is no such device.
    pub fn part_of<'c>(&self, channel: &'c str) -> (Option<usize>, &'c str) {
        match channel.split_once(':') {
            Some((device, name)) => (self.parts().position(|part| part.0 == device), name),
            None => ((self.parts().count() == 1).then_some(0), channel),
        }
    }
}

impl IioConfig {
    /// Says the kernel's units of channels where the user says nothing of them.
    pub(super) fn fill_units(&mut self) {
        let Self { sampling, input } = self;
        for (name, channel) in &sampling.channels {
            let said = sampling.unit.is_some() || sampling.units.contains_key(name);
            if said || has_own(&sampling.intake, name) {
                continue;
            }
            if let Some((_, unit)) = iio::unit(input.part_of(channel).1) {
                sampling.units.insert(name.clone(), unit.to_owned());
            }
        }
    }

    /// Factor and offset from the kernel's unit of the device's `channel` to the unit of the task's
    /// channel `name`. None are needed where the user has a factor or offset, which is from the
    /// kernel's unit.
    ///
    /// # Errors
    /// The kernel's unit, where it cannot be converted to the one that the configuration names.
    pub(in crate::data) fn conversion_of(
        &self,
        name: &str,
        channel: &str,
    ) -> Result<(f64, f64), &'static str> {
        let own = has_own(&self.sampling.intake, name);
        let Some((kernel, unit)) = iio::unit(channel).filter(|_| !own) else { return Ok(PLAIN) };
        let wanted = self.sampling.unit_of(name);
        let wanted = if wanted.is_empty() { unit } else { wanted };
        let (factor, offset) = conversion(unit, wanted).ok_or(unit)?;
        Ok((kernel * factor, offset))
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let input = &self.input;
        let advice = format!("must have 1 to {NAME_BYTES_MAX} bytes and no `/`");
        self.check_devices(problems, &advice);
        if let Some(trigger) = &input.trigger {
            problems.add_if(!plain(trigger), "trigger", advice.clone());
            let polled = input.mode == IioMode::Polled;
            problems.add_if(polled, "trigger", "has no use with mode = \"polled\"; remove it");
        }
        self.sampling.check(problems, "accel_x");
        let polled_fast = input.mode == IioMode::Polled && self.sampling.rate_hz > POLLED_HZ_MAX;
        let problem = format!("is over {POLLED_HZ_MAX}; set mode = \"buffered\" for such rates");
        problems.add_if(polled_fast, "rate_hz", problem);
        self.check_channels(problems, &advice);
        for (key, path) in [("sysfs", &input.sysfs), ("dev", &input.dev)] {
            let empty = path.as_os_str().is_empty();
            problems.add_if(empty, key, "is empty; remove it for the usual place");
        }
    }

    fn check_devices(&self, problems: &mut Problems, advice: &str) {
        let input = &self.input;
        let example = "/sys/bus/iio/devices/iio:device0/name has such a name";
        if let Some(device) = &input.device {
            problems.add_if(!plain(device), "device", format!("{advice}; {example}"));
            let both = "stands beside devices; remove one of them";
            problems.add_if(!input.devices.is_empty(), "device", both);
            return;
        }
        if input.devices.is_empty() {
            let missing = "is missing; name a device, or several as devices = { accel = \"...\" }";
            problems.add("device", format!("{missing}; {example}"));
        }
        let count = input.devices.len();
        let many = format!("has {count} entries; a source has {DEVICES_MAX} devices at the most");
        problems.add_if(count > DEVICES_MAX, "devices", many);
        for (at, (name, device)) in input.devices.iter().enumerate() {
            let key = format!("devices.{name}");
            problems.add_if(!plain(device), &key, format!("{advice}; {example}"));
            let short = plain(name) && !name.contains(':');
            problems.add_if(!short, &key, "needs a short name without `:`, such as accel");
            let mut channels = self.sampling.channels.values();
            let used = channels.any(|channel| input.part_of(channel).0 == Some(at));
            let text =
                format!("gives no channel; use it, such as \"{name}:accel_x\", or remove it");
            problems.add_if(!used, &key, text);
        }
    }

    fn check_channels(&self, problems: &mut Problems, advice: &str) {
        for (name, channel) in &self.sampling.channels {
            let key = format!("channels.{name}");
            let (part, of_device) = self.input.part_of(channel);
            if part.is_none() && self.input.parts().count() > 0 {
                let devices: Vec<_> = self.input.parts().map(|(name, _)| name).collect();
                let text = match self.input.device {
                    Some(_) => {
                        "has a colon, but source.device is the only one; leave it out".into()
                    }
                    None => format!("needs one of the devices {} and a colon", devices.join(", ")),
                };
                problems.add(&key, format!("{channel:?} {text}"));
            }
            problems.add_if(!plain(of_device), &key, advice);
            if let Err(kernel) = self.conversion_of(name, of_device) {
                let unit = self.sampling.unit_of(name);
                let text =
                    format!("is {unit:?}, which {channel} in {kernel} cannot be converted to");
                problems.add(&format!("units.{name}"), format!("{text}; set factors.{name}, too"));
            }
            let file = of_device.starts_with("in_") || of_device.ends_with("_raw");
            let problem = "is the name of a file; leave out in_ and _raw, such as \"accel_x\"";
            problems.add_if(file, &key, format!("{channel:?} {problem}"));
        }
    }
}

/// Whether the user has a factor or offset for the channel `name`.
fn has_own(intake: &IntakeConfig, name: &str) -> bool {
    intake.factor.is_some() || intake.factors.contains_key(name) || intake.conversion(name) != PLAIN
}

fn plain(name: &str) -> bool {
    let bad = |c: char| c == '/' || c.is_control();
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(bad)
}
