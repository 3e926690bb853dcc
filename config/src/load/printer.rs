//! `printer` of a machine: what only a printer has.

use toml::de::DeValue;

use super::findings::Findings;
use super::section::Section;
use super::value::{self, FARTHEST_MM, Read, Wanted, Wrong};
use crate::machine::Printer;

const PRINTER: &str = "{ park = [x, y], lift_mm, retract_mm, purge_mm, max_hotend, max_bed }, \
    each of them or none";
const KEYS: &[&str] = &["park", "lift_mm", "retract_mm", "purge_mm", "max_hotend", "max_bed"];

/// Reads it; what is not said is as [`Printer::default`] has it.
pub(super) fn printer(table: &Section<'_>, findings: &mut Findings) -> Printer {
    let usual = Printer::default();
    let Some(it) = table.table("printer", PRINTER, KEYS, findings) else { return usual };
    let mut number =
        |key, most, of, usual: f64| it.number(key, 0.0..=most, of, findings).unwrap_or(usual);
    Printer {
        lift_mm: number("lift_mm", 50.0, "mm", usual.lift_mm),
        retract_mm: number("retract_mm", 50.0, "mm of filament", usual.retract_mm),
        purge_mm: number("purge_mm", 100.0, "mm of filament", usual.purge_mm),
        max_hotend: number("max_hotend", 500.0, "°C", usual.max_hotend),
        max_bed: number("max_bed", 300.0, "°C", usual.max_bed),
        park: it.read("park", "two numbers in mm: [x, y]", findings, place),
    }
}

fn place(value: &DeValue<'_>) -> Read<[f64; 2]> {
    let items = value.as_array().ok_or(Wrong::Kind(Wanted::Many))?;
    let range = -FARTHEST_MM..=FARTHEST_MM;
    let numbers: Vec<f64> = value::each(items, |item| value::number(item, &range))?;
    numbers.try_into().map_err(|_| Wrong::Value("does not have two numbers", None))
}
