//! Points: looked at, followed through time, and set.

use headstock_config::moment::{read, read_span};
use headstock_config::point::{Point, SetPoint, Span};
use serde::Deserialize;
use warp::reply::Response;

use super::ask::{Asked, shown};
use super::error::Failure;
use crate::clock::now_ms;
use crate::points::SPANS;

/// Where a history begins if nothing is said.
const USUAL: &str = "-1h";
/// Spans of a history if nothing is said, and the shortest of those, milliseconds.
const FEW: (u64, u64) = (300, 1_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    machine: Option<String>,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    from: Option<String>,
    to: Option<String>,
    every: Option<String>,
}

pub(super) async fn some(ask: Asked) -> Result<Response, Failure> {
    let Which { machine, prefix } = ask.query()?;
    let (machine, prefix) = (machine.map(|it| it + "."), prefix.unwrap_or_default());
    let points = ask.desk().points().shown(&prefix);
    let of_machine = |it: &Point| machine.as_ref().is_none_or(|of| it.name.starts_with(of));
    Ok(shown(&points.into_iter().filter(of_machine).collect::<Vec<_>>()))
}

pub(super) async fn one(ask: Asked) -> Result<Response, Failure> {
    let when: When = ask.query()?;
    let point = ask.desk().point(ask.name())?;
    match when {
        When { from: None, to: None, every: None } => Ok(shown(&point)),
        when => Ok(shown(&history(ask, when, now_ms()).await?)),
    }
}

/// Answers when the device has taken the value, with what it then says.
pub(super) async fn set(ask: Asked) -> Result<Response, Failure> {
    let SetPoint { value } = ask.json()?;
    Ok(shown(&ask.desk().set_point(&ask.who, ask.name(), value).await?))
}

async fn history(ask: Asked, when: When, now_ms: u64) -> Result<Vec<Span>, Failure> {
    let (from, to, every) = when.read(now_ms)?;
    // Each may read a good part of the disk's history.
    let histories = &ask.hall.histories;
    let crowded = || Failure::Crowded(format!("{} histories", histories.all()));
    let _seat = histories.take().ok_or_else(crowded)?;
    let (points, name) = (ask.desk().points().clone(), ask.name().to_owned());
    let read = tokio::task::spawn_blocking(move || points.history(&name, from, to, every));
    read.await.map_err(Failure::Broke)
}

impl When {
    /// From, to before, and how long a span is: milliseconds.
    fn read(&self, now_ms: u64) -> Result<(u64, u64, u64), Failure> {
        let moment = |key, text: &str| {
            let wrong = || Failure::Query(format!("`{key}` is no moment: `{text}` ({MOMENTS})"));
            read(text, now_ms).ok_or_else(wrong)
        };
        let from = moment("from", self.from.as_deref().unwrap_or(USUAL))?;
        let to = self.to.as_deref().map_or(Ok(now_ms.saturating_add(1)), |it| moment("to", it))?;
        let Some(length) = to.checked_sub(from) else {
            return Err(Failure::Query("`to` is before `from`".into()));
        };
        let Some(text) = &self.every else {
            return Ok((from, to, (length / FEW.0).max(FEW.1)));
        };
        let wrong = || Failure::Query(format!("`every` is no stretch of time: `{text}` ({SPAN})"));
        let every = read_span(text).filter(|it| 0 < *it).ok_or_else(wrong)?;
        let least = length.div_ceil(SPANS);
        if every < least {
            let many = format!("that are more than {SPANS} spans: `every={least}` at least");
            return Err(Failure::Query(many));
        }
        Ok((from, to, every))
    }
}

const MOMENTS: &str = "milliseconds since 1970, RFC 3339, `now` or `-1h`";
const SPAN: &str = "`250ms`, `10s`, `1m`, `12h`, `7d`";

#[cfg(test)]
mod tests {
    use super::*;

    fn when(from: &str, to: &str, every: &str) -> Result<(u64, u64, u64), String> {
        let some = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
        let when = When { from: some(from), to: some(to), every: some(every) };
        when.read(10_000_000).map_err(|failure| failure.to_string())
    }

    #[test]
    fn times_are_read_and_wrong_ones_are_named() {
        assert_eq!(when("-1h", "", "1m"), Ok((6_400_000, 10_000_001, 60_000)));
        assert_eq!(when("", "", ""), Ok((6_400_000, 10_000_001, 12_000)));
        assert_eq!(when("-10s", "now", ""), Ok((9_990_000, 10_000_000, 1_000)));
        for (from, to, every, said) in [
            ("yesterday", "", "", "`from` is no moment: `yesterday`"),
            ("", "tomorrow", "", "`to` is no moment"),
            ("now", "-1h", "", "`to` is before `from`"),
            ("-1h", "", "often", "`every` is no stretch of time: `often`"),
            ("-1h", "", "0s", "`every` is no stretch of time"),
            ("-1h", "", "1ms", "`every=361` at least"),
        ] {
            let error = when(from, to, every).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
