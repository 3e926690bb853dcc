//! What the machine is doing, in the house's words.
//!
//! The controller's state word decides, except where it cannot know: a program that waits for a
//! person is held even though the controller idles, one that is fed slowly is running all the
//! while, and a controller that does not answer has no state at all.

use headstock_config::event::Event;
use headstock_config::machine::Mode;

use super::Grbl;
use super::program::Running;
use super::protocol::State;
use crate::Outbox;

impl Grbl {
    /// The mode as of now.
    pub(super) fn mode(&self) -> Mode {
        if !self.open {
            return Mode::Offline;
        }
        if self.locked_silent {
            return Mode::Alarm;
        }
        if self.homing.is_some() {
            return Mode::Homing;
        }
        if self.silent || self.sight.reports == 0 {
            return Mode::Connecting;
        }
        self.stopping_mode().unwrap_or_else(|| self.mode_of_state())
    }

    fn mode_of_state(&self) -> Mode {
        let waits = self.program.as_ref().is_some_and(|program| program.asks().is_some());
        match self.sight.state {
            State::Alarm => Mode::Alarm,
            State::Home => Mode::Homing,
            State::Sleep => Mode::Sleeping,
            State::Idle | State::Check | State::Run | State::Jog if waits => Mode::Held,
            // Not ready for work before it has said what it is.
            State::Idle if !self.is_known() => Mode::Connecting,
            // The report may be older than the hold, or than what is about to move.
            State::Idle if self.hold.is_pending() => Mode::Holding,
            // Between two segments, or as far as it may go.
            State::Idle if self.jogs.is_held() => Mode::Jogging,
            State::Idle => self.mode_at_rest(Mode::Idle),
            State::Check => self.mode_at_rest(Mode::Checking),
            State::Run if self.hold.is_pending() => Mode::Holding,
            State::Run => Mode::Running,
            State::Jog => Mode::Jogging,
            State::Hold if self.sight.sub == Some(1) => Mode::Holding,
            State::Hold | State::Tool => Mode::Held,
            State::Door => self.mode_of_door(),
            State::Other if self.shown == Mode::Offline => Mode::Connecting,
            State::Other => self.shown,
        }
    }

    /// Nothing moves at this moment; a program may be between two lines.
    fn mode_at_rest(&self, without_program: Mode) -> Mode {
        match &self.program {
            None => without_program,
            Some(Running { paused: true, .. }) if self.hold.is_pending() => Mode::Holding,
            Some(Running { paused: true, .. }) => Mode::Held,
            Some(Running { dry_run: true, .. }) => Mode::Checking,
            Some(_) => Mode::Running,
        }
    }

    /// Where HOLD means the door procedure, its states are those of a hold.
    fn mode_of_door(&self) -> Mode {
        match (self.hold.is_door(), self.sight.sub) {
            (true, Some(0)) => Mode::Held,
            (true, Some(2)) => Mode::Holding,
            (_, Some(3)) => Mode::Running,
            _ => Mode::Door,
        }
    }

    /// Tells the house if the mode is not what it was told last.
    pub(super) fn show_mode(&mut self, out: &mut Outbox) {
        let mode = self.mode();
        self.sight.live.mode = mode;
        self.sight.live.busy = self.is_busy();
        self.sight.live.jog = self.jogs.shown();
        if mode != self.shown {
            self.shown = mode;
            out.events.push_back(Event::Mode { mode });
        }
    }
}
