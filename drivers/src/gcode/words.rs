//! The words of a cleaned line: a letter and a number each.
//!
//! Reads numbers as GRBL does (`X.5`, `X-.5`, `X+1`, no exponents; a second point ends the
//! number). What a word means is not here.

/// Why GRBL would not carry out a line: its `error:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error(pub u8);

impl Error {
    /// What GRBL's number means, in a few words.
    pub fn meaning(self) -> &'static str {
        grbl_error(self.0.into()).unwrap_or("the controller refuses it")
    }
}

/// What `error:N` of GRBL means. Source: GRBL 1.1 `error_codes_en_US.csv`.
pub(crate) fn grbl_error(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "a letter was expected",
        2 => "a number is missing or malformed",
        3 => "the `$` command is not known",
        4 => "a negative value where only positive ones are allowed",
        5 => "homing is not enabled in the settings",
        6 => "the step pulse must be at least 3 us",
        7 => "the stored settings could not be read; defaults were restored",
        8 => "this `$` command needs an idle machine",
        9 => "G-code is locked while in alarm or jogging",
        10 => "soft limits need homing to be enabled",
        11 => "the line is too long",
        12 => "the step rate would exceed 30 kHz",
        13 => "the safety door is open",
        14 => "the build info or start-up line is too long to be stored",
        15 => "the jog would leave the travel of the machine; it was ignored",
        16 => "the jog has no `=` or holds a word that is not allowed",
        17 => "laser mode needs a PWM output",
        20 => "the controller does not support this command",
        21 => "two commands of one modal group in one line",
        22 => "no feed rate has been set",
        23 => "the command needs a whole number",
        24 => "two commands that use axis words in one line",
        25 => "a word is repeated in the line",
        26 => "the command needs axis words and has none",
        27 => "the line number is not valid",
        28 => "a word that the command needs is missing",
        29 => "the work coordinate system is not supported",
        30 => "G53 is only allowed with G0 and G1",
        31 => "axis words without a command that uses them",
        32 => "the arc has no axis word in its plane",
        33 => "the target of the arc or probe is not valid",
        34 => "the radius of the arc cannot be right",
        35 => "the arc has no offset word in its plane",
        36 => "words in the line that no command uses",
        37 => "G43.1 is not given for the tool length axis",
        38 => "the tool number is too large",
        _ => return None,
    })
}

/// No number in a program for a machine tool is as large as this.
const LARGEST: f64 = 1e9;

/// One word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Word {
    /// `b'A'` to `b'Z'`.
    pub letter: u8,
    /// Its number, as written.
    pub value: f64,
}

impl Word {
    /// The number times 100, rounded, where it can name a code: 3820 for `G38.2`.
    pub fn hundredths(self) -> Option<u32> {
        let whole = self.value.trunc();
        let part = ((self.value - whole) * 100.0).round();
        // In range, so the casts are exact.
        let names = (0.0..256.0).contains(&whole) && (0.0..100.0).contains(&part);
        names.then(|| whole as u32 * 100 + part as u32)
    }
}

/// The words of a line, one after the other; ends after the first error.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a [u8],
}

/// The words of a cleaned line.
pub fn words(text: &str) -> Words<'_> {
    Words { rest: text.as_bytes() }
}

impl Iterator for Words<'_> {
    type Item = Result<Word, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&letter, after) = self.rest.split_first()?;
        self.rest = &[];
        if !letter.is_ascii_uppercase() {
            return Some(Err(Error(1)));
        }
        let Some((value, length)) = number(after) else { return Some(Err(Error(2))) };
        self.rest = &after[length..];
        Some(Ok(Word { letter, value }))
    }
}

/// The number that `text` begins with and its length; `None` if there is no digit, or if it is
/// absurdly large.
fn number(text: &[u8]) -> Option<(f64, usize)> {
    let signed = matches!(text.first(), Some(b'-' | b'+'));
    let mut at = usize::from(signed);
    let (mut whole, mut digits, mut exponent, mut point) = (0u64, 0u32, 0i32, false);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                // More than 17 digits say nothing more; GRBL keeps eight.
                if whole < 10_000_000_000_000_000 {
                    whole = whole * 10 + u64::from(byte - b'0');
                    exponent -= i32::from(point);
                } else {
                    exponent += i32::from(!point);
                }
            }
            b'.' if !point => point = true,
            _ => break,
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    let size = scaled(whole, exponent);
    // GRBL would take it and go astray.
    if size >= LARGEST {
        return None;
    }
    Some((if text[0] == b'-' { -size } else { size }, at))
}

/// `whole` times ten to the power of `exponent`, correctly rounded in the ordinary case.
fn scaled(whole: u64, exponent: i32) -> f64 {
    const POWERS: [f64; 19] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18,
    ];
    let whole = whole as f64;
    match POWERS.get(exponent.unsigned_abs() as usize) {
        Some(power) if exponent <= 0 => whole / power,
        _ => whole * 10f64.powi(exponent),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(char, f64)>, Error> {
        words(text).map(|it| it.map(|word| (char::from(word.letter), word.value))).collect()
    }

    #[test]
    fn numbers_are_read_as_grbl_reads_them() {
        for (text, value) in [
            ("X.5", 0.5),
            ("X-.5", -0.5),
            ("X+1", 1.0),
            ("X1.", 1.0),
            ("X007", 7.0),
            ("X-0", 0.0),
            ("X1234.5678", 1234.5678),
            ("X0.0001", 0.0001),
        ] {
            assert_eq!(read(text), Ok(vec![('X', value)]), "{text}");
        }
    }

    #[test]
    fn bad_words_have_grbls_numbers() {
        for (text, error) in [
            ("1X2", 1),
            ("X", 2),
            ("X-", 2),
            ("X.", 2),
            ("XY1", 2),
            ("X1.2.3", 1),
            ("X--1", 2),
            ("X1000000000", 2),
        ] {
            assert_eq!(read(text), Err(Error(error)), "{text}");
        }
        // An exponent is a word of its own.
        assert_eq!(read("X1E2"), Ok(vec![('X', 1.0), ('E', 2.0)]));
    }

    #[test]
    fn a_number_beyond_all_codes_names_none() {
        for (value, code) in [(38.2, Some(3820)), (256.0, None), (99_999_599.0, None), (-1.0, None)]
        {
            assert_eq!(Word { letter: b'G', value }.hundredths(), code);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(value in -99999.0f64..99999.0) {
            let text = format!("X{value:.4}");
            let back: f64 = text[1..].parse().unwrap();
            prop_assert_eq!(read(&text), Ok(vec![('X', back)]));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[ -~]{0,90}") {
            let _ended = words(&text).count();
        }
    }
}
