use std::sync::Arc;

use dunlin_aggregator::admit::{Terms, admit};
use dunlin_aggregator::collect::Table;
use dunlin_aggregator::combine::{Accumulator, Scale};
use dunlin_aggregator::round::Job;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::{Name, RoundId};
use dunlin_protocol::report::ReportHeader;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::work::{
    ChannelQuery, Score, SumsWork, TrainFigures, TrainWork, Training, write_integers,
};

use super::*;
use crate::sim::toy;

const CODECS: [&str; 13] = [
    "f32",
    "int8",
    "int8=7",
    "ecdq=0.5",
    "ecdq=2",
    "ecdq=900B",
    "eden=1",
    "eden=2",
    "eden=4",
    "uniform=3:0.1",
    "uniform=8:0.01",
    "uniform=16:0.001",
    "sparse=2",
];
const CLIP: f32 = 1.0;
const MAX_ABS: f32 = 0.5;
const CAP: u32 = 7;
const UPDATES: u32 = 5;
const BASE: ModelVersion = ModelVersion(2);

fn known() -> Known {
    Known {
        task: Arc::new(Task::new(toy::task(40)).unwrap()),
        examples_max: 1_000,
        weighting: Weighting::Examples { cap: CAP },
        target: UPDATES,
        devices: UPDATES,
        patience_ms: 0,
        min_online: 1,
    }
}

fn key(kind: WorkKind) -> RoundKey {
    RoundKey { round: RoundId(3), kind }
}

fn device(number: u32) -> DeviceId {
    Name::new(&format!("d{number}")).unwrap()
}

fn train_work(codec: Codec) -> TrainWork {
    let training = Training::sgd(1, 8, 0.1);
    TrainWork { training, codec: codec.spec(), clip_norm: CLIP, max_abs: MAX_ABS }
}

/// The bytes of a report.
fn object(known: &Known, kind: WorkKind, codec: u8, metrics: Vec<u64>, payload: &[u8]) -> Vec<u8> {
    let work = key(kind).work_ref(Lineage(LINEAGE));
    let header = ReportHeader::new(work, BASE, known.task.digest(), codec);
    Report::new(header, metrics, payload).encode().unwrap()
}

/// An update of norm [`CLIP`], with one value of [`MAX_ABS`]: most codecs read it back longer.
fn update(known: &Known, codec: Codec, number: u32) -> Vec<u8> {
    let mut rng = Rng::new(u64::from(number));
    let n = known.task.layout().n_update();
    let mut values: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
    values[0] = 0.0;
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let rest = (CLIP * CLIP - MAX_ABS * MAX_ABS).sqrt();
    values.iter_mut().for_each(|value| *value *= rest / norm);
    values[0] = MAX_ABS;
    let kind = WorkKind::Train;
    let (lineage, round) = (Lineage(LINEAGE), key(kind).round);
    let seeds = Seeds::of_update(&device(number), lineage, round, kind as u8);
    let payload = codec.encode(&mut values, seeds, 9).unwrap();
    let score = |correct| Score { windows: 10, correct, loss_sum: 2.5 };
    let examples = 3 + 3 * number;
    let figures = TrainFigures { examples, train_loss: 0.3, before: score(4), after: score(7) };
    object(known, kind, codec.spec().id, figures.metrics(), &payload)
}

/// Adds the reports as the aggregator does.
fn add(known: &Known, kind: WorkKind, job: &Job, sums: &mut Collector, objects: &[Vec<u8>]) {
    for (number, object) in (0_u32..).zip(objects) {
        let (lineage, round) = (Lineage(LINEAGE), key(kind).round);
        let terms = Terms {
            base: BASE,
            task: &known.task,
            seeds: Seeds::of_update(&device(number), lineage, round, kind as u8),
            job,
            examples_max: known.examples_max,
            collector: sums,
        };
        let share = admit(&Report::decode(object).unwrap(), &terms).unwrap();
        sums.add(&share).unwrap();
    }
}

/// The sum of the aggregator, for a round that it has changed a little, and that of the checks.
fn sums_of_updates(
    text: &str,
    change: impl FnOnce(&mut TrainWork, &mut u32),
) -> (Collector, Reference) {
    let (known, codec, kind) = (known(), text.parse::<Codec>().unwrap(), WorkKind::Train);
    let objects: Vec<_> = (0..UPDATES).map(|number| update(&known, codec, number)).collect();
    let mut sums = Reference::new(key(kind), BASE, Work::Train(train_work(codec)), &known);
    for (number, object) in (0_u32..).zip(&objects) {
        sums.add(&device(number), object, &known).unwrap_or_else(|| panic!("{text}: {number}"));
    }
    let (mut work, mut weight_max) = (train_work(codec), CAP);
    change(&mut work, &mut weight_max);
    let scale = Scale::new(work.max_abs, CAP, UPDATES).unwrap();
    let mut stored = Collector::Mean(Accumulator::new(scale, known.task.layout().n_update()));
    add(&known, kind, &Job::Train { work, weight_max }, &mut stored, &objects);
    (stored, sums)
}

