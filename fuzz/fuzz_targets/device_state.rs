//! The state that a device finds on its disk.
#![no_main]

use dunlin_agent::state::DeviceState;
use dunlin_fuzz::within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let most = 8 * data.len() + 64 * 1024;
    if let Ok(state) = within(most, || DeviceState::decode(data)) {
        assert!(DeviceState::decode(&state.encode()).is_ok());
    }
});
