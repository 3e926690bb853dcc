//! GRBL 1.1 and its relatives: G-code over a serial line, one `ok` or `error:N` per line.
//!
//! ```text
//!  greet ─ introduce ─┬─ commands ─> errands ──┐ one at a time
//!                     ├─ program ──────────────┼─> stream ─> bytes     counted
//!                     ├─ jog ──────────────────┘
//!                     └─ stop, poll, overrides ────────────> urgent    not counted
//!  hear ─ protocol ─> answers ─> stream, integrity, status ─> mode ─> events
//! ```
//!
//! This file only divides the work; each part has a file with its own rules. What all keep:
//! nothing goes out that the controller has no room for; nothing is sent on a connection that has
//! not been looked at first; whatever arrives, nothing panics. Not here: how bytes travel
//! (`crate::link`), where lines come from (`crate::gcode`), what a job is (the daemon).

mod answers;
mod busy;
mod commands;
pub mod dialect;
mod errand;
mod hold;
mod integrity;
mod introduce;
mod jog;
mod jog_hold;
mod modal;
mod mode;
mod offsets;
mod overrides;
mod poll;
mod prepare;
mod program;
pub mod protocol;
mod silence;
pub mod sim;
mod status;
mod stop;
mod stream;
#[cfg(test)]
mod tests;
mod toolchange;
mod verify;
mod window;
pub mod words;

use std::collections::VecDeque;
use std::time::Instant;

use headstock_config::command::{Command, Stop};
use headstock_config::event::{Cause, Event};
use headstock_config::machine::{
    Envelope, HoldMeans, Live, Machine, Mode, OnError, Progress, StopMeans, Units, Xyz,
};

use self::dialect::Capabilities;
use self::errand::Errand;
use self::hold::Hold;
use self::introduce::Introduction;
use self::jog::Jogs;
use self::modal::Modal;
use self::offsets::Heard;
use self::overrides::Overrides;
use self::poll::Poll;
use self::program::Running;
use self::protocol::State;
use self::status::Sight;
use self::stop::Stopping;
use self::stream::Stream;
use crate::gcode::ProgramLine;
use crate::{Driver, Outbox, Program, Refusal};

/// One GRBL controller.
#[derive(Debug)]
pub struct Grbl {
    setup: Setup,
    /// The link is open.
    open: bool,
    /// The part of a line that has arrived.
    partial: Vec<u8>,
    it: Capabilities,
    sight: Sight,
    stream: Stream,
    errands: VecDeque<Errand>,
    /// `[GC:…]` of the question being answered.
    heard_modal: Option<Modal>,
    /// What `$#` has said so far.
    heard_offsets: Heard,
    /// Something may have changed the offsets; they are asked for after this many reports.
    offsets_due: Option<u64>,
    /// Something unreadable came while it was being answered.
    heard_damage: bool,
    intro: Introduction,
    poll: Poll,
    program: Option<Running>,
    /// Of the running program, or the last one.
    progress: Option<Progress>,
    stopping: Option<Stopping>,
    hold: Hold,
    jogs: Jogs,
    overrides: Overrides,
    /// Homing since.
    homing: Option<Instant>,
    /// An alarm came while homing.
    home_failed: bool,
    /// Locked so that it answers nothing until a reset.
    locked_silent: bool,
    /// The alarm that locked it has lost steps.
    lock_lost_position: bool,
    /// It should answer and does not.
    silent: bool,
    /// Check mode is being left, which ends in a restart of the controller.
    restart_expected: bool,
    /// Half a line may stand in its line buffer.
    dirty: bool,
    /// Reports of rest that are needed before it counts as at rest: see `busy`.
    stirred: u8,
    /// Reports in a row that showed rest with an answer missing.
    answer_missing: u8,
    /// The mode the house was told.
    shown: Mode,
    messages: answers::Messages,
}

/// What the configuration says.
#[derive(Clone, Copy, Debug)]
struct Setup {
    laser: bool,
    hold: HoldMeans,
    stop: StopMeans,
    on_error: OnError,
    spinup_s: f64,
    /// Of programs that do not say.
    units: Units,
    /// The link carries reports ten times a second without being felt.
    fast_link: bool,
    /// Bits per second.
    baud: u32,
    /// What the tool can reach, if it is declared.
    envelope: Option<Envelope>,
    /// Distance that a held jog may overrun, mm per axis.
    jog_overrun: Xyz,
}

