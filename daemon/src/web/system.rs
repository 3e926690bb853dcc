//! The daemon itself.

use headstock_config::api::System;
use warp::reply::Response;

use super::ask::{Asked, shown};
use super::error::Failure;
use super::process;

pub(super) async fn system(ask: Asked) -> Result<Response, Failure> {
    let (entry, health) = {
        let ledger = ask.desk().ledger();
        (ledger.state().applied, *ledger.health().borrow())
    };
    Ok(shown(&System {
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_s: ask.hall.door.opened.elapsed().as_secs(),
        entry,
        journal: health.word().into(),
        rss_bytes: process::rss_bytes(),
        cpu_s: process::cpu_s(),
        web: Some(ask.hall.web.to_string()),
    }))
}
