//! What stands against running a program on a machine, found before it starts.

use serde::{Deserialize, Serialize};

/// One finding of a preflight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// A name that never changes: `preflight.outside_envelope`.
    pub code: String,
    /// What was found.
    pub text: String,
    /// File line number where, if it is somewhere.
    pub line: Option<u64>,
    /// What would happen.
    pub means: String,
    /// The first thing worth trying.
    pub remedy: String,
    /// The program must not be started; otherwise a person should know.
    pub blocks: bool,
}
