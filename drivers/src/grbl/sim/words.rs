//! The words of one line of G-code, sorted into modal groups; GRBL's numbers for what is wrong.

/// The words of one line, sorted.
#[derive(Default)]
pub(super) struct Words {
    /// Tenfold G codes by modal group.
    pub(super) g: [Option<u16>; 14],
    /// A code of group 0 or a motion that takes the axis words.
    pub(super) takes_axes: bool,
    pub(super) stop: Option<u16>,
    pub(super) spindle: Option<i8>,
    pub(super) flood: Option<bool>,
    pub(super) values: [Option<f64>; 26],
}

pub(super) const NON_MODAL: usize = 0;
pub(super) const MOTION: usize = 1;
pub(super) const PLANE: usize = 2;
pub(super) const DISTANCE: usize = 3;
pub(super) const ARC_DISTANCE: usize = 4;
pub(super) const FEED_MODE: usize = 5;
pub(super) const UNITS: usize = 6;
pub(super) const CUTTER: usize = 7;
pub(super) const TOOL_LENGTH: usize = 8;
pub(super) const SYSTEM: usize = 12;
pub(super) const PATH: usize = 13;

impl Words {
    pub(super) fn value(&self, letter: u8) -> Option<f64> {
        self.values[usize::from(letter - b'A')]
    }

    pub(super) fn take(&mut self, letter: u8) -> Option<f64> {
        self.values[usize::from(letter - b'A')].take()
    }

    pub(super) fn axes(&self) -> [Option<f64>; 3] {
        [b'X', b'Y', b'Z'].map(|letter| self.value(letter))
    }

    pub(super) fn read(text: &str) -> Result<Self, u8> {
        let mut words = Self::default();
        let mut rest = text.as_bytes();
        while let Some((&letter, after)) = rest.split_first() {
            if !letter.is_ascii_uppercase() {
                return Err(1);
            }
            let (value, after) = number(after).ok_or(2)?;
            rest = after;
            match letter {
                b'G' => words.g_code(value)?,
                b'M' => words.m_code(value)?,
                _ => words.other(letter, value)?,
            }
        }
        Ok(words)
    }

    fn g_code(&mut self, value: f64) -> Result<(), u8> {
        let code = (value * 10.0).round();
        if (value * 10.0 - code).abs() > 1e-3 || !(0.0..=999.0).contains(&code) {
            return Err(20);
        }
        let code = code as u16;
        let group = match code {
            40 | 280 | 281 | 300 | 301 | 530 | 920 | 921 | 100 => NON_MODAL,
            0 | 10 | 20 | 30 | 382..=385 | 800 => MOTION,
            170 | 180 | 190 => PLANE,
            900 | 910 => DISTANCE,
            911 => ARC_DISTANCE,
            930 | 940 => FEED_MODE,
            200 | 210 => UNITS,
            400 => CUTTER,
            431 | 490 => TOOL_LENGTH,
            540 | 550 | 560 | 570 | 580 | 590 => SYSTEM,
            610 => PATH,
            591..=593 => return Err(29),
            _ => return Err(20),
        };
        let takes_axes = matches!(code, 100 | 280 | 300 | 920 | 0 | 10 | 20 | 30 | 382..=385 | 431);
        if takes_axes && std::mem::replace(&mut self.takes_axes, true) {
            return Err(24);
        }
        if self.g[group].replace(code).is_some() {
            return Err(21);
        }
        Ok(())
    }

    fn m_code(&mut self, value: f64) -> Result<(), u8> {
        if value.fract() != 0.0 {
            return Err(23);
        }
        let again = match value as i32 {
            code @ (0..=2 | 30) => self.stop.replace(code as u16).is_some(),
            3 => self.spindle.replace(1).is_some(),
            4 => self.spindle.replace(-1).is_some(),
            5 => self.spindle.replace(0).is_some(),
            8 => self.flood.replace(true).is_some(),
            9 => self.flood.replace(false).is_some(),
            _ => return Err(20),
        };
        if again { Err(21) } else { Ok(()) }
    }

    fn other(&mut self, letter: u8, value: f64) -> Result<(), u8> {
        if !b"FIJKLNPRSTXYZ".contains(&letter) {
            return Err(20);
        }
        if b"FNPST".contains(&letter) && value < 0.0 {
            return Err(4);
        }
        let slot = &mut self.values[usize::from(letter - b'A')];
        if slot.replace(value).is_some() { Err(25) } else { Ok(()) }
    }
}

/// A number without exponent, and what follows it.
pub(super) fn number(text: &[u8]) -> Option<(f64, &[u8])> {
    let signed = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let mut dots = 0;
    let length = text[signed..]
        .iter()
        .take_while(|&&byte| {
            dots += usize::from(byte == b'.');
            byte.is_ascii_digit() || (byte == b'.' && dots == 1)
        })
        .count();
    let (digits, rest) = text.split_at(signed + length);
    let digits = std::str::from_utf8(digits).ok()?;
    Some((digits.trim_start_matches('+').parse().ok()?, rest))
}

/// Refuses words that a jog may not have.
pub(super) fn check_jog(words: &Words) -> Result<(), u8> {
    let groups = [MOTION, PLANE, ARC_DISTANCE, FEED_MODE, CUTTER, TOOL_LENGTH, SYSTEM, PATH];
    let other = groups.iter().any(|&group| words.g[group].is_some())
        || words.g[NON_MODAL].is_some_and(|code| code != 530)
        || words.stop.is_some()
        || words.spindle.is_some()
        || words.flood.is_some()
        || b"IJKLPRST".iter().any(|&letter| words.value(letter).is_some());
    if other { Err(16) } else { Ok(()) }
}
