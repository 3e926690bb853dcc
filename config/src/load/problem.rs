//! One thing that is wrong in the configuration, and how a person is told.
//!
//! ```text
//! headstock.toml:12:1: machine `mill`: unknown key `buad` [config.key.unknown]
//!   accepted: id, name, driver, port, baud, ...
//!   try:      did you mean `baud`?
//! ```

use std::fmt::{Display, Formatter, Write};

use serde::Serialize;

use crate::explain::Explain;

/// One thing that is wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Problem {
    /// A name that never changes, for manuals and searches: `config.key.unknown`.
    pub code: &'static str,
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// The key as a path within the file: `machine[0].baud`; empty where no key is meant.
    pub key: String,
    /// What was found.
    pub message: String,
    /// What is accepted in its place.
    pub accepted: Option<String>,
    /// What to try first.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with a file as a whole.
    pub fn of_file(
        code: &'static str,
        file: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            file: file.into(),
            line: 0,
            column: 0,
            key: String::new(),
            message: message.into(),
            accepted: None,
            hint: None,
        }
    }

    /// Says what is accepted.
    #[must_use]
    pub fn accepts(mut self, accepted: impl Into<String>) -> Self {
        self.accepted = Some(accepted.into());
        self
    }

    /// Says what to try first, if there is something.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

impl Display for Problem {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.file, self.message),
            line => write!(out, "{}:{line}:{}: {}", self.file, self.column, self.message),
        }
    }
}

impl Explain for Problem {
    fn code(&self) -> &'static str {
        self.code
    }

    fn means(&self) -> String {
        "the configuration is not used as long as anything in it is wrong".into()
    }

    fn remedy(&self) -> String {
        let accepted = self.accepted.as_ref().map(|accepted| format!("accepted: {accepted}"));
        self.hint.clone().or(accepted).unwrap_or_else(|| "put this place right".into())
    }
}

/// All problems as plain text, one after the other, without a closing line break.
pub fn render(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let gap = if text.is_empty() { "" } else { "\n" };
        write!(text, "{gap}{problem} [{}]", problem.code).expect(STRING);
        if let Some(accepted) = &problem.accepted {
            write!(text, "\n  accepted: {accepted}").expect(STRING);
        }
        if let Some(hint) = &problem.hint {
            write!(text, "\n  try:      {hint}").expect(STRING);
        }
    }
    text
}

const STRING: &str = "writing to a String cannot fail";
