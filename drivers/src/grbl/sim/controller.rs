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
//! Not here: the `$` commands ([`super::commands`]) and the texts it says ([`super::report`]).

use std::collections::VecDeque;
use std::mem::take;

use headstock_config::machine::Xyz;

use super::Options;
use super::line::LineBuffer;
use super::planner::{Kind, Move, Planner};
use super::program::{Act, Offsets, Program, Rules};
use super::settings::Settings;

/// A planner that runs empty and is filled again within this time has starved.
const STARVED_WITHIN_S: f64 = 0.5;
/// What a spindle is given to turn again after a door, and a coolant pump.
const DOOR_SPINDLE_S: f64 = 4.0;
const DOOR_COOLANT_S: f64 = 1.0;

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
enum After {
    Reboot,
    /// Lock up until a reset.
    LockUp,
}

/// A line being carried out.
#[derive(Debug)]
struct Work {
    acts: VecDeque<Act>,
    /// Said in front of the answer: start-up lines echo themselves.
    prefix: String,
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
pub(super) struct Controller {
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
    rx: VecDeque<u8>,
    realtime: Vec<u8>,
    line: LineBuffer,
    /// A whole line, and when the processor is done reading it.
    reading: Option<(Result<String, u8>, f64)>,
    startup_lines: VecDeque<String>,
    work: Option<Work>,
    dwell_until: Option<f64>,
    /// A probe under way: whether it will touch, and whether it must.
    probing: Option<(bool, bool)>,
    busy_until: f64,
    deaf_until: f64,
    after: Option<After>,
    locked_up: bool,
    jog_cancelled: bool,
    soft_limit: bool,
    emptied: Option<f64>,
}

impl Controller {
    /// Switched on, and greeting.
    pub(super) fn new(options: Options) -> Self {
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
    pub(super) fn receive(&mut self, now: f64, byte: u8) {
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
    pub(super) fn advance(&mut self, now: f64) {
        self.now = now;
        while self.step() {}
        self.counters.position = self.settings.stepped(self.planner.now(self.machine_time()).0);
    }

    /// The figures, which are told often, without the text, which is long.
    pub(super) fn figures(&self) -> Counters {
        Counters { text: Vec::new(), ..self.counters }
    }

    /// What it has said since it was last asked.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        take(&mut self.out)
    }

    /// When `advance` has something to do, if nothing arrives before.
    pub(super) fn next_event(&self) -> Option<f64> {
        if self.now < self.busy_until {
            return Some(self.busy_until);
        }
        let motion = self.planner.next_event().map(|at| at / self.options.time_scale);
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

    pub(super) fn machine_time(&self) -> f64 {
        if self.instant() { self.now } else { self.now * self.options.time_scale }
    }

    fn instant(&self) -> bool {
        self.options.time_scale <= 0.0
    }

    fn scaled(&self, seconds: f64) -> f64 {
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
    fn suspended(&self) -> bool {
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

    // ---- motion -------------------------------------------------------------------------------

    fn motion(&mut self) {
        let was_moving = self.planner.moving();
        if let Some(at) = self.planner.advance(self.machine_time()) {
            self.emptied = Some(at / self.options.time_scale);
        }
        if was_moving && !self.planner.moving() {
            self.rested();
        }
    }

    /// It has come to rest: at the end of all blocks, or in a hold.
    fn rested(&mut self) {
        if self.soft_limit {
            self.soft_limit_hit();
            return;
        }
        if take(&mut self.jog_cancelled) {
            self.forget_motion();
        }
        match self.state {
            State::Run | State::Jog => self.state = State::Idle,
            State::Hold { .. } => self.state = State::Hold { rest: true },
            State::Door(_) => self.park(),
            _ => (),
        }
    }

    /// Drops all blocks; parser and planner agree again on where it stands.
    fn forget_motion(&mut self) {
        let position = self.planner.flush(self.machine_time());
        self.program.modes.position = position;
    }

    fn soft_limit_hit(&mut self) {
        self.soft_limit = false;
        self.forget_motion();
        self.alarm(2);
    }

    fn add(&mut self, wish: &Move) {
        if !self.planner.moving()
            && let Some(at) = self.emptied.take()
            && self.now - at < STARVED_WITHIN_S
        {
            self.counters.starved += 1;
        }
        if !self.planner.add(self.machine_time(), wish) {
            return;
        }
        self.counters.blocks += 1;
        if self.instant() && self.state != (State::Hold { rest: false }) {
            self.planner.finish();
        } else if self.state == State::Idle {
            self.state = if wish.kind == Kind::Jog { State::Jog } else { State::Run };
        }
    }

    // ---- realtime -----------------------------------------------------------------------------

    fn obey(&mut self, byte: u8) {
        match byte {
            0x18 => self.soft_reset(),
            b'?' => self.status(),
            b'!' => self.feed_hold(),
            b'~' => self.cycle_start(),
            0x84 => self.door(),
            0x85 if self.state == State::Jog => self.cancel_jog(),
            0x9E if matches!(self.state, State::Hold { .. }) => {
                self.spindle_stopped = !self.spindle_stopped && self.spindle.0 != 0;
                self.due[1] = 0;
            }
            0xA0 if matches!(self.state, State::Idle | State::Run | State::Hold { .. }) => {
                self.flood = !self.flood;
                self.program.modes.flood = self.flood;
                self.due[1] = 0;
            }
            0x90..=0x9D => self.override_by(byte),
            _ => (),
        }
    }

    fn override_by(&mut self, byte: u8) {
        let [feed, rapid, spindle] = &mut self.overrides;
        let stepped = |value: u16, by: i16| value.saturating_add_signed(by).clamp(10, 200);
        match byte {
            0x90 => *feed = 100,
            0x91 => *feed = stepped(*feed, 10),
            0x92 => *feed = stepped(*feed, -10),
            0x93 => *feed = stepped(*feed, 1),
            0x94 => *feed = stepped(*feed, -1),
            0x95 => *rapid = 100,
            0x96 => *rapid = 50,
            0x97 => *rapid = 25,
            0x99 => *spindle = 100,
            0x9A => *spindle = stepped(*spindle, 10),
            0x9B => *spindle = stepped(*spindle, -10),
            0x9C => *spindle = stepped(*spindle, 1),
            0x9D => *spindle = stepped(*spindle, -1),
            _ => return,
        }
        self.due[1] = 0;
        self.use_overrides();
    }

    fn use_overrides(&mut self) {
        let factors = [self.overrides[0], self.overrides[1]].map(|it| f64::from(it) / 100.0);
        self.planner.set_overrides(self.machine_time(), factors);
    }

    fn feed_hold(&mut self) {
        match self.state {
            State::Run => {
                self.counters.holds += 1;
                self.state = State::Hold { rest: false };
                self.slow_down();
            }
            State::Jog => self.cancel_jog(),
            State::Idle => self.state = State::Hold { rest: true },
            _ => (),
        }
    }

    fn slow_down(&mut self) {
        self.planner.hold(self.machine_time());
        if !self.planner.moving() {
            self.rested();
        }
    }

    fn cancel_jog(&mut self) {
        self.jog_cancelled = true;
        self.slow_down();
    }

    fn cycle_start(&mut self) {
        match self.state {
            State::Hold { rest: true } => self.go_on(),
            State::Door(Door::Parked) if !self.door_pin => {
                let spindle = if self.spindle.0 == 0 { 0.0 } else { DOOR_SPINDLE_S };
                let coolant = if self.flood { DOOR_COOLANT_S } else { 0.0 };
                let until = self.now + self.scaled(spindle + coolant);
                if spindle > 0.0 {
                    self.say("[MSG:Restoring spindle]");
                }
                self.state = State::Door(Door::Restoring(until));
            }
            _ => (),
        }
    }

    fn go_on(&mut self) {
        self.spindle_stopped = false;
        self.due[1] = 0;
        self.planner.resume(self.machine_time());
        self.state = if self.planner.moving() { State::Run } else { State::Idle };
    }

    pub(super) fn door(&mut self) {
        match self.state {
            State::Alarm | State::Check | State::Sleep | State::Home(_) => return,
            State::Jog => self.jog_cancelled = true,
            _ => (),
        }
        self.say("[MSG:Check Door]");
        match self.state {
            State::Run | State::Jog | State::Hold { rest: false } => {
                self.state = State::Door(Door::Slowing);
                self.slow_down();
            }
            State::Door(Door::Slowing) => (),
            _ => self.park(),
        }
    }

    fn park(&mut self) {
        self.due[1] = 0;
        self.state = State::Door(Door::Parked);
    }

    fn door_over(&mut self) {
        if self.door_pin {
            self.park();
        } else {
            self.go_on();
        }
    }

    /// Whether spindle and coolant are really on: a door stop and a spindle stop switch them off.
    pub(super) fn accessories_run(&self) -> bool {
        !matches!(self.state, State::Door(Door::Parked) | State::Sleep)
    }

    // ---- alarms and resets --------------------------------------------------------------------

    /// The soft reset, asked for or by itself.
    pub(super) fn soft_reset(&mut self) {
        self.counters.resets += 1;
        let homing = matches!(self.state, State::Home(_));
        let moving = self.planner.moving() || homing;
        self.forget_motion();
        if moving && !self.locked_up {
            self.homed = false;
            self.alarm(if homing { 6 } else { 3 });
            self.after = Some(After::Reboot);
        } else {
            self.reboot();
        }
    }

    pub(super) fn alarm(&mut self, number: u8) {
        self.say(&format!("ALARM:{number}"));
        self.state = State::Alarm;
        self.work = if number <= 2 { None } else { self.work.take() };
        self.switch_off();
        self.busy_until = self.now + self.options.alarm_pause.as_secs_f64();
        self.after = (number <= 2).then_some(After::LockUp);
    }

    /// A switch at the end of an axis was hit: steps are lost, nothing slows down.
    pub(super) fn hard_limit(&mut self) {
        self.forget_motion();
        self.homed = false;
        self.jog_cancelled = false;
        self.alarm(1);
    }

    /// The supply failed for a moment: only EEPROM is left.
    pub(super) fn restart(&mut self) {
        self.counters.resets += 1;
        self.planner.flush(self.machine_time());
        self.planner.set_position([0.0; 3]);
        self.homed = false;
        (self.after, self.busy_until, self.deaf_until) = (None, 0.0, 0.0);
        self.state = if self.settings.is(22) { State::Alarm } else { State::Idle };
        self.reboot();
    }

    fn switch_off(&mut self) {
        (self.spindle, self.flood, self.spindle_stopped) = ((0, 0.0), false, false);
    }

    /// Everything but position and EEPROM begins anew.
    fn reboot(&mut self) {
        self.rx.clear();
        self.realtime.clear();
        self.line = LineBuffer::default();
        (self.reading, self.work) = (None, None);
        (self.dwell_until, self.probing) = (None, None);
        (self.locked_up, self.jog_cancelled, self.soft_limit) = (false, false, false);
        self.emptied = None;
        self.switch_off();
        self.overrides = [100; 3];
        self.use_overrides();
        let position = self.planner.end();
        let mut offsets = take(&mut self.program.offsets);
        offsets.g92 = [0.0; 3];
        self.program = Program::new(position, offsets);
        self.offset = self.program.offset();
        self.due = [0; 2];
        self.say("");
        self.say("Grbl 1.1h ['$' for help]");
        if matches!(self.state, State::Alarm | State::Sleep) {
            self.state = State::Alarm;
            self.say("[MSG:'$H'|'$X' to unlock]");
        } else {
            self.state = State::Idle;
            self.run_startup();
        }
    }

    pub(super) fn run_startup(&mut self) {
        let lines = self.startup.iter().filter(|line| !line.is_empty()).cloned();
        self.startup_lines = lines.collect();
    }

    // ---- lines --------------------------------------------------------------------------------

    /// The next piece of work on lines. Returns whether there was one.
    fn work(&mut self) -> bool {
        if let Some(mut work) = self.work.take() {
            let busy = work.acts.front().cloned();
            let Some(act) = busy else {
                self.say(&format!("{}ok", work.prefix));
                return true;
            };
            let over = self.act(act);
            if over {
                work.acts.pop_front();
            }
            // An alarm may have thrown the line away.
            if !self.locked_up && self.after != Some(After::LockUp) {
                self.work = Some(work);
            }
            return over;
        }
        if let Some(text) = self.startup_lines.pop_front() {
            self.gcode(&text, false, format!(">{text}:"));
            return true;
        }
        if let Some((line, at)) = self.reading.take() {
            if self.now < at {
                self.reading = Some((line, at));
                return false;
            }
            self.read(line);
            return true;
        }
        let Some(byte) = self.rx.pop_front() else { return false };
        if let Some(line) = self.line.take(byte) {
            let bytes = line.as_ref().map_or(80, String::len);
            let cost = self.options.line_time + self.options.byte_time * bytes as u32;
            self.reading = Some((line, self.now + cost.as_secs_f64()));
        }
        true
    }

    fn read(&mut self, line: Result<String, u8>) {
        self.counters.lines += 1;
        let text = match line {
            Ok(text) => text,
            Err(number) => return self.refuse(number, ""),
        };
        if self.options.keep_lines {
            self.counters.text.push(text.clone());
        }
        if text.is_empty() {
            self.say("ok");
        } else if let Some(command) = text.strip_prefix('$') {
            match self.command(command) {
                Ok(Some(acts)) => self.begin(acts, String::new()),
                Ok(None) => (),
                Err(number) => self.refuse(number, ""),
            }
        } else if matches!(self.state, State::Alarm | State::Jog) {
            self.refuse(9, "");
        } else {
            self.gcode(&text, false, String::new());
        }
    }

    /// Reads G-code; `prefix` comes before the answer.
    pub(super) fn gcode(&mut self, text: &str, jog: bool, prefix: String) {
        let rules =
            Rules { arc_tolerance: self.settings.get(12), laser: self.settings.is(32), jog };
        let before = jog.then(|| self.program.clone());
        let mut acts = match self.program.read(text, rules) {
            Ok(acts) => acts,
            Err(number) => return self.refuse(number, &prefix),
        };
        let beyond = acts.iter().any(|act| matches!(act, Act::Move(it) if self.beyond(it.target)));
        if beyond && let Some(before) = before {
            self.program = before;
            return self.refuse(15, &prefix);
        }
        if self.state == State::Check {
            if beyond {
                return self.alarm(2);
            }
            acts.retain(|act| matches!(act, Act::Offset(_) | Act::End));
        }
        self.begin(acts, prefix);
    }

    fn begin(&mut self, acts: VecDeque<Act>, prefix: String) {
        self.work = Some(Work { acts, prefix });
    }

    fn refuse(&mut self, number: u8, prefix: &str) {
        self.counters.errors += 1;
        self.say(&format!("{prefix}error:{number}"));
    }

    fn beyond(&self, target: Xyz) -> bool {
        self.settings.is(20) && !self.settings.within_travel(target)
    }

    /// Carries an act on. Returns whether it is over.
    fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Drain => {
                let drained = !self.planner.moving() && self.planner.depth() == 0;
                self.emptied = if drained { None } else { self.emptied };
                return drained;
            }
            Act::Move(wish) => return self.act_move(&wish),
            Act::Dwell(seconds) => {
                let ends = self.now + self.scaled(seconds);
                let until = *self.dwell_until.get_or_insert(ends);
                if self.now < until {
                    return false;
                }
                self.dwell_until = None;
            }
            Act::Spindle(direction, speed) => {
                let speed = if direction == 0 { 0.0 } else { speed.min(self.settings.get(30)) };
                self.spindle = (direction, speed);
                self.due[1] = 0;
            }
            Act::Flood(on) => {
                self.flood = on;
                self.due[1] = 0;
            }
            Act::Offset(offset) => {
                self.offset = offset;
                self.due[0] = 0;
            }
            Act::Store(bytes) => {
                let span = self.options.eeprom_byte.as_secs_f64() * bytes as f64;
                self.busy_until = self.now + span;
                self.deaf_until = self.busy_until;
            }
            Act::Probe { wish, away, lenient } => return self.act_probe(&wish, away, lenient),
            Act::Pause => self.state = State::Hold { rest: true },
            Act::End => {
                self.overrides = [100; 3];
                self.use_overrides();
                self.due[1] = 0;
                self.say("[MSG:Pgm End]");
            }
        }
        true
    }

    fn act_move(&mut self, wish: &Move) -> bool {
        if self.beyond(wish.target) {
            if self.planner.moving() {
                self.soft_limit = true;
                self.state = State::Hold { rest: false };
                self.slow_down();
            } else {
                self.soft_limit_hit();
            }
            return true;
        }
        if self.planner.depth() >= self.options.planner_blocks {
            return false;
        }
        self.add(wish);
        true
    }

    fn act_probe(&mut self, wish: &Move, away: bool, lenient: bool) -> bool {
        match self.probing {
            None => {
                if self.touches(self.planner.end()) != away {
                    self.alarm(4);
                    self.forget_motion();
                    return true;
                }
                let (end, met) = self.contact(wish.target, away);
                self.probing = Some((met, lenient));
                self.add(&Move { target: end, ..*wish });
                false
            }
            Some(_) if self.planner.depth() > 0 => false,
            Some((met, lenient)) => {
                (self.probing, self.emptied) = (None, None);
                self.forget_motion();
                if !met && !lenient {
                    self.alarm(5);
                }
                let at = self.settings.stepped(self.planner.end());
                self.probed = (if met { at } else { self.probed.0 }, met);
                self.say_probe();
                true
            }
        }
    }

    /// Whether the probe touches the plate, which is a plane of constant Z.
    pub(super) fn touches(&self, at: Xyz) -> bool {
        self.options.probe_plane.is_some_and(|plane| at[2] <= plane + 1e-9)
    }

    /// Where a probe on its way to `target` changes, or the target, and whether it does.
    fn contact(&self, target: Xyz, away: bool) -> (Xyz, bool) {
        let from = self.planner.end();
        let Some(plane) = self.options.probe_plane else { return (target, false) };
        if self.touches(target) == away {
            return (target, false);
        }
        let share = (plane - from[2]) / (target[2] - from[2]);
        let at = std::array::from_fn(|axis| from[axis] + (target[axis] - from[axis]) * share);
        (at, true)
    }

    // ---- homing -------------------------------------------------------------------------------

    /// Begins to look for the switches; they are at the far end of each axis.
    pub(super) fn begin_homing(&mut self) {
        let (seek, locate) = (self.settings.get(25) / 60.0, self.settings.get(24) / 60.0);
        let pull_off = self.settings.get(27);
        let travel = self.settings.xyz(130);
        let here = self.planner.end();
        let way: [f64; 3] = std::array::from_fn(|axis| {
            let edge = if self.settings.bit(23, axis as u32) { -travel[axis] } else { 0.0 };
            let known = (edge - here[axis]).abs();
            if self.homed { known } else { known.max(0.2 * travel[axis]) }
        });
        let twice = 2.0 * (pull_off / locate + pull_off / seek + self.settings.get(26) / 1e3);
        let seconds = way[2] / seek + way[0].max(way[1]) / seek + 2.0 * twice;
        self.state = State::Home(self.now + self.scaled(seconds));
    }

    fn homed_now(&mut self) -> bool {
        let (pull_off, travel) = (self.settings.get(27), self.settings.xyz(130));
        let position: Xyz = std::array::from_fn(|axis| {
            if self.settings.bit(23, axis as u32) { pull_off - travel[axis] } else { -pull_off }
        });
        self.planner.set_position(position);
        self.program.modes.position = position;
        self.homed = true;
        self.state = State::Idle;
        self.say("ok");
        self.run_startup();
        true
    }
}
