//! Marlin and its relatives: G-code over a serial line, numbered and with checksums, one `ok` a line.
//!
//! ```text
//!  greet ─ introduce ─┬─ commands ─> errands ──┐ first
//!                     ├─ jog, hold, stop ──────┼─> stream ─> bytes     numbered, kept, sent again
//!                     ├─ program ──────────────┘ then
//!                     └─ stop: M108 M410 M112 ────────────> urgent     past everything, unnumbered
//!  hear ─ protocol ─> answers ─> stream, temperature, host ─> mode ─> events
//! ```
//!
//! This file only divides the work; each part has a file with its own rules. What all keep: a line
//! is carried out once or not at all, since the firmware counts lines and we keep what it may ask
//! for again (`stream`); nothing moves or heats by itself, so greeting only asks; whatever arrives,
//! nothing panics. A firmware reports no state, so the mode is what we know of our own lines.
//! Not here: how bytes travel (`crate::link`), where lines come from (`crate::gcode`), what a job
//! is (the daemon), printing from the printer's own card.

mod answers;
mod capabilities;
mod commands;
mod errand;
mod hold;
mod host;
mod introduce;
mod jog;
mod jog_hold;
pub mod line;
mod modal;
mod mode;
mod poll;
mod program;
pub mod protocol;
mod reach;
pub mod sim;
mod stop;
mod stream;
mod temperature;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use headstock_config::command::{Command, Stop};
use headstock_config::event::{Cause, Event};
use headstock_config::machine::{Envelope, Live, Machine, Mode, Printer, Progress, Xyz};

use self::capabilities::Capabilities;
use self::errand::Errand;
use self::hold::Hold;
use self::host::Prompt;
use self::introduce::Introduction;
use self::jog::Jogs;
use self::modal::Modal;
use self::poll::Poll;
use self::program::Running;
use self::reach::Reach;
use self::stop::{Halt, Stopping};
use self::stream::Stream;
use crate::gcode::ProgramLine;
use crate::{Driver, Outbox, Program, Refusal};

/// One printer.
#[derive(Debug)]
pub struct Marlin {
    setup: Setup,
    /// The link is open.
    open: bool,
    /// The part of a line that has arrived.
    partial: Vec<u8>,
    it: Capabilities,
    live: Live,
    /// X, Y, Z and E as reported since anything was sent that moves.
    place: Option<[f64; 4]>,
    reach: Reach,
    jogs: Jogs,
    modal: Modal,
    stream: Stream,
    errands: VecDeque<Errand>,
    intro: Introduction,
    poll: Poll,
    program: Option<Running>,
    /// Of the running program, or the last one.
    progress: Option<Progress>,
    hold: Hold,
    stopping: Option<Stopping>,
    prompt: Prompt,
    /// It has halted itself.
    halt: Option<Halt>,
    /// The latest M105 was answered as one is.
    proved: bool,
    /// The mode the house was told.
    shown: Mode,
    messages: answers::Messages,
}

/// What the configuration says.
#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    printer: Printer,
    /// What the nozzle can reach, if it is declared.
    envelope: Option<Envelope>,
    /// Distance that a held jog may overrun, mm per axis.
    jog_overrun: Xyz,
}

impl Marlin {
    /// A driver for this machine, not connected yet.
    pub fn new(machine: &Machine) -> Self {
        Self::with(Setup {
            printer: machine.printer,
            envelope: machine.envelope,
            jog_overrun: machine.jog_overrun,
        })
    }

    fn with(setup: Setup) -> Self {
        Self {
            setup,
            open: false,
            partial: Vec::new(),
            it: Capabilities::default(),
            live: Live { overrides: [100; 3], ..Live::default() },
            place: None,
            reach: Reach::default(),
            jogs: Jogs::default(),
            modal: Modal::default(),
            stream: Stream::default(),
            errands: VecDeque::new(),
            intro: Introduction::default(),
            poll: Poll::default(),
            program: None,
            progress: None,
            hold: Hold::default(),
            stopping: None,
            prompt: Prompt::default(),
            halt: None,
            proved: false,
            shown: Mode::Offline,
            messages: answers::Messages::default(),
        }
    }

