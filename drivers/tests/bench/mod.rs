//! The driver and the pretend controller on one desk, with a wire between them and a clock that is
//! only counted.
//!
//! ```text
//!  driver -> Outbox -> Pace -> [ wire, 10 bit times a byte, faults ] -> Controller
//!  driver <------------------- [ wire, 10 bit times a byte, faults ] <- Controller
//! ```
//!
//! Everything is the real code but the port and the clock; a minute of machining takes
//! milliseconds, and a run repeats exactly.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test program uses its own part of the bench"
)]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::machine::{Machine, Mode, Port, SoftLimits};
use headstock_drivers::gcode::{Language, ProgramLine, Reader};
use headstock_drivers::grbl::sim::{Controller, Options};
use headstock_drivers::link::far_end::Device;
use headstock_drivers::link::pace::Pace;
use headstock_drivers::marlin::line::TEXT_MAX;
use headstock_drivers::marlin::sim::{self as printer, Firmware};
use headstock_drivers::{Driver, Outbox, Program, Refusal, registry};

/// What happens to one byte on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hit {
    Drop,
    Flip(u8),
    Double,
}

/// Which way, and which byte since the program began (from 0), is hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    pub to_device: bool,
    pub byte: u64,
    pub hit: Hit,
}

pub struct Bench<D = Controller> {
    pub driver: Box<dyn Driver>,
    pub device: D,
    pub events: Vec<Event>,
    /// Everything that went to the device since the last look, realtime bytes included.
    pub wire: Vec<u8>,
    pub faults: Vec<Fault>,
    /// Bytes counted for the faults, to the device and to the host.
    pub passed: [u64; 2],
    /// Nothing goes through while this is set.
    pub mute: bool,
    pub seconds: f64,
    pub most_unanswered: usize,
    /// When the last line that the program has was answered.
    pub answered_at: f64,
    out: Outbox,
    pace: Pace,
    lines: VecDeque<ProgramLine>,
    total: u64,
    finished: bool,
    started: Instant,
    byte_s: f64,
    kernel: VecDeque<u8>,
    sending: Option<(f64, u8)>,
    receiving: VecDeque<u8>,
    arriving: Option<(f64, u8)>,
    /// The text that came from the device, for when a test fails.
    pub heard: Vec<u8>,
}

pub fn machine() -> Machine {
    Machine {
        id: "mill".into(),
        name: "mill".into(),
        driver: "grbl".into(),
        port: Port::Path(PathBuf::from("/dev/null")),
        soft_limits: SoftLimits::Off,
        spinup_s: 1.0,
        safe_z: 0.0,
        ..Machine::default()
    }
}

pub fn options() -> Options {
    Options { keep_lines: true, ..Options::default() }
}

/// A program as the streamer gets it.
pub fn program(text: &str) -> Vec<ProgramLine> {
    let mut reader = Reader::new(79);
    let numbered = text.lines().enumerate();
    numbered
        .filter_map(|(at, raw)| reader.read(at as u64 + 1, raw.as_bytes()).expect("a good line"))
        .collect()
}

/// A print as the streamer gets it.
pub fn print(text: &str) -> Vec<ProgramLine> {
    let mut reader = Reader::new(TEXT_MAX).speaking(Language::Print);
    let numbered = text.lines().enumerate();
    numbered
        .filter_map(|(at, raw)| reader.read(at as u64 + 1, raw.as_bytes()).expect("a good line"))
        .collect()
}

impl Bench<Firmware> {
    /// A printer and its driver, not connected yet.
    pub fn printer(machine: &Machine, options: printer::Options) -> Self {
        Self::around(machine, Firmware::new(options))
    }

    pub fn position(&self) -> [f64; 3] {
        let [x, y, z, _] = self.device.figures().position;
        [x, y, z]
    }
}

impl Bench<Controller> {
    pub fn new(options: Options) -> Self {
        Self::of(&machine(), options)
    }

    pub fn of(machine: &Machine, options: Options) -> Self {
        Self::around(machine, Controller::new(options))
    }

    /// Connected, introduced, idle.
    pub fn connected(options: Options) -> Self {
        Self::new(options).connect()
    }

    pub fn start(&mut self, text: &str) {
        self.start_lines(program(text), false);
    }

