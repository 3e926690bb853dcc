//! The chips, one file each.
//!
//! Written from their makers' datasheets rather than on top of published driver crates: those that
//! are kept wait for a conversion while they hold the bus, or own it, or do not look whether the
//! chip has lost its settings. `docs/decisions/2026-11-29-i2c-chips.md` names each.

pub mod ads1115;
pub mod bme280;
pub mod ina219;
pub mod mcp23017;
pub mod pcf8574;
pub mod pcf8591;
pub mod sht31;
pub mod vl53l0x;

use super::{Trouble, Wire};

/// Reads consecutive registers.
fn read<const N: usize>(
    wire: &mut Wire<'_>,
    address: u8,
    register: u8,
) -> Result<[u8; N], Trouble> {
    let mut bytes = [0; N];
    wire.write_read(address, &[register], &mut bytes)?;
    Ok(bytes)
}

/// Reads a register of 16 bits, high byte first.
fn read_word(wire: &mut Wire<'_>, address: u8, register: u8) -> Result<u16, Trouble> {
    Ok(u16::from_be_bytes(read(wire, address, register)?))
}

/// Writes a register of 16 bits, high byte first.
fn write_word(wire: &mut Wire<'_>, address: u8, register: u8, word: u16) -> Result<(), Trouble> {
    let [high, low] = word.to_be_bytes();
    Ok(wire.write(address, &[register, high, low])?)
}
