//! Conversations with a firmware, written out as they go over the wire.

mod hands;
mod meeting;
mod modes;
mod silence;
mod stops;

use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::event::{Cause, Event};
use headstock_config::machine::Mode;

use super::{Marlin, Setup};
use crate::gcode::{LineTraits, ProgramLine};
use crate::{Driver, Outbox, Program, Refusal};

/// A driver, a clock, and everything that came out.
struct Talk {
    marlin: Marlin,
    now: Instant,
    out: Outbox,
    events: Vec<Event>,
}

impl Talk {
    fn new() -> Self {
        let marlin = Marlin::with(Setup::default());
        Self { marlin, now: Instant::now(), out: Outbox::default(), events: Vec::new() }
    }

    /// Connected to a Marlin with these capabilities.
    fn connected(capabilities: &[&str]) -> Self {
        let mut talk = Self::new();
        talk.marlin.greet(talk.now, &mut talk.out);
        assert_eq!(talk.sent(), ["M110 N0"]);
        talk.hear("ok");
        assert_eq!(talk.sent(), ["M115"]);
        talk.hear("FIRMWARE_NAME:Marlin 2.1.2 (x) MACHINE_TYPE:Ender EXTRUDER_COUNT:1 UUID:1");
        for name in capabilities {
            talk.hear(&format!("Cap:{name}:1"));
        }
        talk.hear("ok");
        assert_eq!(talk.sent(), ["M105"]);
        talk.hear("ok T:21.0 /0.0 B:21.0 /0.0 @:0 B@:0");
        assert_eq!(talk.sent(), ["M114"]);
        talk.hear("X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0\nok");
        while !talk.sent().is_empty() {
            talk.hear("ok");
        }
        talk.take_events();
        assert_eq!(talk.marlin.live().mode, Mode::Idle);
        talk
    }

    /// In the middle of a program whose lines are `G1 X4`, `G1 X5`, …: each tells its number on the
    /// wire.
    fn printing(capabilities: &[&str]) -> Self {
        let mut talk = Self::connected(capabilities);
        talk.begin();
        talk
    }

    fn begin(&mut self) {
        self.marlin.begin(self.now, Program::default(), &mut self.out).unwrap();
        assert_eq!(self.sent(), ["M110 N0"]);
        self.hear("ok");
        for mode in ["G21", "G90", "M82"] {
            assert_eq!(self.sent(), [mode]);
            self.hear("ok");
        }
        self.feed(4..=19);
        self.take_events();
    }

    fn feed(&mut self, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            assert!(0 < self.marlin.appetite(), "no room for {number}");
            self.feed_line(number, &format!("G1 X{number}"));
        }
    }

    fn feed_line(&mut self, number: u64, text: &str) {
        let traits = LineTraits { moves: true, ..LineTraits::default() };
        let line = ProgramLine { number, text: text.into(), traits, end: [None; 3] };
        self.marlin.feed(self.now, line, &mut self.out);
    }

    fn hear(&mut self, text: &str) {
        self.marlin.hear(self.now, format!("{text}\n").as_bytes(), &mut self.out);
        self.events.extend(self.out.events.drain(..));
    }

    /// What was to be sent in order since the last look, without numbers and checksums, which must
    /// be right.
    fn sent(&mut self) -> Vec<String> {
        let bytes = String::from_utf8(std::mem::take(&mut self.out.bytes)).unwrap();
        let plain = |line: &str| {
            let (body, sum) = line.rsplit_once('*').unwrap();
            assert_eq!(super::line::checksum(body.as_bytes()).to_string(), sum, "{line}");
            body[1..].trim_start_matches(|it: char| it.is_ascii_digit()).to_owned()
        };
        bytes.lines().map(plain).collect()
    }

    fn urgent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out.urgent)).unwrap()
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut ticks = 0;
        while let Some(due) = self.marlin.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.marlin.tick(self.now, &mut self.out);
            ticks += 1;
            assert!(ticks < 20 + ms, "the driver keeps asking to be called at once");
        }
        self.now = end;
        self.events.extend(self.out.events.drain(..));
    }

    fn take_events(&mut self) -> Vec<Event> {
        self.events.extend(self.out.events.drain(..));
        std::mem::take(&mut self.events)
    }

    fn lost(&mut self) -> Option<Cause> {
        self.take_events().into_iter().find_map(|event| match event {
            Event::ProgramLost { cause, .. } => Some(cause),
            _ => None,
        })
    }
}

