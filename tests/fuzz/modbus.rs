//! A far end that sends anything, to a house that asks and is asked by Modbus.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headstock_tests::anything::modbus(bytes));