    /// After anything has changed: does what can be done now.
    fn advance(&mut self, now: Instant, out: &mut Outbox) {
        if !self.open {
            return;
        }
        self.let_time_pass(now, out);
        self.take_ended(now, out);
        if !self.is_dead() {
            self.send_errands(now, out);
            self.send_jog(now, out);
            self.send_program(now, out);
            // The end of a program begins with one, that of a jog as well.
            self.send_errands(now, out);
        }
        self.show_mode(out);
    }

    /// Position is not to be trusted any more.
    fn doubt(&mut self, why: &str) {
        self.live.position_doubt = Some(why.into());
        self.not_homed();
    }
}

impl Driver for Marlin {
    fn greet(&mut self, now: Instant, out: &mut Outbox) {
        let doubt = self.live.position_doubt.take();
        *self = Self::with(self.setup);
        // A cable that was out for a moment brings no lost step back.
        self.live.position_doubt = doubt;
        self.open = true;
        self.introduce(now, out);
        self.show_mode(out);
    }

    fn hear(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox) {
        if self.open {
            let silent = self.poll.is_silent();
            self.take_bytes(now, bytes, out);
            if silent && !self.poll.is_silent() {
                self.stop_heard_again(now, out);
            }
            self.advance(now, out);
        }
    }

    fn obey(&mut self, now: Instant, command: Command, out: &mut Outbox) -> Result<(), Refusal> {
        self.command(now, command, out)?;
        self.advance(now, out);
        Ok(())
    }

    fn begin(&mut self, now: Instant, program: Program, out: &mut Outbox) -> Result<(), Refusal> {
        self.begin_program(program)?;
        self.advance(now, out);
        Ok(())
    }

    fn appetite(&self) -> usize {
        self.room_for_lines()
    }

    fn feed(&mut self, now: Instant, line: ProgramLine, out: &mut Outbox) {
        if let Some(program) = &mut self.program {
            program.queue.push_back(line);
            self.send_program(now, out);
        }
    }

    fn finish(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(program) = &mut self.program {
            program.finished = true;
            self.advance(now, out);
        }
    }

    fn stop(&mut self, now: Instant, how: Stop, out: &mut Outbox) {
        if self.open {
            self.stop_by(now, how, out);
            self.advance(now, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.open || self.is_dead() {
            return None;
        }
        [self.stream.deadline(self.patience()), self.poll_due(), self.stop_due(), self.jog_due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn tick(&mut self, now: Instant, out: &mut Outbox) {
        if self.open && !self.is_dead() {
            self.ask_in_time(now);
            self.stop_in_time(now, out);
            self.advance(now, out);
        }
    }

    fn farewell(&mut self, now: Instant, out: &mut Outbox) {
        if !self.open {
            return;
        }
        self.jog_let_go();
        if self.program.is_some() {
            let text = "the house is closing".to_owned();
            self.lose_program(Cause::Closing, text, false, out);
            // It may wait for warmth, and what switches that off would wait behind.
            self.speak_past_the_queue("M108", out);
            self.leave_cold();
        }
        self.advance(now, out);
    }

    fn cut(&mut self, _now: Instant, reason: &str, out: &mut Outbox) {
        self.stop_cut_off(out);
        self.lose_program(Cause::Link, format!("the link is lost: {reason}"), false, out);
        if self.open {
            self.open = false;
            self.errands.clear();
            self.jogs.clear();
            self.show_mode(out);
            out.events.push_back(Event::Disconnected { reason: reason.into() });
        }
    }

    fn live(&self) -> &Live {
        &self.live
    }

    fn progress(&self) -> Option<Progress> {
        self.progress
    }

    fn unanswered_bytes(&self) -> usize {
        self.stream.bytes()
    }
}
