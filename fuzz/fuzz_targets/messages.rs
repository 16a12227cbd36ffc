//! Plans, tasks, claims, answers and presence: what is read can be written again.
#![no_main]

use dunlin_fuzz::within;
use dunlin_protocol::limits::TASK_BYTES_MAX;
use dunlin_protocol::message::{Ack, Claim, Go, Verdict};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::Presence;
use dunlin_protocol::seeded::Seeded;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::wire::{self, Message};
use libfuzzer_sys::fuzz_target;

/// Texts and lists of a message take some times their bytes; never more than this.
const MEMORY_MAX: usize = 16 * TASK_BYTES_MAX;

fn again<M: Message>(data: &[u8]) {
    if let Ok(message) = within(MEMORY_MAX, || wire::decode::<M>(data)) {
        let written = wire::encode(&message).expect("what was read can be written");
        wire::decode::<M>(&written).expect("and read again");
    }
}

fuzz_target!(|data: &[u8]| {
    again::<Plan>(data);
    again::<Claim>(data);
    again::<Go>(data);
    again::<Ack>(data);
    again::<Verdict>(data);
    again::<Seeded>(data);
    again::<TaskSpec>(data);
    if let Some(presence) = Presence::decode(data) {
        assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence));
    }
});
