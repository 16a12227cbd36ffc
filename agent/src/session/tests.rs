//! The session against a scripted aggregator: every message by hand, time by hand.

mod held;

use alloc::string::ToString;
use alloc::{vec, vec::Vec};

use dunlin_protocol::codec::Codec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::id::{ModelVersion, Name, RoundId, ShortDigest};
use dunlin_protocol::limits::CHUNK_BYTES_MIN;
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::message::{Ack, Answer, Claim, Go, Outcome, Refusal, Verdict, WorkRef};
use dunlin_protocol::model::{Model, Precision};
use dunlin_protocol::object::{Chunk, ObjectRef};
use dunlin_protocol::plan::{ModelEntry, Plan, WorkItem};
use dunlin_protocol::report::Report;
use dunlin_protocol::task::{
    Channel, Features, Input as TaskInput, Layer, Op, ParamLayout, Rate, Share, Target, Task,
    TaskSpec,
};
use dunlin_protocol::topic::Topics;
use dunlin_protocol::wire;
use dunlin_protocol::work::{ChannelQuery, Score, SumsWork, TrainWork, Training, Work, WorkKind};

use super::*;
use crate::job::Trained;

mod check_in;
mod chunk_size;
mod inference;
mod memory;
mod peers;
mod retained;

const TRAIN: u8 = WorkKind::Train as u8;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A task of 1,010 parameters, so that an `f32` update takes one chunk; of 10,010 when wide.
fn task(wide: bool) -> TaskSpec {
    let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    let labels = (0..10).map(|label: u8| label.to_string()).collect();
    TaskSpec {
        name: name("toy"),
        input: TaskInput {
            channels: vec![channel],
            rate: Rate::from_millihertz(50_000),
            window: if wide { 1000 } else { 100 },
            hop: 50,
        },
        features: Features::Raw,
        layers: vec![Layer { op: Op::Dense { out: 10 }, share: Share::Shared }],
        target: Target::Classes(labels),
    }
}

pub(super) fn work(round: u32) -> WorkRef {
    WorkRef { lineage: Lineage([9; 16]), round: RoundId(round), kind: TRAIN }
}

pub(super) fn train_work() -> TrainWork {
    let training = Training::sgd(1, 8, 0.1);
    TrainWork { training, codec: Codec::F32.spec(), clip_norm: 1.0, max_abs: 1.0 }
}

fn item(round: u32, fraction: Fraction) -> WorkItem {
    WorkItem {
        round: RoundId(round),
        base_version: ModelVersion(0),
        fraction,
        deadline: Instant(1_900_000_060_000),
        kind: TRAIN,
        body: Work::Train(train_work()).body().unwrap(),
        extensions: Extensions::NONE,
    }
}

/// The plan that a device hears first.
pub(crate) fn plan() -> Plan {
    Bench::new(false).plan
}

pub(super) struct Bench {
    pub(super) session: Session,
    task: Vec<u8>,
    model: Vec<u8>,
    plan: Plan,
    now: Instant,
    saved: Option<Vec<u8>>,
}

impl Bench {
    fn with(wide: bool, state: DeviceState) -> Self {
        Self::of(&task(wide), state)
    }

    fn of(task: &TaskSpec, state: DeviceState) -> Self {
        Self::within(0, task, state)
    }

    fn within(memory_kib: u32, task: &TaskSpec, state: DeviceState) -> Self {
        let layout = task.layout().unwrap();
        let (task, model) = (wire::encode(task).unwrap(), model_object(&layout, 0));
        let object = ObjectRef::of(&model, CHUNK_BYTES_MIN).unwrap();
        let plan = Plan {
            instance: name("agg"),
            lineage: Lineage([9; 16]),
            sequence: 1,
            layout: layout.hash(),
            shards: 1,
            chunk_bytes: CHUNK_BYTES_MIN,
            task: ObjectRef::of(&task, CHUNK_BYTES_MIN).unwrap(),
            models: vec![ModelEntry { version: ModelVersion(0), base: None, object }],
            work: vec![item(1, Fraction::ALL)],
            next_check_in_ms: 60_000,
            extensions: Extensions::NONE,
        };
        let settings = Settings {
            device: name("wrist-1"),
            federation: name("gait"),
            topics: Topics::default(),
            memory_kib,
            link: LinkPolicy::default(),
        };
        let session = Session::new(settings, state);
        Self { session, task, model, plan, now: Instant(0), saved: None }
    }

