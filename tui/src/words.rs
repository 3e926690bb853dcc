//! Quantities, times and texts as people read them.
//!
//! Invariant: what comes out holds no control character, whatever went in, so that a file name
//! or a controller's message can never move the cursor or colour the screen.

pub use headstock_config::moment::{readable as moment, rfc3339};

/// A length of time in two units at most: `7 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`.
/// Anything below zero, and not a number, is `0 s`.
pub fn duration(seconds: f64) -> String {
    // A float becomes an integer by saturation, so infinity is merely a very long time.
    let seconds = seconds.max(0.0).round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {:02} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A size in decimal units: `812 B`, `80.4 kB`, `1.2 GB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut unit = "";
    for next in ["kB", "MB", "GB", "TB"] {
        (value, unit) = (value / 1_000.0, next);
        if value < 999.95 {
            break;
        }
    }
    format!("{value:.1} {unit}")
}

/// A number with its thousands apart: `4,410`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share from 0 to 1 in whole per cent; 100 only when nothing is missing.
pub fn percent(share: f64) -> u8 {
    (share.clamp(0.0, 1.0) * 100.0).floor() as u8
}

/// Up to three decimals, none of them idle: `12.5`, `-3`.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A position: `X12.5 Y0 Z-3`.
pub fn position([x, y, z]: [f64; 3]) -> String {
    format!("X{} Y{} Z{}", number(x), number(y), number(z))
}

/// A text from outside with its control characters shown as `?`.
pub fn plain(text: &str) -> String {
    text.chars().map(|it| if is_harmless(it) { it } else { '?' }).collect()
}

/// Neither a control character nor one that reorders the line around it.
fn is_harmless(it: char) -> bool {
    !it.is_control() && !matches!(it, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// At most `width` characters; what is cut off is shown by `…`.
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_two_units_at_most() {
        let told = [
            (-1.0, "0 s"),
            (f64::NAN, "0 s"),
            (0.4, "0 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (200.0, "3 min 20 s"),
            (7_500.0, "2 h 05 min"),
            (273_600.0, "3 d 4 h"),
        ];
        for (seconds, words) in told {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
        assert!(duration(f64::INFINITY).ends_with(" h"));
    }

    #[test]
    fn sizes_and_counts_are_grouped_for_reading() {
        let sizes = [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (80_402, "80.4 kB")];
        for (size, words) in sizes {
            assert_eq!(bytes(size), words);
        }
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18446744.1 TB");
        assert_eq!([count(0), count(999), count(1_000)], ["0", "999", "1,000"]);
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn a_job_that_lacks_one_line_is_not_at_100_per_cent() {
        assert_eq!(percent(0.999_9), 99);
        assert_eq!(percent(1.0), 100);
        assert_eq!(percent(f64::NAN), 0);
    }

    #[test]
    fn a_text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(plain("part\u{1b}[2J\n\u{202e}cn.nc ü"), "part?[2J??cn.nc ü");
    }

    #[test]
    fn what_does_not_fit_is_cut_visibly() {
        assert_eq!(fit("bracket.nc", 10), "bracket.nc");
        assert_eq!(fit("bracket.nc", 5), "brac…");
        assert_eq!(fit("bracket.nc", 0), "");
    }

    #[test]
    fn positions_carry_no_idle_zeros() {
        assert_eq!(position([12.5, -0.000_1, -3.0]), "X12.5 Y0 Z-3");
    }
}
