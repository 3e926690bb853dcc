//! Overrides: a share of the programmed feeds (M220) and of the filament that goes with them (M221).
//!
//! They stay as they are when a program begins or ends, as they do in the firmware. People, programs
//! and the printer's own panel set them: what goes over the wire is followed, and what a panel made of
//! them is asked for once, when it first rests. Source: Marlin documentation, M220, M221; the answers
//! of both without S, `FR:100%` and `E0 Flow: 100%`, `src/gcode/config/M220.cpp`, `M221.cpp`.

use headstock_config::command::Override;

use super::Marlin;
use super::commands::within;
use super::errand::{Errand, Why};
use crate::Refusal;
use crate::gcode::print::words;

/// What anybody may want, per cent.
const SANE: std::ops::RangeInclusive<f64> = 10.0..=200.0;
/// More is no answer, per cent.
const MOST: f64 = 999.0;

impl Marlin {
    /// Brings one to a percentage.
    pub(super) fn override_to(&mut self, which: Override, percent: u16) -> Result<(), Refusal> {
        let code = match which {
            Override::Feed => "M220",
            Override::Flow => "M221",
            Override::Rapid => {
                return Err(Refusal::Unsupported("override rapids: a printer knows one feed"));
            }
            Override::Spindle => {
                return Err(Refusal::Unsupported("override a spindle: it has none"));
            }
        };
        within(percent.into(), *SANE.start(), *SANE.end(), "percentage")?;
        self.errands.push_back(Errand::new(format!("{code} S{percent}"), Why::Reporting));
        Ok(())
    }

    /// Asks what they are.
    pub(super) fn ask_overrides(&mut self) {
        self.errands.extend(["M220", "M221"].map(|line| Errand::new(line, Why::Reporting)));
    }

    /// A line goes out.
    pub(super) fn overrides_follow(&mut self, text: &str) {
        let mut all = words(text);
        let Some((b'M', Some(code @ (220.0 | 221.0)))) = all.next() else { return };
        let percent = all.find(|word| word.0 == b'S').and_then(|word| word.1).and_then(whole);
        self.override_is(if code == 220.0 { Override::Feed } else { Override::Flow }, percent);
    }

    /// Whether this was an answer about them.
    pub(super) fn overrides_told(&mut self, text: &str) -> bool {
        let (which, percent) = if let Some(percent) = text.strip_prefix("FR:") {
            (Override::Feed, percent)
        } else if let Some((_, percent)) =
            text.split_once(" Flow: ").filter(|it| it.0.starts_with('E') && it.0.len() < 3)
        {
            (Override::Flow, percent)
        } else {
            return false;
        };
        let percent = percent.trim().strip_suffix('%').and_then(|it| it.trim().parse().ok());
        self.override_is(which, percent.and_then(whole));
        true
    }

    fn override_is(&mut self, which: Override, percent: Option<u16>) {
        match (which, percent) {
            (_, None) => (),
            (Override::Flow, percent) => self.live.flow = percent,
            (_, Some(percent)) => self.live.overrides[0] = percent,
        }
    }
}

fn whole(percent: f64) -> Option<u16> {
    (1.0..=MOST).contains(&percent).then_some(percent.round() as u16)
}
