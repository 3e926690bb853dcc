//! Conversations with a controller, written out as they go over the wire.

use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::event::{Cause, Check, Event};
use headstock_config::machine::{HoldMeans, Mode, OnError, StopMeans, Units};

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
            units: Units::Mm,
            fast_link: false,
            baud: 115_200,
            envelope: None,
            jog_overrun: [5.0, 5.0, 1.0],
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
        self.grbl
            .begin(self.now, Program { dry_run, ..Program::default() }, &mut self.out)
            .unwrap();
        self.expect("$G");
        self.hear(&format!("{AT_POWER_UP}\r\nok"));
        if !dry_run {
            self.hear(QUIET);
            self.sent();
        }
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

const AT_POWER_UP: &str = "[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]";
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
    talk.grbl.obey(talk.now, Command::Resume, &mut talk.out).unwrap();
    let (urgent, bytes) = talk.sent();
    assert_eq!((urgent, bytes.as_str()), (b"~?".to_vec(), "G1X10.5F1000\n"));
}

#[test]
fn it_is_busy_from_a_line_until_a_later_report_says_that_it_rests() {
    let mut talk = Talk::connected();
    let busy = |talk: &Talk| talk.grbl.live().busy;
    talk.hear(QUIET);
    assert!(!busy(&talk));
    talk.grbl.obey(talk.now, Command::Run { line: "G0X300".into() }, &mut talk.out).unwrap();
    assert!(busy(&talk));
    talk.expect("G0X300");
    talk.hear(QUIET);
    assert!(busy(&talk), "that was before it was read");
    talk.hear("ok");
    assert!(busy(&talk), "no report since");
    talk.hear("<Run|MPos:5.000,0.000,0.000|Bf:14,128|FS:1000,0>");
    assert!(busy(&talk));
    talk.hear(QUIET);
    assert!(!busy(&talk));
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
fn a_cancel_is_repeated_for_a_jog_that_goes_on_and_never_for_one_that_comes_to_rest() {
    let jogging = |talk: &mut Talk, x: f64, feed: u32| {
        talk.wait(30);
        talk.hear(&format!("<Jog|MPos:{x:.3},0.000,0.000|Bf:14,128|FS:{feed},0>"));
        talk.sent().0.contains(&0x85)
    };
    let mut talk = Talk::connected();
    let by = [Some(50.0), None, None];
    talk.grbl
        .obey(talk.now, Command::Jog { by, feed: 1000.0, absolute: false }, &mut talk.out)
        .unwrap();
    talk.sent();
    assert!(!jogging(&mut talk, 1.0, 1000));
    talk.grbl.obey(talk.now, Command::JogCancel, &mut talk.out).unwrap();
    assert!(talk.sent().0.contains(&0x85));
    for feed in [900, 500, 200, 0, 0, 0, 0, 0, 0] {
        assert!(
            !jogging(&mut talk, 1.5, feed),
            "with a motor delay it says Jog when it has stopped"
        );
    }
    talk.hear(QUIET);
    assert!(!talk.sent().0.contains(&0x85));
    assert!(jogging(&mut talk, 1.5, 300), "the jog was not read before the cancel");
    assert!((0..8).any(|_| jogging(&mut talk, 2.0, 1000)), "it has not heard the cancel");
}

#[test]
fn a_work_offset_is_unknown_from_a_zero_until_a_report_after_it() {
    let mut talk = Talk::connected();
    let known = |talk: &Talk| talk.grbl.live().work_offset;
    assert_eq!(known(&talk), Some([0.0; 3]));
    let zero = Command::Zero { system: None, at: [Some(0.0), None, None] };
    talk.grbl.obey(talk.now, zero, &mut talk.out).unwrap();
    assert_eq!(known(&talk), None);
    talk.expect("$G");
    talk.hear(QUIET);
    assert_eq!(known(&talk), None, "that was before the zero");
    talk.hear(&format!("{AT_POWER_UP}\r\nok"));
    talk.expect("G10L20P0X0");
    talk.hear("ok");
    assert!(talk.sent().0.contains(&b'?'), "it is asked for at once");
    talk.hear("<Idle|MPos:7.000,0.000,0.000|Bf:15,128|FS:0,0|WCO:7.000,0.000,0.000>");
    assert_eq!(known(&talk), Some([7.0, 0.0, 0.0]));
}

#[test]
fn no_line_goes_out_before_it_is_known_what_empty_buffers_look_like() {
    let mut talk = Talk::connected();
    talk.grbl.it = super::dialect::Capabilities::default();
    talk.begin(false);
    assert_eq!(talk.grbl.appetite(), 0, "one report may be damaged");
    talk.hear(QUIET);
    assert!(talk.grbl.appetite() > 0);
}

/// A program that leaves G1, at rest, and `$G` says that it is G0.
fn ended_in_another_mode() -> Talk {
    let mut talk = Talk::connected();
    talk.begin(false);
    let traits = LineTraits { moves: true, ..LineTraits::default() };
    let line = ProgramLine { number: 1, text: "G1X1F100".into(), traits, end: [None; 3] };
    talk.grbl.feed(talk.now, line, &mut talk.out);
    talk.grbl.finish(talk.now, &mut talk.out);
    talk.expect("G1X1F100");
    talk.hear("ok");
    talk.hear("<Idle|MPos:1.000,0.000,0.000|Bf:15,128|FS:0,0>");
    talk.expect("$G");
    talk.hear("[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F100 S0]\r\nok");
    talk.expect("G1");
    talk.hear("ok");
    talk.expect("$G");
    talk
}

#[test]
fn a_mode_that_differs_counts_where_the_controller_tells_modes() {
    let mut talk = ended_in_another_mode();
    talk.hear("[GC:G1 G54 G17 G21 G90 G94 M5 M9 T0 F100 S0]\r\nok");
    let found = |event: &Event| match event {
        Event::Mismatch(mismatch) => mismatch.check == Check::ModalState,
        _ => false,
    };
    assert!(talk.take_events().iter().any(found));
}

#[test]
fn a_controller_that_always_tells_the_same_modes_is_no_witness() {
    let mut talk = ended_in_another_mode();
    talk.hear("[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F100 S0]\r\nok");
    talk.expect("$G");
    talk.hear("[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F100 S0]\r\nok");
    let events = talk.take_events();
    assert!(events.contains(&Event::ProgramDone), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Remark { .. })));
}

