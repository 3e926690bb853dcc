//! A program on its way through the controller.
//!
//! ```text
//!             $G, modes                                           at rest, as predicted
//! Preparing ----------------> Flowing ---------------> Ending ------------------------> Comparing
//!             a fresh report  |  ^   all lines answered                                    |  $G
//!              M0, M1, M6     v  |  resumed                                                v
//!                          Reaching -> (Saving) -> Asking -> (Returning)      [Leaving: $C off]
//!                           at rest   M6: $G, M5 M9          $G, restore                   |
//!                                                                                        done
//! ```
//!
//! A program is judged, before it starts, as if the controller had just been switched on and set
//! to the declared units; so `prepare` brings the controller into these modes first.
//! Lines go out by character counting; those that write EEPROM go alone; M6 never goes out. Every
//! program ends with one `ProgramDone` or one `ProgramLost`, after which no byte of it is sent.
//! Invariant: `progress` counts a line as answered only if its own `ok` came.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use headstock_config::event::{Cause, Event};
use headstock_config::machine::{OnError, Progress};

use super::Grbl;
use super::errand::{Errand, Wanted};
use super::integrity::{Finding, Watch};
use super::modal::Modal;
use super::prepare::Preparation;
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
    pub(super) starving: bool,
    /// The last answered line moved without draining.
    pub(super) flowing: bool,
    /// What `$G` said before the first line.
    pub(super) said_before: Modal,
    /// `$G` says something else than it should, and whether it is to be believed is being found
    /// out; then it is asked again for this purpose.
    pub(super) doubted: Option<(Finding, Wanted)>,
}

/// Where a program is.
#[derive(Debug)]
pub(super) enum Stage {
    Preparing(Preparation),
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
            || matches!(self.stage, Stage::Preparing(_) | Stage::Ending | Stage::Leaving { .. })
            || matches!(self.stage, Stage::Reaching(_)) && !self.paused
    }

    /// No line of it has been sent.
    pub(super) fn is_preparing(&self) -> bool {
        matches!(self.stage, Stage::Preparing(_))
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
        let rests = self.sight.at_rest(self.it.quiet_planner) && self.homing.is_none();
        let clear = self.only_asks_offsets() && rests;
        if busy || !clear || self.sight.state != State::Idle {
            let word = self.mode().word();
            return Err(Refusal::NotNow(if word == "idle" { "busy" } else { word }));
        }
        self.hold.clear();
        self.restart_expected = false;
        self.offsets_may_differ();
        self.program = Some(Running {
            dry_run: program.dry_run,
            queue: VecDeque::with_capacity(READY),
            finished: false,
            stage: Stage::Preparing(Preparation::begin()),
            paused: false,
            watch: Watch::default(),
            starving: false,
            flowing: false,
            said_before: Modal::default(),
            doubted: None,
        });
        self.progress = Some(Progress::default());
        self.errands.push_back(Errand::modal(Wanted::Start));
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
        // With a laser, M3 and its like are carried out in motion. A line that waits and then moves
        // (`X5 S800` without a laser) is on its way when it is answered.
        let waits = sent.drains && !sent.moves && self.it.modal_exact && !self.is_laser();
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

    pub(super) fn program_done(&mut self, out: &mut Outbox) {
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

    /// A controller that does not restart when it leaves check mode is done all the same.
    pub(super) fn program_tick(&mut self, now: Instant, out: &mut Outbox) {
        if self.program_deadline().is_some_and(|due| due <= now) {
            self.program_done(out);
        }
    }

    /// When leaving check mode must be looked after. As long as something is unanswered or the
    /// controller is not idle, there is nothing to do at any moment: a report comes first.
    pub(super) fn program_deadline(&self) -> Option<Instant> {
        let quiet = self.stream.is_empty() && self.sight.state == State::Idle;
        match &self.program.as_ref()?.stage {
            Stage::Leaving { since, .. } if quiet => since.map(|since| since + LEAVING),
            _ => None,
        }
    }
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
