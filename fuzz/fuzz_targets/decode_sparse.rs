//! `dunlin_fuzz::targets::decode_sparse` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_sparse(data));
