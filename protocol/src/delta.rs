//! The delta object: how one version of the model becomes the next, in few bytes.
//!
//! What a delta gives lies on the `f16` grid, like every version that devices train from. So any
//! version can be written exactly as an anchor of two bytes a parameter, and a device that came by
//! deltas has the same bits as one that took the anchor. What the codec and the grid lose is the
//! aggregator's to keep and to send with the next version.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::codec::{Codec, CodecSpec, Seeds};
use crate::id::{LayoutHash, ModelVersion, ShortDigest};
use crate::limits::{OBJECT_BYTES_MAX, PARAMS_MAX};
use crate::model::{half_digest, half_grid};
use crate::wire::{self, Kind, WireError};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    version: ModelVersion,
    base: ModelVersion,
    layout: LayoutHash,
    codec: CodecSpec,
    result: ShortDigest,
}

/// A delta as it lies in its object.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta<'a> {
    header: Header,
    codec: Codec,
    payload: &'a [u8],
}

/// A delta just made, and what devices get from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The encoded [`Delta`]: envelope, header and payload.
    pub object: Vec<u8>,
    /// The version that devices get, `[n_model]`, on [`half_grid`].
    pub params: Vec<f32>,
}

impl<'a> Delta<'a> {
    /// Makes the delta from `base`, on the grid, towards `target`, both `[n_model]`; devices get as
    /// near to `target` as the codec and the grid allow. Not for codecs with a byte budget of
    /// their own or an error feedback at the receiver.
    ///
    /// # Errors
    /// [`WireError::Invalid`] when the lengths differ or a value is not finite.
    pub fn make(
        codec: Codec,
        layout: LayoutHash,
        base_version: ModelVersion,
        base: &[f32],
        target: &[f32],
    ) -> Result<Made, WireError> {
        if base.len() != target.len() || base.is_empty() || base.len() > PARAMS_MAX {
            return Err(WireError::Invalid("both versions have the same 1 to 2097152 parameters"));
        }
        let version = base_version.next();
        let seeds = Seeds::of_delta(layout, version);
        let mut difference: Vec<f32> = target.iter().zip(base).map(|(t, b)| t - b).collect();
        let noise = seeds.device.rotate_left(32);
        let payload = codec.encode(&mut difference, seeds, noise)?;
        let params = add(base, &codec.decode(&payload, base.len(), seeds)?);
        let (codec, result) = (codec.spec(), half_digest(&params));
        let header = Header { version, base: base_version, layout, codec, result };
        let mut object = wire::encode_parts(Kind::Delta, &header)?;
        object.extend_from_slice(&payload);
        Ok(Made { object, params })
    }

    /// Reads a delta; its payload is not decoded yet.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong with the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let body = wire::open(bytes, Kind::Delta, OBJECT_BYTES_MAX as usize)?;
        let (header, payload) = wire::take::<Header>(body)?;
        let codec = Codec::from_spec(header.codec)
            .ok_or(WireError::Invalid("this program does not have the delta's codec"))?;
        Ok(Self { header, codec, payload })
    }

    /// The object's bytes.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when postcard cannot write the header.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut bytes = wire::encode_parts(Kind::Delta, &self.header)?;
        bytes.extend_from_slice(self.payload);
        Ok(bytes)
    }

    /// The version that results.
    pub fn version(&self) -> ModelVersion {
        self.header.version
    }

    /// The version that it is added to.
    pub fn base(&self) -> ModelVersion {
        self.header.base
    }

    /// What the coordinates mean.
    pub fn layout(&self) -> LayoutHash {
        self.header.layout
    }

    /// The version that results from `base: [n_model]`, `[n_model]`, on [`half_grid`].
    ///
    /// # Errors
    /// [`WireError`] when the payload is not one for so many coordinates;
    /// [`WireError::Checksum`] when the result is not what the aggregator has: then `base` was
    /// another version, or this machine computes in another way.
    pub fn apply(&self, base: &[f32]) -> Result<Vec<f32>, WireError> {
        let seeds = Seeds::of_delta(self.header.layout, self.header.version);
        let params = add(base, &self.codec.decode(self.payload, base.len(), seeds)?);
        if half_digest(&params) == self.header.result {
            Ok(params)
        } else {
            Err(WireError::Checksum)
        }
    }
}

fn add(base: &[f32], difference: &[f32]) -> Vec<f32> {
    let finite = |sum: f32| if sum.is_finite() { sum } else { f32::MAX.copysign(sum) };
    base.iter().zip(difference).map(|(b, d)| half_grid(finite(b + d))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const LAYOUT: LayoutHash = LayoutHash([7; 8]);

    fn vector(seed: u64, scale: f32) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..1000).map(|_| half_grid(rng.normal() * scale)).collect()
    }

    #[test]
    fn a_device_gets_the_aggregators_bits_with_every_codec() {
        let (base, step) = (vector(1, 0.5), vector(2, 0.01));
        let target: Vec<f32> = base.iter().zip(&step).map(|(b, s)| b + s).collect();
        for text in ["f32", "int8", "ecdq=1", "eden=4", "uniform=8:0.001", "sparse=2"] {
            let codec: Codec = text.parse().unwrap();
            let made = Delta::make(codec, LAYOUT, ModelVersion(4), &base, &target).unwrap();
            let delta = Delta::decode(&made.object).unwrap();
            assert_eq!((delta.base(), delta.version()), (ModelVersion(4), ModelVersion(5)));
            assert_eq!(delta.apply(&base).unwrap(), made.params, "{text}");
            assert_eq!(delta.apply(&target), Err(WireError::Checksum), "{text}: another base");
            assert!(made.params.iter().all(|&p| half_grid(p) == p));
        }
    }

    #[test]
    fn with_error_feedback_devices_follow_the_exact_model_however_coarse_the_deltas() {
        let codec: Codec = "sparse=3".parse().unwrap();
        let (mut exact, mut published) = (vector(1, 0.5), vector(1, 0.5));
        for round in 0..40 {
            let step = vector(100 + u64::from(round), 0.01);
            exact.iter_mut().zip(&step).for_each(|(e, s)| *e += s);
            let made = Delta::make(codec, LAYOUT, ModelVersion(round), &published, &exact).unwrap();
            published = made.params;
        }
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|x| x * x).sum::<f32>().sqrt();
        let gap = norm(&mut exact.iter().zip(&published).map(|(e, p)| e - p));
        let one_step = norm(&mut vector(100, 0.01).into_iter());
        assert!(gap < 3.0 * one_step, "gap {gap}, one step {one_step}");
    }

    #[test]
    fn numbers_beyond_half_precision_stop_at_its_largest() {
        assert_eq!(half_grid(1e9), 65504.0);
        assert_eq!(half_grid(-65519.0), -65504.0);
        assert_eq!(add(&[65504.0], &[f32::MAX]), [65504.0]);
    }
}
