//! A controller or a printer that says anything, to a house that does anything.
//!
//! The bytes are a script of lines. Of the first one only the first byte counts: it chooses how
//! the machine is declared. Lines that begin with `@` are what the house does, told by their first
//! letter (the rest of the word is for people); all others are what the controller says.
//!
//! ```text
//! @greet  @cut  @quit           the link opens, is lost, is closed on purpose
//! @wait 250  @tick              milliseconds pass; a tick that nobody asked for
//! @begin  @dry  @feed G1X1  @end     a program
//! @hold  @stop  @abort          the three stops
//! @command {"command":"reset"}  any other command, as REST spells it
//! @part <Idle|MP                bytes without a line end
//! ```
//!
//! Promises: whatever is said and done, nothing panics; what goes out in order is whole lines of
//! printable characters (for a GRBL without realtime ones); nothing goes out while the link is shut; the driver
//! does not ask to be called without end; every program that was begun ends with exactly one
//! `ProgramDone` or `ProgramLost`; all news can be written down and read again.

use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::machine::{HoldMeans, Live, Machine, OnError, Port, Printer, StopMeans};
use headstock_drivers::gcode::{Language, Reader};
use headstock_drivers::grbl::Grbl;
use headstock_drivers::marlin::Marlin;
use headstock_drivers::marlin::line::TEXT_MAX;
use headstock_drivers::{Driver, Outbox, Program};

/// Largest window of unanswered bytes that any controller is believed to have.
const WINDOW_MAX: usize = 65_536;
/// What passes at most in one wait: longer than every patience of the driver.
const WAIT_MAX: u64 = 20_000;
/// What all waits of one script come to at most, so that scripts stay quick.
const PASSES_MAX: u64 = 120_000;

/// Plays the bytes as a script for a GRBL.
pub fn grbl(bytes: &[u8]) {
    play(bytes, |head| Stage::new(Box::new(Grbl::new(&machine(head))), Reader::new(79), b"?!~"));
}

/// The same script for a Marlin.
pub fn marlin(bytes: &[u8]) {
    play(bytes, |head| {
        let park = (head & 1 == 1).then_some([5.0, 190.0]);
        let printer = Printer { park, purge_mm: f64::from(head >> 4), ..Printer::default() };
        let machine = Machine { printer, driver: "marlin".into(), ..machine(head) };
        let reader = Reader::new(TEXT_MAX).speaking(Language::Print);
        Stage::new(Box::new(Marlin::new(&machine)), reader, b"")
    });
}

fn play(bytes: &[u8], stage: impl FnOnce(u8) -> Stage) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let head = lines.next().and_then(|it| it.first()).copied().unwrap_or_default();
    let mut stage = stage(head);
    for line in lines {
        match line.split_first() {
            Some((b'@', act)) => stage.act(act),
            _ => stage.hear(line, b"\r\n"),
        }
        stage.look();
    }
    stage.cut();
    assert_eq!(stage.ended, stage.begun, "programs that ended, and that were begun");
}

/// A machine, declared in one of the ways that change what its driver does.
pub(super) fn machine(choice: u8) -> Machine {
    let has = |bit: u8| choice >> bit & 1 == 1;
    Machine {
        id: "mill".into(),
        name: "mill".into(),
        driver: "grbl".into(),
        port: Port::Sim("grbl".into()),
        baud: if has(5) { 250_000 } else { 115_200 },
        laser: has(0),
        hold: if has(1) { HoldMeans::Door } else { HoldMeans::FeedHold },
        stop: if has(2) { StopMeans::Reset } else { StopMeans::HoldThenReset },
        on_error: [OnError::Stop, OnError::Hold, OnError::Continue]
            [usize::from(choice >> 3 & 3) % 3],
        spinup_s: 2.0,
        ..Machine::default()
    }
}

/// A driver, a clock and an account of what the driver owes.
struct Stage {
    driver: Box<dyn Driver>,
    /// Printable, and yet never to be sent in order.
    realtime: &'static [u8],
    now: Instant,
    passed: u64,
    out: Outbox,
    open: bool,
    reader: Reader,
    line: u64,
    begun: u64,
    ended: u64,
}

impl Stage {
    fn new(driver: Box<dyn Driver>, reader: Reader, realtime: &'static [u8]) -> Self {
        Self {
            driver,
            realtime,
            now: Instant::now(),
            passed: 0,
            out: Outbox::default(),
            open: false,
            reader,
            line: 0,
            begun: 0,
            ended: 0,
        }
    }

