//! `dunlin_fuzz::targets::messages` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::messages(data));
