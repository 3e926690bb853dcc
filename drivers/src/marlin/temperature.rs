//! How warm it is, in the house's words.
//!
//! Source: Marlin `src/module/temperature.cpp`, `print_heater_states`: `T` is the extruder that is
//! selected, `T0`… all of them, `B` the bed, `C` the chamber, `P` the probe, `L` the cooler, `M`
//! the board; `@` and a letter the power, 0 to 127 (255 in some builds).

use headstock_config::machine::Temperature;

use super::Marlin;
use super::protocol::{Reading, readings};
use crate::gcode::print::words;

/// Fewer degrees than this and no filament moves (`EXTRUDE_MINTEMP` as shipped).
pub(super) const COLD: f64 = 170.0;
/// More heaters than any printer has.
const HEATERS_MAX: usize = 16;

impl Marlin {
    /// A report came.
    pub(super) fn warmed(&mut self, text: &str) {
        let all: Vec<Reading<'_>> = readings(text).take(64).collect();
        let by_number = all.iter().any(|it| it.key == "T0");
        for reading in &all {
            // With several extruders `T` repeats one of `T0`….
            let Some(name) = name(reading.key).filter(|_| !(by_number && reading.key == "T"))
            else {
                continue;
            };
            let temperatures = &mut self.live.temperatures;
            let known = temperatures.iter().position(|it| it.name == name);
            let at = known.unwrap_or(temperatures.len());
            if known.is_none() {
                if HEATERS_MAX <= temperatures.len() {
                    continue;
                }
                temperatures.push(Temperature { name, ..Temperature::default() });
            }
            let it = &mut temperatures[at];
            (it.celsius, it.target) = (reading.value, reading.target);
            it.power = power(reading.key, &all).or(it.power);
        }
    }

    /// A report that nobody asked for comes of a line that waits until it is warm, once a second;
    /// many firmwares are never busy meanwhile. What reports by itself (M155) says nothing of any
    /// line: one that got lost would be waited for as long as the printer lives.
    /// Source: Marlin `src/module/temperature.cpp`, `wait_for_hotend` (`W:`, seconds that are left).
    pub(super) fn is_heating(&self, text: &str) -> bool {
        let waits = |line: &str| {
            let code = words(line).nth(1);
            matches!(code, Some((b'M', Some(109.0 | 116.0 | 190.0..=193.0 | 303.0))))
        };
        text.contains(" W:")
            || !self.it.reports_temperatures && self.stream.oldest().is_some_and(waits)
    }

    /// The nozzle of the extruder that is selected, as it was reported last. Several extruders may
    /// have one nozzle (MMU, `SINGLENOZZLE`), which is all that is reported then.
    pub(super) fn hotend(&self) -> Option<&Temperature> {
        let named = |name: &str| self.live.temperatures.iter().find(|it| it.name == name);
        let selected = self.modal.tool.filter(|it| 0 < *it);
        selected.and_then(|it| named(&format!("hotend{it}"))).or_else(|| named("hotend"))
    }
}

fn name(key: &str) -> Option<String> {
    let (letter, number) = key.split_at_checked(1)?;
    let name = match letter {
        "T" => "hotend",
        "B" => "bed",
        "C" => "chamber",
        "P" => "probe",
        "L" => "cooler",
        "M" => "board",
        _ => return None,
    };
    let number = number.trim_start_matches('0');
    let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && number.len() < 3;
    plain.then(|| format!("{name}{number}"))
}

/// `@:` is the power of `T`, `@1:` that of `T1`, `B@:` that of `B`. 0 to 1.
fn power(key: &str, all: &[Reading<'_>]) -> Option<f64> {
    let power = match key.split_at_checked(1)? {
        ("T", number) => format!("@{number}"),
        (letter, _) => format!("{letter}@"),
    };
    let found = all.iter().find(|it| it.key == power).or_else(|| {
        // One extruder: `T0` may stand beside `@` without a number.
        (key == "T0").then(|| all.iter().find(|it| it.key == "@")).flatten()
    })?;
    let full = if 127.0 < found.value { 255.0 } else { 127.0 };
    (0.0..=255.0).contains(&found.value).then_some(found.value / full)
}

#[cfg(test)]
mod tests {
    use super::super::Setup;
    use super::*;

    fn after(text: &str) -> Vec<(String, f64, Option<f64>, Option<f64>)> {
        let mut marlin = Marlin::with(Setup::default());
        marlin.warmed(text);
        let all = marlin.live.temperatures.into_iter();
        all.map(|it| (it.name, it.celsius, it.target, it.power)).collect()
    }

    #[test]
    fn heaters_have_names_and_power() {
        assert_eq!(
            after("T:201.5 /210.0 B:60.1 /60.0 C:31.0 /0.0 P:30.1 @:127 B@:0"),
            [
                ("hotend".into(), 201.5, Some(210.0), Some(1.0)),
                ("bed".into(), 60.1, Some(60.0), Some(0.0)),
                ("chamber".into(), 31.0, Some(0.0), None),
                ("probe".into(), 30.1, None, None),
            ]
        );
        assert_eq!(
            after("T:20.0 /0.0 T0:20.0 /0.0 T1:25.0 /0.0 @:0 @0:0 @1:127"),
            [
                ("hotend".into(), 20.0, Some(0.0), Some(0.0)),
                ("hotend1".into(), 25.0, Some(0.0), Some(1.0)),
            ]
        );
    }

    #[test]
    fn extruders_that_share_a_nozzle_are_as_warm_as_that() {
        let warm = |text: &str, tool: &str| {
            let mut marlin = Marlin::with(Setup::default());
            marlin.warmed(text);
            marlin.modal.follow(tool);
            marlin.hotend().map(|it| it.celsius)
        };
        let one = "T:210.0 /210.0 B:60.1 /60.0 @:127 B@:0";
        assert_eq!((warm(one, "T0"), warm(one, "T3")), (Some(210.0), Some(210.0)));
        let two = "T:20.0 /0.0 T0:20.0 /0.0 T1:215.0 /215.0 @:0 @0:0 @1:127";
        assert_eq!((warm(two, "T0"), warm(two, "T1")), (Some(20.0), Some(215.0)));
        assert_eq!(warm("B:60.1 /60.0", "T1"), None);
    }
}
