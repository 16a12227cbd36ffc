//! An adaptive binary range coder: bits in, bytes out, each bit under a probability that learns.
//!
//! The coder of LZMA (Pavlov; I. Shindo's description of 1999 and G. Martin, "Range encoding",
//! 1979) with 12-bit probabilities, but for its ends: the first byte, always 0, is not written,
//! and up to four zero bytes at the end are cut off: a decoder reads zeros behind the end.

use alloc::vec::Vec;

use crate::wire::WireError;

/// Ranges below this are widened by a byte.
const RANGE_MIN: u32 = 1 << 24;
/// Bits of a probability as the coder uses it.
const PROBABILITY_BITS: u32 = 12;
/// Slowest adaptation: a bit moves its probability by 2^-6 of the way.
const SHIFT_MAX: u32 = 6;
/// Bits that the first chances count as.
const SEEN_FIRST: u8 = 14;
/// Bytes that a decoder may read behind the end: what the encoder's ending may have cut off.
const BEHIND_MAX: usize = 4;

/// The probability that a bit is 0, learned from the bits seen: quickly at first, then slowly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bit {
    /// In units of 2^-16.
    zero: u16,
    seen: u8,
}

impl Bit {
    /// Chances of a 0, in units of 2^-8, for a start; they weigh like a dozen bits seen.
    pub(super) fn with_chances(zero: u8) -> Self {
        Self { zero: u16::from(zero) << 8, seen: SEEN_FIRST }
    }

    /// Chances of a 0 in units of 2^-12, never 0 and never 1.
    fn chances(self) -> u32 {
        (u32::from(self.zero) >> (16 - PROBABILITY_BITS)).clamp(1, (1 << PROBABILITY_BITS) - 1)
    }

    fn learn(&mut self, bit: bool) {
        let shift = (u32::from(self.seen) + 2).ilog2().min(SHIFT_MAX);
        self.seen = self.seen.saturating_add(1);
        if bit {
            self.zero -= self.zero >> shift;
        } else {
            self.zero += (u16::MAX - self.zero) >> shift;
        }
    }
}

/// One end of the coder. Both ends run the same code: the encoder writes `bit` and returns it, the
/// decoder ignores `bit` and returns what was written.
pub(super) trait Coder {
    /// Codes one bit under its probability.
    fn code(&mut self, probability: &mut Bit, bit: bool) -> bool;
    /// Codes one bit that is as likely 0 as 1.
    fn code_even(&mut self, bit: bool) -> bool;
}

/// The writing end of the coder: appends bytes once no carry can change them.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u64,
    range: u32,
    /// The last byte that a carry may still change, and how many 0xff follow it.
    cache: u8,
    pending: usize,
    begun: bool,
    bytes: Vec<u8>,
}

impl Encoder {
    /// An encoder that appends to `bytes`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { low: 0, range: u32::MAX, cache: 0, pending: 0, begun: false, bytes }
    }

    #[allow(clippy::cast_possible_truncation)] // takes bytes out of `low` on purpose
    fn shift_low(&mut self) {
        let carry = (self.low >> 32) as u8;
        if self.low < 0xff00_0000 || carry != 0 {
            if self.begun {
                self.bytes.push(self.cache.wrapping_add(carry));
            }
            let pending = core::mem::take(&mut self.pending);
            self.bytes.extend(core::iter::repeat_n(0xff_u8.wrapping_add(carry), pending));
            self.begun = true;
            self.cache = (self.low >> 24) as u8;
        } else {
            self.pending += 1;
        }
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    fn widen(&mut self) {
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.shift_low();
        }
    }

    /// Ends the code: the number in the last interval with the most zeros at its end, which are
    /// then cut off, but never bytes before `keep`.
    pub(super) fn finish(mut self, keep: usize) -> Vec<u8> {
        let high = self.low + u64::from(self.range) - 1;
        let free = (0..32).rev().find(|free| high >> free << free >= self.low).unwrap_or(0);
        self.low = high >> free << free;
        for _ in 0..5 {
            self.shift_low();
        }
        let shortest = self.bytes.len().saturating_sub(BEHIND_MAX).max(keep);
        while self.bytes.len() > shortest && self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

impl Coder for Encoder {
    fn code(&mut self, probability: &mut Bit, bit: bool) -> bool {
        let bound = (self.range >> PROBABILITY_BITS) * probability.chances();
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        probability.learn(bit);
        self.widen();
        bit
    }

    fn code_even(&mut self, bit: bool) -> bool {
        self.range >>= 1;
        self.low += if bit { u64::from(self.range) } else { 0 };
        self.widen();
        bit
    }
}

/// Reads bits. Never fails on the way: whether the bytes were a code shows at the end.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    bytes: &'a [u8],
    /// Bytes read, those behind the end included.
    read: usize,
    range: u32,
    code: u32,
}

impl<'a> Decoder<'a> {
    /// A decoder of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut this = Self { bytes, read: 0, range: u32::MAX, code: 0 };
        for _ in 0..4 {
            this.next_byte();
        }
        this
    }

    fn next_byte(&mut self) {
        let byte = self.bytes.get(self.read).copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
        self.read += 1;
    }

    fn widen(&mut self) {
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.next_byte();
        }
    }

    /// Whether exactly the bytes of one code were read.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when too many were read behind the end, [`WireError::Trailing`]
    /// when bytes are left.
    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.read > self.bytes.len() + BEHIND_MAX {
            return Err(WireError::Truncated);
        }
        match self.bytes.len().saturating_sub(self.read) {
            0 => Ok(()),
            bytes => Err(WireError::Trailing { bytes }),
        }
    }
}

impl Coder for Decoder<'_> {
    fn code(&mut self, probability: &mut Bit, _bit: bool) -> bool {
        let bound = (self.range >> PROBABILITY_BITS) * probability.chances();
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        probability.learn(bit);
        self.widen();
        bit
    }

    fn code_even(&mut self, _bit: bool) -> bool {
        self.range >>= 1;
        let bit = self.code >= self.range;
        self.code -= if bit { self.range } else { 0 };
        self.widen();
        bit
    }
}
