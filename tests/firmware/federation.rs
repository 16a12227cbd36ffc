//! Three microcontrollers and three Linux agents learn one model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use dunlin_agent::data::WindowSet;
use dunlin_agent::job::{Job, JobFailure, Outcome, Survey};
use dunlin_agent::ports::Executor;
use dunlin_agent::sums::add_up;
use dunlin_agent::trainer::{BurnTrainer, TrainerSettings};
use dunlin_aggregator::collect::Table;
use dunlin_aggregator::io::RoundEvent;
use dunlin_aggregator::query::spool::Spool;
use dunlin_aggregator::settings::Downlink;
use dunlin_firmware::reference;
use dunlin_firmware::sensor::{Generator, RecordingHeader};
use dunlin_fleet::experiment::FixedSource;
use dunlin_fleet::judge::Judge;
use dunlin_models::tasks::har_mlp;
use dunlin_models::{Backend, ReadWindows as _};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::{Digest, ShortDigest};
use dunlin_protocol::task::{Task, TaskSpec};
use dunlin_protocol::work::WorkKind;
use dunlin_tests::name;

use super::emulator::{self, Emulator};
use super::world::{World, device_name, settings};

const ROUNDS: u32 = 5;
const WINDOWS: u16 = 60;
/// The generator's device whose windows nobody trains on.
const UNSEEN: u64 = 1_000;

/// Round and digest of the model that it began with.
type Began = BTreeSet<(u32, String)>;

/// A Linux agent's trainer that notes what its jobs begin with.
struct Noting {
    trainer: BurnTrainer,
    began: Arc<Mutex<Began>>,
}

impl Executor for Noting {
    fn survey(&mut self, task: &Arc<Task>, stop: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        self.trainer.survey(task, stop)
    }

    fn run(&mut self, job: &Job, stop: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        let began = (job.work.round.0, digest(&job.model).to_string());
        self.began.lock().unwrap().insert(began);
        self.trainer.run(job, stop)
    }
}

fn digest(params: &[f32]) -> ShortDigest {
    let bytes: Vec<u8> = params.iter().flat_map(|value| value.to_le_bytes()).collect();
    Digest::of(&bytes).short()
}

fn generated(task: &TaskSpec, seed: u64) -> WindowSet {
    let generator = Generator::new(task, seed, WINDOWS);
    let mut set = WindowSet::empty(task.window_values());
    for index in 0..generator.len() {
        let at = set.values.len();
        set.values.resize(at + task.window_values(), 0.0);
        generator.read(index, &mut set.values[at..]);
        set.labels.extend(generator.label(index));
    }
    set
}

/// The windows of device `seed` as somebody would have recorded them: in steps of a thousandth.
fn recorded(task: &TaskSpec, seed: u64) -> Vec<u8> {
    let set = generated(task, seed);
    let header = RecordingHeader {
        rate_millihertz: task.input.nearest_millihertz(),
        channels: task.input.channels.iter().map(|c| (c.name.clone(), 0.001)).collect(),
        labels: task.labels().to_vec(),
        segments: set.labels.iter().map(|&label| (label, task.input.window.into())).collect(),
    };
    #[allow(clippy::cast_possible_truncation)]
    let rows: Vec<i16> = set.values.iter().map(|value| (value * 1000.0).round() as i16).collect();
    header.encode(&rows)
}

/// What a microcontroller's log says of the models that its jobs began with.
fn began(emulator: &Emulator) -> Began {
    let said = emulator.said();
    let line = |line: &str| {
        let (round, model) = line.split_once("round ")?.1.split_once(": works from ")?;
        Some((round.parse().ok()?, model.trim().to_owned()))
    };
    said.lines().filter_map(line).collect()
}

/// The page of settings of the board in this place.
fn page(place: u8, source: &str, windows: u16) -> String {
    let device = device_name(place);
    format!(
        "device = {device}\nfederation = gait\nsource = {source}\nseed = {place}\nwindows = {windows}\n"
    )
}

/// Starts the Linux agent of this place; what its jobs begin with.
fn start_linux(world: &mut World, place: u8, task: &TaskSpec) -> Arc<Mutex<Began>> {
    let began = Arc::<Mutex<Began>>::default();
    let source = Box::new(FixedSource(generated(task, place.into())));
    let trainer = TrainerSettings { backend: Backend::Flex, holdout: 0.2 };
    let trainer = BurnTrainer::new(source, trainer);
    let link = world.link(&device_name(place));
    world.start_agent(place, Noting { trainer, began: began.clone() }, link);
    began
}

/// Round and device of each update that counted.
pub(super) fn accepted(world: &World) -> Vec<(u32, String)> {
    world.events(|event| match event {
        RoundEvent::UpdateAccepted { key, device, .. } => {
            (key.kind == WorkKind::Train).then(|| (key.round.0, device.to_string()))
        }
        _ => None,
    })
}

