//! The firmware's main loop: read lines, carry commands out, move, heat, report.
//!
//! ```text
//!  bytes -> ring -> line -> number? checksum? -> queue -> command -> planner -> motion
//!    `-> emergency parser                            `-> answer when it is through
//! ```
//!
//! Pure: time comes in as seconds since the start, and never goes back.

use std::collections::VecDeque;

use super::Options;
use super::heater::Heater;
use super::motion::Motion;
use crate::marlin::reach::homed_by;

/// A firmware that says `busy:` says it so often, s.
const BUSY: f64 = 2.0;
/// A heater that does not become warmer is noticed after this time, s of the printer.
const WATCH: f64 = 20.0;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Commands carried out.
    pub lines: u64,
    /// Numbered lines that were not taken.
    pub resends: u64,
    /// Bytes that found no room in the ring.
    pub overflowed: u64,
    /// Times that the planner ran dry between two moves that were less than half a second apart.
    pub starved: u64,
    /// Commands that it does not know.
    pub unknown: u64,
    /// M410 and M112 that took effect.
    pub quick_stops: u64,
    /// See `quick_stops`.
    pub kills: u64,
    /// Times that it began to run.
    pub starts: u64,
    /// Moves that wanted filament from a cold nozzle.
    pub cold: u64,
    /// The motors hold.
    pub motors: bool,
    /// °C that nozzle and bed are set to.
    pub targets: [f64; 2],
    /// °C.
    pub celsius: [f64; 2],
    /// Where the nozzle is, and the extruder's count, mm.
    pub position: [f64; 4],
    /// mm of filament pushed out.
    pub extruded: f64,
    /// Feed and flow, per cent (M220, M221).
    pub percent: [f64; 2],
    /// Share of the fan, 0 to 255.
    pub fan: f64,
    /// The commands that it knew, if they are kept: as they came, without number and checksum.
    pub text: Vec<String>,
}

/// What the command at work waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// The processor.
    Parse(f64),
    /// Room in the planner.
    Room,
    /// All motion.
    Rest,
    /// A moment.
    Until(f64),
    /// The switches, then position is zero.
    Homing(f64),
    /// The probe, down and up again.
    Probing(f64),
    /// The nozzle, or the bed.
    Heat(bool),
    /// A person.
    Person,
}

/// A command that has been taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) text: String,
    pub(super) number: Option<i64>,
}

/// A pretend Marlin.
#[derive(Clone, Debug)]
pub struct Firmware {
    pub(super) options: Options,
    /// What has happened so far.
    pub counters: Counters,
    pub(super) now: f64,
    pub(super) rx: VecDeque<u8>,
    pub(super) line: Vec<u8>,
    /// The same as the emergency parser sees it, before any ring.
    pub(super) emergency: Vec<u8>,
    pub(super) last: i64,
    pub(super) queue: VecDeque<Taken>,
    pub(super) doing: Option<(Taken, Wait)>,
    pub(super) motion: Motion,
    pub(super) heaters: [Heater; 2],
    pub(super) out: Vec<u8>,
    pub(super) killed: bool,
    pub(super) report_every: f64,
    report_at: f64,
    pub(super) place_every: f64,
    place_at: f64,
    busy_at: f64,
    emptied: Option<f64>,
    watch: Option<f64>,
    heated: f64,
    /// The command at work is one that it knows.
    pub(super) known: bool,
}

impl Firmware {
    /// Switches it on at time 0.
    pub fn new(options: Options) -> Self {
        let [nozzle, bed] = options.warm;
        let [nozzle_to, bed_to] = options.targets;
        let mut it = Self {
            counters: Counters { motors: true, ..Counters::default() },
            now: 0.0,
            rx: VecDeque::new(),
            line: Vec::new(),
            emergency: Vec::new(),
            last: 0,
            queue: VecDeque::new(),
            doing: None,
            motion: Motion::new(options.time_scale),
            heaters: [Heater::nozzle(nozzle, nozzle_to), Heater::bed(bed, bed_to)],
            out: Vec::new(),
            killed: false,
            report_every: 0.0,
            report_at: 0.0,
            place_every: 0.0,
            place_at: 0.0,
            busy_at: 0.0,
            emptied: None,
            watch: None,
            heated: 0.0,
            known: true,
            options,
        };
        it.greet();
        it
    }

