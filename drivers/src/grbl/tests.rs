//! Conversations with a controller, written out as they go over the wire.

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::event::{Cause, Event};
use headstock_config::machine::{HoldMeans, Mode, OnError, StopMeans};

use super::{Grbl, Setup};
use crate::gcode::{LineTraits, ProgramLine};
use crate::{Driver, Outbox, Program, Refusal};

/// A driver, a clock, and everything that came out.
struct Talk {
    grbl: Grbl,
    now: Instant,
    out: Outbox,
    events: Vec<Event>,
}

impl Talk {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            laser: false,
            hold: HoldMeans::FeedHold,
            stop: StopMeans::HoldThenReset,
            on_error: OnError::Stop,
            spinup_s: 2.0,
            fast_link: false,
        };
        change(&mut setup);
        let grbl = Grbl::with(setup);
        Self { grbl, now: Instant::now(), out: Outbox::default(), events: Vec::new() }
    }

    /// Connected to a GRBL 1.1h that was just switched on.
    fn connected() -> Self {
        Self::new().greeted()
    }

    fn greeted(mut self) -> Self {
        self.grbl.greet(self.now, &mut self.out);
        self.hear("\r\nGrbl 1.1h ['$' for help]");
        self.hear(QUIET);
        self.expect("$I");
        self.hear("[VER:1.1h.20190830:]\r\n[OPT:VH,15,128]\r\nok");
        self.expect("$$");
        self.hear("$13=0\r\n$100=250.000\r\n$101=250.000\r\n$102=250.000\r\nok");
        self.expect("$#");
        self.hear("[G54:0.000,0.000,0.000]\r\n[PRB:0.000,0.000,0.000:0]\r\nok");
        self.expect("$G");
        self.hear("[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]\r\nok");
        self.hear("<Idle|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0|Ov:100,100,100>");
        self.take_events();
        self
    }

    /// The controller says something; `?` is taken off the wire.
    fn hear(&mut self, text: &str) {
        self.grbl.hear(self.now, format!("{text}\r\n").as_bytes(), &mut self.out);
    }

    /// Everything that was to be sent since the last look: realtime bytes, then lines.
    fn sent(&mut self) -> (Vec<u8>, String) {
        let urgent = std::mem::take(&mut self.out.urgent);
        let bytes = std::mem::take(&mut self.out.bytes);
        (urgent, String::from_utf8(bytes).unwrap())
    }

    fn expect(&mut self, line: &str) {
        assert_eq!(self.sent().1, format!("{line}\n"));
    }

    /// Lets time pass, ticking whenever the driver wants it.
    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut ticks = 0;
        while let Some(due) = self.grbl.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.grbl.tick(self.now, &mut self.out);
            ticks += 1;
            assert!(ticks < 20 + ms, "the driver keeps asking to be called at once");
        }
        self.now = end;
    }

    fn take_events(&mut self) -> Vec<Event> {
        self.events.extend(self.out.events.drain(..));
        std::mem::take(&mut self.events)
    }

    fn begin(&mut self, dry_run: bool) {
        self.grbl.begin(self.now, Program { dry_run }, &mut self.out).unwrap();
    }

    fn feed(&mut self, number: u64, text: &str) {
        self.feed_traits(number, text, LineTraits { moves: true, ..LineTraits::default() });
    }

    fn feed_traits(&mut self, number: u64, text: &str, traits: LineTraits) {
        assert!(self.grbl.appetite() > 0, "no appetite for {text}");
        let line = ProgramLine { number, text: text.into(), traits, end: [None; 3] };
        self.grbl.feed(self.now, line, &mut self.out);
    }
}

const QUIET: &str = "<Idle|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0|WCO:0.000,0.000,0.000>";

fn mode(events: &[Event]) -> Option<Mode> {
    events.iter().rev().find_map(|event| match event {
        Event::Mode { mode } => Some(*mode),
        _ => None,
    })
}