/// Asks all six devices, and adds up here what each of them has.
fn assert_answers_are_exact(world: &World, task: &TaskSpec) {
    let channel = &task.input.channels[1].name;
    let text = format!(
        "labels = true\nquorum = 6\n[[channels]]\nname = '{channel}'\nmax_abs = 1\nedges = [-0.5, 0, 0.5]"
    );
    let spool = Spool::beside(&world.store());
    spool.put(&world.store(), &name("sums"), &text).unwrap();
    let answer = world.wait_event(|event| match event {
        RoundEvent::Answered { answer, .. } => Some(answer.clone()),
        _ => None,
    });
    let task = Task::new(task.clone()).unwrap();
    let mut all = Table::new(answer.values.len());
    for place in 0..6 {
        let mut set = generated(&task, place);
        if place == 2 {
            set.values.iter_mut().for_each(|value| *value = (*value * 1000.0).round() * 0.001);
        }
        let mut visit = |_: &TaskSpec, each: &mut dyn FnMut(&[f32], Option<u16>)| {
            set.iter().for_each(|(window, label)| each(window, label));
            Ok(())
        };
        all.add(&add_up(&answer.work, &task, &mut visit).unwrap()).unwrap();
    }
    assert_eq!((answer.devices, &answer.values[..]), (6, all.values()));
    assert_eq!(answer.values[0], 6 * i128::from(WINDOWS));
}

/// The federation of three and three; each codec takes one. The first board has `windows`.
fn federation(task: &TaskSpec, codec: Codec, downlink: Codec, windows: u16) {
    let mut settings = settings(9, 6, ROUNDS);
    settings.task = task.clone();
    settings.codec = codec;
    settings.downlink = Downlink::new(downlink, 5).unwrap();
    settings.clip_norm = 4.0;
    (settings.training.batch, settings.training.epochs) = (8, 2);
    settings.training.learning_rate = 0.02;
    settings.learning_rate_final = 0.02;
    if !emulator::is_installed() {
        return;
    }
    let Some(mut world) = World::new(settings) else { return };
    let port = world.broker.port();
    let boards = [
        Emulator::start(port, &page(0, "generator", windows), None),
        Emulator::start(port, &page(1, "generator", WINDOWS), None),
        Emulator::start(port, &page(2, "recording", WINDOWS), Some(&recorded(task, 2))),
    ];
    let notes: Vec<Arc<Mutex<Began>>> =
        (3..6).map(|place| start_linux(&mut world, place, task)).collect();
    world.start_aggregator();
    world.wait_finished();

    // Every update counts: each device's in each round.
    let accepted = accepted(&world);
    let once: BTreeSet<_> = accepted.iter().collect();
    assert_eq!((accepted.len(), once.len()), (6 * ROUNDS as usize, 6 * ROUNDS as usize));

    // All began each round with the very same model: that of the aggregator.
    let devices: Vec<Began> = boards
        .iter()
        .map(began)
        .chain(notes.iter().map(|began| began.lock().unwrap().clone()))
        .collect();
    let published: BTreeMap<u32, String> = world
        .events(|event| match event {
            RoundEvent::RoundPublished { version, params, .. } => {
                Some((version.0, digest(params).to_string()))
            }
            _ => None,
        })
        .into_iter()
        .collect();
    let bases = world.events(|event| match event {
        RoundEvent::RoundOpened { key, base, .. } => Some((key.round.0, base.0)),
        _ => None,
    });
    let mut compared = 0;
    for device in &devices {
        assert_eq!(device, &devices[0]);
        for (round, model) in device {
            let base = bases.iter().find(|(opened, _)| opened == round).unwrap().1;
            if let Some(version) = published.get(&base) {
                assert_eq!(model, version, "round {round}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 6 * (ROUNDS as usize - 1), "{compared} models were compared");

    if windows == WINDOWS {
        assert_answers_are_exact(&world, task);
    }
    let (first, last, _) = {
        world.stop();
        world.models()
    };
    let unseen = generated(task, UNSEEN);
    let mut judge = Judge::new(task, Backend::Flex).unwrap();
    let mut accuracy = |params: &[f32]| judge.score(params, &unseen).unwrap().accuracy();
    let (before, after) = (accuracy(&first), accuracy(&last));
    assert!(
        after > before + 0.2,
        "accuracy on an unseen device: {before:.3} before, {after:.3} after"
    );
}

#[test]
fn with_eden_updates_and_a_board_with_more_windows_than_memory_all_have_one_model_and_it_learns() {
    federation(&reference::mlp(), Codec::Eden { bits: 4 }, Codec::INT8, u16::MAX);
}

#[test]
fn with_uniform_updates_and_deltas_all_have_one_model_and_it_learns() {
    federation(
        &reference::mlp(),
        Codec::Uniform { bits: 8, step: 0.0 },
        Codec::Eden { bits: 4 },
        WINDOWS,
    );
}

#[test]
fn a_convolutional_network_with_int8_updates_and_whole_models_is_one_model_and_learns() {
    federation(&reference::cnn(), Codec::INT8, Codec::F32, WINDOWS);
}

#[test]
fn a_task_too_large_for_a_microcontroller_is_refused_by_it_and_trained_by_the_others() {
    let mut settings = settings(9, 2, ROUNDS);
    settings.task = har_mlp();
    settings.codec = Codec::INT8;
    settings.clip_norm = 4.0;
    if !emulator::is_installed() {
        return;
    }
    let Some(mut world) = World::new(settings) else { return };
    let board = Emulator::start(world.broker.port(), &page(0, "generator", WINDOWS), None);
    world.start_aggregator();
    board.wait_for("training this task takes about");
    for place in 1..3 {
        start_linux(&mut world, place, &har_mlp());
    }
    world.wait_finished();
    let devices: BTreeSet<_> = accepted(&world).into_iter().map(|(_, device)| device).collect();
    assert_eq!(devices, [device_name(1), device_name(2)].into());
    let said = board.said();
    assert_eq!(said.matches("training this task takes about").count(), 1, "{said}");
    assert!(!said.contains("starts again") && !said.contains("panicked"), "{said}");
}
