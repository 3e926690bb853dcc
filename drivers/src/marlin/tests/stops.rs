//! Conversations in which the firmware is to stop, to hold, or to be left.

use headstock_config::command::{Command, Stop};
use headstock_config::event::{Cause, Event};
use headstock_config::machine::{Envelope, Mode};

use super::{Talk, answer_all};
use crate::Driver;

/// What a stop says when the queue has been seen empty.
const OFF: &[&str] = &["M410", "M104 S0", "M140 S0", "M107", "M84", "G21", "G90", "M82", "M105"];

#[test]
fn stop_and_abort_overtake_every_line() {
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.marlin.stop(talk.now, Stop::Stop, &mut talk.out);
    assert_eq!(talk.urgent(), "\nM108\n\nM410\n");
    assert_eq!(talk.sent(), ["M110 N0"], "and nothing of the program");
    assert_eq!(talk.marlin.live().mode, Mode::Holding);
    let mut sent = Vec::new();
    talk.hear("ok\nok\nok");
    for _ in 0..20 {
        let more = talk.sent();
        for line in &more {
            talk.hear(if line == "M105" { "ok T:21.0 /0.0" } else { "ok" });
        }
        sent.extend(more);
    }
    assert_eq!(sent, OFF);
    assert_eq!(talk.lost(), Some(Cause::Asked));

    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.marlin.stop(talk.now, Stop::Abort, &mut talk.out);
    assert_eq!((talk.urgent().as_str(), talk.sent().len()), ("\nM112\n", 0));
    talk.hear("Error:Printer halted. kill() called!");
    assert_eq!(talk.lost(), Some(Cause::Asked));
    assert_eq!(talk.marlin.live().mode, Mode::Alarm);
    for _ in 0..50 {
        talk.hear("Error:Printer halted. kill() called!");
    }
    assert_eq!(talk.take_events(), [], "it repeats itself; nobody needs to know");
}

#[test]
fn a_stop_that_is_asked_for_twice_still_switches_heaters_off_and_ends() {
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.marlin.stop(talk.now, Stop::Stop, &mut talk.out);
    talk.sent();
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M410"]);
    talk.urgent();
    talk.marlin.stop(talk.now, Stop::Stop, &mut talk.out);
    assert_eq!(talk.urgent(), "\nM108\n\nM410\n");
    let sent = answer_all(&mut talk);
    assert_eq!(sent, [&["M110 N0"], OFF].concat());
    assert_eq!(talk.lost(), Some(Cause::Asked));
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
}

#[test]
fn a_stop_breaks_off_every_wait_that_stands_in_the_queue() {
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.marlin.stop(talk.now, Stop::Stop, &mut talk.out);
    talk.urgent();
    talk.wait(1100);
    assert_eq!(talk.urgent(), "\nM108\n\nM410\n");
    talk.wait(1100);
    assert_eq!(talk.urgent(), "\nM108\n\nM410\n");
    answer_all(&mut talk);
    talk.wait(3000);
    assert_eq!(talk.urgent(), "", "it is over");
}

#[test]
fn a_firmware_that_only_complains_of_a_heater_is_stopped_all_the_same() {
    let at_rest = |talk: &mut Talk| {
        talk.take_events().iter().any(|event| matches!(event, Event::AtRest { .. }))
    };
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.hear("Error:Heating failed, system stopped! Heater_ID: 0");
    assert_eq!(talk.lost(), Some(Cause::Alarm));
    assert_eq!(talk.marlin.live().mode, Mode::Alarm);
    talk.sent();
    talk.marlin.stop(talk.now, Stop::Stop, &mut talk.out);
    assert_eq!(talk.urgent(), "\nM108\n\nM410\n");
    assert_eq!(talk.marlin.live().mode, Mode::Holding);
    assert!(!at_rest(&mut talk), "nothing shows that it rests");
    assert!(answer_all(&mut talk).contains(&"M104 S0".to_owned()));
    assert!(at_rest(&mut talk));
    assert_eq!(talk.marlin.live().mode, Mode::Alarm);

    talk.marlin.stop(talk.now, Stop::Abort, &mut talk.out);
    assert_eq!(talk.urgent(), "\nM112\n");
    assert!(!at_rest(&mut talk), "nor now");
    talk.hear("Error:Printer halted. kill() called!");
    assert!(at_rest(&mut talk));
    talk.marlin.stop(talk.now, Stop::Abort, &mut talk.out);
    assert_eq!(talk.urgent(), "\nM112\n", "saying it costs nothing");
    assert!(at_rest(&mut talk));
}

