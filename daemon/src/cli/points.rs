//! Points: looking at them, watching them, setting them, reading back in time.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use headstock_config::moment::read_span;
use headstock_config::point::{Point, SetPoint, Span, Value};
use headstock_tui::view;

use super::args::PointWords;
use super::client::encoded;
use super::exit::Exit;
use super::trouble::Trouble;
use super::{Call, say, watch};
use crate::clock::now_ms;

/// Between two questions while watching.
const PACE: Duration = Duration::from_millis(250);

/// All points whose name begins so.
pub(super) fn list(call: &Call, prefix: &str, watching: bool) -> Result<Exit, Trouble> {
    let path = format!("points?prefix={}", encoded(prefix));
    let points: Vec<Point> = call.client.get(&path)?;
    if watching {
        return follow(call, &path, points);
    }
    call.show(&points[..], |it| view::points::list(it, now_ms()));
    Ok(Exit::Done)
}

/// Shows what changes, a line for each, until somebody ends it.
fn follow(call: &Call, path: &str, mut points: Vec<Point>) -> Result<Exit, Trouble> {
    let mut shown = BTreeMap::new();
    loop {
        for point in points {
            // An old value that is heard again is no news.
            let news = (point.value.clone(), point.quality);
            if shown.insert(point.name.clone(), news.clone()) != Some(news) {
                if call.json { say::json(&point) } else { say::text(&view::points::line(&point)) }
            }
        }
        sleep(PACE);
        points = watch::patiently(|| call.client.get(path))?;
    }
}

/// One point: looked at, set, or followed back in time.
pub(super) fn point(call: &Call, words: PointWords) -> Result<Exit, Trouble> {
    let path = format!("points/{}", encoded(&words.name));
    if let Some(since) = &words.history {
        let spans: Vec<Span> = call.client.get(&history(&path, since, words.every.as_deref()))?;
        call.show(&spans[..], view::points::history);
        return Ok(Exit::Done);
    }
    let point: Point = match &words.set {
        Some(value) => call.client.put(&path, &SetPoint { value: Value::typed(value) })?,
        None => call.client.get(&path)?,
    };
    call.show(&point, |it| match words.set {
        Some(_) => view::points::line(it),
        None => view::points::show(it, now_ms()),
    });
    Ok(Exit::Done)
}

/// A stretch of time is meant to end now; anything else is the daemon's to understand.
fn history(path: &str, since: &str, every: Option<&str>) -> String {
    let ago = if read_span(since).is_some_and(|_| !since.bytes().all(|it| it.is_ascii_digit())) {
        format!("-{since}")
    } else {
        since.to_owned()
    };
    let every = every.map(|it| format!("&every={}", encoded(it))).unwrap_or_default();
    format!("{path}?from={}{every}", encoded(&ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_begins_so_long_ago_or_at_a_moment() {
        let rows = [
            ("1h", None, "p?from=-1h"),
            ("-1h", Some("1m"), "p?from=-1h&every=1m"),
            ("1709251199000", None, "p?from=1709251199000"),
            ("2024-03-01T01:00:00+01:00", None, "p?from=2024-03-01T01%3A00%3A00%2B01%3A00"),
        ];
        for (since, every, path) in rows {
            assert_eq!(history("p", since, every), path);
        }
    }
}
