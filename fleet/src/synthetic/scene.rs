//! One window of movement: angles of the forearm and accelerations of the body over time.

use std::f32::consts::TAU;

/// Standard gravity in m/s^2: accelerations of this module are in g.
const GRAVITY: f32 = 9.806_65;
/// Half the step of difference quotients in seconds: small against the fastest wave, large against
/// the rounding of an angle.
const HALF_STEP: f32 = 0.01;

/// A vector in x, y, z.
pub(super) type Vec3 = [f32; 3];

/// A sine over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wave {
    /// Largest value, in the unit of its track.
    pub(super) size: f32,
    /// Frequency in hertz of the scene's own time.
    pub(super) hz: f32,
    /// Phase at time zero in turns.
    pub(super) phase: f32,
}

/// A quantity over time: a level with sines on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// Value without the waves.
    pub(super) level: f32,
    /// Sines that are added to the level, as strong as the movement is at the time.
    pub(super) waves: Vec<Wave>,
}

impl Track {
    /// A quantity that stays at `level`.
    pub(super) fn level(level: f32) -> Self {
        Self { level, waves: Vec::new() }
    }

    /// Adds a sine; `phase` is in turns.
    pub(super) fn wave(mut self, size: f32, hz: f32, phase: f32) -> Self {
        self.waves.push(Wave { size, hz, phase });
        self
    }

    fn at(&self, time: f32, effort: f32) -> f32 {
        let moving: f32 =
            self.waves.iter().map(|w| w.size * (TAU * (w.hz * time + w.phase)).sin()).sum();
        self.level + effort * moving
    }
}

/// A short shock that rings and dies away: a heel strike, a key stroke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knock {
    /// When it starts, in seconds.
    pub(super) at: f32,
    /// Size at its start, in g.
    pub(super) size: f32,
    /// Frequency of the ringing, in hertz.
    pub(super) hz: f32,
    /// Time constant of its end, in seconds.
    pub(super) decay: f32,
}

impl Knock {
    fn value(&self, time: f32) -> f32 {
        let since = time - self.at;
        if since < 0.0 || since > 8.0 * self.decay {
            return 0.0;
        }
        self.size * (-since / self.decay).exp() * (TAU * self.hz * since).cos()
    }
}

/// A hesitation: the movement fades, and comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// When the movement is least, in seconds.
    pub(super) middle: f32,
    /// Half its length, in seconds.
    pub(super) half: f32,
    /// Part of the movement that it takes away, 0 to 1.
    pub(super) depth: f32,
}

/// A right forearm in space for one window. The world: x ahead, y to the left, z up. A forearm with
/// all angles zero points ahead with the back of the hand up; a pitch of a quarter turn hangs down.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// Forearm below the horizontal, in radians.
    pub(super) pitch: Track,
    /// Turn about the forearm's own axis, in radians.
    pub(super) roll: Track,
    /// Turn about the vertical, in radians.
    pub(super) yaw: Track,
    /// Acceleration of the shoulder upwards, in g.
    pub(super) up: Track,
    /// Acceleration of the shoulder ahead, in g.
    pub(super) ahead: Track,
    /// Acceleration of the shoulder to the left, in g.
    pub(super) aside: Track,
    /// Shocks that go mostly upwards.
    pub(super) knocks: Vec<Knock>,
    /// Distance from the joint that swings to the watch, in metres.
    pub(super) lever: f32,
    /// A hesitation, if any.
    pub(super) pause: Option<Pause>,
    /// Swing of the tempo: time runs ahead and behind by this many seconds, once in four seconds.
    pub(super) unsteadiness: f32,
}

impl Scene {
    /// What an ideal sensor on the forearm measures at `time` (seconds): the force per mass in g
    /// (1 g upwards at rest) and the rate of turn in rad/s, both in the axes of the forearm.
    ///
    /// `left`: the same movement of a left arm, its mirror image.
    pub(super) fn measure(&self, time: f32, left: bool) -> (Vec3, Vec3) {
        let mirror = if left { -1.0 } else { 1.0 };
        let angles = |time| self.angles(time, mirror);
        let (before, now, after) =
            (angles(time - HALF_STEP), angles(time), angles(time + HALF_STEP));
        let rate = |axis: usize| (after[axis] - before[axis]) / (2.0 * HALF_STEP);
        let pitch_rate = rate(1);
        let pitch_gain = (after[1] - 2.0 * now[1] + before[1]) / (HALF_STEP * HALF_STEP);

        let (time, effort) = (self.own_time(time), self.effort(time));
        let knock: f32 = effort * self.knocks.iter().map(|k| k.value(time)).sum::<f32>();
        let world = [
            self.ahead.at(time, effort) + 0.4 * knock,
            mirror * (self.aside.at(time, effort) + 0.2 * knock),
            self.up.at(time, effort) + knock + 1.0,
        ];
        let mut force = into_forearm(world, now);
        // A swing pulls the watch to the joint (along -x) and, as it speeds up, along -z.
        force[0] -= self.lever * pitch_rate * pitch_rate / GRAVITY;
        force[2] -= self.lever * pitch_gain / GRAVITY;
        (force, turn_rate(now, [rate(0), pitch_rate, rate(2)]))
    }

