//! A program on its way through the controller.
//!
//! ```text
//!            $C on (dry run)                                      at rest, as predicted
//! Preparing ----------------> Flowing ---------------> Ending ------------------------> Comparing
//!                             |  ^   all lines answered                                    |  $G
//!              M0, M1, M6     v  |  resumed                                                v
//!                          Reaching -> (Saving) -> Asking -> (Returning)      [Leaving: $C off]
//!                           at rest     M6: $G               $G, restore                   |
//!                                                                                        done
//! ```
//!
//! Lines go out by character counting; those that write EEPROM go alone; M6 never goes out. Every
//! program ends with one `ProgramDone` or one `ProgramLost`, after which no byte of it is sent.
//! Invariant: `progress` counts a line as answered only if its own `ok` came.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use headstock_config::event::{Cause, Check, Event, Mismatch};
use headstock_config::machine::{OnError, Progress};

use super::Grbl;
use super::errand::{Errand, Wanted, Why};
use super::integrity::{Finding, Verdict, Watch};
use super::protocol::State;
use super::stop::Reason;
use super::stream::{ProgramSent, What};
use super::toolchange::Ask;
use super::words;
use crate::gcode::{Pause, ProgramLine};
use crate::{Outbox, Program, Refusal};

/// Lines we are willing to hold ready, so that an answer is followed by a line at once.
const READY: usize = 16;
/// After leaving check mode the controller restarts; if it does not, this long is waited.
const LEAVING: Duration = Duration::from_millis(1500);

/// A program being fed.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) dry_run: bool,
    pub(super) queue: VecDeque<ProgramLine>,
    pub(super) finished: bool,
    pub(super) stage: Stage,
    /// Held: nothing new goes out.
    pub(super) paused: bool,
    pub(super) watch: Watch,
    /// The planner was seen empty and has not been seen filled since.
    starving: bool,
    /// The last answered line moved without draining.
    flowing: bool,
}

/// Where a program is.
#[derive(Debug)]
pub(super) enum Stage {
    Preparing,
    Flowing,
    Reaching(Ask),
    Saving(Ask),
    Asking(Ask),
    Returning(Ask),
    Ending,
    Comparing,
    Leaving { since: Option<Instant>, reports: u64 },
}

impl Running {
    /// The next report decides.
    pub(super) fn waits_for_rest(&self) -> bool {
        self.watch.suspects()
            || matches!(self.stage, Stage::Ending | Stage::Leaving { .. })
            || matches!(self.stage, Stage::Reaching(_)) && !self.paused
    }

    /// What it waits for a person to do.
    pub(super) fn asks(&self) -> Option<&Ask> {
        match &self.stage {
            Stage::Asking(ask) => Some(ask),
            _ => None,
        }
    }
}

impl Grbl {
    /// `Driver::begin`.
    pub(super) fn begin_program(
        &mut self,
        now: Instant,
        program: Program,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        if !self.is_known() {
            return Err(Refusal::NotOnline);
        }
        let busy = self.stopping.is_some() || self.program.is_some() || self.jogs.busy();
        let clear = self.stream.is_empty() && self.errands.is_empty() && self.rests();
        if busy || !clear || self.sight.state != State::Idle {
            let word = self.mode().word();
            return Err(Refusal::NotNow(if word == "idle" { "busy" } else { word }));
        }
        let start = self.sight.live.work_position;
        self.program = Some(Running {
            dry_run: program.dry_run,
            queue: VecDeque::with_capacity(READY),
            finished: false,
            stage: if program.dry_run { Stage::Preparing } else { Stage::Flowing },
            paused: false,
            watch: Watch::begin(start),
            starving: false,
            flowing: false,
        });
        self.progress = Some(Progress::default());
        if program.dry_run {
            self.errands.push_back(Errand::new("$C", Why::CheckOn));
        }
        self.advance(now, out);
        Ok(())
    }

