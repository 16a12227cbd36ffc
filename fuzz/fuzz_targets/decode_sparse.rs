//! libFuzzer program for payloads of the codec `sparse`: `dunlin_fuzz::targets::decode_sparse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_sparse(data));
