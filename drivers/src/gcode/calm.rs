//! Lines that only switch something off: spindle, coolant, fan, heaters.
//!
//! Rules keep a machine from starting, moving and heating. What takes energy out of it they must
//! never be in the way of, also when it comes as a typed line.

use super::print::words;

/// Whether all that a line does is switching off.
pub fn only_switches_off(line: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b" .".contains(&it);
    if !line.bytes().all(plain) {
        return false;
    }
    // A heater was named and is yet to be told 0.
    let mut unsaid = false;
    let mut off = false;
    for (letter, value) in words(line) {
        match (letter, value) {
            // Spindle, coolant, the fan of a printer.
            (b'M', Some(5.0 | 9.0 | 107.0)) => off = true,
            (b'M', Some(104.0 | 140.0 | 141.0)) => unsaid = true,
            (b'S', Some(0.0)) if unsaid => (unsaid, off) = (false, true),
            (b'S', Some(0.0)) | (b'T', Some(_)) => (),
            _ => return false,
        }
    }
    off && !unsaid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_energy_away_counts_as_switching_off() {
        for line in ["M5", "m5 m9", "M05", "M107", "M104 S0", "M104 T1 S0", "M140S0", "S0 M5"] {
            assert!(only_switches_off(line), "{line}");
        }
        let others = [
            "",
            "S0",
            "M3 S0",
            "M5 G0 X10",
            "M104",
            "M104 S1",
            "M104 S",
            "M140 R0",
            "M84",
            "$H",
            "M5 (G0)",
            "M5;",
            "G4 P1",
            "M104 S-0",
            "M5 M3",
            "M5 M104",
            "T1",
        ];
        for line in others {
            assert!(!only_switches_off(line), "{line}");
        }
    }
}