#[test]
fn a_controller_that_runs_is_only_watched() {
    let mut talk = Talk::new();
    talk.grbl.greet(talk.now, &mut talk.out);
    assert_eq!(talk.sent(), (b"?".to_vec(), String::new()));
    talk.hear("<Run|MPos:1.000,0.000,0.000|Bf:3,40|FS:500,0>");
    talk.wait(3000);
    let (urgent, bytes) = talk.sent();
    assert!(urgent.iter().all(|&byte| byte == b'?') && bytes.is_empty());
    assert_eq!(mode(&talk.take_events()), Some(Mode::Running));
}

#[test]
fn half_a_line_of_an_earlier_run_is_made_harmless_first() {
    let mut talk = Talk::new();
    talk.grbl.greet(talk.now, &mut talk.out);
    talk.hear(QUIET);
    assert_eq!(mode(&talk.take_events()), Some(Mode::Connecting), "not ready for work yet");
    talk.expect("$");
    talk.hear("error:3");
    talk.expect("$I");
}

#[test]
fn an_introduction_ends_with_what_the_controller_is() {
    let mut talk = Talk::new();
    talk.grbl.greet(talk.now, &mut talk.out);
    let mut talk = Talk { events: Vec::new(), ..talk };
    talk.hear("\r\nGrbl 1.1h ['$' for help]");
    talk.hear(QUIET);
    for answer in ["[VER:1.1h.20190830:]\r\n[OPT:V,15,128]\r\nok", "$22=1\r\nok", "ok"] {
        talk.hear(answer);
    }
    talk.hear("[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]\r\nok");
    let events = talk.take_events();
    let Some(Event::Connected { controller }) =
        events.iter().find(|event| matches!(event, Event::Connected { .. }))
    else {
        panic!("{events:?}");
    };
    assert_eq!((controller.rx_bytes, controller.planner_blocks), (128, 15));
    assert_eq!((controller.version.as_str(), controller.homing), ("1.1h.20190830", Some(true)));
}

#[test]
fn lines_go_out_as_far_as_the_controller_has_room() {
    let mut talk = Talk::connected();
    talk.begin(false);
    for number in 1..=16 {
        talk.feed(number, "G1X10.5F1000");
    }
    assert_eq!(talk.sent().1, "G1X10.5F1000\n".repeat(9), "nine lines of 13 bytes fit in 128");
    assert_eq!(talk.grbl.unanswered_bytes(), 117);
    talk.hear("ok\r\nok");
    assert_eq!(talk.sent().1, "G1X10.5F1000\n".repeat(2), "answers make room at once");
    assert_eq!(talk.grbl.progress().unwrap().lines_acked, 2);
}

#[test]
fn a_line_that_writes_eeprom_goes_alone() {
    let mut talk = Talk::connected();
    talk.begin(false);
    let eeprom = LineTraits { writes_eeprom: true, drains: true, ..LineTraits::default() };
    talk.feed(1, "G1X1F100");
    talk.feed_traits(2, "G10L20P1Z0", eeprom);
    talk.feed(3, "G1X2");
    talk.expect("G1X1F100");
    talk.hear("ok");
    talk.expect("G10L20P1Z0");
    talk.hear("ok");
    talk.expect("G1X2");
}

#[test]
fn a_hold_is_sent_ahead_of_lines_that_wait_and_asks_at_once() {
    let mut talk = Talk::connected();
    talk.begin(false);
    for number in 1..=16 {
        talk.feed(number, "G1X10.5F1000");
    }
    talk.sent();
    talk.grbl.stop(talk.now, Stop::Hold, &mut talk.out);
    assert_eq!(talk.sent(), (b"!?".to_vec(), String::new()));
    talk.hear("<Hold:1|MPos:0.100,0.000,0.000|Bf:10,11|FS:500,0>");
    talk.hear("ok");
    talk.hear("<Hold:0|MPos:0.200,0.000,0.000|Bf:10,11|FS:0,0>");
    assert_eq!(talk.sent().1, "", "nothing new goes out in a hold");
    assert_eq!(mode(&talk.take_events()), Some(Mode::Held));
    talk.grbl.obey(talk.now, headstock_config::command::Command::Resume, &mut talk.out).unwrap();
    let (urgent, bytes) = talk.sent();
    assert_eq!((urgent, bytes.as_str()), (b"~?".to_vec(), "G1X10.5F1000\n"));
}

