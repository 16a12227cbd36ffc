//! libFuzzer program for payloads of the codec `uniform`: `dunlin_fuzz::targets::decode_uniform`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_uniform(data));
