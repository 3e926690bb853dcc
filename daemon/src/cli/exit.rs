//! What the program's exit codes mean. Every one of them stands here and in `headstock --help`.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done, or passed on to the machine.
    Done = 0,
    /// It failed for a reason that has no code of its own.
    Failed = 1,
    /// The words or the configuration are wrong; also used by the argument parser.
    WrongWords = 2,
    /// The watched job ended otherwise than completed, or was interrupted.
    NotCompleted = 3,
    /// The daemon does not answer.
    Unreachable = 4,
    /// The daemon refused: not this person (401, 403) or not now (409).
    Refused = 5,
    /// There is no such machine, job, file or token.
    NotFound = 6,
    /// A stop was asked for and a machine has not confirmed that it rests.
    NotStopped = 7,
    /// Whoever read our output stopped reading; 128 + SIGPIPE, as shells have it.
    Unheard = 141,
}

/// The table shown at the end of `headstock --help`.
pub const HELP: &str = "\
Exit codes:
    0  done, or passed on to the machine
    1  failed
    2  wrong words, or problems in the configuration
    3  the watched job ended otherwise than completed, or was interrupted
    4  the daemon does not answer
    5  refused: not this person, or not now
    6  no such machine, job, file or token
    7  a machine has not confirmed that it stopped
  141  nobody reads the output any more

With --json, answers go to stdout as one line of JSON each, and an error to stderr as
{\"error\":{\"code\",\"message\",\"means\",\"try\",…}}.

None of the stops here is an emergency stop: that is a switch that cuts power.";

impl Exit {
    /// The exit code for a refused request, by its HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 | 405 | 411 | 413 | 415 | 422 => Self::WrongWords,
            401 | 403 | 409 => Self::Refused,
            404 => Self::NotFound,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code() {
        let codes = [
            Exit::Done,
            Exit::Failed,
            Exit::WrongWords,
            Exit::NotCompleted,
            Exit::Unreachable,
            Exit::Refused,
            Exit::NotFound,
            Exit::NotStopped,
            Exit::Unheard,
        ];
        for code in codes {
            let row = format!("\n{:>5}  ", code as u8);
            assert!(HELP.contains(&row), "{code:?}");
        }
    }
}