#[test]
fn a_feed_that_lost_a_digit_counts_even_where_the_modes_always_stay_the_same() {
    for follows in [None, Some(false)] {
        let mut talk = Talk::connected();
        talk.grbl.it.modal_follows = follows;
        talk.begin(false);
        talk.feed(1, "G1X1F1038");
        talk.grbl.finish(talk.now, &mut talk.out);
        talk.hear("ok");
        talk.hear("<Idle|MPos:1.000,0.000,0.000|Bf:15,128|FS:0,0>");
        talk.sent();
        talk.hear("[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F103 S0]\r\nok");
        assert_eq!(mismatch(&mut talk), Some(Check::ModalState), "{follows:?}");
    }
}

#[test]
fn an_answer_to_somebody_elses_line_does_not_introduce_the_controller() {
    let mut talk = Talk::new();
    talk.grbl.greet(talk.now, &mut talk.out);
    talk.hear(QUIET);
    talk.expect("$");
    // In a dwell it says Idle, with a line of an earlier run behind it.
    talk.hear("ok");
    for (line, answer) in [
        ("$I", "error:3"),
        ("$$", "[VER:1.1h.20190830:]\r\n[OPT:VH,15,128]\r\nok"),
        ("$#", "$22=0\r\nok"),
        ("$G", "[G54:0.000,0.000,0.000]\r\nok"),
    ] {
        talk.expect(line);
        talk.hear(answer);
    }
    talk.hear(AT_POWER_UP);
    talk.hear("ok");
    talk.hear(QUIET);
    assert!(talk.grbl.begin(talk.now, Program::default(), &mut talk.out).is_err());
    talk.wait(2500);
    talk.hear(QUIET);
    assert!(talk.sent().1.starts_with('$'), "everything is asked again");
}

#[test]
fn a_controller_that_is_stopped_while_it_introduces_itself_is_asked_again() {
    let mut talk = Talk::new();
    talk.grbl.greet(talk.now, &mut talk.out);
    talk.hear(QUIET);
    talk.expect("$");
    talk.grbl.stop(talk.now, Stop::Stop, &mut talk.out);
    talk.sent();
    talk.hear(&QUIET.replace("Idle", "Hold:0"));
    talk.hear("\r\nGrbl 1.1h ['$' for help]");
    talk.hear(QUIET);
    talk.wait(2500);
    talk.hear(QUIET);
    let asked = talk.sent().1;
    assert!(asked.starts_with('$'), "{asked:?}");
}

