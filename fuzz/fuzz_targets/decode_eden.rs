//! libFuzzer program for payloads of the codec `eden`: `dunlin_fuzz::targets::decode_eden`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_eden(data));
