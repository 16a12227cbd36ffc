//! From what a device measures to the unit of the task.

use std::path::Path;

use super::sysfs;

/// How a raw value becomes one in the task's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Conversion {
    offset: f64,
    scale: f64,
    factor: f64,
}

impl Conversion {
    /// Only `factor`: for values that the driver has in the kernel's unit already.
    pub(super) fn of_processed(factor: f32) -> Self {
        Self { offset: 0.0, scale: 1.0, factor: f64::from(factor) }
    }

    /// The offset and scale that the folder `device` has for `channel`, or for all of its type.
    ///
    /// # Errors
    /// A file that cannot be read or is no number.
    pub(super) fn of_raw(device: &Path, channel: &str, factor: f32) -> Result<Self, String> {
        Ok(Self {
            offset: attribute(device, channel, "offset")?.unwrap_or(0.0),
            scale: attribute(device, channel, "scale")?.unwrap_or(1.0),
            factor: f64::from(factor),
        })
    }

    /// The value of `raw`; `None` when 32 bits cannot hold it.
    #[allow(clippy::cast_possible_truncation)] // to infinity, which is refused
    pub(super) fn value(&self, raw: f64) -> Option<f32> {
        let value = ((raw + self.offset) * self.scale * self.factor) as f32;
        value.is_finite().then_some(value)
    }
}

/// The number in the attribute `what` of `channel`: its own, or one that it shares.
fn attribute(device: &Path, channel: &str, what: &str) -> Result<Option<f64>, String> {
    for name in names(channel, what) {
        let path = device.join(name);
        let number = sysfs::optional(sysfs::read_number(&path));
        let number = number.map_err(|error| sysfs::problem(&path, "read", &error))?;
        if number.is_some() {
            return Ok(number);
        }
    }
    Ok(None)
}

/// Files in which the attribute `what` of `channel` may be: of the channel, of all channels of its
/// type, of all inputs, of the whole device.
pub(super) fn names(channel: &str, what: &str) -> [String; 4] {
    let kind = kind_of(channel);
    [format!("in_{channel}_{what}"), format!("in_{kind}_{what}"), format!("in_{what}"), what.into()]
}

/// The type of a channel: `accel` of `accel_x`, `voltage-voltage` of `voltage0-voltage1`.
fn kind_of(channel: &str) -> String {
    let letters = |part: &str| -> String {
        part.chars().take_while(|letter| letter.is_ascii_alphabetic()).collect()
    };
    channel.split('-').map(letters).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn device(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
        dir
    }

    fn value(files: &[(&str, &str)], channel: &str, raw: f64) -> f32 {
        let dir = device(files);
        Conversion::of_raw(dir.path(), channel, 1.0).unwrap().value(raw).unwrap()
    }

    #[test]
    fn the_channels_own_scale_wins_over_the_shared_one() {
        let shared = ("in_accel_scale", "0.5\n");
        assert_eq!(value(&[shared], "accel_x", 3.0), 1.5);
        assert_eq!(value(&[shared, ("in_accel_x_scale", "2\n")], "accel_x", 3.0), 6.0);
        assert_eq!(value(&[("in_voltage_scale", "0.25")], "voltage0", 8.0), 2.0);
        assert_eq!(value(&[("in_voltage-voltage_scale", "4")], "voltage0-voltage1", 2.0), 8.0);
        assert_eq!(value(&[("scale", "4")], "magn_z", 2.0), 8.0);
        assert_eq!(value(&[], "accel_x", 7.0), 7.0);
    }

    #[test]
    fn the_offset_is_added_before_scaling_and_the_factor_comes_last() {
        let dir = device(&[("in_temp_offset", "-10\n"), ("in_temp_scale", "125.0\n")]);
        let conversion = Conversion::of_raw(dir.path(), "temp", 0.001).unwrap();
        assert_eq!(conversion.value(30.0), Some(2.5));
        assert_eq!(conversion.value(1e300), None);
        assert_eq!(Conversion::of_processed(0.5).value(3.0), Some(1.5));
    }

    #[test]
    fn a_scale_that_is_no_number_is_named_and_not_guessed() {
        let long = "1".repeat(5000);
        for garbage in ["fast", "nan", "inf", "", "0.1 0.2", long.as_str()] {
            let dir = device(&[("in_accel_scale", garbage)]);
            let error = Conversion::of_raw(dir.path(), "accel_x", 1.0).unwrap_err();
            assert!(error.contains("in_accel_scale"), "{error}");
            assert!(error.len() < 1000, "{error}");
        }
    }
}
