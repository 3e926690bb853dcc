//! What the machine is doing, in the house's words.
//!
//! The firmware reports no state. It is idle when all lines have been answered and all motion that
//! they began is over, which an M400 tells.

use headstock_config::event::Event;
use headstock_config::machine::Mode;

use super::Marlin;
use super::errand::{Rest, Why};
use super::introduce::Introduction;
use crate::Outbox;

impl Marlin {
    /// The mode as of now.
    pub(super) fn mode(&self) -> Mode {
        if !self.open {
            return Mode::Offline;
        }
        if self.is_dead() {
            return Mode::Alarm;
        }
        if self.stopping.is_some() && !self.poll.is_silent() {
            return Mode::Holding;
        }
        if self.intro != Introduction::Known || self.poll.is_silent() {
            return Mode::Connecting;
        }
        if self.hold.is_reached() {
            return Mode::Held;
        }
        if self.hold.is_pending() {
            return Mode::Holding;
        }
        if self.prompt.waits() {
            return Mode::Held;
        }
        if self.program.is_some() {
            return Mode::Running;
        }
        self.mode_of_errands()
    }

    fn mode_of_errands(&self) -> Mode {
        if self.is_out(|why| matches!(why, Why::Home(_) | Why::Rest(Rest::Home))) {
            Mode::Homing
        } else if self.jogs.is_held() || self.is_out(|why| *why == Why::Rest(Rest::Hand)) {
            Mode::Jogging
        } else if self.is_out(|why| matches!(why, Why::Person(_))) {
            Mode::Running
        } else {
            Mode::Idle
        }
    }

    /// Something moves or may, whatever the mode says: a print that is held may be moved by hand.
    fn may_move(&self) -> bool {
        let moves = |why: &Why| {
            matches!(why, Why::Home(_) | Why::Step | Why::Person(_) | Why::Rest(Rest::Hand))
        };
        self.open && self.halt.is_none() && (self.jogs.is_held() || self.is_out(moves))
    }

    /// Tells the house if the mode is not what it was told last.
    pub(super) fn show_mode(&mut self, out: &mut Outbox) {
        let mode = self.mode();
        self.live.mode = mode;
        self.live.busy = self.may_move();
        self.live.jog = self.jogs.shown();
        if mode != self.shown {
            self.shown = mode;
            out.events.push_back(Event::Mode { mode });
        }
    }
}
