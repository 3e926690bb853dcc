//! A conversation with a GRBL controller that has been recorded, led again with a new driver.
//!
//! `traces/grbl_run.trace` says at its top where it comes from, `traces/record_grbl.sh` records it
//! anew. What the controller said comes at the times at which it came. What the driver was told is
//! not in the trace, but follows from it: where bytes went out that nothing heard so far explains, it
//! was told something that stands for them, or its time had come. All that it sends is compared byte
//! for byte, in order and ahead of it, and what it says with what the book had.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::machine::{Machine, Port};
use headstock_drivers::gcode::{ProgramLine, Reader};
use headstock_drivers::link::trace::{self, Direction, Step};
use headstock_drivers::{Driver, Outbox, Program, registry};

/// A deadline that the recorded house would have kept by then, had it had something to send.
const LATE: Duration = Duration::from_millis(20);

fn text(name: &str) -> String {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces"));
    fs::read_to_string(folder.join(name)).expect("it ships with the tests")
}

/// What the driver was told.
enum Told {
    Begin,
    Stop(Stop),
    Obey(Command),
}

/// What the recording did, in order, each with the bytes by which its moment is known.
fn script() -> VecDeque<(&'static [u8], Told)> {
    let jog = Command::Jog { by: [Some(-40.0), None, None], feed: 300.0, absolute: false };
    VecDeque::from([
        (&b"$G"[..], Told::Begin),
        (b"!", Told::Stop(Stop::Hold)),
        (b"~", Told::Obey(Command::Resume)),
        (b"G1X0F0", Told::Obey(Command::Run { line: "G1 X0 F0".into() })),
        (b"$J=", Told::Obey(jog)),
        (b"\x18", Told::Stop(Stop::Abort)),
        (b"$X", Told::Obey(Command::Unlock)),
    ])
}

struct Replay {
    driver: Box<dyn Driver>,
    start: Instant,
    out: Outbox,
    /// In order, and ahead of it.
    sent: [Vec<u8>; 2],
    events: Vec<Event>,
    lines: VecDeque<ProgramLine>,
    /// A program has been begun, and its end not been told.
    feeding: bool,
}

impl Replay {
    fn new() -> Self {
        let machine = Machine {
            id: "mill".into(),
            name: "mill".into(),
            driver: "grbl".into(),
            port: Port::Sim("grbl".into()),
            spinup_s: 0.2,
            ..Machine::default()
        };
        let mut reader = Reader::new(79);
        let program = text("grbl_run.nc");
        let numbered = program.lines().enumerate();
        let lines = numbered
            .filter_map(|(at, raw)| reader.read(at as u64 + 1, raw.as_bytes()).expect("good"));
        let driver = registry::find("grbl").and_then(|it| it.driver(&machine));
        Self {
            driver: driver.expect("it is in the list"),
            start: Instant::now(),
            out: Outbox::default(),
            sent: Default::default(),
            events: Vec::new(),
            lines: lines.collect(),
            feeding: false,
        }
    }

    /// As the machine's task does it each time it goes round.
    fn after(&mut self, now: Instant) {
        if self.feeding {
            for _ in 0..self.driver.appetite() {
                let Some(line) = self.lines.pop_front() else { break };
                self.driver.feed(now, line, &mut self.out);
            }
            if self.lines.is_empty() {
                self.feeding = false;
                self.driver.finish(now, &mut self.out);
            }
        }
        self.sent[0].append(&mut self.out.bytes);
        self.sent[1].append(&mut self.out.urgent);
        self.events.extend(self.out.events.drain(..));
    }

    fn tick(&mut self, now: Instant, late: Duration) {
        if self.driver.deadline().is_some_and(|due| due + late <= now) {
            self.driver.tick(now, &mut self.out);
            self.after(now);
        }
    }

    fn hear(&mut self, at: Duration, bytes: &[u8]) {
        let now = self.start + at;
        self.tick(now, LATE);
        self.driver.hear(now, bytes, &mut self.out);
        self.after(now);
    }

    fn told(&mut self, at: Duration, told: Told) {
        let now = self.start + at;
        match told {
            Told::Begin => {
                let begun = self.driver.begin(now, Program::default(), &mut self.out);
                begun.expect("it is idle");
                self.feeding = true;
            }
            Told::Stop(how) => self.driver.stop(now, how, &mut self.out),
            Told::Obey(command) => {
                self.driver.obey(now, command, &mut self.out).expect("it was taken then");
            }
        }
        self.after(now);
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}

#[test]
fn a_run_with_hold_error_reset_and_alarm_is_sent_again_byte_for_byte() {
    let steps: Vec<Step> = trace::read(&text("grbl_run.trace")).expect("it is a trace");
    let mut script = script();
    let mut replay = Replay::new();
    let now = replay.start;
    replay.driver.greet(now, &mut replay.out);
    replay.after(now);
    let mut written: [Vec<u8>; 2] = Default::default();
    let mut introduced = false;
    for step in &steps {
        let way = match step.direction {
            Direction::In => {
                replay.hear(step.at, &step.bytes);
                continue;
            }
            Direction::Out => 0,
            Direction::Urgent => 1,
        };
        written[way].extend(&step.bytes);
        if written[way].len() <= replay.sent[way].len() {
            // `$G` is asked for in the introduction as well, which is none of the script's.
            introduced |= contains(&step.bytes, b"$G");
            continue;
        }
        let next = script.front().is_some_and(|(part, _)| contains(&step.bytes, part));
        if next && introduced {
            let (_, told) = script.pop_front().expect("there is one");
            replay.told(step.at, told);
        }
        if replay.sent[way].len() < written[way].len() {
            replay.tick(replay.start + step.at, Duration::ZERO);
        }
        let (got, wanted) = (&replay.sent[way], &written[way]);
        assert!(
            got.starts_with(wanted),
            "at {:?}: sent {:?}, and then {:?}",
            step.at,
            trace::text(&got[got.len().saturating_sub(60)..]),
            trace::text(&wanted[wanted.len().saturating_sub(60)..]),
        );
    }
    assert!(script.is_empty(), "it was told everything");
    for (got, wanted) in replay.sent.iter().zip(&written) {
        assert_eq!(trace::text(got), trace::text(wanted));
    }
    let recorded = text("grbl_run.events");
    let recorded: Vec<serde_json::Value> =
        recorded.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let said: Vec<serde_json::Value> =
        replay.events.iter().map(|it| serde_json::to_value(it).expect("it can be told")).collect();
    assert_eq!(said, recorded);
    for kind in ["command_failed", "alarm", "restarted", "unlocked", "program_done"] {
        assert!(said.iter().any(|it| it["event"] == kind), "{kind} is not among {said:?}");
    }
}
