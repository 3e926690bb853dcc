//! Program files: a table, and one in detail.

use headstock_config::file::{Analysis, Bounds, File};
use headstock_config::machine::Units;

use super::details;
use crate::table::table;
use crate::words::{bytes, count, duration, fit, moment, number, plain};

/// One row per file.
pub fn list(files: &[File]) -> String {
    let rows: Vec<_> = files.iter().map(row).collect();
    table(["FILE", "NAME", "SIZE", "LINES", "TIME", "UPLOADED", "WARNINGS"], &rows)
}

fn row(file: &File) -> [String; 7] {
    [
        file.id.clone(),
        fit(&file.name, 40),
        bytes(file.bytes),
        count(file.lines),
        duration(file.analysis.time_s),
        moment(file.uploaded_ms),
        some(file.analysis.warning_count),
    ]
}

/// Everything about one file, its warnings last.
pub fn show(file: &File) -> String {
    let found = &file.analysis;
    let mut text = details(&[
        ("file", file.id.clone()),
        ("name", file.name.clone()),
        ("size", bytes(file.bytes)),
        (
            "lines",
            format!("{}, {} for the controller", count(file.lines), count(found.program_lines)),
        ),
        ("blake3", file.blake3.clone()),
        ("uploaded", format!("{} by {}", moment(file.uploaded_ms), file.by)),
        ("time", format!("{} ({})", duration(found.time_s), found.assumed)),
        (
            "path",
            format!("{} mm, {} mm of it cutting", number(found.path_mm), number(found.cutting_mm)),
        ),
        ("reach", found.bounds.map(reach).unwrap_or_default()),
        ("cutting", found.cutting_bounds.map(reach).unwrap_or_default()),
        ("units", units(found)),
        ("tools", join(&found.tools, "T")),
        ("feeds", found.feeds.map(feeds).unwrap_or_default()),
        (
            "spindle",
            if found.spindle { format!("up to S{}", number(found.max_s)) } else { "off".into() },
        ),
        ("coolant", if found.coolant { "used".into() } else { String::new() }),
        ("warnings", some(found.warning_count)),
    ]);
    for warning in &found.warnings {
        let word = if warning.refused { "would be refused: " } else { "" };
        text.push_str(&plain(&format!("  line {}: {word}{}", warning.line, warning.text)));
        text.push('\n');
    }
    text
}

/// `X0 to 80, Y0 to 80, Z-10 to 15`.
fn reach(bounds: Bounds) -> String {
    let axis = |axis: usize| {
        let (low, high) = (number(bounds.min[axis]), number(bounds.max[axis]));
        format!("{}{low} to {high}", ['X', 'Y', 'Z'][axis])
    };
    [axis(0), axis(1), axis(2)].join(", ")
}

fn units(found: &Analysis) -> String {
    match found.units {
        Some(Units::Mm) => "mm".into(),
        Some(Units::Inch) => "inch".into(),
        None => "the program does not say".into(),
    }
}

fn feeds([low, high]: [f64; 2]) -> String {
    format!("{} to {} mm/min", number(low), number(high))
}

fn join(numbers: &[u32], letter: &str) -> String {
    let words: Vec<_> = numbers.iter().map(|number| format!("{letter}{number}")).collect();
    words.join(" ")
}

/// The number, or nothing for none.
fn some(number: u64) -> String {
    if number > 0 { count(number) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn the_table_has_a_row_per_file() {
        let expected = "\
FILE              NAME        SIZE     LINES  TIME        UPLOADED              WARNINGS
0123456789abcdef  bracket.nc  80.4 kB  4,410  5 min 00 s  2024-02-29 23:59:58Z  1
";
        assert_eq!(list(&[samples::file()]), expected);
    }

    #[test]
    fn one_file_is_shown_with_its_warnings() {
        let expected = "\
file      0123456789abcdef
name      bracket.nc
size      80.4 kB
lines     4,410, 4,400 for the controller
blake3    0123456789abcdef
uploaded  2024-02-29 23:59:58Z by ada
time      5 min 00 s (grbl defaults)
path      9000.5 mm, 7000 mm of it cutting
reach     X0 to 80, Y0 to 80, Z-10 to 15
units     mm
tools     T1
feeds     300 to 1800 mm/min
spindle   up to S12000
warnings  1
  line 5: T1 without M6
";
        assert_eq!(show(&samples::file()), expected);
    }
}
