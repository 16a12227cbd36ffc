//! `dunlin_fuzz::targets::model` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::model(data));
