//! Machines: looked at and told something.

use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{Asked, json, shown};
use super::error::Failure;
use headstock_config::command::Command;

pub(super) async fn all(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().equipment()))
}

pub(super) async fn one(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().one_equipment(ask.name())?))
}

pub(super) async fn settings(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().settings(ask.name())?))
}

pub(super) async fn frames(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().frames(ask.name())?))
}

pub(super) async fn buses(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().buses()))
}

/// Answers when the machine took it; a stop, when its byte has been handed to the port.
pub(super) async fn command(ask: Asked) -> Result<Response, Failure> {
    let command: Command = ask.json()?;
    let held = matches!(command, Command::JogHold { .. });
    ask.desk_since().tell(&ask.who, ask.name(), command).await?;
    if let Some(jog) = ask.desk().jog(ask.name()).filter(|_| held) {
        return Ok(json(StatusCode::ACCEPTED, &serde_json::json!({ "jog": jog })));
    }
    Ok(json(StatusCode::ACCEPTED, &serde_json::json!({})))
}
