//! A line as it goes over the wire: a number, the command, and a checksum over both.
//!
//! `N123G1 X10*77`: the checksum is the exclusive or of all bytes before the `*`, written as a
//! decimal number. A firmware takes a numbered line only if it is the next one and the checksum is
//! right, so a line is carried out once or not at all. Source: Marlin `src/gcode/queue.cpp`,
//! `get_serial_commands`; RepRap wiki, "G-code", Checking.

/// Longest line that Marlin takes, number and checksum included (`MAX_CMD_SIZE` 96, with its end).
pub const WIRE_MAX: usize = 95;
/// What number and checksum take at most: `N`, ten digits, `*`, three digits.
const FRAME: usize = 15;
/// Longest command.
pub const TEXT_MAX: usize = WIRE_MAX - FRAME;

/// The exclusive or of all bytes.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// The line with number, checksum and line end.
pub fn numbered(number: i64, text: &str) -> String {
    let body = format!("N{number}{text}");
    let sum = checksum(body.as_bytes());
    format!("{body}*{sum}\n")
}

/// The line that makes `number` the last one that the firmware has taken.
pub fn renumbering(number: i64) -> String {
    numbered(number, &format!("M110 N{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_that_firmware_accepts() {
        // From sessions with a Marlin 2.1 that had been compiled for Linux.
        for (body, sum) in [
            ("N0 M110 N0", 125),
            ("N1 M105", 38),
            ("N2 M114", 37),
            ("N3 M155 S1", 99),
            ("N5 G0 X1", 101),
            ("N101 M400", 39),
            ("N2 G1 X10 Y10 F3000", 78),
            ("N123 G1 X10.5 Y-3.2 E0.0421", 77),
            ("N-1 M110", 15),
        ] {
            assert_eq!(checksum(body.as_bytes()), sum, "{body}");
        }
        assert_eq!(numbered(3, " T0"), "N3 T0*57\n");
        assert_eq!(renumbering(0), "N0M110 N0*93\n");
    }

    #[test]
    fn two_lines_that_have_run_together_never_have_a_right_checksum() {
        // The firmware counts up to the last `*`: the first line's checksum would have to undo
        // its own digits.
        for sum in 0..=255_u8 {
            assert_ne!(sum ^ checksum(format!("*{sum}").as_bytes()), 0, "{sum}");
        }
    }
}
