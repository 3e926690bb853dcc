//! Jobs: listed, started, held, given up, decided.

use headstock_config::api::{Decide, Decided, StartJob};
use headstock_config::job::{Job, JobState};
use serde::Deserialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{Asked, json, shown};
use super::error::Failure;
use crate::desk::Outcome;

/// Jobs in one answer, unless the client says how many.
const USUAL: usize = 100;
/// Jobs in one answer at the most.
const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    machine: Option<String>,
    state: Option<JobState>,
    limit: Option<usize>,
    before: Option<String>,
}

/// Body of `POST /api/v1/jobs/{id}/notes`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

pub(super) async fn some(ask: Asked) -> Result<Response, Failure> {
    let Wanted { machine, state, limit, before } = ask.query()?;
    let wanted = move |job: &Job| {
        machine.as_ref().is_none_or(|it| *it == job.machine)
            && state.is_none_or(|it| it == job.state)
    };
    let limit = limit.unwrap_or(USUAL).min(MOST);
    Ok(shown(&ask.desk().jobs(before.as_deref(), limit, wanted).await?))
}

pub(super) async fn one(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().one_job(ask.name()).await?))
}

pub(super) async fn start(ask: Asked) -> Result<Response, Failure> {
    let wish: StartJob = ask.json()?;
    let job = ask.desk().start_job(&ask.who, wish).await?;
    Ok(view(&ask, StatusCode::CREATED, &job))
}

pub(super) async fn go(ask: Asked) -> Result<Response, Failure> {
    let job = ask.desk().start_queued(&ask.who, ask.name()).await?;
    Ok(view(&ask, StatusCode::OK, &job))
}

pub(super) async fn hold(ask: Asked) -> Result<Response, Failure> {
    let job = ask.desk_since().hold_job(&ask.who, ask.name()).await?;
    Ok(view(&ask, StatusCode::ACCEPTED, &job))
}

pub(super) async fn resume(ask: Asked) -> Result<Response, Failure> {
    let job = ask.desk().resume_job(&ask.who, ask.name()).await?;
    Ok(view(&ask, StatusCode::ACCEPTED, &job))
}

pub(super) async fn cancel(ask: Asked) -> Result<Response, Failure> {
    let job = ask.desk_since().cancel_job(&ask.who, ask.name()).await?;
    Ok(view(&ask, StatusCode::ACCEPTED, &job))
}

pub(super) async fn decide(ask: Asked) -> Result<Response, Failure> {
    let wish: Decide = ask.json()?;
    let (next, preview) = match ask.desk().decide(&ask.who, ask.name(), wish).await? {
        Outcome::Decided(next) => (next, None),
        Outcome::Preview(lines) => (None, Some(lines)),
    };
    let job = ask.desk().one_job(ask.name()).await?;
    Ok(shown(&Decided { job, next, preview }))
}

pub(super) async fn note(ask: Asked) -> Result<Response, Failure> {
    let Note { text } = ask.json()?;
    let job = ask.desk().note(&ask.who, ask.name(), &text).await?;
    Ok(view(&ask, StatusCode::CREATED, &job))
}

fn view(ask: &Asked, status: StatusCode, job: &Job) -> Response {
    json(status, &ask.desk().look_at(job))
}
