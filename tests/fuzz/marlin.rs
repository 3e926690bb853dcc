//! A printer that says anything, to a house that does anything.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headstock_tests::anything::marlin(bytes));
