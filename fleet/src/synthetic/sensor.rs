//! How one watch sits on one wrist, and the errors of its sensor.

use dunlin_protocol::rng::Rng;

use super::scene::Vec3;

/// Largest acceleration that the sensor shows, in g.
pub(super) const ACC_RANGE: f32 = 8.0;
/// Largest rate of turn that the sensor shows, in rad/s (2000 degrees a second).
pub(super) const TURN_RANGE: f32 = 34.906_586;
/// Codes on each side of zero: 16-bit samples.
const CODES: f32 = 32_767.0;

/// A watch: which wrist, how it is turned there, and what its sensor gets wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Watch {
    /// Worn on the left arm.
    pub(super) left: bool,
    /// Rows of the rotation from the axes of the forearm to those of the sensor.
    rotation: [Vec3; 3],
    acc_bias: Vec3,
    turn_bias: Vec3,
    acc_gain: f32,
    acc_noise: f32,
    turn_noise: f32,
}

impl Watch {
    /// The watch of a new person, on the `left` arm or the right, the strap a little twisted.
    pub(super) fn new(left: bool, rng: &mut Rng) -> Self {
        let twist = 0.1 * rng.normal();
        let tilt = [0.05 * rng.normal(), 0.05 * rng.normal()];
        let mut draw3 = |size: f32| [(); 3].map(|()| size * rng.normal());
        let (acc_bias, turn_bias) = (draw3(0.02), draw3(0.015));
        Self {
            left,
            rotation: rotation(twist, tilt),
            acc_bias,
            turn_bias,
            acc_gain: 1.0 + 0.01 * rng.normal(),
            acc_noise: rng.uniform(0.004, 0.012),
            turn_noise: rng.uniform(0.008, 0.025),
        }
    }

    /// One sample `[acc x, y, z, turn x, y, z]` in g and rad/s of what truly is on the forearm.
    pub(super) fn sample(&self, (force, turn): (Vec3, Vec3), rng: &mut Rng) -> [f32; 6] {
        let mut sample = [0.0; 6];
        for (axis, row) in self.rotation.iter().enumerate() {
            let acc = self.acc_gain * dot(row, &force) + self.acc_bias[axis];
            let rate = dot(row, &turn) + self.turn_bias[axis];
            sample[axis] = measured(acc + self.acc_noise * rng.normal(), ACC_RANGE);
            sample[axis + 3] = measured(rate + self.turn_noise * rng.normal(), TURN_RANGE);
        }
        sample
    }
}

/// The value of the nearest 16-bit code.
fn measured(value: f32, range: f32) -> f32 {
    (value.clamp(-range, range) / range * CODES).round() / CODES * range
}

fn dot(a: &Vec3, b: &Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Turned by `twist` about the forearm, then by small `tilt`s about y and z, all in radians.
fn rotation(twist: f32, tilt: [f32; 2]) -> [Vec3; 3] {
    let (sin, cos) = twist.sin_cos();
    let about_x = [[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]];
    let (sin, cos) = tilt[0].sin_cos();
    let about_y = [[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]];
    let (sin, cos) = tilt[1].sin_cos();
    let about_z = [[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]];
    product(&about_z, &product(&about_y, &about_x))
}

fn product(a: &[Vec3; 3], b: &[Vec3; 3]) -> [Vec3; 3] {
    let mut out = [[0.0; 3]; 3];
    for (row, a) in out.iter_mut().zip(a) {
        for (column, value) in row.iter_mut().enumerate() {
            *value = dot(a, &[b[0][column], b[1][column], b[2][column]]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_turns_vectors_and_keeps_their_length() {
        for twist in [0.0, 0.4, -3.0] {
            let rows = rotation(twist, [0.1, -0.2]);
            for (i, a) in rows.iter().enumerate() {
                for (j, b) in rows.iter().enumerate() {
                    let wanted = if i == j { 1.0 } else { 0.0 };
                    assert!((dot(a, b) - wanted).abs() < 1e-5, "rows {i} and {j}");
                }
            }
        }
    }

    #[test]
    fn samples_stay_inside_the_range_of_the_sensor() {
        let mut rng = Rng::new(4);
        let watch = Watch::new(true, &mut rng);
        let sample = watch.sample(([1e6, -1e6, 0.0], [1e6, -1e6, 0.0]), &mut rng);
        assert!(sample[..3].iter().all(|v| v.abs() <= ACC_RANGE));
        assert!(sample[3..].iter().all(|v| v.abs() <= TURN_RANGE));
    }

    #[test]
    fn values_are_those_of_sixteen_bit_codes() {
        let step = ACC_RANGE / CODES;
        let value = measured(0.123_456, ACC_RANGE);
        assert!((value - 0.123_456).abs() <= step / 2.0 + 1e-7);
        assert!(((value / step) - (value / step).round()).abs() < 2e-3);
    }
}
