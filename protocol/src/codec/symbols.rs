//! How quantised coordinates become bits: zero or not, sign, magnitude, each under a probability
//! that depends on what came just before.
//!
//! Where a dither is known to both ends it is context too: a coordinate whose dither lies close to
//! the edge of its cell is likelier to leave zero, and then to the side of that edge.

use super::range::{Bit, Coder};

/// Largest magnitude that is coded.
pub(super) const MAGNITUDE_MAX: u32 = 1 << 20;
/// Magnitudes coded one by one before the escape.
const UNARY_MAX: usize = 14;
/// Classes of how much happened at the coordinates just before.
const LEVELS: usize = 12;
/// Classes of the dither's distance to the edge of its cell.
const EDGES: usize = 8;

/// Chances of a zero in units of 2^-8 that each level and edge starts with, and in the last column
/// those without a dither: rough means over updates of UCI HAR at steps of 0.5 to 4. They only save
/// the bytes that learning them again in each payload would cost.
const ZERO: [[u8; EDGES + 1]; LEVELS] = [
    [220, 236, 243, 248, 250, 251, 252, 252, 252],
    [213, 230, 238, 243, 247, 249, 250, 250, 243],
    [207, 222, 231, 237, 242, 244, 246, 246, 239],
    [204, 220, 229, 235, 240, 242, 243, 244, 234],
    [200, 211, 219, 224, 229, 232, 233, 234, 231],
    [196, 209, 215, 222, 225, 227, 228, 230, 218],
    [187, 195, 200, 203, 207, 209, 210, 210, 219],
    [182, 188, 192, 196, 197, 198, 201, 201, 198],
    [169, 174, 177, 178, 179, 180, 182, 182, 200],
    [166, 170, 172, 173, 175, 175, 176, 177, 189],
    [164, 165, 166, 169, 169, 170, 171, 170, 169],
    [151, 153, 153, 154, 154, 154, 156, 156, 154],
];
/// Chances of the farther edge that each class of edge starts with; the last without a dither.
const FARTHER: [u8; EDGES + 1] = [12, 18, 27, 38, 53, 73, 92, 115, 128];
/// Chances that a magnitude ends at its first step that each level starts with.
const ENDS: [u8; LEVELS] = [240, 235, 235, 230, 222, 212, 185, 170, 140, 120, 95, 60];

/// What both ends know of a coordinate's dither.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// Class of the distance to the nearer edge, 0 the closest.
    edge: usize,
    /// Whether the nearer edge is the upper one.
    up: bool,
}

impl Side {
    /// The side of a coordinate without a dither, as in `sparse`: the tables' last column.
    pub(super) const NONE: Self = Self { edge: EDGES, up: true };

    /// The dither in units of 2^-24 of a cell, from 0 to below 2^24: above the middle, the upper
    /// edge is nearer.
    pub(super) fn of(dither: u32) -> Self {
        let up = dither >= 1 << 23;
        let distance = if up { (1 << 24) - 1 - dither } else { dither };
        Self { edge: (distance >> 20) as usize % EDGES, up }
    }
}

/// The model of a sequence of coordinates.
#[derive(Debug)]
pub(super) struct Symbols {
    zero: [[Bit; EDGES + 1]; LEVELS],
    nearer: [Bit; EDGES + 1],
    more: [[Bit; UNARY_MAX]; LEVELS],
    last: [u32; 2],
    /// Mean magnitude of the last dozen or so coordinates, in units of 2^-16.
    recent: u32,
}

impl Symbols {
    /// A model that has seen nothing of this payload.
    pub(super) fn new() -> Self {
        Self {
            zero: ZERO.map(|chances| chances.map(Bit::with_chances)),
            nearer: FARTHER.map(Bit::with_chances),
            more: ENDS.map(|chances| [Bit::with_chances(chances); UNARY_MAX]),
            last: [0; 2],
            recent: 1 << 14,
        }
    }

    /// Codes one coordinate; a decoder's `value` is ignored.
    pub(super) fn code(&mut self, coder: &mut impl Coder, value: i32, side: Side) -> i32 {
        let level = self.level();
        let magnitude = value.unsigned_abs();
        if !coder.code(&mut self.zero[level][side.edge], magnitude != 0) {
            self.note(0);
            return 0;
        }
        let nearer = coder.code(&mut self.nearer[side.edge], (value > 0) == side.up);
        let magnitude = self.magnitude(coder, magnitude, level);
        self.note(magnitude);
        let value = magnitude.cast_signed();
        if nearer == side.up { value } else { -value }
    }

    fn magnitude(&mut self, coder: &mut impl Coder, magnitude: u32, level: usize) -> u32 {
        let mut known = 1;
        for more in &mut self.more[level] {
            if !coder.code(more, magnitude > known) {
                return known;
            }
            known += 1;
        }
        known + escape(coder, magnitude.saturating_sub(known))
    }

    fn note(&mut self, magnitude: u32) {
        self.last = [magnitude.min(64), self.last[0]];
        self.recent -= self.recent >> 4;
        self.recent += self.last[0] << 12;
    }

    /// Class of what came before: the recent mean on a logarithmic scale, and the last two.
    fn level(&self) -> usize {
        let recent = match self.recent >> 12 {
            0 | 1 => 0,
            2 | 3 => 1,
            4..8 => 2,
            8..16 => 3,
            16..40 => 4,
            _ => 5,
        };
        let busy = self.last[0] * 2 + self.last[1] > self.recent >> 14;
        recent * 2 + usize::from(busy)
    }
}

/// Exp-Golomb of order 0 with even bits; at most 20 bits, so that no input makes it long.
fn escape(coder: &mut impl Coder, rest: u32) -> u32 {
    let bits = (rest + 1).ilog2();
    let mut length = 0;
    while length < 20 && coder.code_even(bits > length) {
        length += 1;
    }
    let mut value = 1;
    for at in (0..length).rev() {
        value = value << 1 | u32::from(coder.code_even((rest + 1) >> at & 1 == 1));
    }
    value - 1
}
