//! How a failure is told to the person standing at the machine.
//!
//! `Display` says what happened, in one line, without repeating its source. `means` says what it
//! changes for the workshop; `remedy` says what to do. The same three reach the terminal, the
//! log and the REST answer.

use std::error::Error;
use std::fmt::Write;

/// A failure that an operator may have to act on.
pub trait Explain: Error {
    /// A name that never changes, for manuals and searches: `link.open.denied`.
    fn code(&self) -> &'static str;
    /// What is true now that this has happened.
    fn means(&self) -> String;
    /// The first thing worth trying.
    fn remedy(&self) -> String;
}

/// The failure and its causes in one line: `cannot open …: permission denied`.
pub fn sentence(failure: &dyn Error) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("writing to a String cannot fail");
        cause = error.source();
    }
    text
}

/// The failure, its causes, its meaning and its remedy as plain text.
pub fn render<E: Explain>(failure: &E) -> String {
    format!(
        "{} [{}]\n  means: {}\n  try:   {}",
        sentence(failure),
        failure.code(),
        failure.means(),
        failure.remedy()
    )
}
