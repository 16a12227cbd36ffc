//! libFuzzer program for chunks and what is put together from them: `dunlin_fuzz::targets::chunk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dunlin_fuzz::targets::chunk(data));