#[test]
fn every_codec_is_read_to_the_same_bits() {
    let seeds = Seeds { round: 5, device: 6 };
    for (text, n) in CODECS.iter().flat_map(|text| [1, 63, 100, 2402].map(|n| (text, n))) {
        let codec: Codec = text.parse().unwrap();
        let mut rng = Rng::new(7);
        for scale in [0.0, 1e-30, 0.01] {
            let mut values: Vec<f32> = (0..n).map(|_| rng.normal() * scale).collect();
            let payload = codec.encode(&mut values, seeds, 9).unwrap();
            let field = codec.decode(&payload, n, seeds).unwrap();
            let own = values::decoded(&payload, codec.spec(), n, seeds).unwrap();
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&own), bits(&field), "{text}, {n} values of {scale}");
        }
    }
}

#[test]
fn bounded_weighed_and_scaled_updates_add_up_to_the_same_bits() {
    for text in CODECS {
        let (stored, sums) = sums_of_updates(text, |_, _| {});
        assert_eq!(sums.difference(&stored), None, "{text}");
        assert_eq!(sums.figures(), stored.figures(), "{text}");
    }
}

#[test]
fn another_weight_bound_step_or_scale_makes_another_sum() {
    let differs = |text: &str, change: fn(&mut TrainWork, &mut u32)| {
        let (stored, sums) = sums_of_updates(text, change);
        sums.difference(&stored).unwrap()
    };
    assert!(differs("f32", |_, weight_max| *weight_max = 6).starts_with("number"));
    assert!(differs("eden=4", |work, _| work.max_abs = 0.4).starts_with("number"));
    assert!(differs("uniform=8:0.01", |work, _| work.codec.scale = 0.009).starts_with("number"));
    assert!(differs("f32", |work, _| work.max_abs = 4.0).contains("fraction bits"));
}

#[test]
fn a_report_that_a_round_must_not_take_is_not_added() {
    let (known, codec) = (known(), Codec::F32);
    let object = update(&known, codec, 0);
    let adds = |base: ModelVersion, change: fn(&mut TrainWork), examples_max: u32| {
        let mut work = train_work(codec);
        change(&mut work);
        let mut sums = Reference::new(key(WorkKind::Train), base, Work::Train(work), &known);
        let known = Known { examples_max, ..known.clone() };
        sums.add(&device(0), &object, &known).is_some()
    };
    assert!(adds(BASE, |_| {}, 1_000));
    assert!(!adds(ModelVersion(1), |_| {}, 1_000), "another base");
    assert!(!adds(BASE, |_| {}, 2), "more examples than may be");
    assert!(!adds(BASE, |work| work.max_abs = 0.4, 1_000), "a value is too large");
    assert!(!adds(BASE, |work| work.clip_norm = 0.9, 1_000), "the norm is too large");
    assert!(!adds(BASE, |work| work.codec = Codec::INT8.spec(), 1_000), "another codec");
}

#[test]
fn evaluations_and_answers_add_up_too() {
    let known = known();
    let score = Score { windows: 9, correct: 4, loss_sum: 1.25 };
    let scale = Scale::new(1.0, 1, 100).unwrap();
    let objects = [object(&known, WorkKind::Evaluate, 0, score.metrics(), &[])];
    let evaluation = (Work::Evaluate, Job::Evaluate, Collector::Mean(Accumulator::new(scale, 0)));
    assert_same(&known, WorkKind::Evaluate, evaluation, &objects);

    let edges = vec![0.0];
    let query = ChannelQuery { channel: 0, fraction_bits: 8, max_abs: 1.0, edges };
    let work = SumsWork { labels: true, channels: vec![query] };
    let table = Collector::Table(Table::new(table::length(&work, &known.task)));
    let job = Job::Sums { query: Name::new("query").unwrap(), work: work.clone() };
    let answer = |numbers: &[i128]| {
        object(&known, WorkKind::Sums, 0, vec![2], &write_integers(numbers).unwrap())
    };
    let objects = [
        answer(&[2, 1, 1, 80, -20_480, 5_242_880, 80, 0]),
        answer(&[2, 0, 2, 80, 77, 9_000, 30, 50]),
    ];
    assert_same(&known, WorkKind::Sums, (Work::Sums(work.clone()), job, table), &objects);

    let mut sums = Reference::new(key(WorkKind::Sums), BASE, Work::Sums(work), &known);
    let impossible = answer(&[2, 1, 1, 80, 20_481, 9_000, 30, 50]);
    assert!(sums.add(&device(0), &impossible, &known).is_none());
}

/// Both sums of these reports are the same.
fn assert_same(
    known: &Known,
    kind: WorkKind,
    (work, job, mut stored): (Work, Job, Collector),
    objects: &[Vec<u8>],
) {
    assert!(is_empty(&stored));
    add(known, kind, &job, &mut stored, objects);
    let mut sums = Reference::new(key(kind), BASE, work, known);
    for (number, object) in (0_u32..).zip(objects) {
        sums.add(&device(number), object, known).unwrap();
    }
    assert_eq!(sums.difference(&stored), None);
    assert_eq!(sums.figures(), stored.figures());
    assert!(!is_empty(&stored));
}