#[test]
fn a_stop_is_not_forgotten_when_nothing_is_answered() {
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.marlin.stop(talk.now, Stop::Stop, &mut talk.out);
    talk.wait(400_000);
    let told = talk.take_events();
    let warns = |it: &Event| matches!(it, Event::Remark { text } if text.contains("heaters"));
    assert!(told.iter().any(warns));
    assert!(told.iter().any(|it| matches!(it, Event::ProgramLost { .. })));
    assert_eq!(talk.marlin.live().mode, Mode::Connecting);
    talk.sent();
    talk.urgent();
    talk.hear("echo:busy: processing");
    assert_eq!(talk.urgent(), "\nM108\n\nM410\n");
    assert_eq!(talk.marlin.live().mode, Mode::Holding);
    let sent = answer_all(&mut talk);
    assert_eq!(sent, [&["M110 N0"], OFF].concat());
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
}

#[test]
fn an_abort_that_is_not_heeded_ends_at_least_in_a_quick_stop() {
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.marlin.stop(talk.now, Stop::Abort, &mut talk.out);
    talk.urgent();
    talk.wait(3100);
    assert_eq!(talk.urgent(), "\nM108\n\nM410\n");
    let told = talk.take_events();
    assert!(
        told.iter().any(|event| matches!(event, Event::Remark { text } if text.contains("cut")))
    );
}

#[test]
fn a_hold_lets_what_is_planned_end_and_leaves_heaters_alone() {
    let mut talk = Talk::printing(&[]);
    talk.sent();
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    assert_eq!(talk.marlin.live().mode, Mode::Holding);
    assert_eq!(talk.marlin.appetite(), 0);
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M400"]);
    talk.hear("ok");
    assert_eq!(talk.marlin.live().mode, Mode::Held);
    talk.marlin.obey(talk.now, Command::Resume, &mut talk.out).unwrap();
    assert_eq!(talk.sent(), ["G1 X5"]);
    assert_eq!(talk.marlin.live().mode, Mode::Running);
}

#[test]
fn a_hold_drops_the_moves_by_hand_that_wait() {
    let mut talk = Talk::connected(&[]);
    let jog = Command::Jog { by: [Some(1.0), None, None], feed: 600.0, absolute: false };
    talk.marlin.obey(talk.now, jog, &mut talk.out).unwrap();
    assert_eq!(talk.sent(), ["G21"]);
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    talk.hear("ok");
    let mut sent = talk.sent();
    sent.extend(
        std::iter::repeat_with(|| {
            talk.hear("ok");
            talk.sent()
        })
        .take(9)
        .flatten(),
    );
    assert_eq!(sent, ["G91", "G21", "G90", "M82", "M400", "M114"]);
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
}

#[test]
fn a_hold_on_the_way_back_from_a_park_leaves_the_rest_of_the_way_for_later() {
    let mut talk = Talk::printing(&[]);
    talk.marlin.setup.printer.park = Some([5.0, 6.0]);
    talk.marlin.live.homed = Some(true);
    talk.marlin.live.position_doubt = None;
    talk.sent();
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    let answer = |talk: &mut Talk, line: &str| match line {
        "M105" => talk.hear("ok T:21.0 /0.0"),
        "M114" => talk.hear("X:1.00 Y:2.00 Z:3.00 E:4.00 Count X:0 Y:0 Z:0\nok"),
        _ => talk.hear("ok"),
    };
    let mut line = "G1 X4".to_owned();
    while talk.marlin.live().mode != Mode::Held {
        answer(&mut talk, &line);
        line = talk.sent().pop().unwrap_or_default();
    }
    talk.marlin.obey(talk.now, Command::Resume, &mut talk.out).unwrap();
    let mut line = talk.sent().pop().unwrap();
    while !line.starts_with("G1 X1.000") {
        answer(&mut talk, &line);
        line = talk.sent().pop().unwrap();
    }
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    answer(&mut talk, &line);
    assert_eq!(talk.sent(), ["M400"], "and neither the nozzle down nor the print on");
    assert_eq!(talk.marlin.live().mode, Mode::Holding);
    talk.hear("ok");
    assert_eq!((talk.sent(), talk.marlin.live().mode), (vec![], Mode::Held));
    talk.marlin.obey(talk.now, Command::Resume, &mut talk.out).unwrap();
    let mut sent = talk.sent();
    while sent.last().is_some_and(|it| it != "G1 X5") {
        talk.hear("ok");
        sent.extend(talk.sent());
    }
    let down = sent.iter().filter(|it| it.starts_with("G1 Z3.000")).count();
    assert_eq!(down, 1, "once in all: {sent:?}");
    assert!(!sent.iter().any(|it| it.starts_with("G1 X1.000")), "{sent:?}");
}