    fn act(&mut self, act: &[u8]) {
        let (now, out) = (self.now, &mut self.out);
        let word = act.split(|&byte| byte == b' ').next().unwrap_or_default();
        let rest = act.get(word.len() + 1..).unwrap_or_default();
        match word.first() {
            Some(b'g') => self.greet(),
            Some(b'x') => self.cut(),
            Some(b'q') => self.driver.farewell(now, out),
            Some(b'w') => self.wait(number(rest).min(WAIT_MAX)),
            Some(b't') => self.driver.tick(now, out),
            Some(b'b') => self.begin(false),
            Some(b'd') => self.begin(true),
            Some(b'f') => self.feed(rest),
            Some(b'e') => self.driver.finish(now, out),
            Some(b'h') => self.driver.stop(now, Stop::Hold, out),
            Some(b's') => self.driver.stop(now, Stop::Stop, out),
            Some(b'a') => self.driver.stop(now, Stop::Abort, out),
            Some(b'c') => self.command(rest),
            Some(b'p') => self.hear(rest, b""),
            _ => (),
        }
    }

    fn greet(&mut self) {
        self.cut();
        self.driver.greet(self.now, &mut self.out);
        self.open = true;
    }

    fn cut(&mut self) {
        self.driver.cut(self.now, "pulled", &mut self.out);
        self.look();
        self.open = false;
    }

    fn hear(&mut self, said: &[u8], end: &[u8]) {
        self.driver.hear(self.now, &[said, end].concat(), &mut self.out);
    }

    /// Lets time pass, ticking whenever the driver wants it.
    fn wait(&mut self, ms: u64) {
        let ms = ms.min(PASSES_MAX - self.passed);
        self.passed += ms;
        let end = self.now + Duration::from_millis(ms);
        let mut ticks = 0;
        while let Some(due) = self.driver.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.driver.tick(self.now, &mut self.out);
            self.look();
            ticks += 1;
            assert!(ticks < 20 + ms, "the driver keeps asking to be called at once");
        }
        self.now = end;
    }

    fn begin(&mut self, dry_run: bool) {
        let begun =
            self.driver.begin(self.now, Program { dry_run, ..Program::default() }, &mut self.out);
        self.begun += u64::from(begun.is_ok());
    }

    fn feed(&mut self, raw: &[u8]) {
        self.line += 1;
        if let Ok(Some(line)) = self.reader.read(self.line, raw)
            && 0 < self.driver.appetite()
        {
            self.driver.feed(self.now, line, &mut self.out);
        }
    }

    fn command(&mut self, json: &[u8]) {
        let Ok(command) = serde_json::from_slice::<Command>(json) else { return };
        match command.as_stop() {
            Some(how) => self.driver.stop(self.now, how, &mut self.out),
            // A refusal is an answer.
            None => self.driver.obey(self.now, command, &mut self.out).unwrap_or(()),
        }
    }

    /// Takes what came out, and holds it against the promises.
    fn look(&mut self) {
        let (urgent, bytes) = (&self.out.urgent, &self.out.bytes);
        assert!(self.open || urgent.is_empty() && bytes.is_empty(), "sent through a shut link");
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "half a line is sent: {bytes:?}");
        let plain = |byte: &u8| (b' '..=b'~').contains(byte) && !self.realtime.contains(byte);
        assert!(bytes.iter().all(|byte| *byte == b'\n' || plain(byte)), "{bytes:?}");
        assert!(self.driver.unanswered_bytes() <= WINDOW_MAX);
        self.out.urgent.clear();
        self.out.bytes.clear();
        for event in self.out.events.drain(..) {
            let told = serde_json::to_string(&event).expect("news can be written down");
            serde_json::from_str::<Event>(&told).expect("and read again");
            let ends = matches!(event, Event::ProgramDone | Event::ProgramLost { .. });
            self.ended += u64::from(ends);
            assert!(self.ended <= self.begun, "a program ended twice: {event:?}");
        }
        check_live(self.driver.live());
    }
}

fn check_live(live: &Live) {
    let positions = [live.machine_position, live.work_position, live.work_offset];
    let axes = positions.into_iter().flatten().flatten();
    let warmth = live.temperatures.iter().map(|it| it.celsius);
    let all = axes.chain([live.feed, live.spindle]).chain(warmth).chain(live.percent);
    assert!(all.into_iter().all(f64::is_finite), "{live:?}");
    assert!(live.temperatures.len() <= 16, "{live:?}");
}

fn number(digits: &[u8]) -> u64 {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    text.trim().parse().unwrap_or(100)
}