    fn greet(&mut self) {
        self.counters.starts += 1;
        self.say("start");
        self.say("Marlin 2.1.2-pretend");
        self.say("echo: Last Updated: 2026-01-01 | Author: (pretend)");
        self.say("echo: Free Memory: 4096  PlannerBufferBytes: 1216");
    }

    /// Begins to run anew, heaters off.
    pub fn restart(&mut self) {
        let celsius = self.heaters.map(|it| it.celsius);
        let options = Options { warm: celsius, targets: [0.0; 2], ..self.options.clone() };
        let (counters, now) = (self.counters.clone(), self.now);
        *self = Self::new(options);
        let starts = counters.starts + 1;
        self.counters = Counters { starts, motors: false, ..counters };
        (self.now, self.heated) = (now, now);
    }

    pub(super) fn say(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }

    /// What it has said since the last look.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Everything that can be counted, as of now; the text only as far as it is kept here.
    pub fn figures(&self) -> Counters {
        Counters {
            targets: self.heaters.map(|it| it.target),
            celsius: self.heaters.map(|it| it.celsius),
            position: self.motion.here(self.now),
            extruded: self.motion.extruded,
            percent: self.motion.percent,
            text: Vec::new(),
            ..self.counters.clone()
        }
    }

    /// Halts: heaters and motors off, and nothing more is done.
    pub fn kill(&mut self) {
        self.counters.kills += 1;
        self.say("Error:Printer halted. kill() called!");
        self.motion.quick_stop(self.now);
        self.queue.clear();
        self.rx.clear();
        self.doing = None;
        self.counters.motors = false;
        self.heaters.iter_mut().for_each(|heater| heater.target = 0.0);
        self.killed = true;
    }

    /// The nozzle's heater falls off.
    pub fn run_away(&mut self, now: f64) {
        self.heaters[0].broken = true;
        let wait =
            if self.options.time_scale <= 0.0 { 0.0 } else { WATCH / self.options.time_scale };
        self.watch = Some(now + wait);
    }

    /// The filament sensor finds none.
    pub fn run_out(&mut self) {
        self.say("//action:out_of_filament T0");
    }

    /// Does everything that is due.
    pub fn advance(&mut self, now: f64) {
        if now < self.now {
            return;
        }
        self.now = now;
        self.heat(now);
        self.move_on(now);
        if self.killed {
            return;
        }
        loop {
            self.read_lines(now);
            if !self.work(now) {
                break;
            }
        }
        self.report(now);
        if self.watch.is_some_and(|at| at <= now) && 0.0 < self.heaters[0].target {
            self.watch = None;
            self.say("Error:Thermal Runaway, system stopped! Heater_ID: 0");
            self.kill();
        }
    }

    fn heat(&mut self, now: f64) {
        let passed = now - self.heated;
        self.heated = now;
        let scale = self.options.time_scale;
        let seconds = if scale <= 0.0 { f64::INFINITY } else { passed * scale };
        self.heaters.iter_mut().for_each(|heater| heater.pass(seconds));
    }

    fn move_on(&mut self, now: f64) {
        let last = self.motion.depth() == 1;
        let end = self.motion.next_end();
        self.motion.pass(now);
        if last && self.motion.depth() == 0 {
            self.emptied = end;
        }
    }

    /// A block was planned at `now`.
    pub(super) fn note_planned(&mut self, now: f64) {
        if let Some(emptied) = self.emptied.take()
            && now - emptied < 0.5
            && 0.0 < self.options.time_scale
            && 1e-6 < now - emptied
        {
            self.counters.starved += 1;
        }
    }

    /// Carries the command on that is at work, or begins the next. Whether anything was done.
    fn work(&mut self, now: f64) -> bool {
        let Some((taken, wait)) = self.doing.take() else {
            let Some(next) = self.queue.front().cloned() else { return false };
            let bytes = next.text.len() as f64;
            let takes =
                self.options.line_time.as_secs_f64() + self.options.byte_time.as_secs_f64() * bytes;
            self.busy_at = now + BUSY;
            self.doing = Some((next, Wait::Parse(now + takes)));
            return true;
        };
        if self.still_waits(now, wait) {
            self.doing = Some((taken, wait));
            return false;
        }
        let next = match wait {
            Wait::Parse(_) => self.begin(now, &taken),
            Wait::Room => self.plan(now, &taken),
            Wait::Rest => self.rested(now, &taken),
            Wait::Homing(_) => {
                self.motion.home(homed_by(&taken.text));
                None
            }
            Wait::Probing(_) => {
                self.touched();
                None
            }
            Wait::Until(_) | Wait::Heat(_) | Wait::Person => None,
        };
        match next {
            Some(wait) => self.doing = Some((taken, wait)),
            None => self.through(&taken),
        }
        true
    }

