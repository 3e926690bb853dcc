//! What each report means to the program under way: compared, counted, and acted upon.
//!
//! `integrity` knows what to expect; here it is decided when to look, and what follows. A
//! difference is told as `Event::Mismatch`, and the program is stopped so that position is kept.
//! The program is done only when the machine rests where it should and `$G`, asked after
//! everything else, is answered with its own text and the modes that the program left.

use std::time::Instant;

use headstock_config::event::{Cause, Check, Event, Mismatch};

use super::Grbl;
use super::errand::{Errand, Wanted, Why};
use super::integrity::{Finding, Verdict};
use super::modal::Modal;
use super::program::Stage;
use super::protocol::State;
use super::stop::Reason;
use super::stream::What;
use crate::Outbox;

impl Grbl {
    /// A report came while a program is under way: checks, and takes the steps that need rest.
    pub(super) fn program_saw(&mut self, now: Instant, out: &mut Outbox) {
        if self.program.is_none() || self.stopping.is_some() {
            return;
        }
        if self.sight.state == State::Alarm {
            // The word that it locked itself must have been damaged on its way.
            return self.alarmed(now, 0, out);
        }
        self.note_starvation();
        self.note_executing();
        match self.compare(now) {
            Verdict::Wrong(finding) => self.mismatch(now, finding, out),
            Verdict::Good => self.take_steps_at_rest(now, out),
            Verdict::Unsure => (),
        }
    }

    fn compare(&mut self, now: Instant) -> Verdict {
        let rests = self.sight.at_rest(self.it.quiet_planner) && self.sight.state != State::Alarm;
        let settled = self.is_settled(now);
        let Some(program) = &mut self.program else { return Verdict::Good };
        let counts = (self.stream.bytes(), self.stream.head_bytes());
        let asking = matches!(program.stage, Stage::Asking(_) | Stage::Returning(_));
        let plain = matches!(self.sight.state, State::Idle | State::Check);
        if asking {
            return Verdict::Good;
        }
        if self.stream.is_empty() && rests && plain {
            return program.watch.at_rest(&self.sight, &self.it, !program.dry_run);
        }
        if !self.stream.is_empty()
            && let Verdict::Wrong(finding) =
                program.watch.ring(&self.sight, &self.it, counts, settled)
        {
            return Verdict::Wrong(finding);
        }
        let moving = matches!(self.sight.state, State::Run | State::Hold);
        if !moving || program.dry_run {
            return Verdict::Good;
        }
        let ahead = self.stream.iter().take(2).filter_map(|what| match what {
            What::Program(sent) => Some(sent.point),
            _ => None,
        });
        let ahead: Vec<_> = ahead.collect();
        // An unconfirmed doubt about a place in motion holds nothing up.
        match program.watch.in_motion(&self.sight, &self.it, &ahead) {
            Verdict::Unsure => Verdict::Good,
            verdict => verdict,
        }
    }

    fn take_steps_at_rest(&mut self, now: Instant, out: &mut Outbox) {
        let rests = self.sight.at_rest(self.it.quiet_planner);
        let plain = matches!(self.sight.state, State::Idle | State::Check);
        let Some(program) = &mut self.program else { return };
        let quiet = rests && plain && self.stream.is_empty();
        match &mut program.stage {
            Stage::Ending if quiet => {
                program.stage = Stage::Comparing;
                self.errands.push_back(Errand::modal(Wanted::End(0)));
            }
            Stage::Leaving { since: Some(_), reports }
                if quiet && *reports < self.sight.reports && self.sight.state == State::Idle =>
            {
                self.program_done(out);
            }
            Stage::Reaching(_) => self.perhaps_reached(now, quiet, out),
            Stage::Preparing(_) if quiet => self.perhaps_placed(),
            _ => (),
        }
    }

    /// `$G` at the end of the program was answered. Its text also proves that this was its own
    /// `ok`, and not one that an earlier line had too many.
    pub(super) fn program_compared(
        &mut self,
        now: Instant,
        heard: Option<Modal>,
        tries: u8,
        refused: Option<u16>,
        out: &mut Outbox,
    ) {
        let Some(program) = &mut self.program else { return };
        let Some(heard) = heard else {
            if (refused.is_some() || self.heard_damage) && tries < 2 {
                return self.errands.push_back(Errand::modal(Wanted::End(tries + 1)));
            }
            return self.mismatch(now, extra_answer("`$G` was answered without its text"), out);
        };
        if let Some(difference) = program.watch.modes_differ(&heard, &program.said_before, &self.it)
        {
            return self.modes_differ(now, difference, &heard, Wanted::End(tries), out);
        }
        if program.dry_run {
            program.stage = Stage::Leaving { since: None, reports: 0 };
            self.errands.push_back(Errand::new("$C", Why::CheckOff));
        } else {
            self.program_done(out);
        }
    }

    /// What the controller did is not what it was told.
    pub(super) fn mismatch(&mut self, now: Instant, finding: Finding, out: &mut Outbox) {
        let Finding { check, expected, found } = finding;
        let line = self.progress.map_or(0, |progress| progress.line);
        let text = format!("expected {expected}, found {found}, up to line {line}");
        out.events.push_back(Event::Mismatch(Mismatch { check, expected, found, line }));
        if self.program.is_some() {
            self.halt(now, Reason { cause: Cause::Mismatch, text, announce: false }, out);
        }
    }

    fn note_starvation(&mut self) {
        let Some([planner, _]) = self.sight.live.buffer else { return };
        let (Some(program), Some(progress)) = (&mut self.program, &mut self.progress) else {
            return;
        };
        let more = !program.finished || !program.queue.is_empty() || !self.stream.is_empty();
        let empty = 0 < self.it.quiet_planner && self.it.quiet_planner <= planner;
        let flows = matches!(program.stage, Stage::Flowing) && !program.paused;
        // A line that waits for all motion to end is worked on with nothing planned.
        let drains = match self.stream.iter().next() {
            Some(What::Program(sent)) => sent.drains,
            _ => false,
        };
        let starving = empty && more && flows && program.flowing && !drains && !program.dry_run;
        progress.starved += u64::from(starving && !program.starving);
        program.starving = starving;
    }

    fn note_executing(&mut self) {
        let (Some(program), Some(progress)) = (&self.program, &mut self.progress) else { return };
        if let Some(n) = self.sight.line.filter(|_| self.it.line_numbers) {
            progress.executing = program.watch.executing(n);
        }
    }
}

/// An answer that nothing had asked for.
pub(super) fn extra_answer(found: &str) -> Finding {
    Finding { check: Check::ExtraAnswer, expected: "one answer a line".into(), found: found.into() }
}
