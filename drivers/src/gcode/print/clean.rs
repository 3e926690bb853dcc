//! From the bytes of one file line to what goes to a printer's firmware.
//!
//! What is taken away: comments, line ends, spaces before, behind and more than one between words,
//! numbers and checksums that the file itself brings (ours take their place). Nothing else is
//! changed: M117 keeps its small letters. A line of which nothing is left vanishes, since firmware
//! gives no answer to it. Source: Marlin `src/gcode/queue.cpp`; RepRap wiki, "G-code", Fields.

use super::is_text;
use crate::gcode::clean::{Fault, RAW_MAX};

/// What a comment says about layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The next one begins (`;LAYER_CHANGE`).
    Next,
    /// This one begins, from 1 (`;LAYER:0` is the first).
    This(u32),
    /// So many there are (`;LAYER_COUNT:120`).
    All(u32),
}

/// Cleans one line into `text` (emptied first). Gives what its comment says about layers.
pub fn clean(
    raw: &[u8],
    first: bool,
    line_max: usize,
    text: &mut String,
) -> Result<Option<Layer>, Fault> {
    text.clear();
    let raw = if first { raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw) } else { raw };
    if RAW_MAX < raw.len() {
        return Err(Fault::Endless(RAW_MAX));
    }
    let semicolon = raw.iter().position(|byte| *byte == b';');
    let (code, comment) = raw.split_at(semicolon.unwrap_or(raw.len()));
    let layer = layer(comment);
    let code = without_frame(code.trim_ascii().strip_suffix(b"\x1A").unwrap_or(code).trim_ascii());
    for word in code.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        for &byte in word {
            push(byte, text)?;
        }
    }
    if text.starts_with('%') {
        text.clear();
    }
    if line_max < text.len() {
        if !is_text(text) {
            return Err(Fault::TooLong { length: text.len(), max: line_max });
        }
        // Words for people: the display shows less anyway.
        text.truncate(line_max);
    }
    Ok(layer)
}

fn push(byte: u8, text: &mut String) -> Result<(), Fault> {
    match byte {
        b'!'..=b'~' => text.push(char::from(byte)),
        // A display has no umlauts either way; a move must not hold any.
        0x80.. if is_text(text) => {
            if byte & 0xC0 != 0x80 {
                text.push('?');
            }
        }
        0x80.. => return Err(Fault::NotAscii(byte)),
        _ => return Err(Fault::Control(byte)),
    }
    Ok(())
}

/// Without `N123` before and `*45` behind.
fn without_frame(code: &[u8]) -> &[u8] {
    let Some(rest) = code.strip_prefix(b"N").or_else(|| code.strip_prefix(b"n")) else {
        return code;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return code;
    }
    let rest = rest[digits..].trim_ascii_start();
    let star = rest.iter().rposition(|byte| *byte == b'*').unwrap_or(rest.len());
    rest[..star].trim_ascii_end()
}

/// Source: what Cura, PrusaSlicer, OrcaSlicer and Simplify3D write.
fn layer(comment: &[u8]) -> Option<Layer> {
    let comment = std::str::from_utf8(comment.get(1..)?).ok()?.trim();
    let number = |digits: &str| digits.trim().parse::<u32>().ok().filter(|it| *it < 1_000_000);
    if matches!(comment, "LAYER_CHANGE" | "CHANGE_LAYER" | "BEFORE_LAYER_CHANGE") {
        return (comment != "BEFORE_LAYER_CHANGE").then_some(Layer::Next);
    }
    for head in ["LAYER_COUNT:", "total layer number:", "total layers count ="] {
        if let Some(rest) = comment.strip_prefix(head) {
            return number(rest).map(Layer::All);
        }
    }
    let rest = comment.strip_prefix("LAYER:")?;
    number(rest).map(|it| Layer::This(it + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(raw: &str) -> Result<(String, Option<Layer>), Fault> {
        let mut text = String::from("left over");
        clean(raw.as_bytes(), true, 80, &mut text).map(|layer| (text, layer))
    }

    #[test]
    fn only_what_firmware_would_not_answer_or_misread_is_taken_away() {
        for (raw, text) in [
            ("G1  X1.5\tE2 ; rest\r\n", "G1 X1.5 E2"),
            (";only a comment", ""),
            ("   ", ""),
            ("M117 Layer 5 of 9", "M117 Layer 5 of 9"),
            ("M117 Grün", "M117 Gr?n"),
            ("N12 G1 X1*77", "G1 X1"),
            ("G28", "G28"),
            ("G1X1Y2", "G1X1Y2"),
            ("%", ""),
            ("\u{feff}M104 S200", "M104 S200"),
        ] {
            assert_eq!(cleaned(raw).map(|it| it.0).as_deref(), Ok(text), "{raw:?}");
        }
        assert_eq!(cleaned("G1 X1\u{a0}Y2"), Err(Fault::NotAscii(0xC2)));
        assert_eq!(cleaned("G1 X1\u{7}"), Err(Fault::Control(7)));
        let long = "G1 ".to_owned() + &"X1 ".repeat(40);
        assert!(matches!(cleaned(&long), Err(Fault::TooLong { .. })));
        let told = "M117 ".to_owned() + &"word ".repeat(40);
        assert_eq!(cleaned(&told).map(|it| it.0.len()), Ok(80));
    }

    #[test]
    fn comments_tell_of_layers() {
        for (raw, layer) in [
            (";LAYER:0", Some(Layer::This(1))),
            (";LAYER_CHANGE", Some(Layer::Next)),
            (";LAYER_COUNT:120", Some(Layer::All(120))),
            ("; total layers count = 33", Some(Layer::All(33))),
            ("; CHANGE_LAYER", Some(Layer::Next)),
            (";LAYER:x", None),
            ("; layers are nice", None),
        ] {
            assert_eq!(cleaned(raw).map(|it| it.1), Ok(layer), "{raw}");
        }
    }
}
