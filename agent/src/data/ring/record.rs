//! One sample on disk.
//!
//! `sequence u64 | time_us i64 | label u16 | values | crc32 u32`, little-endian. A value is an `f32`,
//! or an `i16` where its channel has a quantum, whose multiple it is; the code -32768 stands for a value
//! outside of the range of the codes.

/// Label of a sample that has none.
pub const NO_LABEL: u16 = u16::MAX;

const SEQUENCE: std::ops::Range<usize> = 0..8;
const TIME: std::ops::Range<usize> = 8..16;
const LABEL: std::ops::Range<usize> = 16..18;
const VALUES: usize = 18;
const CRC_BYTES: usize = 4;
/// Code of a value that its channel cannot hold.
const CUT: i16 = i16::MIN;

/// Bytes of one record whose channels have these quanta, 0 for none.
pub fn record_bytes(quanta: impl IntoIterator<Item = f32>) -> usize {
    let value = |quantum: f32| if quantum > 0.0 { 2 } else { 4 };
    VALUES + quanta.into_iter().map(value).sum::<usize>() + CRC_BYTES
}

/// One sample as the ring keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Number of the sample since the ring began.
    pub sequence: u64,
    /// Time in microseconds, on the clock of the sensor.
    pub time_us: i64,
    /// Index into the label table, or [`NO_LABEL`].
    pub label: u16,
    /// `[channels]`, in the unit of the channel; NaN where the ring could not hold the value.
    pub values: Vec<f32>,
}

/// How records lie on disk.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Quantum of each channel; 0 where values are kept as they are.
    quanta: Vec<f32>,
    bytes: usize,
    /// Codes at the end of the range are values that were cut: so it is in version 1.
    cut_at_end: bool,
}

impl Layout {
    /// Records whose channels have these quanta, 0 for none.
    pub(super) fn new(quanta: impl IntoIterator<Item = f32>) -> Self {
        let quanta: Vec<f32> = quanta.into_iter().collect();
        let bytes = record_bytes(quanta.iter().copied());
        Self { quanta, bytes, cut_at_end: false }
    }

    /// The same records as version 1 wrote them.
    pub(super) fn of_version_1(self) -> Self {
        Self { cut_at_end: true, ..self }
    }

    /// A layout of no records, for a block that has not been read.
    pub(super) fn none() -> Self {
        Self::new([])
    }

    /// Bytes of one record.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A record with a place for each value.
    pub(super) fn blank(&self) -> Record {
        Record { sequence: 0, time_us: 0, label: 0, values: vec![0.0; self.quanta.len()] }
    }

    /// Appends the bytes of a record to `out`; gives how many of its values the ring cannot hold.
    pub(super) fn write(
        &self,
        (sequence, time_us, label): (u64, i64, u16),
        values: &[f32],
        out: &mut Vec<u8>,
    ) -> u64 {
        let start = out.len();
        let mut cut = 0;
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&time_us.to_le_bytes());
        out.extend_from_slice(&label.to_le_bytes());
        for (&value, &quantum) in values.iter().zip(&self.quanta) {
            if quantum > 0.0 {
                let code = quantize(value, quantum);
                cut += u64::from(code == CUT);
                out.extend_from_slice(&code.to_le_bytes());
            } else {
                cut += u64::from(!value.is_finite());
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        let crc = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        cut
    }

    /// Reads `bytes` into `record`, which is one of [`Layout::blank`]. `false` when the length or the
    /// checksum is wrong; the record is then unchanged.
    pub(super) fn read(&self, bytes: &[u8], record: &mut Record) -> bool {
        if bytes.len() != self.bytes || record.values.len() != self.quanta.len() {
            return false;
        }
        let (body, crc) = bytes.split_at(bytes.len() - CRC_BYTES);
        if crc32fast::hash(body).to_le_bytes() != crc {
            return false;
        }
        record.sequence = u64::from_le_bytes(array(&body[SEQUENCE]));
        record.time_us = i64::from_le_bytes(array(&body[TIME]));
        record.label = u16::from_le_bytes(array(&body[LABEL]));
        let mut rest = &body[VALUES..];
        for (value, &quantum) in record.values.iter_mut().zip(&self.quanta) {
            let (own, after) = rest.split_at(if quantum > 0.0 { 2 } else { 4 });
            rest = after;
            *value = if quantum > 0.0 {
                self.value(i16::from_le_bytes(array(own)), quantum)
            } else {
                finite(f32::from_le_bytes(array(own)))
            };
        }
        true
    }

    fn value(&self, code: i16, quantum: f32) -> f32 {
        if code == CUT || self.cut_at_end && code.unsigned_abs() == i16::MAX.unsigned_abs() {
            f32::NAN
        } else {
            f32::from(code) * quantum
        }
    }
}

/// Puts another label into the bytes of a record, which are whole.
pub(super) fn relabel(bytes: &mut [u8], label: u16) {
    bytes[LABEL].copy_from_slice(&label.to_le_bytes());
    let end = bytes.len() - CRC_BYTES;
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
}

/// `bytes` as an array; its callers slice exactly `N` bytes.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// Infinite values are as good as none.
fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { f32::NAN }
}

/// `value` in multiples of `quantum`; [`CUT`] where there is no code for it.
#[allow(clippy::cast_possible_truncation)]
fn quantize(value: f32, quantum: f32) -> i16 {
    let code = (value / quantum).round();
    if code.abs() <= f32::from(i16::MAX) { code as i16 } else { CUT }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(layout: &Layout, record: &Record) -> Vec<u8> {
        let mut bytes = Vec::new();
        layout.write((record.sequence, record.time_us, record.label), &record.values, &mut bytes);
        bytes
    }

    #[test]
    fn a_record_reads_back_and_any_flipped_bit_is_noticed() {
        let layout = Layout::new([0.5, 0.0]);
        let record = Record { sequence: 7, time_us: -3, label: 2, values: vec![-0.5, 112.123] };
        let mut bytes = written(&layout, &record);
        assert_eq!((bytes.len(), layout.bytes()), (28, 28));
        let mut read = layout.blank();
        assert!(layout.read(&bytes, &mut read) && read == record);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!layout.read(&bytes, &mut read), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for wrong in [&bytes[1..], &[], &[0; 28]] {
            assert!(!layout.read(wrong, &mut read));
        }
        relabel(&mut bytes, 5);
        assert!(layout.read(&bytes, &mut read));
        assert_eq!(read, Record { label: 5, ..record });
    }

    #[test]
    fn values_are_rounded_to_the_quantum_and_marked_outside_of_its_range() {
        assert_eq!(quantize(0.0124, 0.001), 12);
        assert_eq!(quantize(-32.767, 0.001), -32767);
        for outside in [32.768, 40.0, f32::MIN, f32::NAN, f32::INFINITY] {
            assert_eq!(quantize(outside, 0.001), CUT, "{outside}");
        }
    }

    #[test]
    fn without_a_quantum_every_finite_value_is_kept_exactly() {
        let layout = Layout::new([0.0]);
        let mut read = layout.blank();
        for value in [0.0, -0.0, 112.0, 119.1, f32::MAX, f32::MIN_POSITIVE, 1e-40] {
            let mut bytes = Vec::new();
            assert_eq!(layout.write((1, 2, 3), &[value], &mut bytes), 0);
            assert!(layout.read(&bytes, &mut read));
            assert_eq!(read.values[0].to_bits(), value.to_bits());
        }
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut bytes = Vec::new();
            assert_eq!(layout.write((1, 2, 3), &[value], &mut bytes), 1);
            assert!(layout.read(&bytes, &mut read) && read.values[0].is_nan());
        }
    }
}