    /// Roll, pitch and yaw in radians.
    fn angles(&self, time: f32, mirror: f32) -> Vec3 {
        let (time, effort) = (self.own_time(time), self.effort(time));
        [
            mirror * self.roll.at(time, effort),
            self.pitch.at(time, effort),
            mirror * self.yaw.at(time, effort),
        ]
    }

    fn own_time(&self, time: f32) -> f32 {
        time + self.unsteadiness * (TAU * 0.25 * time).sin()
    }

    fn effort(&self, time: f32) -> f32 {
        let Some(pause) = self.pause else { return 1.0 };
        let far = ((time - pause.middle) / pause.half).abs().min(1.0);
        1.0 - pause.depth * 0.5 * (1.0 + (TAU * 0.5 * far).cos())
    }
}

/// A vector of the world in the axes of a forearm turned by roll, then pitch, then yaw.
fn into_forearm([x, y, z]: Vec3, [roll, pitch, yaw]: Vec3) -> Vec3 {
    let ((sin_r, cos_r), (sin_p, cos_p), (sin_y, cos_y)) =
        (roll.sin_cos(), pitch.sin_cos(), yaw.sin_cos());
    let (x, y) = (cos_y * x + sin_y * y, cos_y * y - sin_y * x);
    let (x, z) = (cos_p * x - sin_p * z, cos_p * z + sin_p * x);
    [x, cos_r * y + sin_r * z, cos_r * z - sin_r * y]
}

/// Rate of turn in the axes of the forearm from the rates of roll, pitch and yaw, all in rad/s.
fn turn_rate([roll, pitch, _]: Vec3, [roll_rate, pitch_rate, yaw_rate]: Vec3) -> Vec3 {
    let ((sin_r, cos_r), (sin_p, cos_p)) = (roll.sin_cos(), pitch.sin_cos());
    [
        roll_rate - yaw_rate * sin_p,
        pitch_rate * cos_r + yaw_rate * cos_p * sin_r,
        yaw_rate * cos_p * cos_r - pitch_rate * sin_r,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::FRAC_PI_2;

    fn near(a: Vec3, b: Vec3) {
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 2e-3), "{a:?} is not {b:?}");
    }

    fn still(pitch: f32, roll: f32) -> Scene {
        Scene { pitch: Track::level(pitch), roll: Track::level(roll), ..Scene::default() }
    }

    #[test]
    fn a_still_forearm_feels_one_g_upwards() {
        near(still(0.0, 0.0).measure(0.3, false).0, [0.0, 0.0, 1.0]);
        near(still(FRAC_PI_2, 0.0).measure(0.3, false).0, [-1.0, 0.0, 0.0]);
        near(still(0.0, FRAC_PI_2).measure(0.3, false).0, [0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_left_arm_is_the_mirror_image() {
        let (force, _) = still(0.0, FRAC_PI_2).measure(0.3, true);
        near(force, [0.0, -1.0, 0.0]);
    }

    #[test]
    fn the_gyroscope_shows_the_rate_of_each_angle() {
        let hz = 0.01;
        let turning = |size| Track::default().wave(size / (TAU * hz), hz, 0.0);
        let (pitch, roll, yaw) = (Track::level(0.0), Track::level(0.0), Track::level(0.0));
        let base = Scene { pitch, roll, yaw, ..Scene::default() };
        let about = |scene: &Scene| scene.measure(0.0, false).1;
        near(about(&Scene { pitch: turning(0.5), ..base.clone() }), [0.0, 0.5, 0.0]);
        near(about(&Scene { roll: turning(0.5), ..base.clone() }), [0.5, 0.0, 0.0]);
        near(about(&Scene { yaw: turning(0.5), ..base }), [0.0, 0.0, 0.5]);
    }

    #[test]
    fn a_swing_pulls_the_watch_towards_the_joint() {
        let (hz, size) = (1.0, 0.3);
        let pitch = Track::default().wave(size, hz, 0.0);
        let scene = Scene { pitch, lever: 0.6, ..Scene::default() };
        let rate = size * TAU * hz;
        let (force, _) = scene.measure(0.0, false);
        assert!((force[0] + 0.6 * rate * rate / GRAVITY).abs() < 5e-3, "{force:?}");
    }

    #[test]
    fn a_pause_takes_movement_away_and_gives_it_back() {
        let pause = Some(Pause { middle: 1.0, half: 0.5, depth: 0.8 });
        let scene = Scene { pause, ..Scene::default() };
        assert!((scene.effort(1.0) - 0.2).abs() < 1e-6);
        assert!((scene.effort(0.5) - 1.0).abs() < 1e-6 && (scene.effort(2.0) - 1.0).abs() < 1e-6);
    }
}
