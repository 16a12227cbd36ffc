//! From what a device measures to the unit of the kernel.

use std::path::Path;

use super::{kind, sysfs};

/// How a raw value becomes one in the kernel's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Conversion {
    offset: f64,
    scale: f64,
}

impl Conversion {
    /// For values that the driver has in the kernel's unit already.
    pub(super) const PROCESSED: Self = Self { offset: 0.0, scale: 1.0 };

    /// The offset and scale that the folder `device` has for `channel`, or for all of its type.
    ///
    /// # Errors
    /// A file that cannot be read or is no number.
    pub(super) fn of_raw(device: &Path, channel: &str) -> Result<Self, String> {
        Ok(Self {
            offset: attribute(device, channel, "offset")?.unwrap_or(0.0),
            scale: attribute(device, channel, "scale")?.unwrap_or(1.0),
        })
    }

    /// The value of `raw`.
    pub(super) fn value(&self, raw: f64) -> f64 {
        (raw + self.offset) * self.scale
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
    let kind = kind::of(channel);
    [format!("in_{channel}_{what}"), format!("in_{kind}_{what}"), format!("in_{what}"), what.into()]
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

    fn value(files: &[(&str, &str)], channel: &str, raw: f64) -> f64 {
        let dir = device(files);
        Conversion::of_raw(dir.path(), channel).unwrap().value(raw)
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
    fn the_offset_is_added_before_scaling() {
        let files = [("in_temp_offset", "-10\n"), ("in_temp_scale", "125.0\n")];
        assert_eq!(value(&files, "temp", 30.0), 2500.0);
        assert_eq!(Conversion::PROCESSED.value(3.0), 3.0);
    }

    #[test]
    fn a_scale_that_is_no_number_is_named_and_not_guessed() {
        let long = "1".repeat(5000);
        for garbage in ["fast", "nan", "inf", "", "0.1 0.2", long.as_str()] {
            let dir = device(&[("in_accel_scale", garbage)]);
            let error = Conversion::of_raw(dir.path(), "accel_x").unwrap_err();
            assert!(error.contains("in_accel_scale"), "{error}");
            assert!(error.len() < 1000, "{error}");
        }
    }
}
