//! Model objects: memory of four bytes for each parameter that is there, whatever the header says.
#![no_main]

use dunlin_fuzz::within;
use dunlin_protocol::model::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = within(2 * data.len() + 1024, || Model::decode(data)) {
        assert!(model.encode().is_ok());
    }
});
