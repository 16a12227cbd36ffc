//! Bytes on the wire against files made by an independent NumPy script, bad cases too.

use std::path::Path;

use dunlin_agent::sums::add_up;
use dunlin_aggregator::collect::Table;
use dunlin_protocol::codec::{Codec, CodecSpec, Seeds};
use dunlin_protocol::delta::Delta;
use dunlin_protocol::give_up::GaveUp;
use dunlin_protocol::id::{Digest, LayoutHash, Lineage, ModelVersion, RoundId};
use dunlin_protocol::lottery::LotteryKey;
use dunlin_protocol::message::{Ack, Claim, Go, Verdict};
use dunlin_protocol::model::Model;
use dunlin_protocol::object::{Assembly, Chunk, ObjectRef};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::report::Report;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::seeded::Seeded;
use dunlin_protocol::task::{Rate, Target, Task, TaskSpec};
use dunlin_protocol::topic::shard_of;
use dunlin_protocol::wire::{self, Message, WireError};
use dunlin_protocol::work::{
    ChannelQuery, FIT_EXTENSION, FIT_SUMS, Fit, FitFigures, SumsWork, Work, read_fits,
    read_integers, write_integers,
};
use dunlin_tests::name;
use serde_json::Value;

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/v2").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let digit = |d: u8| char::from(d).to_digit(16).unwrap();
    digits.chunks(2).map(|d| u8::try_from(digit(d[0]) << 4 | digit(d[1])).unwrap()).collect()
}

