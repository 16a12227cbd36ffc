//! `dunlin_fuzz::targets::decode_int8` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_int8(data));
