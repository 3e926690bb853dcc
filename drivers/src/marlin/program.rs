//! A program on its way through the firmware.
//!
//! ```text
//!            numbers anew              all taken        at rest          M105 answered
//! Numbering ------------> Flowing --------------> M400 ---------> Proof ---------------> done
//! ```
//!
//! Numbers begin anew with each program. Its first lines are ours: a program is judged as one that
//! begins in millimetres, absolute, and so it is in them whatever was done by hand before; they are
//! part of the count, so a firmware that takes the program has taken them.
//! At the end it is not enough that all answers have been counted: one may have been the answer to
//! something else. An M105 is the last line; only a firmware that has taken all lines before it
//! takes it, and it is answered as no other line is.

use std::collections::VecDeque;
use std::time::Instant;

use headstock_config::event::{Cause, Check, Event, Mismatch};
use headstock_config::machine::{Mode, Progress};

use super::Marlin;
use super::errand::{Errand, Proof, Rest, Why};
use super::introduce::Introduction;
use super::reach::homed_by;
use super::stop::Reason;
use super::stream::{ProgramSent, What};
use crate::gcode::{ProgramLine, print};
use crate::{Outbox, Program, Refusal};

/// Lines we are willing to hold ready, so that an answer is followed by a line at once.
const READY: usize = 16;
/// Proofs that are asked for before the answers alone are believed.
const PROOFS: u32 = 3;
/// Lines after which the share of bad ones says something about the link.
const SETTLED: u64 = 500;

/// A program being fed.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) queue: VecDeque<ProgramLine>,
    pub(super) finished: bool,
    pub(super) stage: Stage,
    /// Held: nothing new goes out.
    pub(super) paused: bool,
    /// Lines sent or left out.
    count: u64,
    /// Layers in all, if known.
    layers: u32,
    /// The planner was seen empty and has not been seen filled since.
    starving: bool,
    complained: bool,
    lines_before: u64,
    resends_before: u64,
}

/// Where a program is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits until nothing is in flight.
    #[default]
    Waiting,
    Numbering,
    Flowing,
    Ending {
        proofs: u32,
    },
}

impl Marlin {
    /// `Driver::begin`.
    pub(super) fn begin_program(&mut self, program: Program) -> Result<(), Refusal> {
        if self.intro != Introduction::Known || self.poll.is_silent() {
            return Err(Refusal::NotOnline);
        }
        if program.dry_run {
            return Err(Refusal::Unsupported("go through a program without moving"));
        }
        let mode = self.mode();
        if mode != Mode::Idle || self.program.is_some() {
            return Err(Refusal::NotNow(if mode == Mode::Idle { "busy" } else { mode.word() }));
        }
        self.hold.clear();
        self.asks_of_before();
        self.live.percent = None;
        self.live.layer = None;
        self.program = Some(Running { layers: program.layers, ..Running::default() });
        self.progress = Some(Progress::default());
        Ok(())
    }

    /// `Driver::appetite`.
    pub(super) fn room_for_lines(&self) -> usize {
        let Some(program) = &self.program else { return 0 };
        let flows = program.stage == Stage::Flowing && !program.paused;
        if !flows || program.finished || self.stopping.is_some() || self.halt.is_some() {
            return 0;
        }
        READY.saturating_sub(program.queue.len())
    }

    /// Sends what fits.
    pub(super) fn send_program(&mut self, now: Instant, out: &mut Outbox) {
        if self.stopping.is_some() || !self.errands.is_empty() {
            return;
        }
        let idle = self.stream.is_idle();
        if let Some(program) = self.program.as_mut().filter(|it| it.stage == Stage::Waiting && idle)
        {
            program.stage = Stage::Numbering;
            program.lines_before = self.stream.sent;
            program.resends_before = self.stream.resends;
            self.stream.renumber(now, &mut out.bytes);
        }
        while let Some(program) = &mut self.program {
            if program.stage != Stage::Flowing || program.paused {
                return;
            }
            let Some(line) = program.queue.front() else { break };
            if !self.stream.has_room(line.text.len()) {
                return;
            }
            let line = program.queue.pop_front().expect("it was looked at above");
            self.send_line(now, line, out);
        }
        self.perhaps_ending();
    }

    fn send_line(&mut self, now: Instant, line: ProgramLine, out: &mut Outbox) {
        let (Some(program), Some(progress)) = (&mut self.program, &mut self.progress) else {
            return;
        };
        program.count += 1;
        progress.lines_sent += 1;
        let count = program.count;
        if let Some(layer) = line.traits.layer {
            self.live.layer = Some([layer, program.layers]);
        }
        let code = print::words(&line.text).next();
        match code {
            // The numbers are ours.
            Some((b'M', Some(110.0))) => return,
            Some((b'M', Some(73.0))) => {
                let percent = print::words(&line.text).find(|word| word.0 == b'P');
                self.live.percent = percent.and_then(|it| it.1).or(self.live.percent);
            }
            Some((b'M', Some(18.0 | 84.0))) => self.not_homed(),
            _ => (),
        }
        self.modal.follow(&line.text);
        self.reach_follow(&line.text);
        let homes =
            if code == Some((b'G', Some(28.0))) { homed_by(&line.text) } else { [false; 3] };
        let sent = ProgramSent { number: line.number, count, homes };
        self.stream.push(now, &line.text, What::Program(sent), &mut out.bytes);
    }

