//! The names under which things lie in the view.
//!
//! `machine/<id>`, `file/<id>`, `token/<name>`, `alarm/<id>`, `latch/<rule>`; `job/<number>` while it is unfinished and
//! `done/<number>` from then on, numbers with leading zeros so that they sort; `meta/house`.

use headstock_config::ledger::{Changed, State};

/// Where the counters and marks of the house lie.
pub(super) const HOUSE: &[u8] = b"meta/house";
pub(super) const DONE: &str = "done/";
pub(super) const JOB: &str = "job/";
pub(super) const MACHINE: &str = "machine/";
pub(super) const FILE: &str = "file/";
pub(super) const TOKEN: &str = "token/";
pub(super) const ALARM: &str = "alarm/";
pub(super) const LATCH: &str = "latch/";

/// A key and what belongs there; `None`: nothing.
pub(super) type Put = (String, Option<Vec<u8>>);

/// The key of a job below `JOB` or `DONE`.
pub(super) fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

/// What a change comes to.
pub(super) fn puts(state: &State, change: &Changed) -> serde_json::Result<Vec<Put>> {
    Ok(match change {
        Changed::Machine(id) => vec![put(MACHINE, id, state.machines.get(id))?],
        Changed::File(id) => vec![put(FILE, id, state.files.get(id))?],
        Changed::Alarm(id) => vec![put(ALARM, id, state.alarms.get(id))?],
        Changed::Latch(rule) => vec![put(LATCH, rule, state.latched.get(rule))?],
        Changed::Token(name) => vec![put(TOKEN, name, state.tokens.get(name))?],
        Changed::Job(number) => {
            let Some(job) = state.jobs.get(number) else { return Ok(Vec::new()) };
            let (held, other) = if job.state.over() { (DONE, JOB) } else { (JOB, DONE) };
            let bytes = serde_json::to_vec(job)?;
            vec![(numbered(held, *number), Some(bytes)), (numbered(other, *number), None)]
        }
        Changed::House => Vec::new(),
    })
}

fn put(prefix: &str, id: &str, value: Option<&impl serde::Serialize>) -> serde_json::Result<Put> {
    Ok((format!("{prefix}{id}"), value.map(serde_json::to_vec).transpose()?))
}