/// Answers every line until nothing more is sent; what was sent.
fn answer_all(talk: &mut Talk) -> Vec<String> {
    let mut sent = Vec::new();
    for _ in 0..30 {
        let more = talk.sent();
        for line in &more {
            talk.hear(match line.as_str() {
                "M105" => "ok T:21.0 /0.0",
                "M114" => "X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0\nok",
                _ => "ok",
            });
        }
        sent.extend(more);
    }
    sent
}

#[test]
fn without_a_told_buffer_one_line_is_in_flight() {
    let mut talk = Talk::printing(&[]);
    assert_eq!(talk.sent(), ["G1 X4"]);
    for number in 5..=40 {
        talk.hear("ok");
        assert_eq!(talk.sent(), [format!("G1 X{number}")]);
        talk.feed(number + 15..=number + 15);
    }
}

/// Answers `N4` to `N<last>` as a board with ADVANCED_OK; what was sent upon the last.
fn take_upto(talk: &mut Talk, last: u64) -> Vec<String> {
    talk.sent();
    let mut sent = Vec::new();
    for number in 4..=last {
        talk.hear(&format!("ok N{number} P10 B3"));
        sent = talk.sent();
        let fed = talk.marlin.progress.unwrap().lines_sent + 19 - talk.marlin.appetite() as u64;
        talk.feed(fed + 1..=fed + talk.marlin.appetite() as u64);
        sent.extend(talk.sent());
    }
    sent
}

#[test]
fn a_told_buffer_opens_a_window_after_twenty_clean_lines() {
    let mut talk = Talk::printing(&[]);
    assert_eq!(take_upto(&mut talk, 15).len(), 1);
    assert_eq!(talk.marlin.stream.in_flight(), 1);
    take_upto(&mut talk, 30);
    assert_eq!(talk.marlin.stream.in_flight(), 3);
    assert!(talk.marlin.unanswered_bytes() <= 127);
}

#[test]
fn one_bad_line_among_several_is_sent_again_once_however_often_it_is_asked_for() {
    let mut talk = Talk::printing(&[]);
    take_upto(&mut talk, 30);
    // 31 spoilt, 32 and 33 refused because of it.
    for why in ["checksum mismatch", "Line Number is not Last Line Number+1"] {
        talk.hear(&format!("Error:{why}, Last Line: 30\nResend: 31\nok"));
        assert_eq!(talk.sent(), [""; 0], "it waits for the answers to come");
    }
    talk.hear("Error:Line Number is not Last Line Number+1, Last Line: 30\nResend: 31\nok");
    assert_eq!(talk.sent(), ["G1 X31"], "once, and alone");
    assert_eq!(talk.marlin.stream.in_flight(), 1);
    for number in 31..=35 {
        talk.hear(&format!("ok N{number} P10 B3"));
        assert_eq!(talk.sent()[0], format!("G1 X{}", number + 1));
    }
    talk.hear("ok N36 P10 B3");
    assert_eq!(talk.marlin.stream.in_flight(), 3, "and the window opens again");
    assert_eq!(talk.lost(), None);
}

#[test]
fn a_resend_without_an_ok_is_answered_after_a_silence() {
    let mut talk = Talk::printing(&[]);
    talk.sent();
    talk.hear("Error:checksum mismatch, Last Line: 3\nResend: 4");
    assert_eq!(talk.sent(), [""; 0]);
    talk.wait(250);
    assert_eq!(talk.sent(), [""; 0]);
    talk.wait(100);
    assert_eq!(talk.sent(), ["G1 X4"]);
}

