//! libFuzzer program for model objects: `dunlin_fuzz::targets::model`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::model(data));