#[test]
fn a_held_print_is_lifted_no_higher_than_the_printer_reaches() {
    for (top, lift) in
        [(250.0, Some("G1 Z10.000 F600")), (180.0, Some("G1 Z5.000 F600")), (170.0, None)]
    {
        let mut talk = Talk::printing(&[]);
        talk.marlin.setup.printer.park = Some([5.0, 6.0]);
        talk.marlin.setup.envelope = Some(Envelope { min: [0.0; 3], max: [200.0, 200.0, top] });
        talk.marlin.live.homed = Some(true);
        talk.marlin.live.position_doubt = None;
        talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
        let mut sent = Vec::new();
        while talk.marlin.live().mode != Mode::Held {
            for line in talk.sent() {
                if line == "M114" {
                    talk.hear("X:1.00 Y:2.00 Z:175.00 E:4.00 Count X:0 Y:0 Z:0");
                }
                talk.hear(if line == "M105" { "ok T:21.0 /0.0" } else { "ok" });
                sent.push(line);
            }
        }
        let lifted = sent.iter().find(|it| it.starts_with("G1 Z")).map(String::as_str);
        assert_eq!(lifted, lift, "{top}");
        talk.marlin.obey(talk.now, Command::Resume, &mut talk.out).unwrap();
        let back = answer_all(&mut talk);
        assert_eq!(back.iter().any(|it| it.starts_with("G1 Z175.000")), lift.is_some(), "{back:?}");
    }
}

#[test]
fn a_closing_house_breaks_off_what_heats_and_leaves_it_cold() {
    let mut talk = Talk::printing(&["EMERGENCY_PARSER"]);
    talk.sent();
    talk.marlin.farewell(talk.now, &mut talk.out);
    assert_eq!(talk.urgent(), "\nM108\n");
    talk.hear("ok");
    assert_eq!(answer_all(&mut talk), ["M104 S0", "M140 S0", "M107", "M400"]);
    assert_eq!(talk.lost(), Some(Cause::Closing));
}

#[test]
fn a_hold_that_was_not_told_where_it_is_does_not_park() {
    let mut talk = Talk::printing(&[]);
    talk.marlin.setup.printer.park = Some([5.0, 6.0]);
    talk.marlin.live.homed = Some(true);
    talk.marlin.live.position_doubt = None;
    talk.sent();
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    talk.hear("ok");
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M400", "M105"]);
    talk.hear("ok T:21.0 /0.0");
    assert_eq!(talk.sent(), ["M114"]);
    talk.hear("ok");
    assert_eq!((talk.sent(), talk.marlin.live().mode), (vec![], Mode::Held));
}

#[test]
fn an_end_of_filament_holds_a_print_though_it_was_told_before_that_began() {
    let told = |talk: &mut Talk| {
        let events = talk.take_events().into_iter();
        events.filter(|event| matches!(event, Event::Asks { .. })).count()
    };
    let mut talk = Talk::connected(&[]);
    talk.hear("//action:out_of_filament T0");
    assert_eq!(talk.marlin.live().asks.as_deref(), Some("out of filament T0"));
    talk.begin();
    assert_eq!(
        (talk.marlin.live().asks.as_deref(), talk.marlin.live().mode),
        (None, Mode::Running)
    );
    talk.hear("//action:out_of_filament T0");
    assert_eq!(talk.marlin.live().mode, Mode::Holding);
    assert_eq!(told(&mut talk), 1);
    talk.hear("//action:out_of_filament T0");
    assert_eq!(told(&mut talk), 0, "it says so again and again");
}

#[test]
fn a_printer_that_asks_to_go_on_is_not_obeyed() {
    let mut talk = Talk::printing(&[]);
    talk.sent();
    talk.marlin.stop(talk.now, Stop::Hold, &mut talk.out);
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M400"]);
    talk.hear("ok");
    talk.take_events();
    talk.hear("//action:resume");
    assert_eq!((talk.sent(), talk.urgent()), (vec![], String::new()));
    assert_eq!(talk.marlin.live().mode, Mode::Held);
    assert!(matches!(talk.take_events()[..], [Event::Remark { .. }]));
}
