//! The shipped broker configuration with its ACL, and accounts with passwords.

use std::path::{Path, PathBuf};
use std::process::Command;

use dunlin_aggregator::settings::Settings;
use dunlin_link::testing::{Mosquitto, installed, new_folder};
use dunlin_tests::ToyTrainer;

use super::relay::Relay;
use super::world::{AGGREGATOR, World, clock, device_name, settings, wait_until};

/// A file that operators deploy.
pub(super) fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../broker-config").join(file)
}

/// A federation on the shipped password configuration, with accounts for the aggregator, for a
/// monitor and for so many devices; `None` where Mosquitto is not installed.
pub(super) fn guarded(settings: Settings, devices: u8) -> Option<World> {
    installed("mosquitto_passwd")?;
    let folder = new_folder();
    std::fs::copy(shipped("dunlin.acl"), folder.path().join("dunlin.acl")).unwrap();
    let names = (0..devices).map(device_name);
    let names = names.chain([AGGREGATOR.to_owned(), "dunlin-monitor".to_owned()]);
    let accounts = Command::new("sh")
        .arg(shipped("add-account.sh"))
        .args(names)
        .env("PASSWORDS", folder.path().join("passwords"))
        .output()
        .unwrap();
    assert!(accounts.status.success(), "{}", String::from_utf8_lossy(&accounts.stderr));
    let config = std::fs::read_to_string(shipped("dunlin-password.conf")).unwrap();
    let moved = config
        .replace("/etc/mosquitto/dunlin", "{dir}")
        .replace("\nlistener 1883 localhost\n", "\nlistener {port} 127.0.0.1\n");
    assert!(moved.contains("{port}") && moved.contains("{dir}/dunlin.acl"), "{moved}");
    let mut world = World::on(Mosquitto::start_in(folder, &moved)?, settings);
    let printed = String::from_utf8(accounts.stdout).unwrap();
    let pairs = printed.lines().map(|line| line.split_once(' ').unwrap());
    world.passwords = pairs.map(|(name, word)| (name.to_owned(), word.to_owned())).collect();
    Some(world)
}

#[test]
fn rounds_complete_on_the_shipped_configuration_and_each_device_counts_once() {
    let Some(mut world) = guarded(settings(100, 4, 3), 4) else { return };
    world.start_aggregator();
    world.start_devices(4);
    world.wait_finished();
    let counters = world.counters();
    assert_eq!((counters.unreadable, counters.rounds_failed), (0, 0), "{counters:?}");
    world.assert_each_counted_once(&[0, 1, 2, 3], 3);
    let log = world.broker.log();
    assert!(!log.contains("Denied"), "the ACL denies something that we say:\n{log}");
}

#[test]
fn a_device_with_a_wrong_password_tries_seldom_and_holds_nobody_up() {
    let Some(mut world) = guarded(settings(100, 2, 3), 3) else { return };
    let relay = Relay::to(world.broker.port());
    let mut link = world.link(&device_name(2));
    link.url = format!("mqtt://127.0.0.1:{}", relay.port()).parse().unwrap();
    link.password = Some("not the password".into());
    let start = clock();
    world.start_agent(2, ToyTrainer::of(2), link);
    world.start_aggregator();
    world.start_devices(2);
    wait_until("the refusal", || world.status(2).credentials_refused);
    world.wait_finished();
    assert!(world.status(2).credentials_refused);
    let attempts = relay.connections();
    // Ten seconds at least lie between two attempts.
    let most = 1 + start.elapsed().as_secs() / 10;
    assert!(u64::from(attempts) <= most, "{attempts} attempts, {most} at the most");
    world.assert_each_counted_once(&[0, 1], 3);
}