fn floats(value: &Value) -> Vec<u32> {
    bytes(value).chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn again<M: Message>(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    wire::encode(&wire::decode::<M>(bytes)?)
}

/// Reads a message and writes it again.
fn read_and_write(kind: &str, bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    match kind {
        "plan" => again::<Plan>(bytes),
        "claim" => again::<Claim>(bytes),
        "go" => again::<Go>(bytes),
        "ack" => again::<Ack>(bytes),
        "verdict" => again::<Verdict>(bytes),
        "gave_up" => again::<GaveUp>(bytes),
        "presence" => {
            let presence = Presence::decode(bytes).ok_or(WireError::Malformed)?;
            Ok(presence.encode().into_bytes())
        }
        "task" => again::<TaskSpec>(bytes),
        "model" => Model::decode(bytes)?.encode(),
        "seeded" => again::<Seeded>(bytes),
        "delta" => Delta::decode(bytes)?.encode(),
        "update" => Report::decode(bytes)?.encode(),
        "chunk" => Ok(Chunk::decode(bytes)?.encode()),
        other => panic!("no kind {other}"),
    }
}

#[test]
fn good_messages_read_and_write_back_to_the_same_bytes() {
    for case in read("messages.json")["good"].as_array().unwrap() {
        let bytes = bytes(&case["hex"]);
        let written = read_and_write(case["kind"].as_str().unwrap(), &bytes);
        assert_eq!(written.as_deref(), Ok(bytes.as_slice()), "{}", case["name"]);
    }
}

#[test]
fn bad_messages_are_refused_for_the_stated_reason() {
    for case in read("messages.json")["bad"].as_array().unwrap() {
        let outcome = read_and_write(case["kind"].as_str().unwrap(), &bytes(&case["hex"]));
        let reason = outcome.map_err(|error| error.name());
        assert_eq!(reason, Err(case["error"].as_str().unwrap()), "{}", case["name"]);
    }
}

#[test]
fn every_prefix_of_every_message_is_refused_without_a_panic() {
    for case in read("messages.json")["good"].as_array().unwrap() {
        let bytes = bytes(&case["hex"]);
        let kind = case["kind"].as_str().unwrap();
        // A payload is checked by its codec.
        let payload_is_free = matches!(kind, "update" | "delta");
        for cut in 0..bytes.len() {
            let outcome = read_and_write(kind, &bytes[..cut]);
            assert!(outcome.is_err() || payload_is_free, "{} cut at {cut}", case["name"]);
        }
    }
}

#[test]
fn a_plan_keeps_work_that_is_newer_than_this_program() {
    let vectors = read("messages.json");
    let case = vectors["good"].as_array().unwrap().iter().find(|case| case["kind"] == "plan");
    let plan: Plan = wire::decode(&bytes(&case.unwrap()["hex"])).unwrap();
    let work: Vec<Work> = plan.work.iter().map(|item| item.work().unwrap()).collect();
    assert!(matches!(work[..], [Work::Train(_), Work::Evaluate, Work::Unknown(77)]));
}

#[test]
fn devices_add_up_what_numpy_adds_up_and_all_of_them_what_it_makes_of_their_windows_together() {
    let vectors = read("sums.json");
    let task = Task::decode(&bytes(&vectors["task"])).unwrap();
    #[allow(clippy::cast_possible_truncation)] // written with the digits of an f32
    let real = |value: &Value| value.as_f64().unwrap() as f32;
    let edges: Vec<f32> = vectors["edges"].as_array().unwrap().iter().map(real).collect();
    let fraction_bits = u8::try_from(number(&vectors["fraction_bits"])).unwrap();
    let max_abs = real(&vectors["max_abs"]);
    let channel = |channel, edges| ChannelQuery { channel, fraction_bits, max_abs, edges };
    let work = SumsWork { labels: true, channels: vec![channel(1, edges), channel(0, vec![])] };
    let numbers = |value: &Value| -> Vec<i128> {
        let texts = value.as_array().unwrap().iter();
        texts.map(|number| number.as_str().unwrap().parse().unwrap()).collect()
    };
    let mut table = Table::new(Work::Sums(work.clone()).vector(&task).len());
    for device in vectors["devices"].as_array().unwrap() {
        let values: Vec<f32> = floats(&device["windows"]).into_iter().map(f32::from_bits).collect();
        let labels: Vec<u64> = device["labels"].as_array().unwrap().iter().map(number).collect();
        let mut visit = |_: &TaskSpec, each: &mut dyn FnMut(&[f32], Option<u16>)| {
            for (window, label) in values.chunks(task.window_values()).zip(&labels) {
                each(window, u16::try_from(*label).ok());
            }
            Ok(())
        };
        let sums = add_up(&work, &task, &mut visit).unwrap();
        assert_eq!(sums, numbers(&device["sums"]));
        assert!(work.is_consistent(&task, &sums));
        let payload = write_integers(&sums).unwrap();
        table.add(&read_integers(&payload, sums.len()).unwrap()).unwrap();
    }
    assert_eq!(table.values(), numbers(&vectors["pooled"]));
}

#[test]
fn what_an_old_reader_may_skip_is_kept_and_work_that_it_must_know_more_for_is_unknown() {
    let vectors = read("messages.json");
    let named = |name: &str| {
        let mut cases = vectors["good"].as_array().unwrap().iter();
        bytes(&cases.find(|case| case["name"] == name).unwrap()["hex"])
    };
    let plan: Plan = wire::decode(&named("plan with extensions")).unwrap();
    assert_eq!((plan.extensions.get(1), plan.extensions.get(3)), (Some(&b"new"[..]), None));
    assert_eq!(plan.work[0].work(), Ok(Work::Evaluate));
    let plan: Plan = wire::decode(&named("plan with work that needs an extension")).unwrap();
    let work: Vec<Work> = plan.work.iter().map(|item| item.work().unwrap()).collect();
    assert_eq!(work, [Work::Unknown(1), Work::Evaluate]);
}

#[test]
fn a_task_has_the_digest_of_numpy_and_every_change_of_meaning_another() {
    let vectors = read("tasks.json");
    let task = Task::decode(&bytes(&vectors["task"])).unwrap();
    assert_eq!(task.digest().0.0.to_vec(), bytes(&vectors["digest"]));
    let changed = |change: &dyn Fn(&mut TaskSpec)| {
        let mut spec = task.spec().clone();
        change(&mut spec);
        Task::new(spec).unwrap().digest().0.0.to_vec()
    };
    let expected = |name: &str| bytes(&vectors["changed"][name]);
    assert_eq!(changed(&|task| swap_labels(task)), expected("labels swapped"));
    assert_eq!(
        changed(&|task| task.input.channels[0].unit = "m/s2".into()),
        expected("another unit")
    );
    assert_eq!(changed(&|task| task.input.channels[0].offset = 0.25), expected("another offset"));
    assert_eq!(
        changed(&|task| task.input.rate = Rate::from_millihertz(100_000)),
        expected("another rate")
    );
    assert_eq!(changed(&|task| task.name = name("other")), bytes(&vectors["digest"]));
    assert_eq!(changed(&|task| task.input.hop = 1), bytes(&vectors["digest"]));
}

#[test]
fn slow_tasks_and_tasks_of_values_have_the_digests_of_numpy() {
    let vectors = read("tasks.json");
    for case in vectors["values"].as_array().unwrap() {
        let task = Task::decode(&bytes(&case["task"])).unwrap();
        assert_eq!(task.digest().0.0.to_vec(), bytes(&case["digest"]), "{}", case["name"]);
        assert_eq!(task.encode().unwrap(), bytes(&case["task"]), "{}", case["name"]);
    }
}

#[test]
fn errors_of_a_federation_are_those_of_all_its_windows_pooled_by_numpy() {
    let vectors = read("fits.json");
    let task = Task::decode(&bytes(&vectors["task"])).unwrap();
    let values =
        |case: &Value| -> Vec<f32> { floats(case).into_iter().map(f32::from_bits).collect() };
    let (mut windows, mut pooled) = (0, vec![0_i128; FIT_SUMS]);
    for device in vectors["devices"].as_array().unwrap() {
        let (said, is, last) =
            (values(&device["said"]), values(&device["true"]), values(&device["last"]));
        let mut fit = Fit::new(&task);
        for ((said, is), last) in said.chunks(3).zip(is.chunks(3)).zip(&last) {
            fit.add(said, is, Some(&[*last]), 1);
        }
        let sums: Vec<i128> = device["sums"].as_array().unwrap().iter().map(whole).collect();
        assert_eq!(fit.numbers(), sums);
        let extensions = Fit::extensions(&[&fit]).unwrap();
        assert_eq!(extensions.get(FIT_EXTENSION).unwrap(), bytes(&device["extension"]));
        let read = read_fits(&extensions, &task, 1).unwrap().unwrap();
        read.iter().zip(&mut pooled).for_each(|(number, sum)| *sum += number);
        windows += number(&device["windows"]);
    }
    let [figures] = &FitFigures::of(&task, windows, &pooled)[..] else { panic!("one channel") };
    let near = |found: f64, name: &str| {
        let expected = vectors[name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6 * expected.abs(), "{name}: {found}, {expected}");
    };
    near(figures.mse, "mse");
    near(figures.mae, "mae");
    near(figures.r2.unwrap(), "r2");
    near(figures.repeated_mse.unwrap(), "repeated_mse");
}

fn whole(value: &Value) -> i128 {
    value.as_str().unwrap().parse().unwrap()
}

fn swap_labels(task: &mut TaskSpec) {
    let Target::Classes(labels) = &mut task.target else { panic!("a task of classes") };
    labels.reverse();
}

#[test]
fn codecs_write_and_read_the_bytes_of_numpy() {
    let vectors = read("codecs.json");
    let seeds = seeds(&vectors);
    for case in vectors["good"].as_array().unwrap() {
        let values: Vec<f32> = floats(&case["values"]).into_iter().map(f32::from_bits).collect();
        let (codec, noise) = (codec(case), number(&case["noise"]));
        let payload = codec.encode(&mut values.clone(), seeds, noise).unwrap();
        assert!(payload == bytes(&case["hex"]), "{}", case["name"]);
        let decoded = codec.decode(&payload, values.len(), seeds).unwrap();
        let bits: Vec<u32> = decoded.into_iter().map(f32::to_bits).collect();
        assert_eq!(bits, floats(&case["decoded"]), "{}", case["name"]);
    }
}

fn seeds(vectors: &Value) -> Seeds {
    let (who, expected) = (&vectors["who"], &vectors["seeds"]);
    let lineage = Lineage(bytes(&who["lineage"]).try_into().unwrap());
    let device = name(who["device"].as_str().unwrap());
    let seeds = Seeds::of_update(&device, lineage, RoundId(3), 1);
    let expected = (number(&expected["round"]), number(&expected["device"]));
    assert_eq!((seeds.round, seeds.device), expected);
    seeds
}

#[test]
fn a_delta_gives_the_parameters_of_numpy_and_refuses_another_base() {
    let vectors = read("deltas.json");
    let halves = |value: &Value| -> Vec<f32> {
        let bytes = bytes(value);
        let pairs = bytes.chunks(2).map(|pair| half::f16::from_le_bytes([pair[0], pair[1]]));
        pairs.map(f32::from).collect()
    };
    let (base, object) = (halves(&vectors["base"]), bytes(&vectors["object"]));
    let layout = LayoutHash(bytes(&vectors["layout"]).try_into().unwrap());
    let delta = Delta::decode(&object).unwrap();
    let found = (delta.layout(), delta.base(), delta.version());
    assert_eq!(found, (layout, ModelVersion(7), ModelVersion(8)));
    let result = halves(&vectors["result"]);
    assert_eq!(delta.apply(&base), Ok(result.clone()));
    assert_eq!(delta.apply(&result), Err(WireError::Checksum));
    assert!(delta.apply(&base[1..]).is_err());
}

fn codec(case: &Value) -> Codec {
    let id = u8::try_from(number(&case["codec"])).unwrap();
    let param = u32::try_from(number(&case["param"])).unwrap();
    #[allow(clippy::cast_possible_truncation)] // written with the digits of an f32
    let scale = case["scale"].as_f64().unwrap() as f32;
    Codec::from_spec(CodecSpec { id, param, scale }).unwrap()
}

#[test]
fn bad_payloads_are_refused_for_the_stated_reason() {
    let vectors = read("codecs.json");
    let seeds = seeds(&vectors);
    for case in vectors["bad"].as_array().unwrap() {
        let n = usize::try_from(number(&case["n"])).unwrap();
        let outcome = codec(case).decode(&bytes(&case["hex"]), n, seeds);
        let outcome = outcome.map_err(|error| error.name());
        assert_eq!(outcome, Err(case["error"].as_str().unwrap()), "{}", case["name"]);
    }
}

#[test]
fn an_object_is_cut_and_put_together_as_numpy_says() {
    let vectors = read("chunks.json");
    let object = bytes(&vectors["object"]);
    let reference = ObjectRef::of(&object, 4096).unwrap();
    assert_eq!(reference.digest, Digest(bytes(&vectors["digest"]).try_into().unwrap()));
    let mut assembly = Assembly::new(reference);
    for (index, chunk) in
        [2, 1, 0].into_iter().zip(vectors["chunks"].as_array().unwrap().iter().rev())
    {
        let expected = bytes(chunk);
        assert_eq!(Chunk::cut(&reference, &object, index).unwrap().encode(), expected);
        assert_eq!(assembly.take(&Chunk::decode(&expected).unwrap()), Ok(true));
        assert_eq!(assembly.take(&Chunk::decode(&expected).unwrap()), Ok(false));
    }
    assert_eq!(assembly.finish().unwrap(), object);
}

#[test]
fn random_numbers_draws_and_shards_are_those_of_numpy() {
    let vectors = read("randomness.json");
    let mut rng = Rng::new(number(&vectors["seed"]));
    for expected in vectors["xoshiro256pp"].as_array().unwrap() {
        assert_eq!(rng.next_u64(), number(expected));
    }
    let key = LotteryKey(bytes(&vectors["lottery_key"]).try_into().unwrap());
    let lineage = Lineage(bytes(&vectors["lineage"]).try_into().unwrap());
    let federation = name(vectors["federation"].as_str().unwrap());
    let draw = key.draw(&federation, lineage, RoundId(3), 1);
    assert_eq!(draw, number(&vectors["draw"]));
    let device = name(vectors["device"].as_str().unwrap());
    assert_eq!(u64::from(shard_of(&device, 16)), number(&vectors["shard"]));
}
