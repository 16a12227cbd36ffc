//! Microcontrollers whose power goes at any moment.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use dunlin_firmware::reference;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::rng::Rng;

use super::emulator::{self, Emulator};
use super::federation::accepted;
use super::world::{World, device_name, nap, settings};

const DEVICES: u8 = 3;
const ROUNDS: u32 = 8;
const CUTS: usize = 12;
/// Names the seed of the moments, to see a failure again; moments themselves depend on the machine.
const SEED: &str = "DUNLIN_SEED";

#[test]
fn devices_whose_power_is_cut_at_any_moment_go_on_and_nothing_is_counted_twice() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let seed = seed.unwrap_or_else(now);
    println!("{SEED}={seed}");
    let mut rng = Rng::new(seed);
    let mut settings = settings(9, DEVICES.into(), ROUNDS);
    settings.task = reference::mlp();
    settings.codec = Codec::Eden { bits: 4 };
    settings.clip_norm = 4.0;
    (settings.training.batch, settings.training.epochs) = (8, 4);
    if !emulator::is_installed() {
        return;
    }
    let Some(mut world) = World::new(settings) else { return };
    let port = world.broker.port();
    let mut boards: Vec<Emulator> = (0..DEVICES)
        .map(|place| {
            let device = device_name(place);
            let page =
                format!("device = {device}\nfederation = gait\nkeep_alive_s = 5\nseed = {place}\n");
            Emulator::start(port, &page, None)
        })
        .collect();
    world.start_aggregator();
    for _ in 0..CUTS {
        nap(Duration::from_millis(rng.below(2_000) as u64));
        let board = &mut boards[rng.below(DEVICES.into())];
        board.cut_power();
        nap(Duration::from_millis(rng.below(300) as u64));
        board.power_on();
    }
    world.wait_finished();
    let accepted = accepted(&world);
    let once: BTreeSet<_> = accepted.iter().collect();
    let all = usize::from(DEVICES) * ROUNDS as usize;
    assert_eq!((accepted.len(), once.len()), (all, all));
    for board in &boards {
        let said = board.said();
        assert!(!said.contains("starts again") && !said.contains("panicked"), "{said}");
        // What flash kept counts the starts, those too that were cut before they said so.
        let start = |line: &str| line.split_once("start ")?.1.trim().parse::<u32>().ok();
        let starts: Vec<u32> = said.lines().filter_map(start).collect();
        assert!(!starts.is_empty() && starts.is_sorted_by(|one, next| one < next), "{starts:?}");
    }
}
