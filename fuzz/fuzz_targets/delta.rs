//! `dunlin_fuzz::targets::delta` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::delta(data));
