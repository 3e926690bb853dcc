//! Devices, one folder each, behind one trait.
//!
//! A driver is a pure translator: bytes, commands and program lines go in; bytes and events come
//! out. It opens nothing, waits for nothing and never reads a clock, so every conversation can be
//! recorded, replayed and fuzzed.
//!
//! Invariants: only `link` and pretend devices touch the operating system; time reaches a driver
//! only as an argument; `stop` never refuses and never waits.

pub mod bus;
pub mod discover;
pub mod gcode;
pub mod gpio;
pub mod grbl;
mod hand;
pub mod i2c;
pub mod link;
pub mod marlin;
pub mod modbus;
pub mod registry;
pub mod sim;
pub mod stops;

use std::collections::VecDeque;
use std::time::Instant;

use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::machine::{Live, Progress};

use crate::gcode::ProgramLine;

/// Translates between one device's language and the words of the house.
pub trait Driver: Send {
    /// The link has just opened. Nothing that moves, resets or unlocks may be sent from here:
    /// the device may be in the middle of work that an earlier run of the house began.
    fn greet(&mut self, now: Instant, out: &mut Outbox);

    /// Bytes arrived; they may hold half a message or several.
    fn hear(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox);

    /// Someone with the right to do so wants this done. Stops come through `stop` instead.
    fn obey(&mut self, now: Instant, command: Command, out: &mut Outbox) -> Result<(), Refusal>;

    /// A program is about to be fed; the device is made ready (check mode for a dry run).
    fn begin(&mut self, now: Instant, program: Program, out: &mut Outbox) -> Result<(), Refusal>;

    /// How many program lines it would take now. 0 while it waits for answers or for a person.
    fn appetite(&self) -> usize;

    /// The program's next line. Never more of them than `appetite` said.
    fn feed(&mut self, now: Instant, line: ProgramLine, out: &mut Outbox);

    /// There are no more lines. `Event::ProgramDone` follows when all has been carried out.
    fn finish(&mut self, now: Instant, out: &mut Outbox);

    /// Stop. Never refuses. `Event::AtRest` follows `Stop` and `Abort`; `Mode::Held` a hold.
    fn stop(&mut self, now: Instant, how: Stop, out: &mut Outbox);

    /// The moment `tick` wants to be called next, if any.
    fn deadline(&self) -> Option<Instant>;

    /// The deadline passed: poll, retry, or give up.
    fn tick(&mut self, now: Instant, out: &mut Outbox);

    /// We are leaving on purpose: what must the device hear last?
    fn farewell(&mut self, now: Instant, out: &mut Outbox);

    /// The link is gone. Whatever was under way is lost; says so in `out.events`.
    fn cut(&mut self, now: Instant, reason: &str, out: &mut Outbox);

    /// The latest the device has said about itself (`at_ms` is filled in by the machine task).
    fn live(&self) -> &Live;

    /// How far the program has come, if one is being fed.
    fn progress(&self) -> Option<Progress>;

    /// Bytes sent that the device has not yet answered for. They bound what can still wait in
    /// the kernel, so an answer lets the link write again before the wire model would.
    fn unanswered_bytes(&self) -> usize;
}

/// A program that is about to be fed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Program {
    /// Check mode: parse, do not move.
    pub dry_run: bool,
    /// Layers in all, if it is a print that tells them; 0 otherwise.
    pub layers: u32,
}

/// What a driver wants done after it was called.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Realtime bytes: they overtake everything in `bytes`.
    pub urgent: Vec<u8>,
    /// Bytes for the device, in order.
    pub bytes: Vec<u8>,
    /// News for the house, in order.
    pub events: VecDeque<Event>,
}

/// Why a driver will not carry out a command right now.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The device has not answered yet, or has gone.
    #[error("the machine is not online")]
    NotOnline,
    /// The device is in a mode in which it would refuse or misread this.
    #[error("not while the machine is {0}")]
    NotNow(&'static str),
    /// Too much is waiting already.
    #[error("{0} commands are already waiting")]
    Backlog(usize),
    /// The text would be misread by the device.
    #[error("the line is {0} bytes long; the controller takes at most {1}")]
    TooLong(usize, usize),
    /// The text is not something this device can be sent.
    #[error("{0}")]
    BadCommand(String),
    /// The command is sound, and not as the device stands now: not homed, cold, at its end.
    #[error("{0}")]
    Unready(String),
    /// This kind of device cannot do that.
    #[error("this controller cannot {0}")]
    Unsupported(&'static str),
}
