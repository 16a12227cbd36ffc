use dunlin_protocol::id::RoundId;
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::report::ReportHeader;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::work::Training;

use super::*;
use crate::combine::{Accumulator, Scale};
use crate::example::{LINEAGE, task};

const CLIP: f32 = 1.0;
const BASE: ModelVersion = ModelVersion(3);
/// Values of an update of the task with windows of 200 samples.
const N: usize = 402;

/// An update of `n` values and of this norm.
#[allow(clippy::cast_possible_truncation)] // to f32, the nearest
fn update(n: usize, norm: f32) -> Vec<f32> {
    let mut rng = Rng::new(5);
    let values: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
    let factor = f64::from(norm) / squared_norm(&values).sqrt();
    values.iter().map(|value| (f64::from(*value) * factor) as f32).collect()
}

/// What `codec` makes of `update`, and what counts of that, for each of so many public seeds.
fn counted(codec: Codec, update: &[f32], seeds: u64) -> Vec<Result<Vec<f32>, Refusal>> {
    let task = Task::new(task(200)).unwrap();
    let work = TrainWork {
        training: Training::sgd(1, 8, 0.1),
        codec: codec.spec(),
        clip_norm: CLIP,
        max_abs: CLIP,
    };
    let scale = Scale::new(CLIP, 1, 8).unwrap();
    let collector = Collector::Mean(Accumulator::new(scale, N));
    let job = Job::Train { work: work.clone(), weight_max: 1 };
    let of = WorkRef { lineage: LINEAGE, round: RoundId(1), kind: WorkKind::Train as u8 };
    let header = ReportHeader::new(of, BASE, task.digest(), codec.spec().id);
    let count = |seed| {
        let seeds = Seeds { round: 1, device: seed };
        let payload = codec.encode(&mut update.to_vec(), seeds, seed).unwrap();
        let report = Report::new(header.clone(), Vec::new(), &payload);
        #[rustfmt::skip]
        let terms = Terms {
            base: BASE, task: &task, seeds, job: &job, examples_max: 1_000, collector: &collector,
        };
        values(&report, &work, &terms)
    };
    (0..seeds).map(count).collect()
}

/// The part of `update` that is in `values`.
fn projection(values: &[f32], update: &[f32]) -> f64 {
    let product = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
    values.iter().zip(update).map(product).sum::<f64>() / squared_norm(update)
}

#[test]
fn an_update_at_the_clip_norm_counts_in_full_whatever_its_codec_adds() {
    let update = update(N, CLIP);
    for codec in [Codec::Ecdq { step: 1.0 }, Codec::Eden { bits: 2 }, Codec::INT8] {
        let all = counted(codec, &update, 1_000);
        let projections = all.iter().map(|values| projection(values.as_ref().unwrap(), &update));
        let mean = projections.sum::<f64>() / 1_000.0;
        assert!((mean - 1.0).abs() < 0.01, "{codec}: {mean}");
    }
}

#[test]
fn an_update_that_the_codec_cannot_have_made_of_the_clip_norm_is_refused() {
    for codec in [Codec::F32, Codec::INT8, Codec::Ecdq { step: 1.0 }, Codec::Eden { bits: 2 }] {
        let longest = codec.norm_max(N, CLIP);
        for values in counted(codec, &update(N, CLIP), 20) {
            let norm = squared_norm(&values.unwrap()).sqrt();
            assert!(norm <= longest * (1.0 + ROUNDING), "{codec}: {norm} of {longest}");
        }
        let longer = update(N, 2.0 * CLIP);
        for values in counted(codec, &longer, 20) {
            assert_eq!(values, Err(Refusal::NormTooLarge), "{codec}, {longest}");
        }
    }
}