    pub(super) fn new(wide: bool) -> Self {
        Self::with(wide, DeviceState::fresh([3; 32]))
    }

    /// A device that has heard the plan and has the task.
    pub(super) fn joined() -> Self {
        let mut bench = Self::new(false);
        bench.join();
        bench
    }

    pub(super) fn task(&self) -> Task {
        Task::new(task(false)).unwrap()
    }

    pub(super) fn layout(&self) -> ParamLayout {
        task(false).layout().unwrap()
    }

    pub(super) fn step(&mut self, input: Input<'_>) -> Vec<Output> {
        self.now = self.now.after(1);
        self.session.handle(self.now, input);
        let outputs: Vec<Output> = core::iter::from_fn(|| self.session.poll_output()).collect();
        for output in &outputs {
            if let Output::Save = output {
                self.saved = Some(self.session.state.encode());
            }
        }
        let due = self.session.next_deadline();
        assert!(due.is_none_or(|due| due > self.now), "the session would spin");
        outputs
    }

    fn hear(&mut self, topic: &Topic, payload: &[u8]) -> Vec<Output> {
        self.step(Input::Message { topic: topic.clone(), payload })
    }

    fn hear_plan(&mut self) -> Vec<Output> {
        let payload = wire::encode(&self.plan).unwrap();
        self.hear(&Topic::Plan(name("gait")), &payload)
    }

    fn hear_server(&mut self, state: State) -> Vec<Output> {
        self.hear_start(state, 1)
    }

    /// Hears of the aggregator's start number `boot`.
    fn hear_start(&mut self, state: State, boot: u32) -> Vec<Output> {
        let outputs = self.hear_of_server(&Presence::new(state, boot));
        // Most tests do not wait for the answer.
        self.session.uplink.set_say_at(None);
        outputs
    }

    fn hear_of_server(&mut self, presence: &Presence) -> Vec<Output> {
        self.hear(&Topic::ServerState(name("agg")), presence.encode().as_bytes())
    }

    /// Delivers every retained chunk that the outputs subscribe to, until no more are asked for.
    fn serve(&mut self, outputs: Vec<Output>) -> Vec<Output> {
        let mut all = outputs.clone();
        let mut open = outputs;
        while !open.is_empty() {
            let mut next = Vec::new();
            for topic in open.iter().filter_map(subscription) {
                let Topic::Object(_, digest, index) = topic else { continue };
                for object in [self.task.clone(), self.model.clone()] {
                    let reference = ObjectRef::of(&object, CHUNK_BYTES_MIN).unwrap();
                    if reference.digest.short() == *digest {
                        let chunk = Chunk::cut(&reference, &object, *index).unwrap().encode();
                        next.extend(self.hear(topic, &chunk));
                    }
                }
            }
            all.extend(next.clone());
            open = next;
        }
        all
    }

    /// Connects and hears the plan, the aggregator and the task; returns the claim's outputs.
    fn join(&mut self) -> Vec<Output> {
        self.step(Input::Connected);
        let outputs = self.hear_plan();
        self.serve(outputs);
        self.hear_server(State::Online);
        self.step(Input::Survey(Survey::of(40)))
    }

    /// Hears the answer to its claim; nothing that it then asks for comes.
    fn hear_go(&mut self, answer: Answer) -> Vec<Output> {
        let (now, deadline) = (Instant(1_900_000_000_000), Instant(1_900_000_060_000));
        let go = wire::encode(&Go {
            work: work(1),
            answer,
            now,
            deadline,
            extensions: Extensions::NONE,
        })
        .unwrap();
        self.hear(&Topic::Down(name("wrist-1"), Down::Go), &go)
    }