#[test]
fn nothing_is_taken_before_the_controller_is_known() {
    let mut talk = Talk::new();
    let begin = talk.grbl.begin(talk.now, Program::default(), &mut talk.out);
    assert_eq!(begin, Err(Refusal::NotOnline));
    assert_eq!(talk.grbl.appetite(), 0);
}

#[test]
fn nothing_is_taken_after_the_link_was_cut() {
    let mut talk = Talk::connected();
    talk.grbl.cut(talk.now, "pulled", &mut talk.out);
    let begin = talk.grbl.begin(talk.now, Program::default(), &mut talk.out);
    assert_eq!(begin, Err(Refusal::NotOnline));
    assert_eq!(talk.grbl.appetite(), 0);
}

#[test]
fn a_controller_that_stays_in_check_mode_does_not_keep_the_house_busy() {
    const CHECK: &str = "<Check|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0>";
    let mut talk = Talk::connected();
    talk.begin(true);
    talk.expect("$C");
    talk.hear("[MSG:Enabled]\r\nok");
    talk.hear(CHECK);
    talk.feed(1, "G1X10F1000");
    talk.grbl.finish(talk.now, &mut talk.out);
    talk.expect("G1X10F1000");
    talk.hear("ok");
    talk.hear(CHECK);
    talk.expect("$G");
    talk.hear("[GC:G1 G54 G17 G21 G90 G94 M5 M9 T0 F1000 S0]\r\nok");
    talk.expect("$C");
    talk.hear("[MSG:Disabled]\r\nok");
    // `wait` counts the ticks.
    talk.wait(2000);
    assert!(!talk.take_events().contains(&Event::ProgramDone), "it has not left yet");
    talk.hear(QUIET);
    talk.wait(10);
    assert!(talk.take_events().contains(&Event::ProgramDone));
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

// ---- transcripts of real firmware (section 11 of the protocol notes) --------------------------

#[test]
fn a_reset_in_motion_is_told_with_its_alarm_and_lock() {
    let mut talk = Talk::connected();
    talk.begin(false);
    talk.feed(1, "G1X100F500");
    talk.hear("ok\r\n<Run|MPos:1.000,0.000,0.000|Bf:14,128|FS:500,0>");
    talk.grbl.stop(talk.now, Stop::Abort, &mut talk.out);
    talk.hear("ALARM:3");
    talk.hear("\r\nGrbl 1.1h ['$' for help]\r\n[MSG:'$H'|'$X' to unlock]");
    talk.hear("<Alarm|MPos:1.200,0.000,0.000|Bf:15,128|FS:0,0|WCO:0.000,0.000,0.000>");
    let events = talk.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::Alarm(alarm) if alarm.number == 3)));
    assert!(events.iter().any(|event| {
        matches!(event, Event::ProgramLost { cause: Cause::Asked, position_kept: false, .. })
            || matches!(event, Event::ProgramLost { cause: Cause::Alarm, position_kept: false, .. })
    }));
    assert_eq!(mode(&events), Some(Mode::Alarm));
    let refused = talk.grbl.obey(talk.now, Command::Run { line: "G0X0".into() }, &mut talk.out);
    assert_eq!(refused, Err(Refusal::NotNow("alarm")));
    talk.sent();
    talk.grbl.obey(talk.now, Command::Unlock, &mut talk.out).unwrap();
    talk.expect("$X");
    talk.hear("[MSG:Caution: Unlocked]\r\nok");
    assert!(talk.take_events().contains(&Event::Unlocked));
}

