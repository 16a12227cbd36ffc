//! Deltas on a version that a device holds.
#![no_main]

use dunlin_fuzz::within;
use dunlin_protocol::delta::Delta;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    let base = vec![0.5_f32; 1 + usize::from(size) * 8];
    let most = 64 * base.len() + bytes.len() + 4096;
    within(most, || {
        if let Ok(delta) = Delta::decode(bytes) {
            assert!(delta.encode().is_ok());
            if let Ok(params) = delta.apply(&base) {
                assert_eq!(params.len(), base.len());
            }
        }
    });
});
