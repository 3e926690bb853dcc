//! I2C chips that say anything, to a bus that asks them what they are.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headstock_tests::anything::chips(bytes));
