//! What gives a model's numbers their meaning: another task does not go on with them unasked.

use dunlin_protocol::message::Refusal;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::task::{Rate, Target, Task, TaskSpec};
use dunlin_protocol::topic::Topic;
use dunlin_protocol::wire;
use dunlin_protocol::work::WorkKind;

use super::world::{NOW, World, name, object, settings};
use crate::aggregator::{Aggregator, Start, StartError};
use crate::io::{Input, Output};
use crate::settings::Settings;
use crate::snapshot::Snapshot;

fn stored() -> Snapshot {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    world.stored.clone().unwrap()
}

/// What starting with another task gives.
fn start(snapshot: Snapshot, task: TaskSpec) -> Result<Aggregator, StartError> {
    let settings = Settings { task, ..settings() };
    Aggregator::new(settings, Start::Restored(Box::new(snapshot)), NOW, 0)
}

fn swapped() -> TaskSpec {
    let target = Target::Classes(vec!["walk".into(), "rest".into()]);
    TaskSpec { target, ..settings().task }
}

type Change = fn(&mut TaskSpec);

#[test]
fn every_change_of_meaning_is_refused_by_name() {
    let changes: [(&str, Change); 6] = [
        ("labels", |task| *task = swapped()),
        ("channel 0", |task| task.input.channels[0].name = "y".into()),
        ("unit of x", |task| task.input.channels[0].unit = "m/s2".into()),
        ("offset of x", |task| task.input.channels[0].offset = 1.0),
        ("scale of x", |task| task.input.channels[0].scale = 2.0),
        ("rate", |task| task.input.rate = Rate::from_millihertz(2000)),
    ];
    for (what, change) in changes {
        let mut task = settings().task;
        change(&mut task);
        let digest = Task::new(task.clone()).unwrap().digest().to_string();
        let error = start(stored(), task).unwrap_err();
        let StartError::TaskChanged { changes, .. } = &error else { panic!("{what}: {error}") };
        assert!(changes.len() == 1 && changes[0].starts_with(what), "{changes:?}");
        assert!(error.to_string().contains(&format!("--adopt-task {digest}")), "{error}");
    }
}

#[test]
fn a_new_name_or_hop_changes_no_meaning() {
    let mut task = settings().task;
    (task.name, task.input.hop) = (name("renamed"), 2);
    assert!(start(stored(), task).is_ok());
}

#[test]
fn the_operators_word_counts_for_the_task_that_it_names_and_is_kept() {
    let mut snapshot = stored();
    let task = Task::new(swapped()).unwrap();
    let error = snapshot.adopt(&task, "0123456789abcdef").unwrap_err();
    assert_eq!(error, StartError::NotAdopted { task: task.digest() });
    snapshot.adopt(&task, &task.digest().to_string()).unwrap();
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    world.train("d0");
    world.wait(300);
    let mut snapshot = world.stored.clone().unwrap();
    snapshot.adopt(&task, &task.digest().to_string()).unwrap();
    (world.stored, world.settings.task) = (Some(snapshot), swapped());
    world.restart();
    assert!(
        world.stored.as_ref().unwrap().rounds.is_empty(),
        "what was added up meant something else"
    );
    assert_eq!(world.stored.as_ref().unwrap().task, Some(swapped()));
    world.restart();
    let error = start(world.stored.clone().unwrap(), settings().task).unwrap_err();
    assert!(matches!(error, StartError::TaskChanged { .. }), "the way back is a change too");
}

#[test]
fn an_update_of_the_old_meaning_is_refused() {
    let mut world = World::new(settings());
    world.begin(&["d0", "d1", "d2"]);
    let mut header = world.header(WorkKind::Train);
    header.header.task = Task::new(swapped()).unwrap().digest().tag();
    let object = object(&header, &vec![0.0; world.n()]);
    let reason = world.refusal("d0", &object);
    assert_eq!(reason, Refusal::WrongLayout);
}

#[test]
fn plans_rise_over_restarts_and_over_a_store_that_was_put_back() {
    let mut world = World::new(settings());
    let copy = world.stored.clone().unwrap();
    world.begin(&["d0", "d1", "d2"]);
    let first = world.plan().sequence;
    world.restart();
    world.connect();
    let second = world.plan().sequence;
    assert!(second > first);
    // Starts since the copy was made are not in it; the machine's clock has gone on.
    let settings = world.settings.clone();
    let start = Start::Restored(Box::new(copy));
    let mut core = Aggregator::new(settings, start, NOW, 1_800_000_000).unwrap();
    core.handle(NOW, Input::Connected);
    let plan = std::iter::from_fn(|| core.poll_output()).find_map(|output| {
        if let Output::Publish { topic: Topic::Plan(_), payload, .. } = output {
            wire::decode::<Plan>(&payload).ok()
        } else {
            None
        }
    });
    assert!(plan.unwrap().sequence > second);
}
