//! libFuzzer program for the state file of a device: `dunlin_fuzz::targets::device_state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::device_state(data));
