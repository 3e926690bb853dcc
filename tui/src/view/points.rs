//! Points: the latest of each, one in detail, and a history.
//!
//! Invariant: a value that cannot be believed is never shown like one that can. It stands in
//! brackets, and beside it the word for its quality, how old it is, and why.

use headstock_config::point::{Point, Quality, Span, Value};

use super::details;
use crate::table::table;
use crate::words::{count, duration, moment, number};

/// All of them, by name. `now_ms`: milliseconds since 1970.
pub fn list(points: &[Point], now_ms: u64) -> String {
    let row = |it: &Point| {
        [
            it.name.clone(),
            value(it),
            it.unit.clone(),
            it.quality.word().to_owned(),
            age(it, now_ms),
            it.why.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = points.iter().map(row).collect();
    table(["POINT", "VALUE", "UNIT", "QUALITY", "AGE", "NOTE"], &rows)
}

/// One, on one line: `mill.x = 12.5 mm`, `mill.x = (12.5 mm) stale: not heard for 3.0 s`.
pub fn line(point: &Point) -> String {
    let value = with_unit(point);
    let text = match (point.quality, &point.why) {
        (Quality::Good, _) => value,
        (quality, None) => format!("{value} {}", quality.word()),
        (quality, Some(why)) => format!("{value} {}: {why}", quality.word()),
    };
    crate::words::plain(&format!("{} = {text}", point.name))
}

/// Everything about one.
pub fn show(point: &Point, now_ms: u64) -> String {
    details(&[
        ("point", point.name.clone()),
        ("value", with_unit(point)),
        ("quality", point.quality.word().to_owned()),
        ("note", point.why.clone().unwrap_or_default()),
        ("age", age(point, now_ms)),
        ("since", point.at_ms.map(moment).unwrap_or_default()),
        ("can be set", if point.writable { "yes".into() } else { String::new() }),
    ])
}

/// A history, oldest first.
pub fn history(spans: &[Span]) -> String {
    let figure = |it: Option<f64>| it.map(number).unwrap_or_default();
    let row = |it: &Span| {
        [
            moment(it.at_ms),
            figure(it.min),
            figure(it.mean),
            figure(it.max),
            it.last.as_ref().map(said).unwrap_or_default(),
            count(it.count),
            it.quality.word().to_owned(),
        ]
    };
    let rows: Vec<_> = spans.iter().map(row).collect();
    table(["FROM", "MIN", "MEAN", "MAX", "LAST", "CHANGES", "WORST"], &rows)
}

fn said(value: &Value) -> String {
    match value {
        Value::Number(it) => number(*it),
        other => other.to_string(),
    }
}

fn value(point: &Point) -> String {
    let Some(value) = &point.value else { return "-".into() };
    bracketed(point, said(value))
}

fn with_unit(point: &Point) -> String {
    let Some(value) = &point.value else { return "-".into() };
    let gap = if point.unit.is_empty() { "" } else { " " };
    bracketed(point, format!("{}{gap}{}", said(value), point.unit))
}

fn bracketed(point: &Point, text: String) -> String {
    if point.quality.believable() { text } else { format!("({text})") }
}

/// How long ago the device said so. A clock that was put back makes nothing older than it is.
fn age(point: &Point, now_ms: u64) -> String {
    let ms = point.at_ms.map(|at_ms| now_ms.saturating_sub(at_ms));
    ms.map(|ms| duration(ms as f64 / 1_000.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29 23:59:59 UTC.
    const NOW: u64 = 1_709_251_199_000;

    fn point(name: &str, value: Option<Value>, unit: &str, quality: Quality) -> Point {
        Point {
            name: name.into(),
            at_ms: value.as_ref().map(|_| NOW - 12_000),
            at: None,
            value,
            unit: unit.into(),
            quality,
            writable: false,
            why: None,
        }
    }

    fn some() -> Vec<Point> {
        let number = |it| Some(Value::Number(it));
        let mut stale = point("climate.humidity", number(41.5), "%", Quality::Stale);
        stale.why = Some("not heard for 12.0 s".into());
        let mut bad = point("vfd.current", None, "A", Quality::Bad);
        bad.why = Some("no answer within 500 ms".into());
        vec![
            point("cell.door", Some(Value::Flag(true)), "", Quality::Good),
            stale,
            point("mill.x", number(-12.000_4), "mm", Quality::Uncertain),
            bad,
        ]
    }

    #[test]
    fn what_cannot_be_believed_is_seen_at_once() {
        let expected = "\
POINT             VALUE   UNIT  QUALITY    AGE   NOTE
cell.door         on            good       12 s
climate.humidity  (41.5)  %     stale      12 s  not heard for 12.0 s
mill.x            -12     mm    uncertain  12 s
vfd.current       -       A     bad              no answer within 500 ms
";
        assert_eq!(list(&some(), NOW), expected);
        let lines: Vec<String> = some().iter().map(line).collect();
        assert_eq!(lines[0], "cell.door = on");
        assert_eq!(lines[1], "climate.humidity = (41.5 %) stale: not heard for 12.0 s");
        assert_eq!(lines[2], "mill.x = -12 mm uncertain");
        assert_eq!(lines[3], "vfd.current = - bad: no answer within 500 ms");
    }

    #[test]
    fn one_point_is_shown_in_detail() {
        let mut point = some().remove(1);
        point.writable = true;
        let expected = "\
point       climate.humidity
value       (41.5 %)
quality     stale
note        not heard for 12.0 s
age         12 s
since       2024-02-29 23:59:47Z
can be set  yes
";
        assert_eq!(show(&point, NOW), expected);
        assert!(show(&point, 0).contains("age         0 s"), "the clock was put back");
    }

    #[test]
    fn a_history_names_the_worst_of_each_span() {
        let spans = [
            Span {
                at_ms: NOW,
                min: Some(1.0),
                max: Some(3.0),
                mean: Some(2.000_1),
                last: Some(Value::Number(3.0)),
                count: 1_200,
                quality: Quality::Good,
            },
            Span {
                at_ms: NOW + 60_000,
                min: None,
                max: None,
                mean: None,
                last: Some(Value::Text("idle".into())),
                count: 1,
                quality: Quality::Stale,
            },
        ];
        let expected = "\
FROM                  MIN  MEAN  MAX  LAST  CHANGES  WORST
2024-02-29 23:59:59Z  1    2     3    3     1,200    good
2024-03-01 00:00:59Z                  idle  1        stale
";
        assert_eq!(history(&spans), expected);
    }
}
