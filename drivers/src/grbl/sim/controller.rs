//! The pretend controller: bytes in, bytes out, time as an argument. No port, no thread, no clock.
//!
//! ```text
//!              +--> Home --> Idle <--> Check
//!   Alarm -----+              |  ^
//!     ^       $X              v  |                 0x84
//!     |                 Run, Jog -- ! --> Hold:1 --> Hold:0     (Door:2 --> Door:0/1 --> Door:3)
//!     |  0x18 in motion,      |                       | ~                                  |
//!     +-- limits, probe ------+<----------------------+------------------------------------+
//!  bytes --+--> realtime, at once
//!          +--> [ RX ring ] --> line --> Program --> acts --> [ Planner ] --> motion
//! ```
//!
//! As the real firmware (GRBL 1.1h): the ring drops what does not fit; realtime bytes are picked
//! out anywhere; every terminator is answered; nothing is answered while an alarm of the first two
//! kinds waits for a reset; writing EEPROM makes it deaf; a reset in motion loses position.
//! Here: what there is, and in which order things happen. Beside it: `realtime`, `alarm`, `lines`,
//! `acts`, `commands` (`$`), and `report` (the texts it says).

use std::collections::VecDeque;
use std::mem::take;

use headstock_config::machine::Xyz;

use super::Options;
use super::line::LineBuffer;
use super::planner::Planner;
use super::program::{Act, Offsets, Program};
use super::settings::Settings;

/// A planner that runs empty and is filled again within this time has starved.
pub(super) const STARVED_WITHIN_S: f64 = 0.5;

/// What the controller is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Idle,
    Run,
    Jog,
    /// `rest`: it has come to rest.
    Hold {
        rest: bool,
    },
    Door(Door),
    Alarm,
    Check,
    /// Until this time.
    Home(f64),
    Sleep,
}

/// How far a door stop has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Door {
    Slowing,
    Parked,
    /// Until this time.
    Restoring(f64),
}

/// What comes once the firmware is free again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum After {
    Reboot,
    /// Lock up until a reset.
    LockUp,
}

/// A line being carried out.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) acts: VecDeque<Act>,
    /// Said in front of the answer: start-up lines echo themselves.
    pub(super) prefix: String,
}

/// What an observer counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Lines read, blank ones included.
    pub lines: u64,
    /// Lines answered with an error.
    pub errors: u64,
    /// Bytes that the full RX ring dropped.
    pub overflowed: u64,
    /// Bytes lost while EEPROM was written.
    pub deaf: u64,
    /// Times that the planner ran empty inside motion.
    pub starved: u64,
    /// Feed holds begun.
    pub holds: u64,
    /// Soft resets, and those by itself.
    pub resets: u64,
    /// Motion blocks planned.
    pub blocks: u64,
    /// Status reports sent.
    pub reports: u64,
    /// Where the tool is, machine coordinates.
    pub position: Xyz,
    /// The lines as read, if [`Options::keep_lines`].
    pub text: Vec<String>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Controller {
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) program: Program,
    pub(super) planner: Planner,
    pub(super) state: State,
    pub(super) counters: Counters,
    /// Feed, rapid, spindle, in per cent.
    pub(super) overrides: [u16; 3],
    /// -1, 0, 1 and rev/min, as they are now.
    pub(super) spindle: (i8, f64),
    pub(super) spindle_stopped: bool,
    pub(super) flood: bool,
    /// The work offset as reported: follows the parser's when the planner has drained.
    pub(super) offset: Xyz,
    pub(super) probed: (Xyz, bool),
    pub(super) startup: [String; 2],
    pub(super) build_info: String,
    pub(super) homed: bool,
    /// Inputs that a fault holds: limit X, door.
    pub(super) limit_pin: bool,
    pub(super) door_pin: bool,
    /// Reports until WCO and Ov are due.
    pub(super) due: [u8; 2],
    pub(super) now: f64,
    pub(super) out: Vec<u8>,
    pub(super) rx: VecDeque<u8>,
    pub(super) realtime: Vec<u8>,
    pub(super) line: LineBuffer,
    /// A whole line, and when the processor is done reading it.
    pub(super) reading: Option<(Result<String, u8>, f64)>,
    pub(super) startup_lines: VecDeque<String>,
    pub(super) work: Option<Work>,
    pub(super) dwell_until: Option<f64>,
    /// A probe under way: whether it will touch, and whether it must.
    pub(super) probing: Option<(bool, bool)>,
    pub(super) busy_until: f64,
    pub(super) deaf_until: f64,
    pub(super) after: Option<After>,
    pub(super) locked_up: bool,
    pub(super) jog_cancelled: bool,
    pub(super) soft_limit: bool,
    pub(super) emptied: Option<f64>,
}

