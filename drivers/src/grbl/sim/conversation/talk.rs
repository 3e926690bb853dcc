//! Both ends, the wires between them, and the clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::event::{Cause, Event};
use headstock_config::machine::{Live, Machine, Mode, Port};

use super::super::Options;
use super::super::controller::Controller;
use super::BAUD;
use super::wire::Wire;
use crate::gcode::ProgramLine;
use crate::gcode::reader::Reader;
use crate::link::pace::Pace;
use crate::{Driver, Outbox, Program, Refusal};

/// A driver and a controller in conversation. Seconds since the start.
pub(super) struct Talk {
    pub(super) controller: Controller,
    pub(super) events: Vec<Event>,
    pub(super) now: f64,
    /// When the last program line was answered.
    pub(super) answered_at: f64,
    driver: Box<dyn Driver>,
    out: Outbox,
    pace: Pace,
    /// To and from the device.
    wires: [Wire; 2],
    start: Instant,
    lines: VecDeque<ProgramLine>,
    feeding: bool,
    total: u64,
}

impl Talk {
    pub(super) fn new(options: Options, baud: u32) -> Self {
        let start = Instant::now();
        let mut talk = Self {
            controller: Controller::new(options),
            events: Vec::new(),
            now: 0.0,
            answered_at: 0.0,
            driver: Box::new(crate::grbl::Grbl::new(&machine(baud))),
            out: Outbox::default(),
            pace: Pace::new(start, baud),
            wires: [Wire::new(baud), Wire::new(baud)],
            start,
            lines: VecDeque::new(),
            feeding: false,
            total: 0,
        };
        talk.driver.greet(start, &mut talk.out);
        talk
    }

    /// Introduced and idle.
    pub(super) fn connected(options: Options) -> Self {
        let mut talk = Self::new(options, BAUD);
        talk.introduced();
        talk.events.clear();
        talk
    }

    /// Waits until the driver knows whom it talks to.
    pub(super) fn introduced(&mut self) {
        let connected = |event: &Event| matches!(event, Event::Connected { .. });
        self.until("introduction", 5.0, |it| it.events.iter().any(connected));
    }

    pub(super) fn wire(&mut self, to_device: bool) -> &mut Wire {
        &mut self.wires[usize::from(!to_device)]
    }

    pub(super) fn live(&self) -> &Live {
        self.driver.live()
    }

    pub(super) fn mode(&self) -> Mode {
        self.driver.live().mode
    }

    pub(super) fn obey(&mut self, command: Command) -> Result<(), Refusal> {
        let at = self.instant();
        self.driver.obey(at, command, &mut self.out)
    }

    pub(super) fn stop(&mut self, how: Stop) {
        let at = self.instant();
        if how != Stop::Hold {
            self.lines.clear();
            self.feeding = false;
        }
        self.driver.stop(at, how, &mut self.out);
    }

    pub(super) fn begin(&mut self, text: &str) {
        self.begin_as(text, Program::default());
    }

    pub(super) fn begin_dry(&mut self, text: &str) {
        self.begin_as(text, Program { dry_run: true });
    }

    fn begin_as(&mut self, text: &str, program: Program) {
        let mut reader = Reader::new(79);
        let numbered = text.lines().enumerate();
        self.lines = numbered
            .filter_map(|(at, raw)| reader.read(at as u64 + 1, raw.as_bytes()).unwrap())
            .collect();
        self.total = self.lines.len() as u64;
        let at = self.instant();
        self.driver.begin(at, program, &mut self.out).unwrap();
        self.feeding = true;
    }

    pub(super) fn run_program(&mut self, text: &str, at_most: f64) {
        self.begin(text);
        self.until("the end of the program", at_most, |it| it.done() || it.lost().is_some());
    }

    pub(super) fn done(&self) -> bool {
        self.events.contains(&Event::ProgramDone)
    }

    pub(super) fn lost(&self) -> Option<Cause> {
        self.events.iter().find_map(|event| match event {
            Event::ProgramLost { cause, .. } => Some(*cause),
            _ => None,
        })
    }

    pub(super) fn alarm(&self) -> Option<u16> {
        self.events.iter().find_map(|event| match event {
            Event::Alarm(alarm) => Some(alarm.number),
            _ => None,
        })
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, seconds: f64) {
        let end = self.now + seconds;
        while self.step(end) {}
    }

    /// Lets time pass until something is so.
    pub(super) fn until(&mut self, what: &str, at_most: f64, so: impl Fn(&Self) -> bool) {
        let end = self.now + at_most;
        while !so(self) {
            assert!(
                self.step(end),
                "no {what} in {at_most} s: {:?} {:?}",
                self.live(),
                self.events
            );
        }
    }

