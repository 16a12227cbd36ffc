//! Outages of the broker: who is expected back, and who is invited meanwhile.

use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::presence::State;
use dunlin_protocol::work::WorkKind;

use super::queries::query;
use super::world::{World, settings};
use crate::control::Command;
use crate::io::Input;
use crate::query::Query;
use crate::settings::{Enrolment, Settings};

/// A federation of the devices `w0` to `w99` of which ten do each piece of work.
fn hundred(min_online: u32, change: impl FnOnce(&mut Settings)) -> (World, Vec<String>) {
    let mut settings = settings();
    settings.enrolled = Enrolment::Any;
    (settings.target, settings.quorum, settings.min_online) = (10, 5, min_online);
    change(&mut settings);
    let devices: Vec<String> = (0..100).map(|i| format!("w{i}")).collect();
    let mut world = World::new(settings);
    world.begin(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    (world, devices)
}

fn come(world: &mut World, devices: &[String]) {
    devices.iter().for_each(|device| world.presence(device, State::Online, 1));
}

fn train(world: &mut World, devices: &[String]) {
    devices.iter().for_each(|device| {
        world.train(device);
    });
}

fn outage(world: &mut World) {
    world.input(Input::Disconnected);
    world.wait(10_000);
    world.connect();
}

fn fraction(world: &World, kind: WorkKind) -> Fraction {
    world.item(kind).unwrap().fraction
}

#[test]
fn a_lost_connection_invites_nobody_and_claims_are_waited_for_anew() {
    let (mut world, devices) = hundred(50, |_| {});
    assert_eq!(fraction(&world, WorkKind::Train), Fraction::of(10, 100));
    outage(&mut world);
    world.wait(2_000);
    assert_eq!(fraction(&world, WorkKind::Train), Fraction::of(10, 100));
    come(&mut world, &devices);
    world.wait(200);
    let raised = fraction(&world, WorkKind::Train);
    assert!((0.19..0.21).contains(&raised.as_f64()), "{raised:?}");
}

#[test]
fn the_first_few_that_are_back_after_an_outage_are_not_taken_for_everybody() {
    let evaluated = |settings: &mut Settings| {
        (settings.evaluate_every, settings.evaluate_devices) = (1, 10);
    };
    let (mut world, devices) = hundred(4, evaluated);
    train(&mut world, &devices[..10]);
    outage(&mut world);
    come(&mut world, &devices[..5]);
    world.wait(200);
    assert_eq!(fraction(&world, WorkKind::Train), Fraction::of(10, 100));
    let asked = vec![Query { devices: 10, ..query("q1") }];
    world.input(Input::Command(Command::Ask(asked)));
    assert_eq!(fraction(&world, WorkKind::Sums), Fraction::of(10, 100));
    train(&mut world, &devices[..10]);
    assert_eq!(world.item(WorkKind::Evaluate).unwrap().base_version.0, 2);
    assert_eq!(fraction(&world, WorkKind::Evaluate), Fraction::of(10, 100));
}
