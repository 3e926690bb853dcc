//! Meeting a firmware: agree on line numbers, ask what it is, how warm and where.
//!
//! ```text
//!  greet, start ─> M110 N0 ─> M115 M105 M114 ─> M155 M154 M876 P1 ─> known
//!                   ^          ^ again if there was nothing but `ok`, a few times
//!                   again every two seconds: boards take a while to start
//! ```
//!
//! A board that was started slowly answers each M110 that it has found waiting; what is plain among
//! these answers would pass for answers to the questions.
//!
//! Nothing that is sent here moves, heats or switches anything: M110 sets a number, M155, M154 and
//! M876 P1 say what shall be reported. The very first line is numbered and has a checksum, so that
//! half a line that an earlier run left in the firmware's buffer spoils it instead of being
//! completed by it.

use std::time::Instant;

use headstock_config::event::Event;

use super::Marlin;
use super::errand::{Errand, Why};
use super::modal::Modal;
use crate::Outbox;

/// A heater that is warmer than any workshop, °C.
const WARM: f64 = 50.0;

/// How far the acquaintance has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Introduction {
    /// Line numbers are being agreed upon.
    #[default]
    Numbering,
    /// Questions are out.
    Asking,
    /// It is known.
    Known,
}

impl Marlin {
    /// Begins from nothing.
    pub(super) fn introduce(&mut self, now: Instant, out: &mut Outbox) {
        self.intro = Introduction::Numbering;
        self.jogs.clear();
        self.errands.clear();
        out.bytes.clear();
        self.stream.renumber(now, &mut out.bytes);
    }

    /// The firmware counts as we do.
    pub(super) fn numbered(&mut self) {
        if self.intro != Introduction::Numbering {
            return;
        }
        self.intro = Introduction::Asking;
        self.it.forget_answers();
        self.ask_all();
    }

    fn ask_all(&mut self) {
        self.errands.extend([
            Errand::new("M115", Why::Who),
            Errand::new("M105", Why::Temperatures),
            Errand::new("M114", Why::Place),
        ]);
    }

    /// The last of the questions has been answered.
    pub(super) fn introduced(&mut self, out: &mut Outbox) {
        if self.intro != Introduction::Asking {
            return;
        }
        if self.it.is_mute() {
            return self.ask_all();
        }
        self.intro = Introduction::Known;
        let mut report = |wanted: bool, line: &str| {
            if wanted {
                self.errands.push_back(Errand::new(line, Why::Reporting));
            }
        };
        report(self.it.reports_temperatures, "M155 S2");
        report(self.it.reports_position, "M154 S2");
        report(self.it.prompts, "M876 P1");
        self.live.stop_waits = !self.it.emergency_parser;
        out.events.push_back(Event::Connected { controller: self.it.controller() });
        self.warn_of_stops(out);
        self.warn_of_heat(out);
    }

    fn warn_of_stops(&self, out: &mut Outbox) {
        if !self.it.emergency_parser {
            let text = "the firmware was built without EMERGENCY_PARSER: a software stop waits \
                        for the command that is being carried out, which may be minutes; wire a \
                        relay that cuts the printer's power, and reach for that";
            out.events.push_back(Event::Remark { text: text.into() });
        }
    }

    fn warn_of_heat(&self, out: &mut Outbox) {
        let hot = |it: &&headstock_config::machine::Temperature| {
            it.target.is_some_and(|target| 0.0 < target) || it.target.is_some() && WARM < it.celsius
        };
        let told: Vec<String> = self
            .live
            .temperatures
            .iter()
            .filter(hot)
            .map(|it| {
                format!("{} {:.0} °C of {:.0}", it.name, it.celsius, it.target.unwrap_or(0.0))
            })
            .collect();
        if !told.is_empty() {
            let text = format!("heaters are hot or on from before: {}", told.join(", "));
            out.events.push_back(Event::Remark { text });
        }
    }

    /// It has just begun to run: everything that it knew is gone.
    pub(super) fn restarted(&mut self, now: Instant, out: &mut Outbox) {
        if self.intro == Introduction::Numbering && self.halt.is_none() && self.stopping.is_none() {
            // It says so in several lines; whatever of ours it has missed is sent again.
            return;
        }
        let asked = self.stopping.is_some() || self.halt.is_some();
        self.halt = None;
        self.place = None;
        self.modal = Modal::default();
        self.live.temperatures.clear();
        self.doubt("the firmware has restarted; its motors had let go");
        out.events.push_back(Event::Restarted { asked });
        self.stop_over_by_restart(out);
        let text = "the firmware restarted by itself".to_owned();
        self.lose_program(headstock_config::event::Cause::Restarted, text, false, out);
        self.prompt_over();
        self.introduce(now, out);
    }
}