#[test]
fn a_jog_that_goes_on_after_its_cancel_is_cancelled_again() {
    let mut talk = Talk::connected();
    let jog = Command::Jog { by: [Some(2.0), None, None], feed: 200.0, absolute: false };
    talk.grbl.obey(talk.now, jog.clone(), &mut talk.out).unwrap();
    talk.expect("$J=G91G21X2F200");
    talk.hear("<Jog|MPos:0.484,0.000,0.000|Bf:0,100|FS:200,0>");
    let another = talk.grbl.obey(talk.now, jog, &mut talk.out);
    assert_eq!(another, Err(Refusal::NotNow("jogging")), "one is under way");
    talk.grbl.obey(talk.now, Command::JogCancel, &mut talk.out).unwrap();
    assert!(talk.sent().0.contains(&0x85));
    talk.hear("<Idle|MPos:0.500,0.000,0.000|Bf:15,100|FS:0,0>");
    talk.hear("<Jog|MPos:0.510,0.000,0.000|Bf:15,128|FS:10,0>");
    assert!(talk.sent().0.contains(&0x85), "the line in its buffer was carried out after all");
    talk.hear("ok");
    talk.hear("<Idle|MPos:0.520,0.000,0.000|Bf:15,128|FS:0,0>");
    assert_eq!(talk.sent(), (Vec::new(), String::new()), "nothing waits");
}

#[test]
fn the_full_report_of_grblhal_tells_the_dialect_and_the_homing() {
    let mut talk = Talk::new();
    talk.grbl.greet(talk.now, &mut talk.out);
    talk.hear("\r\nGrblHAL 1.1f ['$' or '$HELP' for help]");
    talk.hear(
        "<Idle|MPos:0.000,0.000,0.000|Bf:100,1023|FS:0,0|WCO:0.000,0.000,0.000|WCS:G54|\
         Ov:100,100,100|A:|Sc:|MPG:0|H:1|T:0|P:0|TLR:0|FW:grblHAL>",
    );
    assert_eq!(talk.grbl.live().homed, Some(true));
    for answer in ["[VER:1.1f.20260817:]\r\n[OPT:VNML+,100,1024,3,0]\r\nok", "ok", "ok"] {
        talk.hear(answer);
    }
    talk.hear("[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0.]\r\nok");
    talk.hear("<Idle|MPos:0.000,0.000,0.000|Bf:100,1023|FS:0,0>");
    assert_eq!(talk.grbl.it.window(), 1023, "what it claims, as far as its reports bear it out");
    assert_eq!(talk.grbl.it.controller.dialect, "grblhal");
}

#[test]
fn a_failed_homing_ends_in_an_alarm_although_it_says_ok() {
    let mut talk = Talk::connected();
    talk.grbl.obey(talk.now, Command::Home { axes: None }, &mut talk.out).unwrap();
    talk.expect("$H");
    talk.wait(20_000);
    assert_eq!(mode(&talk.take_events()), Some(Mode::Homing), "its silence is expected");
    talk.hear("ALARM:8\r\nok\r\n\r\nGrbl 1.1h ['$' for help]\r\n[MSG:'$H'|'$X' to unlock]");
    talk.hear("<Alarm|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0>");
    let events = talk.take_events();
    assert!(!events.contains(&Event::Homed), "{events:?}");
    assert_eq!(mode(&events), Some(Mode::Alarm));
}

// ---- the checks -------------------------------------------------------------------------------

/// The mismatch among the events.
fn mismatch(talk: &mut Talk) -> Option<Check> {
    talk.take_events().into_iter().find_map(|event| match event {
        Event::Mismatch(mismatch) => Some(mismatch.check),
        _ => None,
    })
}

#[test]
fn an_answer_to_nothing_stops_the_program() {
    let mut talk = Talk::connected();
    talk.begin(false);
    talk.feed(1, "G1X1F100");
    talk.hear("ok\r\nok");
    assert_eq!(mismatch(&mut talk), Some(Check::ExtraAnswer));
    assert!(talk.sent().0.contains(&b'!'));
}

#[test]
fn an_answer_that_never_comes_is_missed_at_rest_but_not_in_a_dwell_however_slow() {
    for (text, patience_ms) in [("G1X1F100", 2_000), ("G4P20", 122_000)] {
        let mut talk = Talk::connected();
        talk.begin(false);
        let traits = LineTraits { drains: text.starts_with("G4"), ..LineTraits::default() };
        talk.feed_traits(1, text, traits);
        talk.grbl.finish(talk.now, &mut talk.out);
        let mut waited_ms = 0;
        while mismatch(&mut talk).is_none() {
            talk.wait(200);
            waited_ms += 200;
            talk.hear("<Idle|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0>");
            assert!(waited_ms <= patience_ms, "{text}");
        }
        assert!(patience_ms - 1_200 <= waited_ms, "{text}: after {waited_ms} ms");
    }
}

