//! Program files: brought, looked at, fetched, removed.
//!
//! ```text
//!  body -> a few pieces -> a thread that writes, hashes, analyses -> desk: durable, written down
//! ```
//!
//! Invariant: an upload that is too big, too slow or broken off leaves nothing behind.

use std::time::Duration;

use futures_util::StreamExt;
use headstock_config::file::File;
use hyper::body::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use warp::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::{Reply, Response};

use super::ask::{Asked, Body, json, nothing, shown};
use super::error::Failure;
use super::to_its_end;
use crate::desk::Refused;
use crate::files::{Error, Incoming};

/// Pieces of an upload that may wait for the disk; each is some ten kilobytes.
const WAITING: usize = 8;
/// How long an upload may pause.
const PAUSE: Duration = Duration::from_secs(30);
/// Bytes read from the disk at a time.
const PIECE: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Against {
    machine: String,
}

pub(super) async fn all(ask: Asked) -> Result<Response, Failure> {
    let mut files: Vec<File> = ask.desk().ledger().state().files.values().cloned().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.uploaded_ms));
    Ok(shown(&files))
}

pub(super) async fn one(ask: Asked) -> Result<Response, Failure> {
    Ok(shown(&ask.desk().file(ask.name())?))
}

pub(super) async fn remove(ask: Asked) -> Result<Response, Failure> {
    ask.desk().remove_file(&ask.who, ask.name()).await?;
    Ok(nothing())
}

pub(super) async fn preflight(ask: Asked) -> Result<Response, Failure> {
    let Against { machine } = ask.query()?;
    let file = ask.desk().file(ask.name())?;
    Ok(shown(&ask.desk().preflight(&machine, &file).await?))
}

pub(super) async fn bring(mut ask: Asked) -> Result<Response, Failure> {
    let Named { name } = ask.query()?;
    ask.check_type(&[
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/x-gcode",
    ])?;
    let max = ask.desk().files().max_bytes;
    let uploads = &ask.hall.uploads;
    let seat =
        uploads.take().ok_or_else(|| Failure::Crowded(format!("{} uploads", uploads.all())))?;
    let incoming = ask.desk().begin_upload(&ask.who, &name)?;
    ask.check_length(max)?;
    let incoming = receive(&mut ask.body, incoming).await?;
    let deeds = ask.hall.deeds.clone();
    let stored = async move {
        let file = ask.desk().finish_upload(&ask.who, &name, incoming).await?;
        drop(seat);
        Ok(json(StatusCode::CREATED, &file))
    };
    to_its_end(&deeds, stored).await
}

/// Hands a body piece by piece to a thread that may wait for the disk. Dropped before its end,
/// what had arrived is removed.
async fn receive(body: &mut Body, mut incoming: Incoming) -> Result<Incoming, Failure> {
    let (pieces, mut arrived) = mpsc::channel::<Bytes>(WAITING);
    let writer = tokio::task::spawn_blocking(move || -> Result<Incoming, Error> {
        while let Some(piece) = arrived.blocking_recv() {
            incoming.write(&piece)?;
        }
        Ok(incoming)
    });
    while let Some(piece) = next(body).await? {
        if pieces.send(piece).await.is_err() {
            // The writer has given up and says why.
            break;
        }
    }
    drop(pieces);
    let written = writer.await.map_err(|_| Refused::from(crate::ledger::Error::Closed))?;
    Ok(written.map_err(Refused::from)?)
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    let piece = tokio::time::timeout(PAUSE, body.next()).await.map_err(|_| Failure::Slow)?;
    piece.transpose().map_err(|_| Failure::BrokenOff)
}

pub(super) async fn content(ask: Asked) -> Result<Response, Failure> {
    let file = ask.desk().file(ask.name())?;
    let path = ask.desk().files().path(&file);
    let disk = |error| Refused::from(Error::Disk(error));
    let content = tokio::fs::File::open(path).await.map_err(disk)?;
    let pieces = ReaderStream::with_capacity(content, PIECE);
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, file.bytes.into());
    headers.insert(CONTENT_DISPOSITION, attachment(&file.name));
    Ok(response)
}

/// Names the file to be saved (RFC 6266), whatever characters are in its name.
fn attachment(name: &str) -> HeaderValue {
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{encoded}"))
        .expect("what is percent-encoded is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_header() {
        let header = attachment("a\"; x=\r\nü.nc");
        assert_eq!(header, "attachment; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%C3%BC%2Enc");
    }
}