    fn go(&mut self, answer: Answer) -> Vec<Output> {
        let outputs = self.hear_go(answer);
        self.serve(outputs)
    }

    fn train(&mut self) -> Vec<Output> {
        let n_update = task(self.model.len() > 10_000).layout().unwrap().n_update();
        let score = Score { windows: 4, correct: 2, loss_sum: 3.0 };
        let trained = Trained {
            delta: vec![0.5; n_update],
            local: vec![],
            examples: 40,
            train_loss: 0.7,
            before: score,
            after: score,
            ..Trained::default()
        };
        self.step(Input::Done { work: work(1), outcome: Ok(trained.into()) })
    }

    fn ack(&mut self, object: ShortDigest, have: Vec<u8>) -> Vec<u16> {
        let ack = wire::encode(&Ack { object, chunks: 10, have }).unwrap();
        chunks_of(&self.hear(&Topic::Down(name("wrist-1"), Down::Ack), &ack))
    }
}

/// Version `version` of a model whose parameters are all 0.
fn model_object(layout: &ParamLayout, version: u32) -> Vec<u8> {
    let (version, layout, params) =
        (ModelVersion(version), layout.hash(), vec![0.0; layout.n_model()]);
    Model { version, layout, precision: Precision::F32, params }.encode().unwrap()
}

fn subscription(output: &Output) -> Option<&Topic> {
    if let Output::Subscribe(topic) = output { Some(topic) } else { None }
}

/// Payloads of everything published and not retained: what goes up to the aggregator.
fn published(outputs: &[Output]) -> Vec<&[u8]> {
    let up = outputs.iter().filter_map(|output| {
        if let Output::Publish { payload, retain: false, .. } = output {
            Some(payload.as_slice())
        } else {
            None
        }
    });
    up.collect()
}

fn chunks_of(outputs: &[Output]) -> Vec<u16> {
    published(outputs).iter().filter_map(|p| Chunk::decode(p).ok()).map(|c| c.index).collect()
}

/// What a plan of the numbers of `sequences` does, one after the other.
fn hear_plans(bench: &mut Bench, sequences: &[u64]) -> usize {
    let hear = |sequence: &u64| {
        bench.plan.sequence = *sequence;
        bench.hear_plan().len()
    };
    sequences.iter().map(hear).sum()
}

#[test]
fn a_plan_that_was_sent_before_another_one_changes_nothing() {
    let mut bench = Bench::joined();
    bench.plan.work[0].round = RoundId(2);
    assert!(hear_plans(&mut bench, &[7]) > 0, "another round: the claim is given up");
    let (phase, line) = (bench.session.phase_name(), bench.session.in_a_line());
    // Reordered: the first plan, and one with work that would be done.
    bench.plan.work[0].round = RoundId(3);
    assert_eq!(hear_plans(&mut bench, &[1, 6]), 0);
    assert_eq!((bench.session.phase_name(), bench.session.in_a_line()), (phase, line));
    assert_eq!(bench.session.counters().stale_plans, 2);
    assert!(hear_plans(&mut bench, &[8]) > 0);
}

#[test]
fn a_restart_does_not_forget_which_plan_an_update_was_made_for() {
    let mut bench = Bench::joined();
    hear_plans(&mut bench, &[7]);
    bench.go(Answer::Go);
    bench.train();
    let state = DeviceState::decode(bench.saved.as_ref().unwrap()).unwrap();
    let mut again = Bench::with(false, state);
    again.step(Input::Connected);
    assert_eq!(hear_plans(&mut again, &[6]), 0, "an old plan that somebody sends again");
    assert_eq!(again.session.counters().stale_plans, 1);
    assert!(hear_plans(&mut again, &[7]) > 0);
}

