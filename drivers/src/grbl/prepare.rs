//! The controller's modes as a program expects them, and whether what `$G` says of them is true.
//!
//! ```text
//!              as it should be     dry run: `$C`         `?`
//!  `$G` -> heard ------------------------------> Placing ---> a report of now -> lines flow
//!    ^       | otherwise
//!    +-------+ lines that set it
//! ```
//!
//! A program that relies on G90, G21 or G17 without saying so would otherwise run in whatever an
//! earlier one left behind. Where it begins is taken from a report that comes after all this: the
//! one before may be older than a work offset that a person has just set.
//!
//! `$G` is the only way to see a mode that was changed on the wire. Some controllers (pretend ones,
//! very old builds) always answer the same: so before a difference counts, the motion mode is
//! changed on purpose, which moves nothing, and that must show.

use std::time::Instant;

use headstock_config::event::{Cause, Check, Event};

use super::Grbl;
use super::errand::{Errand, Wanted, Why};
use super::integrity::{Finding, Watch};
use super::modal::Modal;
use super::program::{Running, Stage};
use super::stop::Reason;
use crate::Outbox;

/// Times that `$G` is asked before a program is given up.
const TRIES: u8 = 3;
/// Reports after which a controller whose buffers show something else each time is taken as it is.
const RESTLESS: u64 = 40;

/// How far a program has come towards its first line.
#[derive(Debug)]
pub(super) enum Preparation {
    /// `$G` is asked; the tries so far, and what the latest one heard.
    Asking { tries: u8, heard: Option<Modal> },
    /// These are the modes; dry run: `$C` is on its way.
    Checking(Modal),
    /// Waits for a report beyond this many.
    Placing(Modal, u64),
}

impl Preparation {
    pub(super) fn begin() -> Self {
        Self::Asking { tries: 0, heard: None }
    }
}

impl Grbl {
    /// `$G` before the first line was answered.
    pub(super) fn start_modes_heard(
        &mut self,
        now: Instant,
        heard: Option<Modal>,
        out: &mut Outbox,
    ) {
        let wanted = Modal::of_start(self.setup.units);
        let Some(Running {
            stage: Stage::Preparing(Preparation::Asking { tries, heard: before }),
            ..
        }) = &mut self.program
        else {
            return;
        };
        *tries += 1;
        let tries = *tries;
        // Lines that set the modes were accepted since, and it says what it said before.
        let unmoved = heard.is_some() && *before == heard;
        before.clone_from(&heard);
        let lines = heard.as_ref().map(|heard| wanted.restore(heard, 0.0));
        match (heard, lines) {
            (Some(heard), Some(lines)) if lines.is_empty() || unmoved => {
                if unmoved {
                    self.modes_are_not_told(out);
                }
                if let Some(program) = &mut self.program {
                    program.said_before = heard.clone();
                }
                self.modes_are_right(now, wanted.over(heard), out);
            }
            (_, lines) if tries < TRIES => {
                let lines = lines.unwrap_or_default();
                self.errands.extend(lines.into_iter().map(|line| Errand::new(line, Why::Restore)));
                self.errands.push_back(Errand::modal(Wanted::Start));
            }
            _ => {
                let text = "the controller does not take the modes in which a program begins";
                let cause = Cause::Refused;
                self.halt(now, Reason { cause, text: text.into(), announce: false }, out);
            }
        }
    }

    fn modes_are_right(&mut self, now: Instant, modal: Modal, out: &mut Outbox) {
        let Some(program) = &mut self.program else { return };
        if program.dry_run {
            program.stage = Stage::Preparing(Preparation::Checking(modal));
            self.errands.push_back(Errand::new("$C", Why::CheckOn));
        } else {
            self.place(now, modal, out);
        }
    }

    /// The controller is in check mode.
    pub(super) fn check_is_on(&mut self, now: Instant, out: &mut Outbox) {
        let Some(Running { stage: Stage::Preparing(preparation), .. }) = &mut self.program else {
            return;
        };
        if let Preparation::Checking(modal) = preparation {
            let modal = std::mem::take(modal);
            self.place(now, modal, out);
        }
    }

    fn place(&mut self, now: Instant, modal: Modal, out: &mut Outbox) {
        let Some(program) = &mut self.program else { return };
        program.stage = Stage::Preparing(Preparation::Placing(modal, self.sight.reports));
        // A question that is on its way is answered late enough: `$G` came after everything else.
        if !self.poll.is_waiting() {
            self.poll.ask(now, &[], out);
        }
    }

    /// A report came while nothing moves: if it was waited for, lines may flow. What the buffers
    /// show when they are empty must be known by then, or half of the checks would be blind.
    pub(super) fn perhaps_placed(&mut self) {
        let start = self.sight.live.work_position;
        let learns = self.sight.live.buffer.is_some() && self.it.quiet_planner == 0;
        let Some(program) = &mut self.program else { return };
        if let Stage::Preparing(Preparation::Placing(modal, reports)) = &mut program.stage
            && *reports + if learns { RESTLESS } else { 0 } < self.sight.reports
        {
            program.watch = Watch::begin(start, std::mem::take(modal));
            program.stage = Stage::Flowing;
        }
    }

    /// `$G` says something else than it should. Whether it can be believed is found out once on
    /// every connection; then it is asked again for the same purpose.
    pub(super) fn modes_differ(
        &mut self,
        now: Instant,
        ((expected, found), counts): ((String, String), bool),
        heard: &Modal,
        purpose: Wanted,
        out: &mut Outbox,
    ) {
        let finding = Finding { check: Check::ModalState, expected, found };
        let Some(program) = &mut self.program else { return };
        if counts {
            return self.mismatch(now, finding, out);
        }
        program.doubted = Some((finding, purpose));
        let motion = if heard.motion == Some(10) { 0 } else { 10 };
        self.errands.push_back(Errand::new(format!("G{}", motion / 10), Why::Restore));
        self.errands.push_back(Errand::modal(Wanted::Witness(motion)));
    }

    /// `$G` after the motion mode was changed on purpose.
    pub(super) fn witness_heard(
        &mut self,
        now: Instant,
        heard: Option<Modal>,
        motion: u16,
        out: &mut Outbox,
    ) {
        let doubted = self.program.as_mut().and_then(|program| program.doubted.take());
        let Some((finding, purpose)) = doubted else { return };
        if heard.is_none_or(|heard| heard.motion == Some(motion)) {
            self.it.modal_follows = Some(true);
            return self.mismatch(now, finding, out);
        }
        self.modes_are_not_told(out);
        self.errands.push_back(Errand::modal(purpose));
    }

    fn modes_are_not_told(&mut self, out: &mut Outbox) {
        self.it.modal_follows = Some(false);
        let text = "`$G` always answers the same here: modes changed on the wire cannot be seen";
        out.events.push_back(Event::Remark { text: text.into() });
    }
}
