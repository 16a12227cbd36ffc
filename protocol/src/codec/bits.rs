//! Codes of a fixed number of bits in a row, the lowest bit first.

use alloc::vec::Vec;

/// Bytes that `count` codes of `bits` bits take.
pub(super) fn bytes(count: usize, bits: u8) -> usize {
    (count * usize::from(bits)).div_ceil(8)
}

/// Appends codes of `bits` bits, at most 16.
#[derive(Debug)]
pub(super) struct Writer {
    bits: u32,
    held: u32,
    filled: u32,
}

impl Writer {
    pub(super) fn new(bits: u8) -> Self {
        Self { bits: u32::from(bits), held: 0, filled: 0 }
    }

    /// Appends the lowest bits of `code`.
    #[allow(clippy::cast_possible_truncation)] // takes bytes out on purpose
    pub(super) fn push(&mut self, code: u32, out: &mut Vec<u8>) {
        self.held |= (code & ((1 << self.bits) - 1)) << self.filled;
        self.filled += self.bits;
        while self.filled >= 8 {
            out.push(self.held as u8);
            self.held >>= 8;
            self.filled -= 8;
        }
    }

    /// Writes what is left, with zeros behind it.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        if self.filled > 0 {
            out.push(self.held as u8);
        }
    }
}

/// Reads codes of `bits` bits; zeros behind the end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: core::slice::Iter<'a, u8>,
    bits: u32,
    held: u32,
    filled: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], bits: u8) -> Self {
        Self { bytes: bytes.iter(), bits: u32::from(bits), held: 0, filled: 0 }
    }

    pub(super) fn next(&mut self) -> u32 {
        while self.filled < self.bits {
            self.held |= u32::from(self.bytes.next().copied().unwrap_or(0)) << self.filled;
            self.filled += 8;
        }
        let code = self.held & ((1 << self.bits) - 1);
        self.held >>= self.bits;
        self.filled -= self.bits;
        code
    }

    /// Whether the bits behind the last code are zeros, as a writer leaves them.
    pub(super) fn rest_is_zero(&self) -> bool {
        self.held == 0
    }
}
