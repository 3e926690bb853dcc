//! Any bytes as a journal on disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headstock_tests::anything::journal(bytes));
