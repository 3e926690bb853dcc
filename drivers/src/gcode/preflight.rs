//! What stands against running an analysed program on a machine as it is now.
//!
//! A function of what is known: the analysis of the file, the declared machine, what its
//! controller has told and the latest live values. Every finding says what, where, what would
//! happen and what to do; those that block must be gone before a start.
//!
//! The analysis must be one for this machine (`Analyzer::on`): a program that does not say G20 or
//! G21 is judged in the units that the machine is put into before its first line.
//!
//! Not here: what the desk knows (roles, other jobs).

mod envelope;
mod print;
mod program;
mod state;

use headstock_config::file::Analysis;
use headstock_config::machine::{Controller, Live, Machine};
use headstock_config::preflight::Finding;

use super::Language;

/// Finds what stands against a start; those that block come first.
pub fn preflight(
    analysis: &Analysis,
    machine: &Machine,
    controller: Option<&Controller>,
    live: &Live,
) -> Vec<Finding> {
    let case = Case { analysis, machine, controller, live };
    let mut findings = Vec::new();
    match Language::of_driver(&machine.driver) {
        Language::Mill => {
            state::check(&case, &mut findings);
            program::check(&case, &mut findings);
            envelope::check(&case, &mut findings);
        }
        Language::Print => print::check(&case, &mut findings),
    }
    findings.sort_by_key(|it| !it.blocks);
    findings
}

/// What is judged.
struct Case<'a> {
    analysis: &'a Analysis,
    machine: &'a Machine,
    controller: Option<&'a Controller>,
    live: &'a Live,
}

impl Case<'_> {
    /// The line of the first warning with this code.
    fn warned(&self, code: &str) -> Option<u64> {
        self.analysis.warnings.iter().find(|it| it.code == code).map(|it| it.line)
    }
}

/// A finding that blocks.
fn blocking(code: &str, text: impl Into<String>, means: &str, remedy: &str) -> Finding {
    Finding {
        code: format!("preflight.{code}"),
        text: text.into(),
        line: None,
        means: means.to_owned(),
        remedy: remedy.to_owned(),
        blocks: true,
    }
}

/// A finding that a person should know.
fn note(code: &str, text: impl Into<String>, means: &str, remedy: &str) -> Finding {
    Finding { blocks: false, ..blocking(code, text, means, remedy) }
}

#[cfg(test)]
pub(super) mod tests;
