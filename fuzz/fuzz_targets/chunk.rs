//! `dunlin_fuzz::targets::chunk` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::chunk(data));