#[test]
fn a_stop_waits_for_rest_before_it_resets() {
    let mut talk = Talk::connected();
    talk.begin(false);
    talk.feed(1, "G1X10F1000");
    talk.hear("<Run|MPos:0.100,0.000,0.000|Bf:14,128|FS:1000,0>");
    talk.sent();
    talk.grbl.stop(talk.now, Stop::Stop, &mut talk.out);
    assert_eq!(talk.sent().0, b"!?");
    for step in 0..30 {
        talk.hear(&format!("<Hold:1|MPos:0.5{step:02},0.000,0.000|Bf:14,128|FS:800,0>"));
        talk.wait(100);
        assert!(!talk.sent().0.contains(&0x18), "no fixed delay");
    }
    talk.hear("<Hold:0|MPos:0.700,0.000,0.000|Bf:14,128|FS:0,0>");
    assert_eq!(talk.sent().0, [0x18]);
    talk.hear("\r\nGrbl 1.1h ['$' for help]");
    talk.hear("<Idle|MPos:0.700,0.000,0.000|Bf:15,128|FS:0,0|WCO:0.000,0.000,0.000>");
    let events = talk.take_events();
    let rest = Event::AtRest { position: Some([0.7, 0.0, 0.0]), position_kept: true };
    assert!(events.contains(&rest), "{events:?}");
    assert!(events.contains(&Event::Restarted { asked: true }));
    let lost = events.iter().filter(|event| matches!(event, Event::ProgramLost { .. }));
    let lost: Vec<_> = lost.collect();
    assert!(
        matches!(lost[..], [Event::ProgramLost { cause: Cause::Asked, position_kept: true, .. }]),
        "{lost:?}"
    );
}

#[test]
fn a_program_is_done_when_the_machine_rests_where_it_should() {
    let mut talk = Talk::connected();
    talk.begin(false);
    let traits = LineTraits { moves: true, ..LineTraits::default() };
    let end = [Some(10.0), None, None];
    let line = ProgramLine { number: 7, text: "G1X10F1000".into(), traits, end };
    talk.grbl.feed(talk.now, line, &mut talk.out);
    talk.grbl.finish(talk.now, &mut talk.out);
    talk.expect("G1X10F1000");
    talk.hear("ok");
    talk.hear("<Run|MPos:5.000,0.000,0.000|Bf:14,128|FS:1000,0>");
    assert_eq!(talk.sent().1, "");
    talk.hear("<Idle|MPos:10.000,0.000,0.000|Bf:15,128|FS:0,0>");
    talk.expect("$G");
    talk.hear("[GC:G1 G54 G17 G21 G90 G94 M5 M9 T0 F1000 S0]\r\nok");
    let events = talk.take_events();
    assert!(events.contains(&Event::ProgramDone), "{events:?}");
    assert_eq!(mode(&events), Some(Mode::Idle));
}

#[test]
fn nothing_is_taken_before_the_controller_is_known() {
    let mut talk = Talk::new();
    let begin = talk.grbl.begin(talk.now, Program::default(), &mut talk.out);
    assert_eq!(begin, Err(Refusal::NotOnline));
    assert_eq!(talk.grbl.appetite(), 0);
}

#[test]
fn what_waits_to_be_sent_does_not_follow_a_reset() {
    let mut talk = Talk::connected();
    talk.begin(false);
    talk.hear(QUIET);
    talk.feed(1, "G1X10F100");
    assert!(!talk.out.bytes.is_empty(), "the link has not taken it yet");

    talk.grbl.stop(talk.now, Stop::Abort, &mut talk.out);

    let (urgent, bytes) = talk.sent();
    assert!(urgent.contains(&0x18));
    assert_eq!(bytes, "");
}
