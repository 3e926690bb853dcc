//! Looks what answers on an I2C bus, without writing anything to anybody.
//!
//! Each address is asked for one byte, as `i2cdetect -r` does. Addresses 0x50 to 0x57 are left
//! alone: memories are there, some of which count every reading; so are the addresses that the
//! standard reserves. An address that a driver of the kernel has is not asked but named.

use std::path::{Path, PathBuf};

use headstock_config::chip::CHIPS;

use super::failure::Why;
use super::i2c::{Bus, open};
use crate::i2c::WireError;

/// The addresses that are not reserved.
const ADDRESSES: std::ops::RangeInclusive<u8> = 0x03..=0x77;
/// Memories.
const LEFT_ALONE: std::ops::RangeInclusive<u8> = 0x50..=0x57;
/// A bus that is held down answers nobody: after so many there is no use in asking on.
const STUCK_MAX: usize = 3;

/// Something that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub address: u8,
    /// A driver of the kernel has it, and it was not asked.
    pub claimed: bool,
}

/// The buses of this box, by their device nodes, in order.
pub fn buses() -> Vec<PathBuf> {
    let number =
        |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("i2c-")?.parse::<u32>().ok();
    let entries = std::fs::read_dir("/dev").into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> =
        entries.map(|it| it.path()).filter(|path| number(path).is_some()).collect();
    found.sort_by_key(number);
    found
}

/// Opens a bus and looks what answers.
pub fn scan(path: &Path) -> Result<Vec<Found>, Why> {
    look(open(path)?.as_mut())
}

fn look(bus: &mut dyn Bus) -> Result<Vec<Found>, Why> {
    let mut found = Vec::new();
    let mut stuck = 0;
    for address in ADDRESSES.filter(|it| !LEFT_ALONE.contains(it)) {
        if bus.is_claimed(address) {
            found.push(Found { address, claimed: true });
            continue;
        }
        match bus.read(address, &mut [0]) {
            Ok(()) => found.push(Found { address, claimed: false }),
            Err(WireError::Nack | WireError::Other(_)) => (),
            Err(WireError::Stuck) => stuck += 1,
            Err(WireError::Gone(why)) => return Err(Why::Unfit(why)),
        }
        if STUCK_MAX <= stuck {
            return Err(Why::Unfit(WireError::Stuck.to_string()));
        }
    }
    Ok(found)
}

/// What is known to be at an address, as text for people: chips that there are drivers for first.
pub fn usually(address: u8) -> String {
    let ours = CHIPS.iter().filter(|it| it.addresses.contains(&address)).map(|it| it.name);
    let others = OTHERS.iter().filter(|(from, to, _)| (*from..=*to).contains(&address));
    let all: Vec<&str> = ours.chain(others.map(|(_, _, name)| *name)).collect();
    if all.is_empty() { "not known".into() } else { all.join(", ") }
}

/// Common parts without a driver here. Sources: their datasheets.
const OTHERS: &[(u8, u8, &str)] = &[
    (0x1d, 0x1e, "accelerometers"),
    (0x23, 0x23, "bh1750 (light)"),
    (0x3c, 0x3d, "ssd1306 (display)"),
    (0x38, 0x38, "aht20 (climate)"),
    (0x40, 0x40, "pca9685 (pwm), htu21 (climate)"),
    (0x48, 0x4f, "lm75, tmp102 (temperature)"),
    (0x5a, 0x5a, "mlx90614 (infrared)"),
    (0x5c, 0x5d, "lps22 (pressure)"),
    (0x60, 0x67, "mcp4725, si5351, mcp9600"),
    (0x62, 0x62, "scd4x (carbon dioxide)"),
    (0x68, 0x69, "ds3231 (clock), mpu6050 (motion)"),
    (0x70, 0x77, "tca9548a (switch)"),
    (0x76, 0x77, "bmp280, bme680, ms5611"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i2c::sim;

    #[test]
    fn what_answers_is_found_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let bus = sim::Bus::open(&path, 1.0, &[("bme280", 0x76), ("mcp23017", 0x20)]).unwrap();
        let found = scan(&path).unwrap();
        let at = |address| Found { address, claimed: false };
        assert_eq!(found, [at(0x20), at(0x76)]);
        assert!(usually(0x76).starts_with("bme280"));
        assert_eq!(usually(0x08), "not known");
        let asked = bus.asked();
        assert!(!asked.is_empty() && asked.iter().all(|it| !LEFT_ALONE.contains(it)));
        crate::sim::say(&path, "fault bus stuck").unwrap();
        assert!(scan(&path).is_err());
    }

    #[test]
    fn a_file_that_is_no_bus_is_told_so() {
        assert!(matches!(scan(Path::new("/dev/null")), Err(Why::Unfit(_))));
        assert!(matches!(scan(Path::new("/dev/i2c-none")), Err(Why::Absent)));
    }
}
