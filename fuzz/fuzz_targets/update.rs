//! libFuzzer program for reports, the updates of devices: `dunlin_fuzz::targets::update`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::update(data));