#[test]
fn another_task_of_the_same_layout_does_not_get_this_devices_own_layers() {
    let mut state = DeviceState::fresh([3; 32]);
    let swapped = |swap: bool| {
        let mut spec = task(false);
        spec.layers.push(Layer { op: Op::Dense { out: 10 }, share: Share::Local });
        if let (Target::Classes(labels), true) = (&mut spec.target, swap) {
            labels.reverse();
        }
        Task::new(spec).unwrap()
    };
    let (mine, other) = (swapped(false), swapped(true));
    assert_eq!(mine.layout().hash(), other.layout().hash());
    state.local = Some(crate::state::LocalLayers { task: mine.digest(), params: vec![1.0; 110] });
    let bench = Bench::with(false, state);
    assert!(bench.session.local_layers(&mine).is_some());
    assert!(bench.session.local_layers(&other).is_none());
}

#[test]
fn a_device_without_windows_answers_a_query_and_fetches_no_model_for_it() {
    let mut bench = Bench::new(false);
    let channel = ChannelQuery { channel: 0, fraction_bits: 4, max_abs: 8.0, edges: vec![0.0] };
    let sums = SumsWork { labels: true, channels: vec![channel] };
    bench.plan.work[0].kind = WorkKind::Sums as u8;
    bench.plan.work[0].body = Work::Sums(sums.clone()).body().unwrap();
    bench.plan.models.clear();
    bench.step(Input::Connected);
    let outputs = bench.hear_plan();
    bench.serve(outputs);
    bench.hear_server(State::Online);
    // An executor that only trains is asked for nothing.
    let only = Survey::new(0, &[WorkKind::Train, WorkKind::Evaluate]);
    assert!(published(&bench.step(Input::Survey(only))).is_empty());
    let claim = bench.step(Input::Survey(Survey::of(0)));
    let claim: Claim = wire::decode(published(&claim)[0]).unwrap();
    assert_eq!((claim.work.kind, claim.windows), (3, 0));
    let go = Go {
        work: claim.work,
        answer: Answer::Go,
        now: Instant(0),
        deadline: Instant(60_000),
        extensions: Extensions::NONE,
    };
    let started = bench.hear(&Topic::Down(name("wrist-1"), Down::Go), &wire::encode(&go).unwrap());
    let job = started
        .iter()
        .find_map(|output| if let Output::Start(job) = output { Some(job) } else { None });
    assert_eq!(job.unwrap().spec, crate::job::JobSpec::Sums(sums));
    let numbers = vec![0; 1 + 10 + 3 + 2];
    let outcome = Ok(crate::job::Outcome::Sums(numbers.clone()));
    let sent = bench.step(Input::Done { work: claim.work, outcome });
    let chunk = Chunk::decode(published(&sent)[0]).unwrap();
    let report = Report::decode(chunk.data).unwrap();
    assert_eq!((report.header.kind, &report.metrics[..]), (3, &[0][..]));
    assert_eq!(dunlin_protocol::work::read_integers(report.payload, 16), Ok(numbers));
}

#[test]
fn a_selected_device_claims_fetches_trains_sends_and_ends_with_the_verdict() {
    let mut bench = Bench::new(false);
    let claim = bench.join();
    let claim: Claim = wire::decode(published(&claim)[0]).unwrap();
    assert_eq!((claim.work, claim.windows, claim.boot), (work(1), 40, 1));
    let started = bench.go(Answer::Go);
    assert!(started.iter().any(|output| matches!(output, Output::Start(_))));
    let sent = bench.train();
    let saved = sent.iter().position(|output| matches!(output, Output::Save)).unwrap();
    let first = sent.iter().position(|output| matches!(output, Output::Publish { .. })).unwrap();
    assert!(saved < first, "the update is kept before its first byte leaves");
    let chunk = Chunk::decode(published(&sent)[0]).unwrap();
    assert_eq!(chunk.index, 0);
    let object = chunk.object;
    let verdict = Verdict { work: work(1), object, outcome: Outcome::Accepted };
    bench.hear(&Topic::Down(name("wrist-1"), Down::Verdict), &wire::encode(&verdict).unwrap());
    assert_eq!(bench.session.counters().accepted, 1);
    assert!(published(&bench.hear_plan()).is_empty(), "the same round is not begun again");
}