#[test]
fn a_damaged_answer_stops_the_program_and_a_damaged_report_does_not() {
    for (line, stops) in [("oK!", true), ("erro~:20", true), ("<Idle|MPos:0.0x0,0,0>", false)] {
        let mut talk = Talk::connected();
        talk.begin(false);
        talk.feed(1, "G1X1F100");
        talk.hear(line);
        assert_eq!(mismatch(&mut talk).is_some(), stops, "{line}");
    }
}

#[test]
fn a_place_off_the_way_stops_the_program_in_motion_once_seen_twice() {
    let mut talk = Talk::connected();
    talk.begin(false);
    let traits = LineTraits { moves: true, ..LineTraits::default() };
    let end = [Some(100.0), Some(0.0), Some(0.0)];
    let line = ProgramLine { number: 1, text: "G90G1X100F600".into(), traits, end };
    talk.hear("<Idle|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0>");
    talk.grbl.feed(talk.now, line, &mut talk.out);
    talk.hear("ok\r\n<Run|MPos:40.000,0.000,0.000|Bf:14,128|FS:600,0>");
    talk.hear("<Run|MPos:41.000,7.000,0.000|Bf:14,128|FS:600,0>");
    talk.hear("<Run|MPos:41.500,0.000,0.000|Bf:14,128|FS:600,0>");
    assert_eq!(mismatch(&mut talk), None, "one report may itself be damaged");
    talk.hear("<Run|MPos:42.000,1.000,0.000|Bf:14,128|FS:600,0>");
    talk.hear("<Run|MPos:42.500,2.000,0.000|Bf:14,128|FS:600,0>");
    assert_eq!(mismatch(&mut talk), Some(Check::Position));
}

#[test]
fn a_line_number_that_was_never_sent_is_noticed() {
    let mut talk = Talk::connected();
    talk.grbl.it.line_numbers = true;
    talk.begin(false);
    for number in 1..=5 {
        talk.feed(number + 10, &format!("N{number}G1X{number}F100"));
    }
    talk.hear("ok\r\nok\r\n<Run|MPos:1.000,0.000,0.000|Bf:13,106|Ln:2|FS:100,0>");
    assert_eq!(talk.grbl.progress().unwrap().executing, Some(12));
    assert_eq!(mismatch(&mut talk), None);
    talk.hear("<Run|MPos:1.000,0.000,0.000|Bf:13,106|Ln:7|FS:100,0>");
    talk.hear("<Run|MPos:1.000,0.000,0.000|Bf:13,106|Ln:7|FS:100,0>");
    assert_eq!(mismatch(&mut talk), Some(Check::LineNumber));
}

