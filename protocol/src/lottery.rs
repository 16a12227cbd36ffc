//! The draw by which devices choose themselves for a round, without a message.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::id::{FederationId, Lineage, RoundId};
use crate::wire::WireError;

/// Share of devices that take part, in units of 2^-32: 0 is nobody, 2^32 everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fraction(u64);

impl Fraction {
    /// Everybody takes part: 2^32, above the upper half of any draw.
    pub const ALL: Self = Self(1 << 32);

    /// `part` of `whole` devices; everybody when `part >= whole`.
    pub fn of(part: u32, whole: u32) -> Self {
        if part >= whole {
            return Self::ALL;
        }
        Self((u64::from(part) << 32).div_ceil(u64::from(whole)))
    }

    /// Whether a device with this draw is in the share.
    pub fn takes(self, draw: u64) -> bool {
        draw >> 32 < self.0
    }

    /// The share as a number from 0 to 1.
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Self::ALL.0 as f64
    }

    pub(crate) fn check(self) -> Result<(), WireError> {
        if self <= Self::ALL { Ok(()) } else { Err(WireError::Invalid("a fraction is at most 1")) }
    }
}

/// A device's secret for the draw: 32 random bytes made at its first start and kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotteryKey(pub [u8; 32]);

impl core::fmt::Debug for LotteryKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LotteryKey(secret)")
    }
}

/// A key that draws often.
#[derive(Clone)]
pub struct KeyedLottery(Hmac<Sha256>);

impl core::fmt::Debug for KeyedLottery {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeyedLottery(secret)")
    }
}

impl KeyedLottery {
    /// The same number as [`LotteryKey::draw`] gives for this key.
    pub fn draw(
        &self,
        federation: &FederationId,
        lineage: Lineage,
        round: RoundId,
        kind: u8,
    ) -> u64 {
        let mut mac = self.0.clone();
        mac.update(federation.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(&lineage.0);
        mac.update(&round.0.to_le_bytes());
        mac.update(&[kind]);
        let tag = mac.finalize().into_bytes();
        tag.iter().take(8).rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

impl LotteryKey {
    /// First eight bytes of `HMAC-SHA256(key, federation | 0 | lineage | round | kind)` as a
    /// little-endian number; `round` is four bytes, `kind` one, so that training and evaluation
    /// of one round draw apart.
    pub fn draw(
        &self,
        federation: &FederationId,
        lineage: Lineage,
        round: RoundId,
        kind: u8,
    ) -> u64 {
        self.keyed().draw(federation, lineage, round, kind)
    }

    /// The key with its part of the work done, for many draws: half of their cost.
    pub fn keyed(&self) -> KeyedLottery {
        // HMAC pads keys shorter than its 64-byte block with zeros (RFC 2104, section 2).
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        KeyedLottery(Hmac::new(&block.into()))
    }

    /// Whether the device with this key takes part.
    pub fn selects(
        &self,
        federation: &FederationId,
        lineage: Lineage,
        round: RoundId,
        kind: u8,
        fraction: Fraction,
    ) -> bool {
        fraction.takes(self.draw(federation, lineage, round, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Name;

    fn selected(fraction: Fraction) -> usize {
        let federation = Name::new("wrist").unwrap();
        (0..2000u32)
            .filter(|&device| {
                let mut key = [7; 32];
                key[..4].copy_from_slice(&device.to_le_bytes());
                LotteryKey(key).selects(&federation, Lineage([1; 16]), RoundId(3), 1, fraction)
            })
            .count()
    }

    #[test]
    fn a_fraction_selects_about_that_share_and_a_larger_one_only_adds() {
        assert_eq!(selected(Fraction::of(0, 10)), 0);
        assert_eq!(selected(Fraction::ALL), 2000);
        let quarter = selected(Fraction::of(1, 4));
        assert!((430..570).contains(&quarter), "{quarter}");
        assert!(selected(Fraction::of(1, 2)) > quarter);
    }
}
