//! From the bytes of one file line to the text that goes to a controller.
//!
//! What is taken away is exactly what GRBL itself would skip, and what would hurt on the wire:
//! spaces and tabs, `(…)` and `;…` comments, the block delete character `/`, the byte order mark
//! at the start of a file, line ends. Letters become upper case. Whole lines vanish when nothing
//! is left, or when they begin with `%` or `O` (tape marks and program numbers). Everything else
//! stays byte for byte; N words too.
//!
//! Invariant: the text holds only printable ASCII without spaces and without the characters that
//! a controller takes out of the stream and acts upon (`?`, `!`, `~`), and fits the line buffer.
//! A line that cannot be made so is refused, never mended. Source: GRBL 1.1 `protocol.c` and
//! `serial.c` as described in its `interface.md`.

/// Why a line cannot go to a controller as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A byte of 0x80 or above outside a comment.
    #[error("byte 0x{0:02X} is not ASCII")]
    NotAscii(u8),
    /// A printable character that the controller would act upon at once.
    #[error("`{0}` would be acted upon at once by the controller")]
    Realtime(char),
    /// A control byte.
    #[error("control byte 0x{0:02X}")]
    Control(u8),
    /// A `$…` or `[…]` line: a command to the controller, not a part of a program.
    #[error("`{0}` begins a controller command, which is not a part of a program")]
    ControllerCommand(char),
    /// Longer than the controller's line buffer: it would answer `error:11`.
    #[error("{length} characters without spaces and comments; the controller takes {max}")]
    TooLong {
        /// Characters after cleaning.
        length: usize,
        /// What the controller takes.
        max: usize,
    },
    /// More raw bytes than any line of a program has.
    #[error("the line is longer than {0} bytes")]
    Endless(usize),
}

impl Fault {
    /// A name that never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAscii(_) => "gcode.non_ascii",
            Self::Realtime(_) => "gcode.realtime_character",
            Self::Control(_) => "gcode.control_byte",
            Self::ControllerCommand(_) => "gcode.controller_command",
            Self::TooLong { .. } | Self::Endless(_) => "gcode.line_too_long",
        }
    }
}

/// What was odd about a line that can be sent nevertheless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// A `(` without `)`: the rest of the line was taken as a comment.
    pub unclosed_comment: bool,
    /// A `/` was taken away: GRBL has no block delete, the line is carried out.
    pub block_delete: bool,
}

/// Raw bytes of a line, comments included, beyond which it is refused unread.
pub const RAW_MAX: usize = 4096;

/// Cleans one line into `text` (emptied first). `first` says that it is the first of its file.
/// An empty `text` afterwards means that the line vanishes.
pub fn clean(
    raw: &[u8],
    first: bool,
    line_max: usize,
    text: &mut String,
) -> Result<Oddities, Fault> {
    text.clear();
    let raw = without_ends(raw, first);
    if raw.len() > RAW_MAX {
        return Err(Fault::Endless(RAW_MAX));
    }
    let odd = strip(raw, text)?;
    match text.as_bytes().first() {
        Some(b'%' | b'O') => text.clear(),
        Some(&start @ (b'$' | b'[')) => return Err(Fault::ControllerCommand(char::from(start))),
        _ if text.len() > line_max => {
            return Err(Fault::TooLong { length: text.len(), max: line_max });
        }
        _ => (),
    }
    Ok(odd)
}

fn without_ends(raw: &[u8], first: bool) -> &[u8] {
    let raw = if first { raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw) } else { raw };
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    // Files from DOS end with one of these.
    raw.strip_suffix(b"\x1A").unwrap_or(raw)
}

fn strip(raw: &[u8], text: &mut String) -> Result<Oddities, Fault> {
    let mut odd = Oddities::default();
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => (),
            b';' => break,
            b'(' => odd.unclosed_comment = !bytes.any(|&it| it == b')'),
            b'/' => odd.block_delete = true,
            b'?' | b'!' | b'~' => return Err(Fault::Realtime(char::from(byte))),
            0x80.. => return Err(Fault::NotAscii(byte)),
            ..0x20 | 0x7F => return Err(Fault::Control(byte)),
            _ => text.push(char::from(byte.to_ascii_uppercase())),
        }
    }
    Ok(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(raw: &[u8]) -> Result<String, Fault> {
        let mut text = String::from("left over");
        clean(raw, true, 79, &mut text).map(|_| text)
    }

    #[test]
    fn what_grbl_would_skip_is_taken_away_and_the_rest_stays() {
        for (raw, text) in [
            ("g1 x1.5\t(to the edge) Y-2 ; rest\r\n", "G1X1.5Y-2"),
            ("N10 G0 X.5", "N10G0X.5"),
            ("(only; a (comment) G1", "G1"),
            ("/G1 X1", "G1X1"),
            ("\u{feff}G21", "G21"),
            ("%", ""),
            ("% made by hand", ""),
            ("O1001 (a part)", ""),
            ("o7", ""),
            ("   ", ""),
            ("\x1a", ""),
            ("(größe? 5!)", ""),
            ("G1 X1 ; größe", "G1X1"),
            ("M30\r", "M30"),
        ] {
            assert_eq!(cleaned(raw.as_bytes()).as_deref(), Ok(text), "{raw:?}");
        }
    }

    #[test]
    fn what_would_hurt_on_the_wire_is_refused() {
        assert_eq!(cleaned(b"G1 X1!"), Err(Fault::Realtime('!')));
        assert_eq!(cleaned(b"?"), Err(Fault::Realtime('?')));
        assert_eq!(cleaned("G1 X1\u{a0}Y2".as_bytes()), Err(Fault::NotAscii(0xC2)));
        assert_eq!(cleaned(b"G1\x18"), Err(Fault::Control(0x18)));
        assert_eq!(cleaned(b"G1 X1\rG0"), Err(Fault::Control(b'\r')));
        assert_eq!(cleaned(b"$H"), Err(Fault::ControllerCommand('$')));
        assert_eq!(cleaned(b"[ESP444]RESTART"), Err(Fault::ControllerCommand('[')));
    }

    #[test]
    fn a_line_is_measured_after_cleaning() {
        let spaced = "G1 ".to_owned() + &"X 1 ".repeat(38);
        assert_eq!(cleaned(spaced.as_bytes()).map(|it| it.len()), Ok(78));
        let long = "X1".repeat(40);
        assert_eq!(cleaned(long.as_bytes()), Err(Fault::TooLong { length: 80, max: 79 }));
        assert_eq!(cleaned(&[b' '; 5000]), Err(Fault::Endless(RAW_MAX)));
    }

    #[test]
    fn oddities_are_told() {
        let mut text = String::new();
        let odd = clean(b"G1X1(left open", false, 79, &mut text);
        assert_eq!(odd, Ok(Oddities { unclosed_comment: true, block_delete: false }));
        assert_eq!(text, "G1X1");
        let odd = clean(b"/M8", false, 79, &mut text);
        assert_eq!(odd, Ok(Oddities { unclosed_comment: false, block_delete: true }));
    }

    #[test]
    fn a_byte_order_mark_inside_a_file_is_refused() {
        let mut text = String::new();
        let refused = clean("\u{feff}G21".as_bytes(), false, 79, &mut text);
        assert_eq!(refused, Err(Fault::NotAscii(0xEF)));
    }
}
