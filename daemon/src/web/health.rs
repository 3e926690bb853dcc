//! Whether the house does its work, for whoever watches it from outside.

use std::time::Duration;

use serde::Serialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{Asked, json};
use super::error::Failure;
use crate::ledger::Health;

/// How long the ledger may take to answer: a slow disk is not a failed one.
const LEDGER: Duration = Duration::from_secs(2);
/// A machine's task and the guard of the rules go round at least every few seconds.
const MACHINE: Duration = Duration::from_secs(8);

/// Answer to `GET /health`.
#[derive(Serialize)]
struct Report {
    /// `ok` with 200, `failed` with 503.
    status: &'static str,
    /// What is wrong, and with `ok` what will be.
    reasons: Vec<String>,
}

pub(super) async fn health(ask: Asked) -> Result<Response, Failure> {
    let ledger = ask.desk().ledger();
    let journal = *ledger.health().borrow();
    let mut failures = Vec::new();
    if journal == Health::Failed {
        failures.push("the journal cannot be written; the machines are held".to_owned());
    } else if tokio::time::timeout(LEDGER, ledger.alive()).await != Ok(true) {
        failures.push(format!("the ledger has not answered within {} s", LEDGER.as_secs()));
    }
    let late = ask.desk().late_machines(MACHINE);
    failures.extend(late.iter().map(|id| format!("the task of machine `{id}` does not go round")));
    if ask.desk().rules().late(MACHINE) {
        failures.push("the guard of the rules does not go round; the machines are held".to_owned());
    }
    if !failures.is_empty() {
        let report = Report { status: "failed", reasons: failures };
        return Ok(json(StatusCode::SERVICE_UNAVAILABLE, &report));
    }
    let low = journal == Health::LowSpace;
    let reasons = low.then(|| "the disk is almost full: no new work is accepted".to_owned());
    let gap = ask.desk().points().gap();
    let gap = gap.map(|why| format!("the history of points has a gap: {why}"));
    let report = Report { status: "ok", reasons: reasons.into_iter().chain(gap).collect() };
    Ok(json(StatusCode::OK, &report))
}
