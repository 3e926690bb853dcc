//! One file's text, read as TOML, with the place of everything in it.
//!
//! Reading goes on after a syntax error, so that the rest of the file is checked in the same
//! run. What such an error may have torn is then not reported a second time: see
//! [`Sheet::hides`].

use std::fmt::{Display, Formatter};
use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::findings::Findings;

/// Texts longer than this get their first syntax error only: a page of configuration is worth
/// the full list, a megabyte of something else is not.
const FULL_LIST_BYTES: usize = 64 << 10;

/// One file.
pub(super) struct Sheet<'a> {
    /// Its place in the order of reading.
    pub(super) order: usize,
    /// Its name, as problems show it.
    pub(super) name: &'a str,
    text: &'a str,
    /// Byte offset at which each line begins.
    lines: Vec<usize>,
    table: DeTable<'a>,
    /// Lines with a syntax error, in ascending order.
    torn: Vec<usize>,
    /// The first of them that was to open a table: keys below it look as if they stood elsewhere.
    lost_header: Option<usize>,
}

/// Somewhere in a file.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) sheet: &'a Sheet<'a>,
    pub(super) offset: usize,
}

impl Display for Place<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let (line, column) = self.sheet.line_and_column(self.offset);
        write!(out, "{}:{line}:{column}", self.sheet.name)
    }
}

impl<'a> Sheet<'a> {
    /// Reads the text; syntax errors go to `findings`.
    pub(super) fn read(
        order: usize,
        name: &'a str,
        text: &'a str,
        findings: &mut Findings,
    ) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        let (table, errors) = table_of(text);
        let mut sheet =
            Self { order, name, text, lines, table, torn: Vec::new(), lost_header: None };
        sheet.report(errors, findings);
        sheet
    }

    pub(super) fn table(&self) -> &DeTable<'a> {
        &self.table
    }

    /// The text of a line and all after it, without leading blanks.
    fn line(&self, line: usize) -> &str {
        self.text.get(self.lines[line - 1]..).unwrap_or_default().trim_start()
    }

    /// Line and column in characters, both from 1.
    pub(super) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let before = self.text.get(self.lines[line - 1]..offset).unwrap_or_default();
        (line, before.trim_start_matches('\u{feff}').chars().count() + 1)
    }

    /// What stands there, up to the end of its first line, shortened for a message.
    pub(super) fn snippet(&self, span: Range<usize>) -> String {
        shortened(self.text.get(span).unwrap_or_default().lines().next().unwrap_or_default())
    }

    /// Whether a finding of this kind on this line may be nothing but the echo of a syntax error.
    pub(super) fn hides(&self, code: &str, line: usize) -> bool {
        let unread = code == "config.key.missing" && !self.torn.is_empty();
        let astray = code == "config.key.unknown" && self.lost_header.is_some_and(|it| it < line);
        unread || astray || self.torn.binary_search(&line).is_ok()
    }

    /// One finding for each line that has an error: the others on it are mostly its echoes.
    fn report(&mut self, mut errors: Vec<Error>, findings: &mut Findings) {
        errors.sort_by_key(start_of);
        let mut torn = Vec::new();
        for error in errors {
            let (line, _) = self.line_and_column(start_of(&error));
            if torn.last() != Some(&line) {
                torn.push(line);
                self.report_one(&error, findings);
            }
        }
        self.lost_header = torn.iter().copied().find(|&line| self.line(line).starts_with('['));
        self.torn = torn;
    }

    fn report_one(&self, error: &Error, findings: &mut Findings) {
        let place = (self, start_of(error));
        if error.message() == "duplicate key" {
            let key = self.snippet(error.span().unwrap_or_default());
            let problem = findings.add(place, "config.key.twice", &key, "");
            problem.message = format!("`{key}` is set twice");
            if let Some(offset) = first_of(&self.table, &key, start_of(error)) {
                problem.message += &format!(", first at {}", Place { sheet: self, offset });
            }
            problem.hint = Some(twice_hint(&key));
        } else {
            let what = self.broken(error);
            let problem = findings.add(place, "config.syntax", "", what.message);
            (problem.accepted, problem.hint) = (what.accepted, what.hint);
        }
    }

    /// What is broken. The reader's own words are kept except for the two commonest slips.
    fn broken(&self, error: &Error) -> Broken {
        let found = self.snippet(error.span().unwrap_or_default());
        let quote = || match found.to_lowercase().as_str() {
            truth @ ("true" | "false") => format!("write `{truth}` in lower case"),
            _ => format!("put text between double quotes: `\"{found}\"`"),
        };
        let (said, expected) = match error.message().split_once(", expected ") {
            Some((said, expected)) => (said, Some(expected.to_string())),
            None => (error.message(), None),
        };
        let (message, accepted, hint) = match said {
            "string values must be quoted" if found.is_empty() => {
                ("a value is missing here".into(), None, None)
            }
            "string values must be quoted" | "invalid boolean" => {
                (format!("text without quotes: `{found}`"), None, Some(quote()))
            }
            _ => (format!("this is not TOML: {said}"), expected, None),
        };
        Broken { message, accepted, hint }
    }
}

struct Broken {
    message: String,
    accepted: Option<String>,
    hint: Option<String>,
}

fn twice_hint(key: &str) -> String {
    match key {
        "machine" => "write `[[machine]]` with two brackets: there can be several".into(),
        _ => "keep one of the two".into(),
    }
}

fn table_of(text: &str) -> (DeTable<'_>, Vec<Error>) {
    if text.len() <= FULL_LIST_BYTES {
        let (table, errors) = DeTable::parse_recoverable(text);
        return (table.into_inner(), errors);
    }
    match DeTable::parse(text) {
        Ok(table) => (table.into_inner(), Vec::new()),
        Err(error) => (DeTable::new(), vec![error]),
    }
}

fn start_of(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// Where the same key stands last before `end`. The reader does not tell it, and in a file that
/// a person wrote the nearest one above is the one that was meant.
fn first_of(table: &DeTable<'_>, key: &str, end: usize) -> Option<usize> {
    let here = table.keys().filter(|it| it.get_ref() == key).map(|it| it.span().start);
    let below = table.values().filter_map(|value| first_in(value.get_ref(), key, end));
    here.chain(below).filter(|&start| start < end).max()
}

fn first_in(value: &DeValue<'_>, key: &str, end: usize) -> Option<usize> {
    match value {
        DeValue::Table(table) => first_of(table, key, end),
        DeValue::Array(items) => {
            items.iter().filter_map(|item| first_in(item.get_ref(), key, end)).max()
        }
        _ => None,
    }
}

/// At most 60 characters, all of them visible.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut seen: String = text.chars().take(LONGEST).map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        seen.push('…');
    }
    seen
}

fn visible(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}