impl Grbl {
    /// A driver for this machine, not connected yet.
    pub fn new(machine: &Machine) -> Self {
        Self::with(Setup {
            laser: machine.laser,
            hold: machine.hold,
            stop: machine.stop,
            on_error: machine.on_error,
            spinup_s: machine.spinup_s,
            units: machine.units,
            fast_link: 200_000 <= machine.baud,
            baud: machine.baud,
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
            sight: Sight::default(),
            stream: Stream::default(),
            errands: VecDeque::new(),
            heard_modal: None,
            heard_offsets: Heard::default(),
            offsets_due: None,
            heard_damage: false,
            intro: Introduction::default(),
            poll: Poll::default(),
            program: None,
            progress: None,
            stopping: None,
            hold: Hold::default(),
            jogs: Jogs::default(),
            overrides: Overrides::default(),
            homing: None,
            home_failed: false,
            locked_silent: false,
            lock_lost_position: false,
            silent: false,
            restart_expected: false,
            dirty: false,
            stirred: 0,
            answer_missing: 0,
            shown: Mode::Offline,
            messages: answers::Messages::default(),
        }
    }

    fn is_laser(&self) -> bool {
        self.setup.laser || self.it.controller.laser == Some(true)
    }

    /// After anything has changed: does what can be done now.
    fn advance(&mut self, now: Instant, out: &mut Outbox) {
        if !self.open {
            return;
        }
        self.introduce(now);
        self.ask_offsets();
        self.send_errand(now, out);
        self.send_jog(now, out);
        self.send_program(now, out);
        self.step_overrides(now, out);
        self.show_mode(out);
    }
}

impl Driver for Grbl {
    fn greet(&mut self, now: Instant, out: &mut Outbox) {
        let doubt = self.sight.live.position_doubt.take();
        *self = Self::with(self.setup);
        // A cable that was out for a moment brings no lost step back.
        self.sight.live.position_doubt = doubt;
        self.open = true;
        self.intro = Introduction::begin(now);
        self.poll.ask(now, &[], out);
        self.show_mode(out);
    }

    fn hear(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox) {
        if self.open {
            self.take_bytes(now, bytes, out);
            self.advance(now, out);
        }
    }

    fn obey(&mut self, now: Instant, command: Command, out: &mut Outbox) -> Result<(), Refusal> {
        let acts = command.acts();
        let changes =
            matches!(command, Command::Zero { .. } | Command::WorkOffset { .. } | Command::Reset);
        let resumes = matches!(command, Command::Resume);
        let places = matches!(
            command,
            Command::Zero { .. } | Command::Probe { .. } | Command::Run { .. } | Command::Reset
        );
        self.command(now, command, out)?;
        if acts {
            self.stir();
        }
        if places {
            self.offsets_may_differ();
        }
        if (acts || changes) && !resumes {
            self.note_touched();
        }
        self.advance(now, out);
        Ok(())
    }

    fn begin(&mut self, now: Instant, program: Program, out: &mut Outbox) -> Result<(), Refusal> {
        self.stir();
        self.begin_program(now, program, out)
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
            self.show_mode(out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.open {
            return None;
        }
        [
            self.poll_due(),
            self.stop_deadline(),
            self.override_deadline(),
            self.intro.deadline(),
            self.program_deadline(),
            self.jogs.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn tick(&mut self, now: Instant, out: &mut Outbox) {
        if !self.open {
            return;
        }
        if self.poll_due().is_some_and(|due| due <= now) {
            self.poll.ask(now, &[], out);
        }
        self.notice_silence(now, out);
        self.stop_tick(now, out);
        self.program_tick(now, out);
        self.advance(now, out);
    }

    fn farewell(&mut self, now: Instant, out: &mut Outbox) {
        if !self.open || self.stopping.is_some() {
            return;
        }
        let jogs = self.jogs.is_held() || self.stream.has_jog();
        if self.program.is_some() || jogs || matches!(self.sight.state, State::Run | State::Jog) {
            // Nobody will be here to see where it comes to rest.
            self.hold_motion(now, out);
            self.lose_program(Cause::Closing, "the house is closing".into(), false, out);
        }
    }

    fn cut(&mut self, _now: Instant, reason: &str, out: &mut Outbox) {
        if let Some((cause, reason)) = self.stop_cut_off() {
            out.events.push_back(Event::ProgramLost { cause, reason, position_kept: false });
        }
        self.lose_program(Cause::Link, format!("the link is lost: {reason}"), false, out);
        if self.open {
            self.open = false;
            self.jogs.clear();
            self.show_mode(out);
            out.events.push_back(Event::Disconnected { reason: reason.into() });
        }
    }

    fn live(&self) -> &Live {
        &self.sight.live
    }

    fn progress(&self) -> Option<Progress> {
        self.progress
    }

    fn unanswered_bytes(&self) -> usize {
        self.stream.bytes()
    }
}
