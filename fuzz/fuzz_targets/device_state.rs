//! `dunlin_fuzz::targets::device_state` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::device_state(data));