// ---- properties -------------------------------------------------------------------------------

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// One thing that can happen to a driver.
    #[derive(Clone, Debug)]
    enum Step {
        Hear(Vec<u8>),
        Say(usize),
        Wait(u64),
        Feed(usize),
        Obey(usize),
        Stop(Stop),
        Begin(bool),
        Finish,
        Cut,
    }

    const SAYINGS: [&str; 16] = [
        "ok",
        "error:9",
        "ALARM:1",
        "ALARM:3",
        "Grbl 1.1h ['$' for help]",
        "[MSG:Enabled]",
        "[OPT:V,15,128]",
        "[OPT:V,0,99999999999999999999]",
        "[GC:G1 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]",
        QUIET,
        "<Run|MPos:1.000,2.000,3.000|Bf:3,40|FS:500,0|Ov:100,100,100>",
        "<Hold:0|MPos:1.000,2.000,3.000|Bf:3,40|FS:0,0>",
        "<Alarm|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0>",
        "<Check|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0>",
        "<Jog|MPos:0.000,0.000,0.000|Bf:999999,999999|FS:0,0>",
        "[PRB:0.000,0.000,0.000:1]",
    ];

    fn command(at: usize) -> Command {
        let by = [Some(1.0), None, Some(-2.5)];
        match at % 12 {
            0 => Command::Resume,
            1 => Command::Reset,
            2 => Command::Unlock,
            3 => Command::Home { axes: None },
            4 => Command::Jog { by, feed: 100.0, absolute: at.is_multiple_of(2) },
            5 => Command::JogCancel,
            6 => Command::Probe { by, feed: 10.0, lenient: false },
            7 => Command::Zero { system: None, at: by },
            8 => Command::Check { on: true },
            9 => Command::Run { line: "G0 X1".into() },
            10 => Command::Setting { number: 10, value: "1".into() },
            _ => Command::Sleep,
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Step::Hear),
            8 => (0..SAYINGS.len()).prop_map(Step::Say),
            4 => Just(Step::Say(0)),
            3 => (1..5_000_u64).prop_map(Step::Wait),
            5 => (1..60_usize).prop_map(Step::Feed),
            2 => any::<usize>().prop_map(Step::Obey),
            1 => prop_oneof![Just(Stop::Hold), Just(Stop::Stop), Just(Stop::Abort)]
                .prop_map(Step::Stop),
            2 => any::<bool>().prop_map(Step::Begin),
            1 => Just(Step::Finish),
            1 => Just(Step::Cut),
        ]
    }

    fn take(talk: &mut Talk, step: Step) {
        match step {
            Step::Hear(bytes) => talk.grbl.hear(talk.now, &bytes, &mut talk.out),
            Step::Say(at) => talk.hear(SAYINGS[at]),
            Step::Wait(ms) => talk.wait(ms),
            Step::Feed(length) => {
                if talk.grbl.appetite() > 0 {
                    talk.feed(1, &format!("G1{}", "X".repeat(length)));
                }
            }
            Step::Obey(at) => drop(talk.grbl.obey(talk.now, command(at), &mut talk.out)),
            Step::Stop(how) => talk.grbl.stop(talk.now, how, &mut talk.out),
            Step::Begin(dry_run) => {
                drop(talk.grbl.begin(
                    talk.now,
                    Program { dry_run, ..Program::default() },
                    &mut talk.out,
                ));
            }
            Step::Finish => talk.grbl.finish(talk.now, &mut talk.out),
            Step::Cut => {
                talk.grbl.cut(talk.now, "test", &mut talk.out);
                talk.grbl.greet(talk.now, &mut talk.out);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn whatever_happens_nothing_panics_and_every_program_ends_once(
            known in any::<bool>(),
            steps in proptest::collection::vec(step(), 0..80),
        ) {
            let mut talk = if known { Talk::connected() } else { Talk::new() };
            let (mut begun, mut ended) = (0, 0);
            for step in steps {
                let begins = matches!(step, Step::Begin(_));
                let ran = talk.grbl.program.is_some();
                take(&mut talk, step);
                begun += usize::from(begins && !ran && talk.grbl.program.is_some());
                prop_assert!(talk.grbl.unanswered_bytes() <= talk.grbl.it.window().max(128));
                let over = |event: &&Event| {
                    matches!(event, Event::ProgramDone | Event::ProgramLost { .. })
                };
                ended += talk.take_events().iter().filter(over).count();
            }
            talk.grbl.cut(talk.now, "the end", &mut talk.out);
            let over =
                |event: &&Event| matches!(event, Event::ProgramDone | Event::ProgramLost { .. });
            ended += talk.take_events().iter().filter(over).count();
            prop_assert_eq!(begun, ended);
        }

        #[test]
        fn every_line_is_sent_once_in_order_and_never_past_the_window(
            lines in proptest::collection::vec("[A-Z0-9.]{1,79}", 1..120),
            answers in proptest::collection::vec(1..9_usize, 1..60),
        ) {
            let mut talk = Talk::connected();
            talk.begin(false);
            let mut left = lines.iter();
            let mut answers = answers.iter().cycle();
            let (mut sent, mut unanswered) = (String::new(), std::collections::VecDeque::new());
            loop {
                while talk.grbl.appetite() > 0 {
                    let Some(line) = left.next() else { break };
                    talk.feed(1, line);
                }
                let (urgent, bytes) = talk.sent();
                prop_assert!(urgent.is_empty());
                unanswered.extend(bytes.split_inclusive('\n').map(str::len));
                prop_assert!(unanswered.iter().sum::<usize>() <= 128);
                sent += &bytes;
                let count = *answers.next().expect("a cycle has no end");
                if unanswered.is_empty() {
                    break;
                }
                for _ in 0..count.min(unanswered.len()) {
                    unanswered.pop_front();
                    talk.hear("ok");
                }
            }
            prop_assert_eq!(sent, lines.join("\n") + "\n");
        }
    }
}