#[test]
fn a_changed_digit_in_a_resend_does_no_harm() {
    let mut talk = Talk::printing(&[]);
    take_upto(&mut talk, 12);
    talk.hear("Error:checksum mismatch, Last Line: 12\nResend: 53\nok");
    assert_eq!(talk.sent(), ["G1 X13"]);
    talk.hear("Error:Line Number is not Last Line Number+1, Last Line: 19\nResend: 13\nok");
    assert_eq!(talk.lost(), None);
}

#[test]
fn a_line_that_is_never_answered_is_sent_once_more() {
    let mut talk = Talk::printing(&["AUTOREPORT_TEMP", "AUTOREPORT_POS"]);
    talk.hear("echo:busy: processing");
    talk.sent();
    talk.wait(2900);
    assert_eq!(talk.sent(), [""; 0]);
    talk.hear("echo:busy: processing");
    talk.wait(2900);
    assert_eq!(talk.sent(), [""; 0], "it is busy");
    talk.wait(200);
    assert_eq!(talk.sent(), ["G1 X4"]);
    // It had been taken: the firmware says so, and nothing is done twice.
    talk.hear("Error:Line Number is not Last Line Number+1, Last Line: 4\nResend: 5\nok");
    assert_eq!(talk.sent(), ["G1 X5"]);
}

#[test]
fn a_firmware_that_waits_has_lost_a_line_or_its_answer() {
    let mut talk = Talk::printing(&[]);
    talk.sent();
    talk.hear("wait");
    assert_eq!(talk.sent(), [""; 0], "it may still be on its way");
    talk.wait(400);
    talk.hear("wait");
    assert_eq!(talk.sent(), ["G1 X4"]);
}

#[test]
fn a_line_that_never_gets_through_ends_the_program_with_heaters_off() {
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    for _ in 0..11 {
        talk.hear("Error:checksum mismatch, Last Line: 3\nResend: 4\nok");
        talk.wait(10);
    }
    assert!(talk.urgent().contains("\nM410\n"));
    for _ in 0..20 {
        let answers = talk.sent().len();
        (0..answers).for_each(|_| talk.hear("ok T:21.0 /0.0"));
    }
    assert_eq!(talk.lost(), Some(Cause::Link));
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
}

#[test]
fn a_restart_loses_the_program() {
    for line in ["start", "Marlin 2.1.2", "PowerUp"] {
        let mut talk = Talk::printing(&[]);
        talk.hear(line);
        assert_eq!(talk.lost(), Some(Cause::Restarted), "{line}");
        assert_eq!(talk.marlin.live().mode, Mode::Connecting);
    }
}

#[test]
fn a_firmware_that_counts_from_elsewhere_has_restarted_unheard() {
    let mut talk = Talk::printing(&[]);
    take_upto(&mut talk, 40);
    for _ in 0..2 {
        talk.hear("Error:Line Number is not Last Line Number+1, Last Line: 0\nResend: 1\nok");
        talk.wait(400);
    }
    talk.wait(1);
    for _ in 0..20 {
        let answers = talk.sent().len();
        (0..answers).for_each(|_| talk.hear("ok T:21.0 /0.0"));
    }
    assert_eq!(talk.lost(), Some(Cause::Mismatch));
}

#[test]
fn a_held_print_that_is_told_something_by_hand_is_busy_and_a_hold_ends_what_waits() {
    let mut talk = Talk::printing(&[]);
    talk.sent();
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M400"]);
    talk.hear("ok");
    assert_eq!((talk.marlin.live().mode, talk.marlin.live().busy), (Mode::Held, false));
    talk.sent();
    for line in ["M600", "M106 S255"] {
        let run = Command::Run { line: line.into() };
        talk.marlin.obey(talk.now, run, &mut talk.out).unwrap();
    }
    assert_eq!((talk.marlin.live().mode, talk.marlin.live().busy), (Mode::Held, true));
    assert_eq!(talk.sent(), ["M600"]);
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    talk.hear("ok");
    assert_eq!(talk.sent(), [""; 0], "the line that waited is given up");
    assert_eq!((talk.marlin.live().mode, talk.marlin.live().busy), (Mode::Held, false));
}

