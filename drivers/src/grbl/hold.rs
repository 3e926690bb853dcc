//! Resting in the middle of a program, and going on.
//!
//! ```text
//!            "!?"                rest reported             "~?"
//!  (none) ----------> wanted ------------------> reached ----------> (none)
//!            0x84        | Run reported: again      | Run reported twice: lifted at the machine
//! ```
//!
//! Where HOLD means the door procedure (spindle and coolant off until resume), and for a laser
//! whose laser mode is not certain, 0x84 takes the place of `!`. Nothing new goes out while a program is held; what the controller holds already
//! stays there. Going on is `toolchange`, since it may have more to put back.

use std::time::Instant;

use headstock_config::machine::HoldMeans;

use super::Grbl;
use super::protocol::State;
use super::stop::FEED_HOLD;
use crate::Outbox;

pub(super) const DOOR: u8 = 0x84;

/// A wish to rest without losing the program.
#[derive(Debug, Default)]
pub(super) struct Hold {
    wanted: bool,
    reached: bool,
    door: bool,
    /// Reports of motion after rest was reached, in a row.
    lifted: u8,
}

impl Hold {
    pub(super) fn is_pending(&self) -> bool {
        self.wanted && !self.reached
    }

    /// The door states come from our own hold, not from a door.
    pub(super) fn is_door(&self) -> bool {
        self.wanted && self.door
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Grbl {
    /// Slows down to a rest that the program survives.
    pub(super) fn hold_motion(&mut self, now: Instant, out: &mut Outbox) {
        let door = self.setup.hold == HoldMeans::Door || self.beam_outlives_hold();
        self.hold = Hold { wanted: true, door, ..Hold::default() };
        self.jogs.hold();
        if let Some(program) = &mut self.program {
            program.paused = true;
        }
        self.poll.ask(now, &[self.hold_byte()], out);
        if self.sight.state == State::Jog || self.stream.has_jog() {
            // A hold ends the jog that moves, and not one that lies unread behind it.
            self.cancel_jog(now, out);
        }
    }

    /// A feed hold leaves a beam on unless the controller has told that it is in laser mode
    /// (`$32=1`); the door procedure puts it out in any case.
    pub(super) fn beam_outlives_hold(&self) -> bool {
        self.setup.laser && self.it.controller.laser != Some(true)
    }

    fn hold_byte(&self) -> u8 {
        if self.hold.door { DOOR } else { FEED_HOLD }
    }

    /// Repeats a hold that had no effect, and takes note of one that was lifted at the machine.
    pub(super) fn hold_saw(&mut self, now: Instant, out: &mut Outbox) {
        if !self.hold.wanted {
            return;
        }
        let done = self.sight.at_rest(self.it.quiet_planner);
        let runs = self.sight.state == State::Run;
        if self.hold.reached && runs {
            // One such report may be older than the hold.
            self.hold.lifted += 1;
            if self.hold.lifted < 2 {
                return;
            }
            // Somebody pressed cycle start at the machine.
            self.hold.clear();
            if let Some(program) = &mut self.program {
                program.paused = false;
            }
        } else if done && (self.stream.is_empty() || self.sight.state != State::Idle) {
            (self.hold.reached, self.hold.lifted) = (true, 0);
            let nothing_held = self.sight.state == State::Idle && self.program.is_none();
            self.hold.wanted &= !nothing_held;
        } else if runs {
            self.poll.ask(now, &[self.hold_byte()], out);
        }
    }
}
