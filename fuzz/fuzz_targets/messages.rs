//! libFuzzer program for control messages, tasks and presence: `dunlin_fuzz::targets::messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::messages(data));
