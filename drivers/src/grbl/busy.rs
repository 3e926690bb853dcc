//! Whether something may move that no report has shown yet.
//!
//! ```text
//!            told to act, or such a line answered
//!  AT REST -----------------------------------------> STIRRED
//!          <-----------------------------------------
//!            as many reports of rest as are needed
//! ```
//!
//! A report is up to a quarter of a second old at rest, and what a mode hides (a program that waits
//! for a person while somebody jogs) is none of a stop's concern. Invariant: from the call that
//! makes it act on, a machine is busy until a report says that it rests which it made after it had
//! answered everything.

use super::Grbl;
use super::errand::{Errand, Wanted, Why};
use super::protocol::State;
use super::stream::What;

impl Grbl {
    /// It may move on our account, as far as we can know.
    pub(super) fn is_busy(&self) -> bool {
        self.open && !self.locked_silent && (0 < self.stirred || self.is_stirring())
    }

    /// It is told something that may move it.
    pub(super) fn stir(&mut self) {
        // The answer to a question that is on its way may be from before; without the planner's
        // fill a report may say Idle just before a block begins.
        let older = u8::from(self.poll.is_waiting());
        let blind = u8::from(self.sight.live.buffer.is_none());
        self.stirred = 1 + older + blind;
    }

    /// A line was answered: what was reported before says nothing about it.
    pub(super) fn stirred_by(&mut self, what: &What) {
        if stirs(what) {
            let blind = u8::from(self.sight.live.buffer.is_none());
            self.stirred = self.stirred.max(1 + blind);
        }
    }

    /// A report came.
    pub(super) fn settle(&mut self) {
        self.stirred = match self.is_stirring() {
            true => self.stirred.min(1),
            false => self.stirred.saturating_sub(1),
        };
    }

    /// The latest report, or what waits here and on the wire, says that it moves or will.
    fn is_stirring(&self) -> bool {
        let stays = matches!(
            self.sight.state,
            State::Hold | State::Door | State::Alarm | State::Sleep | State::Tool | State::Check
        );
        let to_come = || {
            let feeds = |it: &super::Running| it.asks().is_none() && !it.paused;
            self.stream.iter().any(stirs)
                || self.errands.iter().any(acts)
                || self.jogs.busy()
                || self.program.as_ref().is_some_and(feeds)
        };
        !self.sight.at_rest(self.it.quiet_planner) || self.homing.is_some() || !stays && to_come()
    }
}

fn stirs(what: &What) -> bool {
    match what {
        What::Errand(errand) => acts(errand),
        What::Program(_) | What::Stale | What::Jog(_) => true,
    }
}

/// It is more than a question or a setting.
fn acts(errand: &Errand) -> bool {
    match errand.why {
        Why::Modal(ref wanted) => matches!(wanted, Wanted::Command(_)),
        Why::Home(_) | Why::Restore | Why::Person => true,
        _ => false,
    }
}