    /// Lets time pass until something is so, or not.
    pub(super) fn reaches(&mut self, at_most: f64, so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + at_most;
        while !so(self) {
            if !self.step(end) {
                return false;
            }
        }
        true
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.now)
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64()
    }

    /// Goes to the next moment at which anything happens. `false`: that is after `end`.
    fn step(&mut self, end: f64) -> bool {
        self.send();
        let room = self.pace.room_at(self.instant()).filter(|_| !self.out.bytes.is_empty());
        let times = [
            self.wires[0].next(),
            self.wires[1].next(),
            self.controller.next_event(),
            self.driver.deadline().map(|at| self.seconds(at)),
            room.map(|at| self.seconds(at)),
        ];
        let next = times.into_iter().flatten().min_by(f64::total_cmp).unwrap_or(end);
        if next >= end {
            self.now = end;
            return false;
        }
        // A nanosecond more, so that rounding never leaves a moment just out of reach.
        self.now = self.now.max(next) + 1e-9;
        self.deliver();
        true
    }

    fn send(&mut self) {
        let at = self.instant();
        while self.feeding && self.driver.appetite() > 0 {
            match self.lines.pop_front() {
                Some(line) => self.driver.feed(at, line, &mut self.out),
                None => {
                    self.feeding = false;
                    self.driver.finish(at, &mut self.out);
                }
            }
        }
        let urgent = std::mem::take(&mut self.out.urgent);
        self.pace.wrote(at, urgent.len());
        self.wires[0].send(self.now, &urgent);
        let some = self.out.bytes.len().min(self.pace.room(at));
        let bytes: Vec<u8> = self.out.bytes.drain(..some).collect();
        self.pace.wrote(at, some);
        self.wires[0].send(self.now, &bytes);
        self.events.extend(self.out.events.drain(..));
    }

    fn deliver(&mut self) {
        while let Some((at, byte)) = self.wires[0].take(self.now) {
            self.controller.receive(at, byte);
        }
        self.controller.advance(self.now);
        let said = self.controller.take_output();
        self.wires[1].send(self.now, &said);
        let mut heard = Vec::new();
        while let Some((_, byte)) = self.wires[1].take(self.now) {
            heard.push(byte);
        }
        let at = self.instant();
        if !heard.is_empty() {
            self.driver.hear(at, &heard, &mut self.out);
            let unwritten = self.out.bytes.len();
            self.pace.answered(at, self.driver.unanswered_bytes().saturating_sub(unwritten));
            let acked = self.driver.progress().map_or(0, |progress| progress.lines_acked);
            if self.total > 0 && acked == self.total {
                (self.answered_at, self.total) = (self.now, 0);
            }
        }
        if self.driver.deadline().is_some_and(|due| due <= at) {
            self.driver.tick(at, &mut self.out);
        }
    }

    /// Lines of the controller's log from the first of a program with this many lines on.
    pub(super) fn after_program(&self, lines: usize) -> usize {
        let text = &self.controller.counters.text;
        let first = text.iter().rposition(|line| line == "G21G90G17G94");
        first.map_or(lines, |at| text.len() - at)
    }
}

fn machine(baud: u32) -> Machine {
    Machine {
        id: "mill".into(),
        name: "mill".into(),
        driver: "grbl".into(),
        port: Port::Sim("grbl".into()),
        baud,
        dtr: true,
        envelope: None,
        units: Default::default(),
        soft_limits: Default::default(),
        laser: false,
        hold: Default::default(),
        stop: Default::default(),
        on_error: Default::default(),
        spinup_s: 0.0,
        safe_z: 0.0,
    }
}

/// Programs to talk about.
pub(super) mod program {
    use std::fmt::Write;

    /// Short segments, as surfacing makes them.
    pub(crate) fn surface(lines: usize) -> String {
        let mut text = "G21G90G17G94\nM3S12000\nG1X0Y0Z0F3000\n".to_owned();
        for at in 0..lines.saturating_sub(4) {
            let x = at as f64 / 10.0 % 50.0;
            let z = (x / 5.0).sin() - 2.0;
            writeln!(text, "G1X{x:.3}Y{:.3}Z{z:.3}", (at / 500) as f64 * 0.4).unwrap();
        }
        text.push_str("M5\n");
        text
    }

    /// A few lines that come back to where they began.
    pub(crate) fn square() -> String {
        "G21G90\nG1X10.5F3000\nG1Y10.25\nG1X0.125\nG91\nG1Y-10.25\nG90\nG1X0Y0\nG1X3Y4\nG1X0Y0\n"
            .into()
    }
}