    /// `Driver::appetite`.
    pub(super) fn room_for_lines(&self) -> usize {
        let Some(program) = &self.program else { return 0 };
        let flows = matches!(program.stage, Stage::Flowing) && !program.paused;
        if !flows || program.finished || self.stopping.is_some() {
            return 0;
        }
        READY.saturating_sub(program.queue.len())
    }

    /// The controller is in check mode.
    pub(super) fn program_prepared(&mut self) {
        if let Some(program) = &mut self.program {
            program.stage = Stage::Flowing;
        }
    }

    /// Sends what fits.
    pub(super) fn send_program(&mut self, now: Instant, out: &mut Outbox) {
        if self.program.is_none() || self.stopping.is_some() || !self.errands.is_empty() {
            return;
        }
        if matches!(self.sight.state, State::Alarm | State::Sleep) {
            return;
        }
        while let Some(program) = &mut self.program {
            if !matches!(program.stage, Stage::Flowing) || program.paused {
                return;
            }
            let Some(line) = program.queue.front() else { break };
            if let Some(Pause::ToolChange(_)) = line.traits.pause {
                self.meet_tool_change();
                continue;
            }
            if let Some(error) = unsendable(&line.text, self.it.controller.line_max) {
                let line = program.queue.pop_front().expect("it was looked at above");
                self.line_refused(now, line.number, line.text, error, out);
                continue;
            }
            let alone = line.traits.writes_eeprom;
            if alone && !self.stream.is_empty()
                || !self.stream.fits(line.text.len() + 1, self.it.window())
            {
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
        let point = program.watch.follow(&line, &self.it);
        progress.lines_sent += 1;
        if let Some(pause) = line.traits.pause.filter(|_| !program.dry_run) {
            program.stage = Stage::Reaching(Ask::new(pause, line.number));
        }
        let (alone, drains) = (line.traits.writes_eeprom, line.traits.drains);
        let moves = line.traits.moves;
        let text = line.text.clone();
        let sent = ProgramSent { text: line.text, point, alone, drains, moves };
        self.stream.send(now, &text, What::Program(sent), &mut out.bytes);
    }

    /// A program line was accepted.
    pub(super) fn line_accepted(&mut self, sent: ProgramSent) {
        // With a laser, M3 and its like are carried out in motion.
        let waits = sent.drains && self.it.modal_exact && !self.is_laser();
        let (Some(program), Some(progress)) = (&mut self.program, &mut self.progress) else {
            return;
        };
        progress.lines_acked += 1;
        progress.line = sent.point.number;
        let drained = waits || 0.0 < sent.point.dwell_s;
        program.flowing = sent.moves && !sent.drains;
        program.watch.answered(sent.point, drained, self.it.controller.planner_blocks);
    }

    /// A program line was refused, by the controller or by us.
    pub(super) fn line_refused(
        &mut self,
        now: Instant,
        line: u64,
        text: String,
        number: u16,
        out: &mut Outbox,
    ) {
        let Some(program) = &mut self.program else { return };
        let means = words::error(self.it.dialect, number);
        let reason = format!("line {line} `{text}` was refused: {means}");
        out.events.push_back(Event::LineRefused { line, text, number, means: means.into() });
        // A controller that refuses everything after an error has thrown away the lines behind
        // it: nothing can go on.
        let policy = if self.it.errors_stick { OnError::Stop } else { self.setup.on_error };
        match policy {
            OnError::Stop => {
                let reason = Reason { cause: Cause::Refused, text: reason, announce: false };
                self.halt(now, reason, out);
            }
            OnError::Hold => {
                program.watch.lose_track();
                self.sight.live.asks = Some(reason);
                self.hold_motion(now, out);
            }
            OnError::Continue => program.watch.lose_track(),
        }
    }

    /// A line that belongs to a procedure of the program itself was refused.
    pub(super) fn procedure_refused(
        &mut self,
        now: Instant,
        text: &str,
        number: u16,
        out: &mut Outbox,
    ) {
        let means = words::error(self.it.dialect, number);
        self.command_failed(text.into(), Some(number), out);
        let text = format!("`{text}` was refused: {means}");
        self.halt(now, Reason { cause: Cause::Refused, text, announce: false }, out);
    }

    /// All lines are answered and none will come: waits for rest.
    pub(super) fn perhaps_ending(&mut self) {
        let Some(program) = &mut self.program else { return };
        let all_out = program.finished && program.queue.is_empty() && self.stream.is_empty();
        if all_out && matches!(program.stage, Stage::Flowing) && !program.paused {
            program.stage = Stage::Ending;
        }
    }

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
            _ => (),
        }
    }

