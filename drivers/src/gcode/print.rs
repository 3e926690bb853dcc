//! The language of prints.
//!
//! Words: as [`super::words`] reads them for mills, but as printers write them.
//!
//! A printer's line has one command and then parameters; what follows `M117` and its like is text
//! for people, not words. Letters may stand without a number (`G28 X`).

pub(super) mod analysis;
pub mod clean;
pub mod state;

/// Commands whose rest of the line is text. Source: Marlin documentation, M0, M1, M16, M20, M23,
/// M28, M30, M32, M117, M118, M928, M0.
const TEXT: &[u32] = &[0, 1, 16, 23, 28, 30, 32, 33, 117, 118, 928];

/// The words of a line: letter, and number if there is one. Of a text command only the first.
pub fn words(text: &str) -> impl Iterator<Item = (u8, Option<f64>)> {
    let mut rest = text.as_bytes();
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let at = rest.iter().position(u8::is_ascii_alphabetic)?;
        let letter = rest[at].to_ascii_uppercase();
        rest = &rest[at + 1..];
        let skip = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
        let digits = &rest[skip..];
        let end = digits.iter().position(|byte| !b"0123456789.+-".contains(byte));
        let number = &digits[..end.unwrap_or(digits.len())];
        let value = std::str::from_utf8(number).ok().and_then(|it| it.parse().ok());
        let value = value.filter(|it: &f64| it.is_finite() && it.abs() < 1e9);
        if value.is_some() {
            rest = &rest[skip + number.len()..];
        }
        ended = letter == b'M'
            && value.is_some_and(|it| TEXT.iter().any(|code| f64::from(*code) == it));
        Some((letter, value))
    })
}

/// Whether what follows the command of this line is text for people.
pub fn is_text(text: &str) -> bool {
    let first = words(text).next();
    matches!(first, Some((b'M', Some(code))) if TEXT.iter().any(|it| f64::from(*it) == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_command_and_parameters() {
        let all = |text| words(text).collect::<Vec<_>>();
        assert_eq!(all("G28 X Y"), [(b'G', Some(28.0)), (b'X', None), (b'Y', None)]);
        assert_eq!(all("G1X-.5E1.25"), [(b'G', Some(1.0)), (b'X', Some(-0.5)), (b'E', Some(1.25))]);
        assert_eq!(all("M117 Layer 5 of 9"), [(b'M', Some(117.0))]);
        assert!(is_text("M118 E1 hello") && !is_text("M1170"));
    }
}
