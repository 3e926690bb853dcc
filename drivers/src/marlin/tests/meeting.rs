//! Conversations in which firmwares are met.

use headstock_config::event::Event;
use headstock_config::machine::Mode;

use super::Talk;
use crate::Driver;

/// Reads what was sent and answers it as a firmware that says what it can.
fn answer(talk: &mut Talk) {
    for line in talk.sent() {
        talk.hear(match line.as_str() {
            "M115" => {
                "FIRMWARE_NAME:Marlin 2.1.2 (x) EXTRUDER_COUNT:1\nCap:AUTOREPORT_TEMP:1\n\
                 Cap:EMERGENCY_PARSER:1\nok"
            }
            "M105" => "ok T:21.0 /0.0 B:21.0 /0.0 @:0 B@:0",
            "M114" => "X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0\nok",
            _ => "ok",
        });
    }
}

fn dialects(talk: &mut Talk) -> Vec<String> {
    let told = talk.take_events().into_iter();
    told.filter_map(|event| match event {
        Event::Connected { controller } => Some(controller.dialect),
        _ => None,
    })
    .collect()
}

#[test]
fn a_board_that_starts_slowly_is_not_known_before_it_has_said_what_it_can() {
    // It finds so many M110 when it has started, and tells no numbers.
    for found in 1..=9 {
        let mut talk = Talk::new();
        talk.marlin.greet(talk.now, &mut talk.out);
        talk.wait(2000 * found - 1000);
        assert_eq!(talk.sent(), vec!["M110 N0"; found as usize]);
        // Each of our questions waits behind all of them.
        (0..found).for_each(|_| talk.hear("ok"));
        for _ in 0..20 {
            answer(&mut talk);
        }
        assert_eq!(dialects(&mut talk), ["Marlin"], "{found}");
        assert!(!talk.marlin.live().stop_waits, "{found}");
        assert_eq!(talk.marlin.live().mode, Mode::Idle, "{found}");
        assert!(talk.marlin.it.reports_temperatures, "{found}");
    }
}

#[test]
fn a_firmware_that_says_nothing_but_ok_is_known_all_the_same() {
    let mut talk = Talk::new();
    talk.marlin.greet(talk.now, &mut talk.out);
    let mut asked = 0;
    for _ in 0..40 {
        let sent = talk.sent();
        asked += sent.iter().filter(|line| *line == "M115").count();
        sent.iter().for_each(|_| talk.hear("ok"));
    }
    assert_eq!(dialects(&mut talk), ["RepRap"]);
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
    assert_eq!(asked, 4, "and is not asked for ever");
}
