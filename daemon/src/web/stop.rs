//! The stop that says of each machine what was confirmed.

use headstock_config::api::StopScope;
use headstock_config::command::Stop;
use warp::reply::Response;

use super::ask::{Asked, shown};
use super::error::Failure;

pub(super) async fn stop(ask: Asked) -> Result<Response, Failure> {
    let StopScope { scope, how } = ask.json()?;
    let how = how.unwrap_or(Stop::Stop);
    let desk = ask.desk_since();
    let reports = match scope.as_str() {
        "all" => desk.stop_all(&ask.who, how).await?,
        machine => vec![desk.stop(&ask.who, machine, how).await?],
    };
    Ok(shown(&reports))
}
