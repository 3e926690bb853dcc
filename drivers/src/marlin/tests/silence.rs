//! Conversations in which the firmware says little, or nothing for long.

use headstock_config::event::{Cause, Event};
use headstock_config::machine::Mode;

use super::{Talk, answer_all};
use crate::Driver;

/// This every second, for so many seconds.
fn says(talk: &mut Talk, text: &str, seconds: u64) {
    for _ in 0..seconds {
        talk.wait(1000);
        talk.hear(text);
    }
}

/// In the middle of a print, at a line that waits for the bed.
fn heating(capabilities: &[&str]) -> Talk {
    let mut talk = Talk::printing(capabilities);
    for number in 5..=19 {
        talk.hear("ok");
        assert_eq!(talk.sent().last().unwrap(), &format!("G1 X{number}"));
    }
    talk.feed_line(20, "M190 S60");
    talk.hear("ok");
    assert_eq!(talk.sent(), ["M190 S60"]);
    talk
}

#[test]
fn a_firmware_that_heats_for_long_and_tells_how_warm_it_is_is_alive() {
    for (capabilities, busy, told) in [
        (&[][..], false, "T:21.0 /0.0 B:40.0 /60.0 @:0 B@:127"),
        (&["AUTOREPORT_TEMP"], false, "T:21.0 /0.0 B:40.0 /60.0 @:0 B@:127 W:?"),
        // Built without BUSY_WHILE_HEATING.
        (&["AUTOREPORT_TEMP"], true, " T:21.0 /0.0 B:40.0 /60.0 @:0 B@:127 W:?"),
    ] {
        let mut talk = heating(capabilities);
        if busy {
            talk.hear("echo:busy: processing");
        }
        says(&mut talk, told, 600);
        assert_eq!(talk.lost(), None, "{told}");
        assert_eq!(talk.sent(), [""; 0], "{told}");
        assert_eq!(talk.marlin.live().mode, Mode::Running);
    }
}

#[test]
fn a_firmware_that_tells_how_warm_it_is_by_itself_may_have_lost_a_line() {
    let mut talk = heating(&["AUTOREPORT_TEMP"]);
    says(&mut talk, "T:21.0 /0.0 B:40.0 /60.0 @:0 B@:127", 11);
    assert_eq!(talk.sent(), ["M190 S60"]);
}

#[test]
fn a_print_that_was_lost_in_a_silence_leaves_no_heat_once_it_is_over() {
    let mut talk = heating(&["EMERGENCY_PARSER"]);
    talk.wait(400_000);
    assert_eq!(talk.lost(), Some(Cause::Link));
    assert_eq!(talk.marlin.live().mode, Mode::Connecting);
    talk.sent();
    talk.hear("T:21.0 /0.0 B:40.0 /60.0 @:0 B@:127 W:?");
    assert_eq!(talk.urgent(), "\nM108\n", "it heats no further");
    talk.hear("ok");
    let sent = answer_all(&mut talk);
    for off in ["M104 S0", "M140 S0", "M107", "G90", "M82"] {
        assert!(sent.iter().any(|it| it == off), "{off}: {sent:?}");
    }
    let told = talk.take_events();
    let says = |it: &Event| matches!(it, Event::Remark { text } if text.contains("switched off"));
    assert!(told.iter().any(says), "{told:?}");
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
}

#[test]
fn a_firmware_that_restarts_in_a_silence_has_nothing_to_be_switched_off() {
    let mut talk = heating(&[]);
    talk.wait(400_000);
    talk.sent();
    talk.hear("start");
    let sent = answer_all(&mut talk);
    assert!(!sent.iter().any(|it| it == "M104 S0"), "{sent:?}");
    assert_eq!(talk.marlin.live().mode, Mode::Idle);
}
