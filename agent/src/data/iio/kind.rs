//! What the kernel's `sysfs-bus-iio` document says of kinds of channels: units and axes.

/// Unit in which a kind of channel is kept where nobody asks for another, and the factor from the
/// kernel's unit to it: thousandths of a degree and of a percent are nobody's unit.
const UNITS: [(&str, f64, &str); 16] = [
    ("accel", 1.0, "m/s2"),
    ("gravity", 1.0, "m/s2"),
    ("anglvel", 1.0, "rad/s"),
    ("magn", 1.0, "gauss"),
    ("temp", 0.001, "C"),
    ("humidityrelative", 0.001, "%"),
    ("pressure", 1.0, "kPa"),
    ("voltage", 1.0, "mV"),
    ("altvoltage", 1.0, "mV"),
    ("current", 1.0, "mA"),
    ("power", 1.0, "mW"),
    ("illuminance", 1.0, "lx"),
    ("incli", 1.0, "deg"),
    ("rot", 1.0, "deg"),
    ("angl", 1.0, "rad"),
    ("deltavelocity", 1.0, "m/s"),
];
/// Kinds whose x, y and z are a vector, which a mount matrix turns.
const VECTORS: [&str; 6] = ["accel", "anglvel", "magn", "gravity", "deltaangl", "deltavelocity"];
/// The axes of a vector, in the order of the rows of a mount matrix.
pub(super) const AXES: [char; 3] = ['x', 'y', 'z'];

/// The kind of a channel: `accel` of `accel_x`, `voltage-voltage` of `voltage0-voltage1`.
pub(super) fn of(channel: &str) -> String {
    let letters = |part: &str| -> String {
        part.chars().take_while(|letter| letter.is_ascii_alphabetic()).collect()
    };
    channel.split('-').map(letters).collect::<Vec<_>>().join("-")
}

/// The unit in which `channel` is kept, and the factor from the kernel's unit to it; `None` for a
/// kind without a unit, such as a number of steps.
pub(in crate::data) fn unit(channel: &str) -> Option<(f64, &'static str)> {
    let kind = of(channel);
    let kind = kind.split('-').next().unwrap_or_default();
    UNITS.iter().find(|(name, ..)| *name == kind).map(|&(_, factor, unit)| (factor, unit))
}

/// What comes before the axis of `channel`, and the number of the axis, where it is one part of a
/// vector: `accel_linear` and 2 of `accel_linear_z`.
pub(super) fn axis(channel: &str) -> Option<(&str, usize)> {
    let (base, axis) = channel.rsplit_once('_')?;
    let axis = AXES.iter().position(|name| axis.chars().eq([*name]))?;
    VECTORS.contains(&of(channel).as_str()).then_some((base, axis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_kernel_but_for_thousandths() {
        assert_eq!(unit("accel_x"), Some((1.0, "m/s2")));
        assert_eq!(unit("temp_object"), Some((0.001, "C")));
        assert_eq!(unit("humidityrelative"), Some((0.001, "%")));
        assert_eq!(unit("voltage0-voltage1"), Some((1.0, "mV")));
        assert_eq!(unit("steps"), None);
    }

    #[test]
    fn only_vectors_have_axes() {
        assert_eq!(axis("accel_y"), Some(("accel", 1)));
        assert_eq!(axis("accel_linear_z"), Some(("accel_linear", 2)));
        assert_eq!(axis("temp_x"), None, "the temperature of a part of a device");
        assert_eq!(axis("accel_xyz"), None);
        assert_eq!(axis("voltage0-voltage1"), None);
    }
}
