//! What the buffer of a device gives: scans, each with one value of every enabled channel.

use super::sysfs::quoted;

/// How one channel lies in a scan, as its file `_type` says: `le:s12/16>>4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanType {
    big_endian: bool,
    signed: bool,
    bits: u32,
    /// Bytes in the scan: 1, 2, 4 or 8.
    bytes: usize,
    shift: u32,
}

impl ScanType {
    /// Reads a type.
    ///
    /// # Errors
    /// What is wrong or cannot be read by this program.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::parts(text).ok_or_else(|| {
            let text = quoted(text);
            format!(
                "{text:?} is no type that can be read; known are integers such as le:s12/16>>4, \
                 and none that repeat (X)"
            )
        })
    }

    fn parts(text: &str) -> Option<Self> {
        let (order, rest) = text.split_once(':')?;
        let big_endian = match order {
            "be" => true,
            "le" => false,
            _ => return None,
        };
        let signed = match rest.get(..1)? {
            "s" => true,
            "u" => false,
            _ => return None,
        };
        let (bits, rest) = rest.get(1..)?.split_once('/')?;
        let (storage, shift) = rest.split_once(">>").unwrap_or((rest, "0"));
        let (bits, storage, shift) = (number(bits)?, number(storage)?, number(shift)?);
        let fits = matches!(storage, 8 | 16 | 32 | 64) && bits > 0 && bits + shift <= storage;
        let bytes = usize::try_from(storage / 8).ok()?;
        fits.then_some(Self { big_endian, signed, bits, bytes, shift })
    }

    /// Whether this is what a timestamp looks like.
    pub(super) fn is_timestamp(&self) -> bool {
        self.signed && (self.bits, self.shift, self.bytes) == (64, 0, 8)
    }

    /// The value in `bytes`, which are as many as the type has.
    fn decode(&self, bytes: &[u8]) -> i128 {
        let join = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        let word = match self.big_endian {
            true => bytes.iter().fold(0, join),
            false => bytes.iter().rev().fold(0, join),
        };
        let value = i128::from(word >> self.shift) & ((1 << self.bits) - 1);
        let negative = self.signed && value >> (self.bits - 1) == 1;
        if negative { value - (1 << self.bits) } else { value }
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&number| number <= 64)
}

/// Where the channels lie in a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Type and first byte of each channel, in the order in which they were given.
    places: Vec<(ScanType, usize)>,
    bytes: usize,
}

impl Layout {
    /// The layout of a scan of channels with these indexes and types: in the order of their
    /// indexes, each at a multiple of its own size, the whole a multiple of the largest.
    ///
    /// # Errors
    /// When two channels have one index.
    pub(super) fn new(channels: &[(u32, ScanType)]) -> Result<Self, String> {
        let mut order: Vec<usize> = (0..channels.len()).collect();
        order.sort_by_key(|&at| channels[at].0);
        if let Some(pair) = order.windows(2).find(|pair| channels[pair[0]].0 == channels[pair[1]].0)
        {
            return Err(format!("two channels have the index {}", channels[pair[0]].0));
        }
        let mut places: Vec<(ScanType, usize)> =
            channels.iter().map(|&(_, kind)| (kind, 0)).collect();
        let (mut bytes, mut largest) = (0usize, 1);
        for at in order {
            let (kind, place) = &mut places[at];
            *place = bytes.next_multiple_of(kind.bytes);
            bytes = *place + kind.bytes;
            largest = largest.max(kind.bytes);
        }
        Ok(Self { places, bytes: bytes.next_multiple_of(largest) })
    }

    /// Bytes of a scan.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value of channel `at`, in the order in which they were given, in a whole `scan`.
    pub(super) fn value(&self, at: usize, scan: &[u8]) -> i128 {
        let (kind, place) = self.places[at];
        kind.decode(&scan[place..place + kind.bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str, bytes: &[u8]) -> i128 {
        let kind = ScanType::parse(text).unwrap();
        assert_eq!(kind.bytes, bytes.len());
        kind.decode(bytes)
    }

    #[test]
    fn values_are_shifted_masked_and_their_sign_is_kept() {
        assert_eq!(decode("le:s12/16>>4", &[0xF0, 0xFF]), -1);
        assert_eq!(decode("le:s12/16>>4", &[0x1F, 0x80]), -2047);
        assert_eq!(decode("be:s12/16>>4", &[0x7F, 0xF0]), 2047);
        assert_eq!(decode("be:s12/16>>0", &[0xF8, 0x00]), -2048, "what is above the bits is noise");
        assert_eq!(decode("be:u24/32>>8", &[0xFF, 0xFF, 0xFE, 0x55]), 0xFF_FFFE);
        assert_eq!(decode("be:u24/32>>0", &[0x55, 0x01, 0x02, 0x03]), 0x01_0203);
        assert_eq!(decode("le:u8/8>>0", &[200]), 200);
        assert_eq!(decode("le:s8/8>>0", &[200]), -56);
        assert_eq!(decode("le:s64/64>>0", &i64::MIN.to_le_bytes()), i128::from(i64::MIN));
        assert_eq!(decode("be:u64/64", &[0xFF; 8]), i128::from(u64::MAX));
    }

    #[test]
    fn types_that_cannot_be_read_are_refused() {
        let long = "le:s".repeat(2000);
        for wrong in [
            "",
            "le",
            "me:s16/16>>0",
            "le:x16/16>>0",
            "le:f32/32>>0",
            "le:s0/16>>0",
            "le:s16/24>>0",
            "le:s16/16>>4",
            "le:s16/16X3>>0",
            "le:s99/128>>0",
            "le:s16/16>>",
            "le:é16/16>>0",
            "le:s-1/16>>0",
            long.as_str(),
        ] {
            let error = ScanType::parse(wrong).unwrap_err();
            assert!(error.contains("le:s12/16>>4") && error.len() < 400, "{error}");
        }
    }

    #[test]
    fn channels_lie_in_the_order_of_their_indexes_each_at_a_multiple_of_its_size() {
        let kind = |text| ScanType::parse(text).unwrap();
        let (short, byte, stamp) = (kind("le:s16/16>>0"), kind("le:u8/8>>0"), kind("le:s64/64>>0"));
        let layout = Layout::new(&[(2, short), (0, short), (1, byte), (3, stamp)]).unwrap();
        let places: Vec<usize> = layout.places.iter().map(|&(_, place)| place).collect();
        assert_eq!((places, layout.bytes()), (vec![4, 0, 2, 8], 16));
        let layout = Layout::new(&[(0, kind("be:u24/32>>0")), (1, byte)]).unwrap();
        assert_eq!(layout.bytes(), 8, "the next scan's first value must lie right, too");
        let layout = Layout::new(&[(0, short), (1, short), (2, short)]).unwrap();
        assert_eq!(layout.bytes(), 6);
        assert!(Layout::new(&[(1, short), (1, byte)]).unwrap_err().contains("index 1"));
    }
}
