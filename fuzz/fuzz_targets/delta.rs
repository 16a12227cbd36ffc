//! libFuzzer program for deltas on a model version: `dunlin_fuzz::targets::delta`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::delta(data));
