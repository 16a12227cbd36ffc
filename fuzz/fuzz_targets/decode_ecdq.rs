//! libFuzzer program for payloads of the codec `ecdq`: `dunlin_fuzz::targets::decode_ecdq`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_ecdq(data));