    /// Runs a program to its end, and gives what ended it.
    pub fn run(&mut self, text: &str) -> Event {
        self.start(text);
        self.ended(600.0)
    }

    pub fn position(&self) -> [f64; 3] {
        self.device.figures().position
    }
}

impl<D: Device> Bench<D> {
    fn around(machine: &Machine, device: D) -> Self {
        let kind = registry::find(&machine.driver).expect("it is in the list");
        let started = Instant::now();
        Self {
            driver: kind.driver(machine).expect("it speaks bytes"),
            device,
            events: Vec::new(),
            wire: Vec::new(),
            faults: Vec::new(),
            passed: [0; 2],
            mute: false,
            seconds: 0.0,
            most_unanswered: 0,
            answered_at: 0.0,
            out: Outbox::default(),
            pace: Pace::new(started, machine.baud),
            lines: VecDeque::new(),
            total: 0,
            finished: true,
            started,
            byte_s: 10.0 / f64::from(machine.baud),
            kernel: VecDeque::new(),
            sending: None,
            receiving: VecDeque::new(),
            arriving: None,
            heard: Vec::new(),
        }
    }

    pub fn connect(mut self) -> Self {
        self.driver.greet(self.now(), &mut self.out);
        self.until(10.0, "introduced", |it| {
            it.events.iter().any(|event| matches!(event, Event::Connected { .. }))
                && it.driver.live().work_position.is_some()
        });
        self.wait(0.5);
        self
    }

    pub fn now(&self) -> Instant {
        self.started + Duration::from_secs_f64(self.seconds)
    }

    pub fn obey(&mut self, command: Command) -> Result<(), Refusal> {
        let result = self.driver.obey(self.now(), command, &mut self.out);
        self.after_call();
        result
    }

    pub fn farewell(&mut self) {
        self.driver.farewell(self.now(), &mut self.out);
        self.after_call();
    }

    pub fn stop(&mut self, how: Stop) {
        self.driver.stop(self.now(), how, &mut self.out);
        self.after_call();
    }

    pub fn start_lines(&mut self, lines: Vec<ProgramLine>, dry_run: bool) {
        self.passed = [0; 2];
        self.lines = lines.into();
        self.total = self.lines.len() as u64;
        self.finished = false;
        self.driver
            .begin(self.now(), Program { dry_run, ..Program::default() }, &mut self.out)
            .expect("it is idle");
        self.after_call();
    }

    /// Waits for the end of the program.
    pub fn ended(&mut self, within_s: f64) -> Event {
        let over = |event: &&Event| matches!(event, Event::ProgramDone | Event::ProgramLost { .. });
        self.until(within_s, "the end of the program", |it| it.events.iter().any(|e| over(&e)));
        let ends: Vec<Event> = self.events.iter().filter(over).cloned().collect();
        assert_eq!(ends.len(), 1, "exactly one end: {ends:?}");
        ends[0].clone()
    }

    pub fn wait(&mut self, seconds: f64) {
        let end = self.seconds + seconds;
        let mut steps = 0_u64;
        while self.step(end) {
            steps += 1;
            assert!(
                (steps as f64) < 1e6 + seconds * 1e6,
                "no time passes: {:?} at {}, due {:?}",
                self.device.next_event(),
                self.seconds,
                self.driver.deadline().map(|at| at - self.started),
            );
        }
    }

    pub fn until(&mut self, within_s: f64, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.seconds + within_s;
        while !done(self) {
            let goes_on = self.step(end);
            assert!(
                goes_on || done(self),
                "no {what} within {within_s} s; {:?}; {:?}; sent {:?}; heard {:?}",
                self.driver.live(),
                self.events,
                String::from_utf8_lossy(&self.wire[self.wire.len().saturating_sub(200)..]),
                String::from_utf8_lossy(&self.heard[self.heard.len().saturating_sub(400)..])
            );
        }
    }

