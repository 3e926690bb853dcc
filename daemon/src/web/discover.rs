//! Looking around.

use headstock_config::discover::LookFor;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{Asked, json, shown};
use super::error::Failure;

pub(super) async fn latest(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().discovery()))
}

pub(super) async fn begin(ask: Asked) -> Result<Response, Failure> {
    let wish: LookFor = ask.json()?;
    Ok(json(StatusCode::ACCEPTED, &ask.desk().discover(&ask.who, wish).await?))
}
