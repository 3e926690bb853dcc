//! Conversations that have been recorded, led again with a new driver.
//!
//! `traces/*.trace` say at their top where they come from. What the device said comes at the times
//! at which it came; what the driver sends is compared with what was sent then, byte for byte.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use headstock_config::event::Event;
use headstock_config::machine::{Machine, Port};
use headstock_drivers::gcode::{Language, ProgramLine, Reader};
use headstock_drivers::link::trace::{self, Direction, Step};
use headstock_drivers::marlin::line::TEXT_MAX;
use headstock_drivers::{Driver, Outbox, Program, registry};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces"))
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("it ships with the tests")
}

fn steps(name: &str) -> Vec<Step> {
    trace::read(&text(name)).expect("it is a trace")
}

fn machine(driver: &str) -> Machine {
    Machine {
        id: "m".into(),
        name: "m".into(),
        driver: driver.into(),
        port: Port::Sim(driver.into()),
        spinup_s: 0.0,
        safe_z: 0.0,
        ..Machine::default()
    }
}

struct Replay {
    driver: Box<dyn Driver>,
    start: Instant,
    out: Outbox,
    sent: Vec<u8>,
    events: Vec<Event>,
    lines: Vec<ProgramLine>,
    fed: bool,
}

impl Replay {
    fn new(program: &str) -> Self {
        let mut reader = Reader::new(TEXT_MAX).speaking(Language::Print);
        let numbered = program.lines().enumerate();
        let lines = numbered
            .filter_map(|(at, raw)| reader.read(at as u64 + 1, raw.as_bytes()).expect("good"))
            .collect();
        Self {
            driver: registry::find("marlin")
                .and_then(|it| it.driver(&machine("marlin")))
                .expect("it is in the list"),
            start: Instant::now(),
            out: Outbox::default(),
            sent: Vec::new(),
            events: Vec::new(),
            lines,
            fed: false,
        }
    }

    /// Lets time pass until `at`, then the device says something.
    fn hear(&mut self, at: Duration, bytes: &[u8]) {
        let now = self.start + at;
        while let Some(due) = self.driver.deadline().filter(|due| *due <= now) {
            self.driver.tick(due, &mut self.out);
            self.after(due);
        }
        self.driver.hear(now, bytes, &mut self.out);
        self.after(now);
    }

    fn after(&mut self, now: Instant) {
        while 0 < self.driver.appetite() && !self.lines.is_empty() {
            let line = self.lines.remove(0);
            self.driver.feed(now, line, &mut self.out);
        }
        if self.lines.is_empty() && self.fed {
            self.fed = false;
            self.driver.finish(now, &mut self.out);
        }
        self.sent.append(&mut self.out.bytes);
        self.events.extend(self.out.events.drain(..));
    }

    fn begin(&mut self, at: Duration) {
        let now = self.start + at;
        self.driver.begin(now, Program::default(), &mut self.out).expect("it is idle");
        self.fed = true;
        self.after(now);
    }
}

/// The end of the last byte of the first `count` lines like this one that were sent.
fn when_sent(steps: &[Step], line: &[u8], count: usize) -> Duration {
    let sent = steps.iter().filter(|step| step.direction == Direction::Out);
    let found = sent.filter(|step| step.bytes.windows(line.len()).any(|it| it == line));
    found.map(|step| step.at).nth(count - 1).expect("it was sent")
}

#[test]
fn a_print_that_was_recorded_is_sent_again_byte_for_byte() {
    let steps = steps("marlin_print.trace");
    let program = text("marlin_print.gcode");
    let mut replay = Replay::new(&program);
    let begins = when_sent(&steps, b"M110 N0", 2);
    let now = replay.start;
    replay.driver.greet(now, &mut replay.out);
    replay.after(now);
    let mut begun = false;
    for step in &steps {
        if !begun && begins <= step.at {
            replay.begin(begins);
            begun = true;
        }
        if step.direction == Direction::In {
            replay.hear(step.at, &step.bytes);
        }
    }
    let sent: Vec<u8> = steps
        .iter()
        .filter(|step| step.direction == Direction::Out)
        .flat_map(|step| step.bytes.clone())
        .collect();
    let (got, wanted) = (String::from_utf8_lossy(&replay.sent), String::from_utf8_lossy(&sent));
    assert_eq!(got, wanted);
    assert!(replay.events.contains(&Event::ProgramDone), "{:?}", replay.events);
}
