//! Modes read from and written as the words of a report, for tests that hold the interpreter
//! against what controllers have said: `[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]` (GRBL 1.1
//! `interface.md`).

use std::fmt;

use super::*;
use crate::gcode::MM_PER_INCH;

/// A report in inches prints one decimal of in/min.
const FEED_SLACK: f64 = 1.3;

impl Modal {
    /// Reads the words of a `[GC:…]` report (without the brackets and `GC:`). `feed_in_inches`
    /// where the controller reports in inches (`$13=1`). `None` if a word is not one of a report.
    pub fn from_report(words: &str, feed_in_inches: bool) -> Option<Self> {
        let mut modal = Self { motion: Motion::Off, ..Self::default() };
        for word in words.split_whitespace() {
            modal.take(word, if feed_in_inches { MM_PER_INCH } else { 1.0 })?;
        }
        Some(modal)
    }

    fn take(&mut self, word: &str, feed_unit: f64) -> Option<()> {
        let (letter, number) = word.split_at_checked(1)?;
        let value: f64 = number.parse().ok()?;
        match (letter, number) {
            ("G", "0") => self.motion = Motion::Rapid,
            ("G", "1") => self.motion = Motion::Line,
            ("G", "2") => self.motion = Motion::ArcCw,
            ("G", "3") => self.motion = Motion::ArcCcw,
            ("G", "80") => self.motion = Motion::Off,
            ("G", "17") => self.plane = Plane::Xy,
            ("G", "18") => self.plane = Plane::Zx,
            ("G", "19") => self.plane = Plane::Yz,
            ("G", "20") => self.units = Units::Inch,
            ("G", "21") => self.units = Units::Mm,
            ("G", "90" | "91") => self.relative = number == "91",
            ("G", "93") => self.feed_mode = FeedMode::InverseTime,
            ("G", "94") => self.feed_mode = FeedMode::PerMinute,
            ("G", "38.2" | "38.3" | "38.4" | "38.5") => {
                self.motion = Motion::Probe(number.as_bytes()[3] - b'0');
            }
            ("G", "54" | "55" | "56" | "57" | "58" | "59") => {
                self.system = number.as_bytes()[1] - b'3';
            }
            ("M", "3") => self.spindle = Spindle::Clockwise,
            ("M", "4") => self.spindle = Spindle::CounterClockwise,
            ("M", "5") => self.spindle = Spindle::Off,
            ("M", "7") => self.mist = true,
            ("M", "8") => self.flood = true,
            ("M", "9") => (self.mist, self.flood) = (false, false),
            ("M", "0" | "1" | "2" | "30") => (),
            ("T", _) => self.tool = value as u32,
            ("F", _) => self.feed = value * feed_unit,
            ("S", _) => self.speed = value,
            _ => return None,
        }
        Some(())
    }

    /// The names of the modes in which the controller's report differs from these.
    ///
    /// T is left out, since GRBL 1.1 forgets it with the next line; F and S are compared as
    /// coarsely as a report prints them.
    pub fn differences(&self, reported: &Self) -> Vec<&'static str> {
        [
            ("motion", self.motion != reported.motion),
            ("work coordinate system", self.system != reported.system),
            ("plane", self.plane != reported.plane),
            ("units", self.units != reported.units),
            ("distance mode", self.relative != reported.relative),
            ("feed mode", self.feed_mode != reported.feed_mode),
            ("spindle", self.spindle != reported.spindle),
            ("coolant", (self.mist, self.flood) != (reported.mist, reported.flood)),
            ("feed", (self.feed - reported.feed).abs() > FEED_SLACK),
            ("spindle speed", (self.speed - reported.speed).abs() > 1.0),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

impl fmt::Display for Modal {
    /// As the words of a `[GC:…]` report in millimetres.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.motion {
            Motion::Rapid => out.write_str("G0"),
            Motion::Line => out.write_str("G1"),
            Motion::ArcCw => out.write_str("G2"),
            Motion::ArcCcw => out.write_str("G3"),
            Motion::Probe(kind) => write!(out, "G38.{kind}"),
            Motion::Off => out.write_str("G80"),
        }?;
        let plane = match self.plane {
            Plane::Xy => "G17",
            Plane::Zx => "G18",
            Plane::Yz => "G19",
        };
        let units = if self.units == Units::Inch { "G20" } else { "G21" };
        let distance = if self.relative { "G91" } else { "G90" };
        let feed = if self.feed_mode == FeedMode::InverseTime { "G93" } else { "G94" };
        let spindle = match self.spindle {
            Spindle::Off => "M5",
            Spindle::Clockwise => "M3",
            Spindle::CounterClockwise => "M4",
        };
        let coolant = match (self.mist, self.flood) {
            (false, false) => "M9",
            (true, false) => "M7",
            (false, true) => "M8",
            (true, true) => "M7 M8",
        };
        write!(out, " G{} {plane} {units} {distance} {feed} ", u32::from(self.system) + 53)?;
        write!(out, "{spindle} {coolant} T{} F{:.0} S{:.0}", self.tool, self.feed, self.speed)
    }
}

#[test]
fn power_up_is_what_grbl_reports_after_power_up() {
    assert_eq!(Modal::default().to_string(), "G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0");
}

#[test]
fn a_report_is_read_as_it_is_written() {
    for words in [
        "G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0",
        "G38.2 G59 G18 G20 G91 G93 M3 M7 M8 T12 F250 S12000",
        "G80 G55 G19 G21 G90 G94 M4 M8 T1 F3000 S1",
    ] {
        let modal = Modal::from_report(words, false).unwrap();
        assert_eq!(modal.to_string(), words);
        assert!(modal.differences(&modal).is_empty());
    }
    assert_eq!(Modal::from_report("G0 Q1", false), None);
    assert_eq!(Modal::from_report("ö1", false), None);
}

#[test]
fn a_report_in_inches_is_turned_into_millimetres() {
    let modal = Modal::from_report("G1 F10.0", true).unwrap();
    assert!((modal.feed - 254.0).abs() < 1e-9);
}

#[test]
fn differences_are_named() {
    let ours = Modal { feed: 3000.0, tool: 2, ..Modal::default() };
    let theirs = Modal { relative: true, feed: 2000.0, tool: 0, ..Modal::default() };
    assert_eq!(ours.differences(&theirs), ["distance mode", "feed"]);
}