#[test]
fn an_update_is_clipped_to_the_norm_of_the_plan() {
    let mut bench = Bench::new(false);
    bench.join();
    bench.go(Answer::Go);
    bench.train();
    let state = DeviceState::decode(bench.saved.as_ref().unwrap()).unwrap();
    let object = state.pending.unwrap().object;
    let update = Report::decode(&object).unwrap();
    let values = update.payload.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v));
    let norm = values.map(|x| x * x).sum::<f32>();
    assert!((norm - 1.0).abs() < 1e-4, "{norm}");
}

#[test]
fn a_device_that_is_not_drawn_or_has_no_windows_stays_silent() {
    let mut bench = Bench::new(false);
    bench.plan.work = vec![item(1, Fraction::of(0, 1))];
    assert!(published(&bench.join()).is_empty());
    let mut bench = Bench::new(false);
    bench.step(Input::Connected);
    let outputs = bench.hear_plan();
    bench.serve(outputs);
    assert!(published(&bench.hear_server(State::Online)).is_empty());
}

#[test]
fn work_of_an_unknown_kind_is_skipped_and_the_next_item_done() {
    let mut bench = Bench::new(false);
    let mut strange = item(1, Fraction::ALL);
    strange.kind = 200;
    bench.plan.work.insert(0, strange);
    assert_eq!(published(&bench.join()).len(), 1);
}

#[test]
fn the_deadline_is_placed_by_the_live_reply_on_a_board_that_thinks_it_is_1970() {
    let mut bench = Bench::new(false);
    bench.join();
    bench.go(Answer::Go);
    let due = bench.session.next_deadline().unwrap();
    assert!(due.since(bench.now) > 59_000 && due.since(bench.now) <= 60_000);
    bench.now = bench.now.after(60_001);
    let outputs = bench.step(Input::Tick);
    assert!(outputs.iter().any(|output| matches!(output, Output::Cancel(_))));
    assert_eq!(bench.session.counters().abandoned, 1);
}

#[test]
fn an_upload_goes_on_after_a_cut_and_sends_nothing_twice_that_was_acknowledged() {
    let mut bench = Bench::new(true);
    bench.join();
    bench.go(Answer::Go);
    let sent = bench.train();
    assert_eq!(chunks_of(&sent), [0, 1, 2, 3]);
    let object = Chunk::decode(published(&sent)[0]).unwrap().object;
    assert_eq!(bench.ack(object, vec![0b101, 0]), [4, 5]);
    bench.step(Input::Disconnected);
    assert!(published(&bench.step(Input::Connected)).is_empty(), "nobody is known to listen yet");
    assert_eq!(chunks_of(&bench.hear_server(State::Online)), [1, 3, 4, 5]);
}

#[test]
fn an_aggregator_that_lost_chunks_gets_them_again() {
    let mut bench = Bench::new(true);
    bench.join();
    bench.go(Answer::Go);
    let sent = bench.train();
    let object = Chunk::decode(published(&sent)[0]).unwrap().object;
    assert!(bench.ack(object, vec![0xff, 0b11]).is_empty());
    bench.now = bench.now.after(10_000);
    assert_eq!(chunks_of(&bench.step(Input::Tick)), [0], "asks for the verdict");
    assert_eq!(bench.ack(object, vec![1, 0]), [1, 2, 3, 4]);
}

#[test]
fn after_a_power_cut_the_finished_update_is_sent_without_training_again() {
    let mut bench = Bench::new(false);
    bench.join();
    bench.go(Answer::Go);
    let first = published(&bench.train())[0].to_vec();
    let state = DeviceState::decode(bench.saved.as_ref().unwrap()).unwrap();
    let mut again = Bench::with(false, state);
    let claim = again.join();
    let claim: Claim = wire::decode(published(&claim)[0]).unwrap();
    assert_eq!(claim.boot, 2);
    let outputs = again.go(Answer::Go);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Start(_))));
    assert!(published(&outputs)[0] == first, "the very same bytes");
}

