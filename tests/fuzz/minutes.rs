//! Any bytes as a file of points' minutes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headstock_tests::anything::minutes(bytes));
