//! The only place that writes to stdout and stderr.
//!
//! Invariant: a reader that went away (`headstock events | head`) ends the program quietly, with
//! a code that is not success.

use std::io::{self, IsTerminal, Write};
use std::process;

use serde::Serialize;

use super::exit::Exit;
use super::trouble::Trouble;

/// Assumed where nothing says how wide the terminal is.
const WIDTH: usize = 80;

/// An answer as one line of JSON.
pub(super) fn json<T: Serialize + ?Sized>(answer: &T) {
    let mut line = serde_json::to_vec(answer).expect("the shapes of the doors are valid JSON");
    line.push(b'\n');
    bytes(&line);
}

/// An answer as text; a line break is added if it has none.
pub(super) fn text(answer: &str) {
    let end = if answer.is_empty() || answer.ends_with('\n') { "" } else { "\n" };
    bytes(format!("{answer}{end}").as_bytes());
}

/// An answer as it is.
pub(super) fn bytes(answer: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(answer).and_then(|()| out.flush()) {
        give_up(&error);
    }
}

/// Lends stdout to whoever writes much; what becomes of errors is theirs to say.
pub(super) fn through<T>(write: impl FnOnce(&mut dyn Write) -> T) -> T {
    write(&mut io::BufWriter::new(io::stdout().lock()))
}

/// A line that is drawn over by the next one; `done` leaves it standing.
pub(super) fn bar(line: &str, done: bool) {
    let end = if done { "\n" } else { "" };
    bytes(format!("\r{line}\x1b[K{end}").as_bytes());
}

/// A remark that is not part of the answer.
pub(super) fn aside(remark: &str) {
    // Nothing can be told about a stderr that cannot be written to.
    writeln!(io::stderr(), "{remark}").ok();
}

/// A remark that is drawn over by the next one.
pub(super) fn aside_bar(line: &str, done: bool) {
    let end = if done { "\n" } else { "" };
    write!(io::stderr(), "\r{line}\x1b[K{end}").ok();
}

/// What went wrong, for people or as the error that the API answers with.
pub(super) fn trouble(trouble: &Trouble, json: bool) {
    aside(&if json { trouble.to_json() } else { trouble.render() });
}

/// Whether a person sees stdout.
pub(super) fn on_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person sees stderr.
pub(super) fn remarks_on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Columns of the terminal.
pub(super) fn width() -> usize {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0))
}

fn give_up(error: &io::Error) -> ! {
    if error.kind() == io::ErrorKind::BrokenPipe {
        process::exit(Exit::Unheard as i32);
    }
    aside(&format!("cannot write the answer: {error}"));
    process::exit(Exit::Failed as i32);
}
