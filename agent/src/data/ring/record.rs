//! One sample on disk.
//!
//! `sequence u64 | time_us i64 | label u16 | channels x i16 | crc32 u32`, little-endian.

/// Label of a sample that has none.
pub const NO_LABEL: u16 = u16::MAX;

const SEQUENCE: std::ops::Range<usize> = 0..8;
const TIME: std::ops::Range<usize> = 8..16;
const LABEL: std::ops::Range<usize> = 16..18;
const CODES: usize = 18;
const CRC_BYTES: usize = 4;

/// Bytes of one record with `channels` channels.
pub const fn record_bytes(channels: usize) -> usize {
    CODES + 2 * channels + CRC_BYTES
}

/// One sample as the ring keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the sample since the ring began.
    pub sequence: u64,
    /// Time in microseconds, on the clock of the sensor.
    pub time_us: i64,
    /// Index into the label table, or [`NO_LABEL`].
    pub label: u16,
    /// `[channels]`: value divided by the channel's quantum.
    pub codes: Vec<i16>,
}

impl Record {
    /// Appends the bytes of this record to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(&self.label.to_le_bytes());
        self.codes.iter().for_each(|code| out.extend_from_slice(&code.to_le_bytes()));
        let crc = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
    }

    /// Reads `bytes` into this record, whose number of channels says how long they must be.
    /// `false` when the length or the checksum is wrong; the record is then unchanged.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() != record_bytes(self.codes.len()) {
            return false;
        }
        let (body, crc) = bytes.split_at(bytes.len() - CRC_BYTES);
        if crc32fast::hash(body).to_le_bytes() != crc {
            return false;
        }
        self.sequence = u64::from_le_bytes(array(&body[SEQUENCE]));
        self.time_us = i64::from_le_bytes(array(&body[TIME]));
        self.label = u16::from_le_bytes(array(&body[LABEL]));
        for (code, pair) in self.codes.iter_mut().zip(body[CODES..].chunks_exact(2)) {
            *code = i16::from_le_bytes(array(pair));
        }
        true
    }
}

/// `bytes` as an array; its callers slice exactly `N` bytes.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// `value` in multiples of `quantum`, and whether it had to be cut to fit.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn quantize(value: f32, quantum: f32) -> (i16, bool) {
    let code = (value / quantum).round();
    let limit = f32::from(i16::MAX);
    (code.clamp(-limit, limit) as i16, code.abs() > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_any_flipped_bit_is_noticed() {
        let record = Record { sequence: 7, time_us: -3, label: 2, codes: vec![-1, 300] };
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        assert_eq!(bytes.len(), record_bytes(2));
        let mut read = Record { sequence: 0, time_us: 0, label: 0, codes: vec![0, 0] };
        assert!(read.read(&bytes) && read == record);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!read.read(&bytes), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(!read.read(&bytes[1..]) && !read.read(&[]) && !read.read(&[0; 26]));
    }

    #[test]
    fn values_are_rounded_to_the_quantum_and_cut_at_its_range() {
        assert_eq!(quantize(0.0124, 0.001), (12, false));
        assert_eq!(quantize(-32.767, 0.001), (-32767, false));
        assert_eq!(quantize(40.0, 0.001), (32767, true));
        assert_eq!(quantize(f32::MIN, 0.001), (-32767, true));
    }
}
