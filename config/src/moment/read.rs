//! Moments and stretches of time as people and programs write them.

use super::{DAY_MS, SECOND_MS, date};

/// A moment: milliseconds since 1970 (`1709251199007`), RFC 3339 (`2026-11-03T14:02:11Z`,
/// `2026-11-03T15:02:11.5+01:00`), `now`, or how long before now (`-90s`, `-1h`). `None`: it is
/// none of these, or not after 1970.
pub fn read(text: &str, now_ms: u64) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix('-') {
        Some(ago) => Some(now_ms.saturating_sub(read_span(ago)?)),
        None if text == "now" => Some(now_ms),
        None if text.bytes().all(|it| it.is_ascii_digit()) => text.parse().ok(),
        None => rfc3339(text),
    }
}

/// A stretch of time in milliseconds: `250` or `250ms`, `10s`, `1m`, `12h`, `7d`. `None`: it is
/// none of these, or too long to be counted.
pub fn read_span(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "" | "ms" => 1,
        "s" => SECOND_MS,
        "m" => 60 * SECOND_MS,
        "h" => 3_600 * SECOND_MS,
        "d" => DAY_MS,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

/// What is left of a text of which one piece after the other is read.
struct Left<'a>(&'a str);

impl Left<'_> {
    /// So many digits, as a number.
    fn digits(&mut self, count: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse().ok())?;
        self.0 = rest;
        number
    }

    /// One of these characters.
    fn one_of(&mut self, characters: &str) -> Option<char> {
        let first = self.0.chars().next().filter(|it| characters.contains(*it))?;
        self.0 = &self.0[first.len_utf8()..];
        Some(first)
    }
}

/// Milliseconds since 1970 of an RFC 3339 moment. A space stands for the `T`, and for the `+` of
/// the zone, which a query loses on its way.
fn rfc3339(text: &str) -> Option<u64> {
    let mut left = Left(text);
    let year = left.digits(4)?;
    left.one_of("-")?;
    let month = left.digits(2)?;
    left.one_of("-")?;
    let day = left.digits(2)?;
    left.one_of("Tt ")?;
    let time = time(&mut left)?;
    let zone = zone(&mut left)?;
    if !left.0.is_empty() {
        return None;
    }
    let days = days(year, month, day)?;
    (days * DAY_MS + time).checked_add_signed(-zone)
}

/// Milliseconds of the day.
fn time(left: &mut Left<'_>) -> Option<u64> {
    let hour = left.digits(2).filter(|it| *it < 24)?;
    left.one_of(":")?;
    let minute = left.digits(2).filter(|it| *it < 60)?;
    left.one_of(":")?;
    // A leap second is the first of the next minute.
    let second = left.digits(2).filter(|it| *it <= 60)?;
    let mut time = ((hour * 60 + minute) * 60 + second) * SECOND_MS;
    if left.one_of(".").is_some() {
        let mut worth = SECOND_MS / 10;
        time += left.digits(1)? * worth;
        while let Some(digit) = left.digits(1) {
            worth /= 10;
            time += digit * worth;
        }
    }
    Some(time)
}

/// Milliseconds that a zone's clocks are ahead of UTC.
fn zone(left: &mut Left<'_>) -> Option<i64> {
    let sign = match left.one_of("Zz+- ")? {
        'Z' | 'z' => return Some(0),
        '-' => -1,
        _ => 1,
    };
    let hours = left.digits(2).filter(|it| *it < 24)?;
    left.one_of(":")?;
    let minutes = left.digits(2).filter(|it| *it < 60)?;
    let ahead = (hours * 60 + minutes) * 60 * SECOND_MS;
    Some(sign * i64::try_from(ahead).ok()?)
}

/// Days since 1970-01-01 of a date that there is.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year_from_march = if month <= 2 { year.checked_sub(1)? } else { year };
    let month_from_march = (month + 9) % 12;
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (date(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment;

    const NOW: u64 = 1_709_251_199_007;

    #[test]
    fn moments_are_read_as_they_are_written() {
        let rows = [
            ("1709251199007", Some(NOW)),
            ("now", Some(NOW)),
            ("-1h", Some(NOW - 3_600_000)),
            ("-1500", Some(NOW - 1_500)),
            ("-99999d", Some(0)),
            ("2024-02-29T23:59:59.007Z", Some(NOW)),
            ("2024-02-29 23:59:59.007123Z", Some(NOW)),
            ("2024-03-01T01:29:59.007+01:30", Some(NOW)),
            ("2024-03-01T01:29:59.007 01:30", Some(NOW)),
            ("2024-02-29t22:59:59.007-01:00", Some(NOW)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00+00:01", None),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-00-01T00:00:00Z", None),
            ("2024-01-00T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01T00:00:00.Z", None),
            ("2024-01-01T00:00:00Zx", None),
            ("2024-01-01", None),
            ("-1w", None),
            ("99999999999999999999", None),
            ("", None),
            ("ü", None),
        ];
        for (text, moment) in rows {
            assert_eq!(read(text, NOW), moment, "{text}");
        }
        for at_ms in (0..40).map(|step| step * 8_640_000_123_457 / 7) {
            assert_eq!(read(&moment::rfc3339(at_ms), 0), Some(at_ms));
        }
    }

    #[test]
    fn stretches_of_time_have_units() {
        let rows =
            [("250", 250), ("250ms", 250), ("10s", 10_000), ("1m", 60_000), ("2d", 2 * DAY_MS)];
        for (text, ms) in rows {
            assert_eq!(read_span(text), Some(ms), "{text}");
        }
        for text in ["", "s", "1.5s", "-1s", "1 s", "1y", "99999999999999999d"] {
            assert_eq!(read_span(text), None, "{text}");
        }
    }
}
