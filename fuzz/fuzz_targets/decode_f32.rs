//! libFuzzer program for payloads of the codec `f32`: `dunlin_fuzz::targets::decode_f32`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::decode_f32(data));
