//! How each activity moves a forearm.

use dunlin_protocol::rng::Rng;

use super::person::{Traits, factor};
use super::pick;
use super::scene::{Knock, Pause, Scene, Track};

/// Length of a window in seconds, with a margin for what starts before it.
const SECONDS: f32 = 2.6;
/// Part of the windows with steps in which the walker hesitates.
const HESITATES: f32 = 0.07;

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Steps on level ground.
    Walking,
    /// Up a flight of stairs.
    StairsUp,
    /// Down a flight of stairs.
    StairsDown,
    /// On a chair, hands at rest or nearly so.
    Sitting,
    /// Upright without steps: arm hanging, folded or with a phone.
    Standing,
    /// At a keyboard, in bursts of keystrokes.
    Typing,
}

/// What sets one kind of gait apart from the others.
struct Gait {
    /// Which factors of the person apply.
    kind: usize,
    /// Arm swing, as a part of that of walking.
    swing: f32,
    /// Rise and fall of the body in g.
    bounce: f32,
    /// Heel strike in g.
    impact: f32,
    /// Push ahead at each step in g.
    push: f32,
    /// Swing from side to side in g.
    sway: f32,
    /// How much further the arm is bent, in radians.
    bend: f32,
}

const WALKING: Gait =
    Gait { kind: 0, swing: 1.0, bounce: 0.22, impact: 0.12, push: 0.11, sway: 0.06, bend: 0.0 };
const STAIRS_UP: Gait =
    Gait { kind: 1, swing: 0.55, bounce: 0.26, impact: 0.08, push: 0.1, sway: 0.14, bend: 0.42 };
const STAIRS_DOWN: Gait =
    Gait { kind: 2, swing: 0.38, bounce: 0.32, impact: 0.65, push: 0.07, sway: 0.08, bend: 0.15 };

impl Activity {
    /// The activity of a label; numbers past the list are typing.
    pub(super) fn of_label(label: u16) -> Self {
        match label {
            0 => Self::Walking,
            1 => Self::StairsUp,
            2 => Self::StairsDown,
            3 => Self::Sitting,
            4 => Self::Standing,
            _ => Self::Typing,
        }
    }

    /// A new window of this activity.
    pub(super) fn scene(self, person: &Traits, rng: &mut Rng) -> Scene {
        match self {
            Self::Walking => gait(&WALKING, person, rng),
            Self::StairsUp => gait(&STAIRS_UP, person, rng),
            Self::StairsDown => gait(&STAIRS_DOWN, person, rng),
            Self::Sitting => sitting(person, rng),
            Self::Standing => standing(person, rng),
            Self::Typing => typing(person, rng),
        }
    }
}

fn gait(kind: &Gait, person: &Traits, rng: &mut Rng) -> Scene {
    let step = person.step_hz * person.tempo[kind.kind] * factor(rng, 0.04);
    let stride = step / 2.0;
    let vigour = person.vigour[kind.kind] * factor(rng, 0.12);
    let bent = rng.unit_f32() < person.bent;
    let swing = person.swing * kind.swing * vigour * if bent { 0.3 } else { 1.0 };
    let hang = person.hang - kind.bend + 0.1 * rng.normal();
    let level = if bent { 0.25 + person.posture[0] + 0.15 * rng.normal() } else { hang };
    let roll = person.hang_roll + person.posture[1] + 0.16 * rng.normal();
    let bounce = kind.bounce * person.bounce * vigour;
    let phase = rng.unit_f32();
    let (push, sway) = (kind.push * vigour, kind.sway * vigour);
    let harmonic = person.harmonic * factor(rng, 0.2);
    Scene {
        pitch: Track::level(level).wave(swing, stride, phase).wave(
            swing * harmonic,
            step,
            2.0 * phase + 0.15,
        ),
        roll: Track::level(roll * if bent { 0.4 } else { 1.0 })
            .wave(0.45 * swing, stride, phase - person.roll_lag)
            .wave(0.06, step, rng.unit_f32()),
        yaw: Track::level(0.0).wave(0.35 * swing, stride, phase + 0.1),
        up: Track::level(0.0)
            .wave(bounce, step, 2.0 * phase)
            .wave(0.35 * bounce, 2.0 * step, 4.0 * phase + 0.2)
            .wave(0.15 * bounce, 3.0 * step, 6.0 * phase + 0.4),
        ahead: Track::level(0.0).wave(push, step, 2.0 * phase + 0.25),
        aside: Track::level(0.0).wave(sway, stride, phase + 0.2),
        knocks: strikes(step, phase, kind.impact * person.impact * vigour, rng),
        lever: if bent { 0.3 } else { person.reach },
        pause: hesitation(rng),
        unsteadiness: 0.03 * rng.normal(),
    }
}

/// A heel strike at each step; the two feet differ.
fn strikes(step: f32, phase: f32, size: f32, rng: &mut Rng) -> Vec<Knock> {
    let limp = 1.0 + 0.15 * rng.normal();
    let mut at = -(2.0 * phase).fract() / step;
    let mut knocks = Vec::new();
    let mut right = rng.unit_f32() < 0.5;
    while at < SECONDS {
        let size = size * if right { limp } else { 1.0 } * factor(rng, 0.12);
        knocks.push(Knock { at, size, hz: rng.uniform(10.0, 15.0), decay: 0.035 });
        at += 1.0 / step;
        right = !right;
    }
    knocks
}