    /// `$G` at the end of the program was answered. Its text also proves that this was its own
    /// `ok`, and not one that an earlier line had too many.
    pub(super) fn program_compared(
        &mut self,
        now: Instant,
        heard: Option<super::modal::Modal>,
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
        if let Some((expected, found)) = program.watch.modal.differs(&heard, self.it.modal_exact) {
            let check = Check::ModalState;
            return self.mismatch(now, Finding { check, expected, found }, out);
        }
        if program.dry_run {
            program.stage = Stage::Leaving { since: None, reports: 0 };
            self.errands.push_back(Errand::new("$C", Why::CheckOff));
        } else {
            self.program_done(out);
        }
    }

    /// `$C` was switched off; a restart of the controller follows.
    pub(super) fn program_left_check(&mut self, now: Instant) {
        let reports = self.sight.reports;
        if let Some(Running { stage: Stage::Leaving { since, reports: at }, .. }) =
            &mut self.program
        {
            (*since, *at) = (Some(now), reports + 1);
        }
    }

    /// The banner that ends check mode. Returns whether it was that one.
    pub(super) fn program_heard_banner(&mut self, now: Instant) -> bool {
        let leaving = matches!(&self.program, Some(Running { stage: Stage::Leaving { .. }, .. }));
        if leaving {
            self.program_left_check(now);
        }
        leaving
    }

    fn program_done(&mut self, out: &mut Outbox) {
        self.program = None;
        self.sight.live.progress = None;
        self.show_mode(out);
        out.events.push_back(Event::ProgramDone);
    }

    /// The program is given up: no byte of it goes out any more. Whether there was one.
    pub(super) fn drop_program(&mut self) -> bool {
        self.stream.disown_program();
        self.sight.live.asks = None;
        self.sight.live.progress = None;
        self.program.take().is_some()
    }

    /// The program is lost at once, without a stop of ours.
    pub(super) fn lose_program(
        &mut self,
        cause: Cause,
        reason: String,
        position_kept: bool,
        out: &mut Outbox,
    ) {
        if self.drop_program() {
            self.hold.clear();
            out.events.push_back(Event::ProgramLost { cause, reason, position_kept });
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

    /// A controller that does not restart when it leaves check mode is done all the same.
    pub(super) fn program_tick(&mut self, now: Instant, out: &mut Outbox) {
        let late = self.program_deadline().is_some_and(|due| due <= now);
        if late && self.stream.is_empty() && self.sight.state == State::Idle {
            self.program_done(out);
        }
    }

    /// When leaving check mode must be looked after.
    pub(super) fn program_deadline(&self) -> Option<Instant> {
        match &self.program.as_ref()?.stage {
            Stage::Leaving { since, .. } => since.map(|since| since + LEAVING),
            _ => None,
        }
    }
}

/// An answer that nothing had asked for.
pub(super) fn extra_answer(found: &str) -> Finding {
    Finding { check: Check::ExtraAnswer, expected: "one answer a line".into(), found: found.into() }
}

/// The error that a line would earn if it were sent: too long, or holding realtime characters.
fn unsendable(text: &str, longest: usize) -> Option<u16> {
    let odd = |byte: u8| !(b' '..=b'~').contains(&byte) || matches!(byte, b'?' | b'!' | b'~');
    if longest < text.len() {
        Some(11)
    } else if text.is_empty() || text.bytes().any(odd) {
        Some(1)
    } else {
        None
    }
}
