//! States that older versions kept, as they lay on the disk.

use alloc::{vec, vec::Vec};

use dunlin_protocol::id::{LayoutHash, ModelVersion};

use super::*;
use crate::ab_slots;

/// `state.b` of a device of version 2 with everything in it; see `tests/stored/README.md`.
const V2: &[u8] = include_bytes!("../../../tests/stored/v2/state.b");

fn kept(slot: &[u8]) -> &[u8] {
    ab_slots::open(slot).expect("a whole slot").1
}

#[test]
fn a_state_of_version_2_keeps_who_the_device_is_and_its_own_layers() {
    let state = DeviceState::decode(kept(V2)).unwrap();
    let secret: Vec<u8> = (0..32).collect();
    assert_eq!((state.lottery.0.to_vec(), state.boot, state.spent), (secret, 17, 123_456));
    let local = state.local.as_ref().unwrap();
    assert_eq!(local.params, [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5]);
    assert_eq!((&state.pending, &state.task, &state.residual), (&None, &None, &None));
    assert_eq!(DeviceState::decode(&state.encode()), Ok(state));
}

#[test]
fn without_an_update_on_its_way_what_the_last_one_lost_is_kept() {
    let older = include_bytes!("../../../tests/stored/v2/state.a");
    let mut bytes = kept(older).to_vec();
    let state: old::StateV2 = read(&bytes[1..]).unwrap();
    let kept = state.without_pending().upgrade().residual.unwrap();
    let n = kept.values.len();
    assert_eq!((kept.version, kept.values), (ModelVersion(3), vec![-0.5; n]));
    // Own layers of a layout that no task is known for belong to nothing.
    bytes[0] = 1;
    assert_eq!(DeviceState::decode(&bytes), Err(StateError::Schema { found: 1 }));
}

#[test]
fn a_newer_state_is_refused_by_its_number_and_a_damaged_one_says_what_is_lost() {
    let mut bytes = DeviceState::fresh([1; 32]).encode();
    bytes[0] = STATE_SCHEMA + 1;
    let error = DeviceState::decode(&bytes).unwrap_err();
    assert_eq!(error, StateError::Schema { found: STATE_SCHEMA + 1 });
    for error in [error, DeviceState::decode(&[STATE_SCHEMA, 1]).unwrap_err()] {
        let text = alloc::format!("{error}");
        assert!(text.contains("--reset-state") && text.contains("own layers"), "{text}");
    }
    assert_eq!(DeviceState::decode(&[]), Err(StateError::Malformed));
}

#[test]
fn layers_of_an_unknown_task_are_left_behind() {
    let state: old::StateV2 = read(&kept(V2)[1..]).unwrap();
    let state = state.with_layout(LayoutHash([1; 8])).upgrade();
    assert_eq!(state.local, None);
}
