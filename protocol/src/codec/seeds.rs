//! The public seeds of a payload: both ends compute them, so that no byte is spent on them.

use sha2::{Digest as _, Sha256};

use crate::id::{DeviceId, LayoutHash, Lineage, ModelVersion, RoundId};

/// Seeds of what a decoder must repeat: dithers and rotations. Not secret, and different for each
/// payload, so that errors of different devices and rounds are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The same for all devices of a round.
    pub round: u64,
    /// Another for each device of a round; for a delta equal to `round`.
    pub device: u64,
}

impl Seeds {
    /// The seeds of an update: the first eight bytes, little-endian, of SHA-256 over `round` or
    /// `device`, a zero byte, lineage, round (four bytes, little-endian), kind (one byte), and for
    /// the device's own its name.
    pub fn of_update(device: &DeviceId, lineage: Lineage, round: RoundId, kind: u8) -> Self {
        let seed = |label: &[u8], name: &[u8]| {
            let round = round.0.to_le_bytes();
            first_eight(&[label, &[0], &lineage.0, &round, &[kind], name])
        };
        Self { round: seed(b"round", b""), device: seed(b"device", device.as_str().as_bytes()) }
    }

    /// The seeds of a delta: as above over `delta`, a zero byte, layout and version (four bytes,
    /// little-endian); both are the same.
    pub fn of_delta(layout: LayoutHash, version: ModelVersion) -> Self {
        let seed = first_eight(&[b"delta", &[0], &layout.0, &version.0.to_le_bytes()]);
        Self { round: seed, device: seed }
    }
}

fn first_eight(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().iter().take(8).rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