    fn still_waits(&self, now: f64, wait: Wait) -> bool {
        match wait {
            Wait::Parse(at) | Wait::Until(at) | Wait::Homing(at) | Wait::Probing(at) => now < at,
            Wait::Room => self.options.planner_blocks <= self.motion.depth(),
            Wait::Rest => 0 < self.motion.depth(),
            Wait::Heat(bed) => !self.heaters[usize::from(bed)].is_ready(),
            Wait::Person => true,
        }
    }

    /// The command is through: it is counted and answered.
    pub(super) fn through(&mut self, taken: &Taken) {
        self.counters.lines += 1;
        if self.options.keep_lines && std::mem::replace(&mut self.known, true) {
            self.counters.text.push(taken.text.clone());
        }
        let free = self.options.planner_blocks.saturating_sub(1 + self.motion.depth());
        // Its own place is still taken while it is answered.
        let places = self.options.queue.saturating_sub(self.queue.len());
        self.queue.pop_front();
        if taken.text.starts_with("M105") {
            let temperatures = self.temperatures();
            return self.say(&format!("ok {temperatures}"));
        }
        match taken.number {
            Some(number) if self.options.advanced_ok => {
                self.say(&format!("ok N{number} P{free} B{places}"));
            }
            None if self.options.advanced_ok => self.say(&format!("ok P{free} B{places}")),
            _ => self.say("ok"),
        }
    }

    /// `T:21.00 /0.00 B:21.00 /0.00 @:0 B@:0`.
    pub(super) fn temperatures(&self) -> String {
        let [nozzle, bed] = &self.heaters;
        format!(
            "T:{:.2} /{:.2} B:{:.2} /{:.2} @:{} B@:{}",
            nozzle.celsius,
            nozzle.target,
            bed.celsius,
            bed.target,
            nozzle.power(),
            bed.power()
        )
    }

    /// `X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0`.
    pub(super) fn place(&self) -> String {
        let [x, y, z, e] = self.motion.at;
        format!("X:{x:.2} Y:{y:.2} Z:{z:.2} E:{e:.2} Count X:0 Y:0 Z:0")
    }

    fn report(&mut self, now: f64) {
        if 0.0 < self.report_every && self.report_at <= now {
            self.report_at = now + self.report_every;
            let text = format!(" {}", self.temperatures());
            self.say(&text);
        }
        if 0.0 < self.place_every && self.place_at <= now {
            self.place_at = now + self.place_every;
            let text = self.place();
            self.say(&text);
        }
        let busy = self.doing.as_ref().is_some_and(|(_, wait)| !matches!(wait, Wait::Parse(_)));
        if busy && self.options.keepalive && self.busy_at <= now {
            self.busy_at = now + BUSY;
            let person = matches!(&self.doing, Some((_, Wait::Person)));
            self.say(if person { "echo:busy: paused for user" } else { "echo:busy: processing" });
        }
    }

    /// When something is to be done next; `None`: only a byte can change anything.
    pub fn next_event(&self) -> Option<f64> {
        if self.killed {
            return None;
        }
        let wait = self.doing.as_ref().map(|(_, wait)| *wait);
        let work = match wait {
            None if self.queue.is_empty() => None,
            None => Some(self.now),
            Some(Wait::Parse(at) | Wait::Until(at) | Wait::Homing(at) | Wait::Probing(at)) => {
                Some(at)
            }
            Some(Wait::Heat(_)) => Some(self.now + 0.02),
            Some(Wait::Room | Wait::Rest | Wait::Person) => None,
        };
        let busy = (self.options.keepalive && wait.is_some()).then_some(self.busy_at.max(self.now));
        let every = |every: f64, at: f64| (0.0 < every).then_some(at);
        [
            work,
            busy,
            self.motion.next_end(),
            self.watch,
            every(self.report_every, self.report_at),
            every(self.place_every, self.place_at),
        ]
        .into_iter()
        .flatten()
        .reduce(f64::min)
    }
}