    /// A program line was taken.
    pub(super) fn line_taken(&mut self, sent: &ProgramSent) {
        if let (Some(_), Some(progress)) = (&self.program, &mut self.progress) {
            progress.lines_acked = sent.count;
            progress.line = sent.number;
        }
        if sent.homes != [false; 3] {
            self.homed(sent.homes);
        }
    }

    /// Free planner blocks were told.
    pub(super) fn saw_planner(&mut self, free: usize) {
        let (Some(program), Some(progress)) = (&mut self.program, &mut self.progress) else {
            return;
        };
        let all = self.live.buffer.map_or(0, |it| it[0]).max(15);
        let flows = program.stage == Stage::Flowing && !program.paused && !program.finished;
        let empty = flows && all <= free && READY < usize::try_from(program.count).unwrap_or(0);
        if empty && !program.starving {
            progress.starved += 1;
        }
        program.starving = empty;
    }

    /// The numbers have begun anew.
    pub(super) fn program_numbered(&mut self) {
        if let Some(program) = self.program.as_mut().filter(|it| it.stage == Stage::Numbering) {
            program.stage = Stage::Flowing;
            self.plain_modes();
        }
    }

    /// All lines are answered and none will come: waits for rest.
    fn perhaps_ending(&mut self) {
        let idle = self.stream.is_idle();
        let Some(program) = &mut self.program else { return };
        let all = program.finished && program.queue.is_empty() && idle;
        if all && program.stage == Stage::Flowing && !program.paused {
            program.stage = Stage::Ending { proofs: 0 };
            self.errands.push_back(Errand::new("M400", Why::Rest(Rest::End)));
        }
    }

    /// All motion is over.
    pub(super) fn rests(&mut self, rest: Rest) {
        match rest {
            Rest::Hand | Rest::Home => (),
            Rest::Hold => self.hold_rests(),
            Rest::Park => self.hold.parked(),
            Rest::End => self.errands.push_back(Errand::new("M105", Why::Proof(Proof::End))),
        }
    }

    /// The proof has been answered, or an answer has been counted for it.
    pub(super) fn proof_came(&mut self, proof: Proof, out: &mut Outbox) {
        let good = std::mem::take(&mut self.proved) || !self.it.answers_temperatures;
        if proof == Proof::Stop {
            return self.stop_proved(good, out);
        }
        let Some(Running { stage: Stage::Ending { proofs }, .. }) = &mut self.program else {
            return;
        };
        *proofs += 1;
        if good || PROOFS <= *proofs {
            self.program_done(out);
        } else {
            self.errands.push_back(Errand::new("M105", Why::Proof(Proof::End)));
        }
    }

    fn program_done(&mut self, out: &mut Outbox) {
        let count = self.program.take().map_or(0, |program| program.count);
        if let Some(progress) = &mut self.progress {
            progress.lines_acked = count;
        }
        self.program_over();
        self.show_mode(out);
        out.events.push_back(Event::ProgramDone);
    }

    fn program_over(&mut self) {
        self.hold.clear();
        self.prompt_over();
        self.live.progress = None;
        (self.live.layer, self.live.percent) = (None, None);
    }

    /// The program is given up: no line of it goes out any more. Whether there was one.
    pub(super) fn drop_program(&mut self) -> bool {
        let had = self.program.take().is_some();
        if had {
            self.program_over();
        }
        had
    }

    /// The program is lost.
    pub(super) fn lose_program(
        &mut self,
        cause: Cause,
        reason: String,
        position_kept: bool,
        out: &mut Outbox,
    ) {
        if self.drop_program() {
            self.stream.abandon();
            out.events.push_back(Event::ProgramLost { cause, reason, position_kept });
        }
    }

    /// One line in a hundred has to be sent again: told once, while there is time to look.
    pub(super) fn watch_quality(&mut self, out: &mut Outbox) {
        let Some(program) = self.program.as_mut().filter(|it| !it.complained) else { return };
        let sent = self.stream.sent - program.lines_before.min(self.stream.sent);
        let again = self.stream.resends - program.resends_before.min(self.stream.resends);
        if SETTLED < sent && sent < again * 100 {
            program.complained = true;
            let text = format!(
                "{again} of {sent} lines had to be sent again; look at cable, shield and baud rate"
            );
            out.events.push_back(Event::Remark { text });
        }
    }

    /// The firmware counts from something else than we do: it must have restarted unheard.
    pub(super) fn out_of_step(&mut self, now: Instant, out: &mut Outbox) {
        if self.program.is_none() && self.stopping.is_none() {
            return self.introduce(now, out);
        }
        let text = "the firmware counts lines from elsewhere: it has restarted, or somebody else \
                    sends lines";
        if self.program.is_some() {
            out.events.push_back(Event::Mismatch(Mismatch {
                check: Check::LineNumber,
                expected: "the line after the last one".into(),
                found: "a line that was taken long ago, or never sent".into(),
                line: self.progress.map_or(0, |it| it.line),
            }));
        }
        self.halt_for(
            now,
            Reason { cause: Cause::Mismatch, text: text.into(), announce: false },
            out,
        );
    }

    /// The same line is asked for again and again.
    pub(super) fn hopeless(&mut self, now: Instant, out: &mut Outbox) {
        if self.program.is_none() && self.stopping.is_none() {
            return self.introduce(now, out);
        }
        let text = "link quality: the same line had to be sent again ten times in half a minute";
        self.halt_for(now, Reason { cause: Cause::Link, text: text.into(), announce: false }, out);
    }
}
