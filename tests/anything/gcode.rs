//! A program with anything in it.
//!
//! Promises: what goes to a controller fits into its line buffer and holds no realtime characters;
//! an analysis depends on the bytes alone, not on how they came in pieces, and holds only numbers
//! that can be told; a preamble fits into the line buffer and goes on at or behind the wanted line.

use std::time::Duration;

use headstock_config::file::Analysis;
use headstock_config::machine::{Controller, Live, Machine};
use headstock_drivers::gcode::lines::Lines;
use headstock_drivers::gcode::resume::{self, Options};
use headstock_drivers::gcode::{Analyzer, Limits, Reader, preflight, reader};

use super::grbl::machine;

const LINE_MAX: usize = 79;

/// Reads the bytes as a program: as a streamer, as a person who wants to know what it does, and
/// as one who wants to go on with it in the middle.
pub fn gcode(bytes: &[u8]) {
    reader::read_anything(bytes);
    let lines = stream(bytes);
    analyse(bytes);
    for wanted in [1, 2, 3, lines / 2, lines.saturating_sub(1), lines, lines + 1] {
        go_on(bytes, wanted);
    }
}

fn each_line(bytes: &[u8], mut each: impl FnMut(u64, &[u8])) -> u64 {
    let mut lines = Lines::default();
    lines.push(bytes, &mut each);
    lines.end(&mut each);
    lines.count()
}

fn stream(bytes: &[u8]) -> u64 {
    let mut reader = Reader::new(LINE_MAX);
    each_line(bytes, |number, raw| {
        if let Ok(Some(line)) = reader.read(number, raw) {
            assert_eq!(line.number, number);
            check_line(&line.text);
            let known = line.end.into_iter().flatten();
            assert!(known.into_iter().all(f64::is_finite), "{line:?}");
        }
    })
}

fn check_line(text: &str) {
    assert!((1..=LINE_MAX).contains(&text.len()), "{text:?}");
    let odd = |byte: u8| !(b' '..=b'~').contains(&byte) || b"?!~".contains(&byte);
    assert!(!text.starts_with('$') && !text.bytes().any(odd), "{text:?}");
}

fn analyse(bytes: &[u8]) {
    let machine = machine(bytes.first().copied().unwrap_or_default());
    let mut whole = Analyzer::new(Limits::default());
    whole.push(bytes);
    let whole = whole.finish();
    check_analysis(&whole.0);
    judge(&whole.0, &machine);

    let mut pieces = Analyzer::new(Limits::default());
    for piece in bytes.chunks(usize::from(bytes.last().copied().unwrap_or_default()) + 1) {
        pieces.push(piece);
    }
    assert_eq!(pieces.finish(), whole, "it depends on how the bytes came in");
}

fn check_analysis(found: &Analysis) {
    let numbers = [found.path_mm, found.cutting_mm, found.time_s, found.max_s];
    let feeds = found.feeds.into_iter().flatten();
    let boxes = [found.bounds, found.cutting_bounds].into_iter().flatten();
    let corners = boxes.flat_map(|it| it.min.into_iter().chain(it.max));
    for number in numbers.into_iter().chain(feeds).chain(corners) {
        assert!(number.is_finite(), "{found:?}");
    }
    assert!(0.0 <= found.time_s && found.cutting_mm <= found.path_mm * 1.000_001, "{found:?}");
    // A page that shows how long it will take makes a duration of it.
    Duration::try_from_secs_f64(found.time_s).expect("an estimate is a span of time");
    assert!(found.warnings.len() <= 100 && found.warnings.len() as u64 <= found.warning_count);
}

fn judge(found: &Analysis, machine: &Machine) {
    let controllers = [None, Some(Controller::default())];
    for controller in controllers {
        let findings = preflight(found, machine, controller.as_ref(), &Live::default());
        let told = serde_json::to_string(&findings);
        told.expect("what stands against a start can be told");
    }
}

fn go_on(bytes: &[u8], wanted: u64) {
    let laser = bytes.len() % 2 == 1;
    let options = Options { laser, line_max: LINE_MAX, ..Options::default() };
    let mut search = resume::Search::new(wanted, options);
    let mut more = true;
    each_line(bytes, |number, raw| more = more && search.take(number, raw));
    match search.finish() {
        Ok(found) => {
            found.preamble.iter().for_each(|line| check_line(line));
            assert!(wanted <= found.start_line, "{wanted}: {found:?}");
            assert!(found.position.into_iter().flatten().all(f64::is_finite), "{found:?}");
        }
        Err(refused) => assert!(refused.nearest_earlier.is_none_or(|it| it < wanted.max(1))),
    }
}