    pub fn until_mode(&mut self, mode: Mode) {
        self.until(60.0, mode.word(), |it| it.driver.live().mode == mode);
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Cuts the link on the driver's side and makes a new one, as a box that restarts.
    pub fn reopen(&mut self) {
        self.driver.cut(self.now(), "test", &mut self.out);
        self.out.urgent.clear();
        self.out.bytes.clear();
        self.driver.greet(self.now(), &mut self.out);
        self.after_call();
    }

    /// One thing that happens next, but not after `end`. Returns whether there was one.
    fn step(&mut self, end: f64) -> bool {
        self.fill_wire();
        let due = self
            .driver
            .deadline()
            .map(|at| at.checked_duration_since(self.started).map_or(0.0, |it| it.as_secs_f64()));
        let room = self.pace.room_at(self.now()).filter(|_| !self.out.bytes.is_empty());
        let times = [
            self.sending.map(|it| it.0),
            self.arriving.map(|it| it.0),
            self.device.next_event(),
            due,
            room.map(|at| (at - self.started).as_secs_f64()),
        ];
        let next = times.into_iter().flatten().fold(f64::INFINITY, f64::min);
        if end < next {
            self.seconds = end;
            return false;
        }
        // A scaled time may be rounded to just before the moment that it names.
        self.seconds = self.seconds.max(next + 1e-9);
        if let Some((at, byte)) = self.sending.filter(|it| it.0 <= self.seconds) {
            self.sending = None;
            self.deliver(at, byte);
        }
        self.device.advance(self.seconds);
        self.receiving.extend(self.device.take_output());
        if let Some((_, byte)) = self.arriving.filter(|it| it.0 <= self.seconds) {
            self.arriving = None;
            self.hear(byte);
        }
        if due.is_some_and(|due| due <= self.seconds) {
            // A clock of nanoseconds may have cut off a little.
            let now = self.now() + Duration::from_nanos(2);
            self.driver.tick(now, &mut self.out);
            self.after_call();
            self.seconds += 4e-9;
        }
        true
    }

    fn fill_wire(&mut self) {
        let now = self.now();
        self.pace.wrote(now, self.out.urgent.len());
        self.kernel.extend(self.out.urgent.drain(..));
        let room = self.pace.room(now).min(self.out.bytes.len());
        self.pace.wrote(now, room);
        self.kernel.extend(self.out.bytes.drain(..room));
        let over = self.seconds + self.byte_s;
        if self.sending.is_none() {
            self.sending = self.take_to_send().map(|byte| (over, byte));
        }
        if self.arriving.is_none() {
            self.arriving = self.receiving.pop_front().map(|byte| (over, byte));
        }
    }

    fn take_to_send(&mut self) -> Option<u8> {
        self.kernel.pop_front()
    }

    fn deliver(&mut self, at: f64, byte: u8) {
        self.wire.push(byte);
        for byte in self.struck(true, byte) {
            self.device.receive(at, byte);
        }
    }

    fn hear(&mut self, byte: u8) {
        for byte in self.struck(false, byte) {
            self.heard.push(byte);
            self.driver.hear(self.now(), &[byte], &mut self.out);
            let written = self.driver.unanswered_bytes().saturating_sub(self.out.bytes.len());
            self.pace.answered(self.now(), written);
            self.after_call();
        }
    }

    fn struck(&mut self, to_device: bool, byte: u8) -> Vec<u8> {
        let count = &mut self.passed[usize::from(!to_device)];
        let at = *count;
        *count += 1;
        let hit = self.faults.iter().find(|it| it.to_device == to_device && it.byte == at);
        match hit.map(|it| it.hit) {
            _ if self.mute => vec![],
            None => vec![byte],
            Some(Hit::Drop) => vec![],
            Some(Hit::Double) => vec![byte, byte],
            Some(Hit::Flip(bit)) => vec![byte ^ (1 << bit)],
        }
    }

    fn after_call(&mut self) {
        while self.driver.appetite() > 0 && !self.lines.is_empty() {
            let line = self.lines.pop_front().expect("it is not empty");
            self.driver.feed(self.now(), line, &mut self.out);
        }
        if self.lines.is_empty() && !self.finished {
            self.finished = true;
            self.driver.finish(self.now(), &mut self.out);
        }
        let acked = self.driver.progress().map_or(0, |progress| progress.lines_acked);
        if self.total > 0 && acked == self.total {
            (self.answered_at, self.total) = (self.seconds, 0);
        }
        self.most_unanswered = self.most_unanswered.max(self.driver.unanswered_bytes());
        self.events.extend(self.out.events.drain(..));
    }
}
