//! The book, page by page. A client asks on from the last number that it got; only an empty page
//! is the end.

use headstock_config::ledger::Entry;
use serde::Deserialize;
use warp::reply::Response;

use super::ask::{Asked, shown};
use super::error::Failure;
use crate::desk::Refused;

/// Entries in one answer at the most, and unless the client says how many.
const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

pub(super) async fn events(ask: Asked) -> Result<Response, Failure> {
    let Wanted { after, limit } = ask.query()?;
    let limit = limit.unwrap_or(MOST).min(MOST);
    let read = ask.desk().ledger().read(after.saturating_add(1), limit).await;
    let entries = read.map_err(Refused::from)?.into_iter().map(Entry::for_people);
    Ok(shown(&entries.collect::<Vec<_>>()))
}
