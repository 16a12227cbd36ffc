//! libFuzzer program for payloads of the codec `int8`: `dunlin_fuzz::targets::decode_int8`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_int8(data));