fn hesitation(rng: &mut Rng) -> Option<Pause> {
    (rng.unit_f32() < HESITATES).then(|| Pause {
        middle: rng.uniform(0.0, SECONDS),
        half: rng.uniform(0.5, 1.1),
        depth: rng.uniform(0.4, 0.8),
    })
}

/// A forearm that rests in one place, up to slow sway: `steady` in radians.
fn resting(pitch: f32, roll: f32, steady: f32, person: &Traits, rng: &mut Rng) -> Scene {
    let size = steady * person.restless * factor(rng, 0.4);
    let mut slow = |level: f32, part: f32| {
        Track::level(level)
            .wave(part * size, rng.uniform(0.2, 0.6), rng.unit_f32())
            .wave(0.5 * part * size, rng.uniform(0.6, 1.6), rng.unit_f32())
            .wave(0.04 * part * size, rng.uniform(6.0, 10.0), rng.unit_f32())
    };
    let [ahead, aside, up] = [0.25, 0.2, 0.12].map(|part| slow(0.0, part));
    Scene {
        pitch: slow(pitch + person.posture[0], 1.0),
        roll: slow(roll + person.posture[1], 1.0),
        yaw: slow(0.0, 0.8),
        up,
        ahead,
        aside,
        lever: 0.3,
        ..Scene::default()
    }
}

fn sitting(person: &Traits, rng: &mut Rng) -> Scene {
    // Lap, arm rest, hand at the face.
    const POSTURES: [(f32, f32); 3] = [(0.5, 0.35), (0.2, 0.5), (-0.8, 0.7)];
    let (pitch, roll) = POSTURES[usize::from(pick(rng, &person.sit_habits))];
    let (pitch, roll) = (pitch + 0.12 * rng.normal(), roll + 0.16 * rng.normal());
    let mut scene = resting(pitch, roll, 0.02, person, rng);
    fidget(&mut scene, 0.15, person, rng);
    scene
}

fn standing(person: &Traits, rng: &mut Rng) -> Scene {
    // Hanging, folded arms, phone in hand.
    let postures = [(person.hang, person.hang_roll), (0.0, 0.8), (-0.45, 0.6)];
    let (pitch, roll) = postures[usize::from(pick(rng, &person.stand_habits))];
    let (pitch, roll) = (pitch + 0.12 * rng.normal(), roll + 0.16 * rng.normal());
    let mut scene = resting(pitch, roll, 0.06, person, rng);
    fidget(&mut scene, 0.15, person, rng);
    scene
}

fn typing(person: &Traits, rng: &mut Rng) -> Scene {
    let (pitch, roll) = (0.05 + 0.1 * rng.normal(), 0.12 * rng.normal());
    let mut scene = resting(pitch, roll, 0.022, person, rng);
    // Some windows hold a burst, some a word or two between thoughts.
    let busy = rng.uniform(0.45, 1.0);
    let size = person.key_size * factor(rng, 0.2);
    let mut at = rng.uniform(-0.3, 0.3);
    while at < SECONDS {
        let size = size * factor(rng, 0.4);
        if rng.unit_f32() < busy {
            scene.knocks.push(Knock { at, size, hz: rng.uniform(9.0, 16.0), decay: 0.03 });
        }
        at += factor(rng, 0.35) / person.key_hz;
    }
    let hop = 0.025 * busy * person.restless;
    scene.pitch = scene.pitch.wave(hop, rng.uniform(2.0, 4.0), rng.unit_f32());
    scene.yaw = scene.yaw.wave(2.0 * hop, rng.uniform(1.0, 2.5), rng.unit_f32());
    scene
}

/// With this probability, a gesture: the arm turns and comes back, or something is touched.
fn fidget(scene: &mut Scene, probability: f32, person: &Traits, rng: &mut Rng) {
    if rng.unit_f32() >= probability {
        return;
    }
    let size = 0.12 * person.restless * factor(rng, 0.4);
    let hz = rng.uniform(0.7, 2.2);
    let phase = rng.unit_f32();
    let pitch = std::mem::take(&mut scene.pitch);
    scene.pitch = pitch.wave(size * rng.uniform(0.2, 1.0), hz, phase);
    let roll = std::mem::take(&mut scene.roll);
    scene.roll = roll.wave(size, hz, phase + rng.uniform(0.1, 0.4));
    for _ in 0..rng.below(5) {
        let at = rng.uniform(0.0, SECONDS);
        let size = 0.03 * factor(rng, 0.5);
        scene.knocks.push(Knock { at, size, hz: rng.uniform(8.0, 15.0), decay: 0.03 });
    }
    scene.pause =
        Some(Pause { middle: rng.uniform(0.0, SECONDS), half: rng.uniform(0.6, 1.5), depth: 0.9 });
}
