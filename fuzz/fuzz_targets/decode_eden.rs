//! Payloads of `eden`: no panic, no value that is not finite, no more memory than declared.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::decode(3, data));
