//! Moments as people and programs read them. Stamps are milliseconds since 1970, UTC.

mod read;

pub use self::read::{read, read_span};

const SECOND_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400 * SECOND_MS;

/// A moment as RFC 3339 in UTC with milliseconds: `2026-11-03T14:02:11.250Z`.
pub fn rfc3339(at_ms: u64) -> String {
    let (date, time) = civil(at_ms);
    format!("{date}T{time}.{:03}Z", at_ms % SECOND_MS)
}

/// A moment for reading, in UTC: `2026-11-03 14:02:11Z`.
pub fn readable(at_ms: u64) -> String {
    let (date, time) = civil(at_ms);
    format!("{date} {time}Z")
}

/// Date and time of day in UTC of milliseconds since 1970.
fn civil(at_ms: u64) -> (String, String) {
    let (year, month, day) = date(at_ms / DAY_MS);
    let second = at_ms % DAY_MS / SECOND_MS;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60),
    )
}

/// Year, month and day of the days since 1970-01-01, Gregorian.
///
/// Counted in years that begin on the first of March, so that the leap day is the last of its
/// year and months have the lengths 31 30 31 30 31, over and over.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097; // days in 400 years
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_gregorian_utc() {
        let moments = [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (1_709_251_199_000, "2024-02-29 23:59:59Z"),
            (1_709_251_200_000, "2024-03-01 00:00:00Z"),
            (1_735_689_599_000, "2024-12-31 23:59:59Z"),
            (4_107_542_400_000, "2100-03-01 00:00:00Z"),
        ];
        for (at_ms, text) in moments {
            assert_eq!(readable(at_ms), text);
        }
        assert_eq!(rfc3339(1_709_251_199_007), "2024-02-29T23:59:59.007Z");
    }
}