impl Controller {
    /// Switched on, and greeting.
    pub fn new(options: Options) -> Self {
        let mut settings = Settings::default();
        for &(number, value) in &options.settings {
            // Homing before soft limits, whatever the order; nonsense is left out as on the wire.
            settings.set(number, value).ok();
        }
        let planner = Planner::new(settings.limits(), options.start);
        let mut controller = Self {
            program: Program::new(options.start, Offsets::default()),
            planner,
            state: if settings.is(22) { State::Alarm } else { State::Idle },
            counters: Counters { position: options.start, ..Counters::default() },
            overrides: [100; 3],
            spindle: (0, 0.0),
            spindle_stopped: false,
            flood: false,
            offset: [0.0; 3],
            probed: ([0.0; 3], false),
            startup: options.startup.clone(),
            build_info: String::new(),
            homed: false,
            limit_pin: false,
            door_pin: false,
            due: [0; 2],
            now: 0.0,
            out: Vec::new(),
            rx: VecDeque::new(),
            realtime: Vec::new(),
            line: LineBuffer::default(),
            reading: None,
            startup_lines: VecDeque::new(),
            work: None,
            dwell_until: None,
            probing: None,
            busy_until: 0.0,
            deaf_until: 0.0,
            after: None,
            locked_up: false,
            jog_cancelled: false,
            soft_limit: false,
            emptied: None,
            options,
            settings,
        };
        controller.reboot();
        controller
    }

    /// A byte arrives at the UART at this many seconds since the start.
    pub fn receive(&mut self, now: f64, byte: u8) {
        if now < self.deaf_until {
            self.counters.deaf += 1;
            return;
        }
        match byte {
            0x18 | b'?' | b'!' | b'~' | 0x84 | 0x85 | 0x90..=0x9E | 0xA0 | 0xA1 => {
                // Flags, not a queue: the same byte twice before it is looked at is one.
                if !self.realtime.contains(&byte) {
                    self.realtime.push(byte);
                }
                self.advance(now);
            }
            0x80.. => (),
            _ if self.rx.len() < self.options.rx => self.rx.push_back(byte),
            _ => self.counters.overflowed += 1,
        }
    }

    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: f64) {
        self.now = now;
        while self.step() {}
        self.counters.position = self.settings.stepped(self.planner.now(self.machine_time()).0);
    }

    /// The figures, which are told often, without the text, which is long.
    pub fn figures(&self) -> Counters {
        Counters { text: Vec::new(), ..self.counters }
    }

    /// Its supply fails for a moment.
    pub fn switch_off_and_on(&mut self) {
        self.restart();
    }

    /// The lines as read, if they are kept.
    pub fn lines(&self) -> &[String] {
        &self.counters.text
    }

    /// What it has said since it was last asked.
    pub fn take_output(&mut self) -> Vec<u8> {
        take(&mut self.out)
    }

    /// When `advance` has something to do, if nothing arrives before.
    pub fn next_event(&self) -> Option<f64> {
        if self.now < self.busy_until {
            return Some(self.busy_until);
        }
        let motion = self.planner.next_event().map(|at| self.wall_time(at));
        let own = match self.state {
            State::Home(until) | State::Door(Door::Restoring(until)) => Some(until),
            _ => None,
        };
        let reading = self.reading.as_ref().map(|(_, at)| *at);
        let line = [reading, self.dwell_until].into_iter().flatten();
        let line = line.filter(|_| !self.suspended());
        [motion, own].into_iter().flatten().chain(line).min_by(f64::total_cmp)
    }

    /// Free bytes of the RX ring.
    pub(super) fn rx_free(&self) -> usize {
        self.options.rx - self.rx.len()
    }

    /// The first moment at which this machine time has come: a quotient may be rounded to just
    /// before it, and whoever waits for it would wait for ever.
    fn wall_time(&self, machine: f64) -> f64 {
        let scale = self.options.time_scale;
        let mut at = machine / scale;
        while at * scale < machine {
            at = at.next_up();
        }
        at
    }

    pub(super) fn machine_time(&self) -> f64 {
        if self.instant() { self.now } else { self.now * self.options.time_scale }
    }

    pub(super) fn instant(&self) -> bool {
        self.options.time_scale <= 0.0
    }

    pub(super) fn scaled(&self, seconds: f64) -> f64 {
        if self.instant() { 0.0 } else { seconds / self.options.time_scale }
    }

    /// One thing that is due. Returns whether there was one.
    fn step(&mut self) -> bool {
        if self.now < self.busy_until {
            return false;
        }
        match self.after.take() {
            Some(After::Reboot) => {
                self.reboot();
                return true;
            }
            Some(After::LockUp) => {
                self.say("[MSG:Reset to continue]");
                self.locked_up = true;
                self.realtime.clear();
                return true;
            }
            None => (),
        }
        self.motion();
        if let Some(byte) = self.next_realtime() {
            self.obey(byte);
            return true;
        }
        match self.state {
            _ if self.locked_up => false,
            State::Home(until) => self.now >= until && self.homed_now(),
            State::Door(Door::Restoring(until)) if self.now >= until => {
                self.door_over();
                true
            }
            _ if self.suspended() => false,
            _ => self.work(),
        }
    }

    /// Whether lines wait: the firmware sits in its suspend loop.
    pub(super) fn suspended(&self) -> bool {
        self.jog_cancelled
            || self.soft_limit
            || matches!(self.state, State::Hold { rest: true } | State::Door(_) | State::Sleep)
    }

    /// The reset comes first, whenever it arrived. Homing and a lock-up hear nothing else.
    fn next_realtime(&mut self) -> Option<u8> {
        if self.realtime.contains(&0x18) {
            self.realtime.clear();
            return Some(0x18);
        }
        if self.locked_up {
            self.realtime.clear();
        }
        if self.realtime.is_empty() || matches!(self.state, State::Home(_)) {
            return None;
        }
        Some(self.realtime.remove(0))
    }
}
