//! Who is known: oneself, and the tokens.

use headstock_config::api::MakeToken;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{Asked, json, nothing, shown};
use super::error::Failure;

pub(super) async fn me(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.who))
}

pub(super) async fn tokens(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().tokens(&ask.who)?))
}

pub(super) async fn make(ask: Asked) -> Result<Response, Failure> {
    let wish: MakeToken = ask.json()?;
    let made = ask.desk().make_token(&ask.who, wish).await?;
    Ok(json(StatusCode::CREATED, &made))
}

pub(super) async fn revoke(ask: Asked) -> Result<Response, Failure> {
    ask.desk().revoke_token(&ask.who, ask.name()).await?;
    Ok(nothing())
}
