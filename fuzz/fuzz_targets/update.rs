//! Update objects: the payload stays where it is.
#![no_main]

use dunlin_fuzz::within;
use dunlin_protocol::update::Update;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(update) = within(1024, || Update::decode(data)) {
        let written = update.encode().expect("what was read can be written");
        assert_eq!(Update::decode(&written), Ok(update));
    }
});
