//! See `tou_fuzz::segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tou_fuzz::segment(data));