#[test]
fn a_program_ends_when_its_last_line_is_proved_to_be_taken() {
    let mut talk = Talk::printing(&[]);
    talk.sent();
    talk.marlin.finish(talk.now, &mut talk.out);
    for number in 5..=19 {
        talk.hear("ok");
        assert_eq!(talk.sent(), [format!("G1 X{number}")]);
    }
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M400"]);
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M105"]);
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M105"], "an answer to something else proves nothing");
    assert!(!talk.take_events().contains(&Event::ProgramDone));
    talk.hear("ok T:21.0 /0.0 B:21.0 /0.0 @:0 B@:0");
    assert!(talk.take_events().contains(&Event::ProgramDone));
    assert_eq!(talk.marlin.progress().unwrap().lines_acked, 16);
}

#[test]
fn what_this_machine_cannot_do_is_refused() {
    let mut talk = Talk::connected(&[]);
    let mut ask = |command| talk.marlin.obey(talk.now, command, &mut talk.out);
    for line in ["M110 N5", "M112", "N5 G1 X1", "", "G1 X1 *5", "M117 ü"] {
        let refused = ask(Command::Run { line: line.into() });
        assert!(matches!(refused, Err(Refusal::BadCommand(_))), "{line}");
    }
    let dry = Program { dry_run: true, ..Program::default() };
    assert!(matches!(
        talk.marlin.begin(talk.now, dry, &mut talk.out),
        Err(Refusal::Unsupported(_))
    ));
}

#[test]
fn a_typed_line_heats_no_further_than_is_declared() {
    let mut talk = Talk::connected(&[]);
    let mut run =
        |line: &str| talk.marlin.obey(talk.now, Command::Run { line: line.into() }, &mut talk.out);
    for line in [
        "M104 S276",
        "m109R300",
        "M109 T0 S 999",
        "M140 S121",
        "M190 R130",
        "M141 S200",
        "M191 S200",
    ] {
        assert!(matches!(run(line), Err(Refusal::BadCommand(_))), "{line}");
    }
    for line in ["M104 S275", "M109 R20", "M140 S120", "M106 S255", "M117 S999"] {
        run(line).unwrap();
    }
}

#[test]
fn going_on_answers_a_prompt_only_with_a_choice_that_says_so() {
    for (choices, answer) in [
        (&["PurgeMore", "CONTINUE"][..], Some("\nM876 S1\n")),
        (&["Resume"], Some("\nM876 S0\n")),
        (&["PurgeMore", "DisableRunout"], None),
        (&[], Some("\nM108\n")),
    ] {
        let mut talk = Talk::printing(&["PROMPT_SUPPORT"]);
        talk.hear("//action:prompt_begin Paused");
        choices.iter().for_each(|it| talk.hear(&format!("//action:prompt_button {it}")));
        talk.hear("//action:prompt_show\necho:busy: paused for user");
        let went_on = talk.marlin.obey(talk.now, Command::Resume, &mut talk.out);
        assert_eq!(talk.urgent(), answer.unwrap_or_default());
        match went_on {
            Ok(()) => assert!(answer.is_some()),
            Err(refused) => assert!(refused.to_string().contains("1 = DisableRunout")),
        }
    }
}

#[test]
fn one_damaged_answer_does_not_make_a_plain_firmware_an_advanced_one() {
    let mut talk = Talk::printing(&["AUTOREPORT_TEMP", "AUTOREPORT_POS"]);
    talk.sent();
    talk.hear("ok N4 P15 B3");
    assert_eq!(talk.sent(), ["G1 X5"]);
    for number in 6..=19 {
        talk.hear("ok");
        assert_eq!(talk.sent(), [format!("G1 X{number}")]);
    }
}
