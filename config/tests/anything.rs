//! Whatever is handed to the reader, it answers: with settings, or with problems that have a place.

use headstock_config::load::{FILE_MAX_BYTES, Problem, parse, render};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../examples/workshop.toml");

fn problems(text: &str) -> Vec<Problem> {
    parse(text, "any.toml", &["grbl", "marlin", "modbus-rtu", "modbus-tcp", "gpio", "i2c"])
        .err()
        .unwrap_or_default()
}

/// Every problem can be shown, and points into the text.
fn check(text: &str) {
    let lines = text.split('\n').count();
    for problem in problems(text) {
        assert!(problem.line <= lines, "{problem}");
        assert!(!problem.message.contains('\n'), "{problem:?}");
        assert!(!render(&[problem]).is_empty());
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn text_made_of_toml_pieces_is_answered(pieces in prop::collection::vec(piece(), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn an_example_with_a_hole_or_a_scratch_is_answered(
        start in 0..EXAMPLE.len(),
        length in 0..40usize,
        scratch in piece(),
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, scratch.bytes());
        check(&String::from_utf8_lossy(&bytes));
    }
}

fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\"",
        "'",
        "\n",
        "\r\n",
        "#",
        "\u{feff}",
        "web",
        "daemon",
        "people",
        "machine",
        "port",
        "usb",
        "envelope",
        "min",
        "listen",
        "id",
        "driver",
        "safe_z",
        "\"grbl\"",
        "true",
        "nan",
        "-inf",
        "1e999",
        "0x_",
        "1979-05-27",
        "[[machine]]\n",
        "id = \"mill\"\n",
        "port = {usb={vid=\"1a86\"}}\n",
        "= [0, 0, 0]\n",
        "é",
    ];
    prop_oneof![4 => prop::sample::select(pieces.to_vec()).prop_map(String::from), 1 => ".{0,5}"]
}

#[test]
fn deep_and_long_texts_are_answered_without_overflow() {
    let most = FILE_MAX_BYTES;
    for piece in ["[", "a.", "a={", "a=[", "=\n", "a=1\n", "[[machine]]\n", "[web]\n", "\"", "\0"] {
        let text = piece.repeat(most / piece.len());
        let found = problems(&text);
        assert!((1..=101).contains(&found.len()), "{piece:?}: {} problems", found.len());
    }
    let keys: String = (0..60_000).map(|number| format!("[k{number}]\n")).collect();
    assert_eq!(problems(&keys).len(), 101);
    assert_eq!(problems(&"#".repeat(most + 1))[0].code, "config.file.large");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_read_over() {
    let text = format!("\u{feff}{}", EXAMPLE.replace('\n', "\r\n"));
    assert_eq!(problems(&text), []);
    let wrong = problems("\u{feff}wbe = 1\r\n");
    assert_eq!((wrong[0].line, wrong[0].column), (1, 1));
}
