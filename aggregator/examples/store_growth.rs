//! What the aggregator writes to its disk for an accepted update, in rounds of 1,000, 10,000 and
//! 100,000 devices: `cargo run --release -p dunlin-aggregator --example store_growth`.
//!
//! Bytes are those that this process gave to `write` calls (`wchar` of /proc/self/io) while updates
//! were accepted, divided by the updates; the store lies in the folder for temporary files.

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // a benchmark prints and reads the clock

use std::path::Path;
use std::time::Instant as Clock;

use dunlin_aggregator::aggregator::{Aggregator, Initial, Start};
use dunlin_aggregator::io::{Input, Output};
use dunlin_aggregator::settings::{Enrolment, Settings};
use dunlin_aggregator::store::Store;
use dunlin_link::testing::Draft;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::{Lineage, ModelVersion, Name, RoundId};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::report::ReportHeader;
use dunlin_protocol::task::{Task, TaskSpec};
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;
use dunlin_protocol::work::{Score, TrainFigures, WorkKind};

type Failure = Box<dyn std::error::Error>;

const LINEAGE: Lineage = Lineage([7; 16]);

fn main() -> Result<(), Failure> {
    println!("{:>8}  {:>18}  {:>10}  {:>8}", "devices", "bytes per update", "file", "seconds");
    let mut first = None;
    for devices in [1_000, 10_000, 100_000] {
        let folder = std::env::temp_dir().join(format!("dunlin-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let (bytes, seconds) = round(&folder, devices)?;
        let file = std::fs::metadata(folder.join("a.redb"))?.len();
        println!("{devices:>8}  {bytes:>18.0}  {file:>10}  {seconds:>8.1}");
        std::fs::remove_dir_all(&folder)?;
        first.get_or_insert(bytes);
        if first.is_some_and(|first| bytes > 2.0 * first) {
            return Err("what an update costs grows with the number of devices".into());
        }
    }
    Ok(())
}

/// One round that every device sends its update in; bytes written for each, and how long it took.
fn round(folder: &Path, devices: u32) -> Result<(f64, f64), Failure> {
    let task = task()?;
    let mut settings = Settings::new(Name::new("gait")?, Name::new("agg")?, task.spec().clone());
    settings.enrolled = Enrolment::Any;
    settings.codec = Codec::F32;
    (settings.target, settings.quorum, settings.min_online) = (devices, 1, devices);
    (settings.overselect, settings.settle_ms) = (1.0, 0);
    let store = Store::open(&folder.join("a.redb"))?;
    let start = Start::Fresh { lineage: LINEAGE, initial: Initial::Seed(1) };
    let mut core = Aggregator::new(settings, start, Instant(0), 0)?;
    core.handle(Instant(0), Input::Connected);
    let online = Presence::new(State::Online, 1).encode();
    for device in 0..devices {
        let topic = Topic::DeviceState(name(device)?);
        core.handle(Instant(1), Input::Message { topic, payload: online.as_bytes() });
        perform(&mut core, &store)?;
    }
    core.handle(Instant(2), Input::Tick);
    perform(&mut core, &store)?;
    let payload = vec![0; 4 * task.layout().n_update()];
    let (before, clock) = (written()?, Clock::now());
    // The last one ends the round, and what that writes is another matter.
    for device in 0..devices - 1 {
        let chunk = update(&task, device, &payload)?;
        let topic = Topic::Up(name(device)?, Name::new("gait")?, 0);
        core.handle(Instant(3), Input::Message { topic, payload: &chunk });
        perform(&mut core, &store)?;
    }
    core.handle(Instant(10_000), Input::Tick);
    perform(&mut core, &store)?;
    let accepted = core.counters().accepted;
    if accepted != u64::from(devices) - 1 {
        return Err(format!("{accepted} of {devices} updates were accepted").into());
    }
    #[allow(clippy::cast_precision_loss)]
    Ok(((written()? - before) as f64 / accepted as f64, clock.elapsed().as_secs_f64()))
}

fn perform(core: &mut Aggregator, store: &Store) -> Result<(), Failure> {
    while let Some(output) = core.poll_output() {
        if let Output::Save(save) = output {
            store.save(&save)?;
        }
    }
    Ok(())
}

fn name(device: u32) -> Result<Name, Failure> {
    Ok(Name::new(&format!("device-{device:06}"))?)
}

fn task() -> Result<Task, Failure> {
    let spec: TaskSpec = toml::from_str(
        r#"
        name = "toy"
        features = "Raw"
        layers = [{ op = { Dense = { out = 2 } }, share = "Shared" }]
        target = { Classes = ["rest", "walk"] }
        [input]
        channels = [{ name = "x", unit = "g", offset = 0.0, scale = 1.0 }]
        rate_millihertz = 1000
        window = 4
        hop = 1
        "#,
    )?;
    Ok(Task::new(spec)?)
}

/// The one chunk of an update that changes nothing.
fn update(task: &Task, device: u32, payload: &[u8]) -> Result<Vec<u8>, Failure> {
    let work = WorkRef { lineage: LINEAGE, round: RoundId(1), kind: WorkKind::Train as u8 };
    let codec = Codec::F32.spec().id;
    let header = ReportHeader::new(work, ModelVersion(0), task.digest(), codec);
    let score = Score { windows: device, correct: 0, loss_sum: 0.0 };
    let figures = TrainFigures { examples: 20, train_loss: 0.5, before: score, after: score };
    let object = Draft { header, figures }.object(payload);
    let reference = ObjectRef::of(&object, 4096)?;
    let chunk = Chunk::cut(&reference, &object, 0).ok_or("the update takes more than a chunk")?;
    Ok(chunk.encode())
}

/// Bytes that this process has given to `write` calls.
fn written() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.ok_or("no wchar in /proc/self/io")?.trim().parse()?)
}
