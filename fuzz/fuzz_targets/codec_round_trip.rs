//! libFuzzer program for encoding and decoding again: `dunlin_fuzz::targets::codec_round_trip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::codec_round_trip(data));