#[test]
fn a_round_that_is_over_is_given_up_and_the_next_begun() {
    let mut bench = Bench::new(false);
    bench.join();
    bench.go(Answer::Go);
    bench.plan.work = vec![item(2, Fraction::ALL)];
    let outputs = bench.hear_plan();
    assert!(outputs.iter().any(|o| matches!(o, Output::Cancel(w) if *w == work(1))));
    let claim: Claim = wire::decode(published(&outputs)[0]).unwrap();
    assert_eq!(claim.work, work(2));
    assert!(published(&bench.train()).is_empty(), "the outcome of the old job is not wanted");
}

#[test]
fn a_no_go_ends_the_round_and_busy_only_delays_it() {
    let mut bench = Bench::new(false);
    bench.join();
    bench.go(Answer::NoGo(Refusal::Busy));
    bench.now = bench.now.after(30_000);
    assert_eq!(published(&bench.step(Input::Tick)).len(), 1);
    bench.go(Answer::NoGo(Refusal::Full));
    bench.now = bench.now.after(60_000);
    assert!(published(&bench.step(Input::Tick)).is_empty());
}

#[test]
fn nothing_is_sent_while_no_aggregator_is_there() {
    let mut bench = Bench::new(false);
    bench.join();
    bench.hear_server(State::Lost);
    bench.now = bench.now.after(3_600_000);
    assert!(published(&bench.step(Input::Tick)).is_empty());
    assert_eq!(published(&bench.hear_server(State::Online)).len(), 1);
}

#[test]
fn a_damaged_chunk_is_counted_and_fetched_again() {
    let mut bench = Bench::new(false);
    bench.step(Input::Connected);
    let outputs = bench.hear_plan();
    let topic = outputs.iter().filter_map(subscription).next_back().unwrap();
    let reference = ObjectRef::of(&bench.task, CHUNK_BYTES_MIN).unwrap();
    let mut chunk = Chunk::cut(&reference, &bench.task, 0).unwrap().encode();
    *chunk.last_mut().unwrap() ^= 1;
    bench.hear(topic, &chunk);
    assert_eq!(bench.session.counters().unreadable, 1);
    bench.hear_server(State::Online);
    bench.now = bench.now.after(20_000);
    let again = bench.step(Input::Tick);
    assert!(again.iter().filter_map(subscription).any(|asked| asked == topic));
}

#[test]
fn a_task_that_changes_while_it_is_fetched_is_dropped_for_the_new_one() {
    let mut bench = Bench::new(false);
    bench.step(Input::Connected);
    bench.hear_plan();
    let newer = Bench::new(true);
    (bench.plan, bench.task, bench.model) = (newer.plan, newer.task, newer.model);
    let outputs = bench.hear_plan();
    let fetched = bench.serve(outputs);
    assert!(fetched.iter().any(|output| matches!(output, Output::UseTask(_))));
}

#[test]
fn garbage_on_any_topic_never_panics() {
    let mut bench = Bench::new(false);
    bench.join();
    bench.go(Answer::Go);
    let mut rng = Rng::new(11);
    let topics = [
        Topic::Plan(name("gait")),
        Topic::Down(name("wrist-1"), Down::Go),
        Topic::Down(name("wrist-1"), Down::Ack),
        Topic::Down(name("wrist-1"), Down::Verdict),
        Topic::ServerState(name("agg")),
        Topic::DeviceState(name("wrist-1")),
    ];
    for round in 0..3000 {
        let mut payload = vec![wire::SCHEMA, [1, 3, 4, 5, 6, 17][round % 6]];
        payload.extend((0..rng.below(60)).map(|_| rng.next_u64().to_le_bytes()[0]));
        bench.hear(&topics[rng.below(6)], &payload);
    }
}
