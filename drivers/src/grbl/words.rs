//! What the numbers of a GRBL controller mean, in the words of the workshop.
//!
//! Sources: GRBL 1.1 alarm, error and setting lists; grblHAL `alarms.c`, `errors.c`; FluidNC
//! `Alarm.h`, `Error.cpp`. The first numbers are common to all three, the later ones are not.

use headstock_config::event::Alarm;

use super::dialect::Dialect;
use crate::gcode::words::grbl_error;

const HOME: &str = "home the machine before it moves again";
const UNLOCK: &str = "look at the machine, then unlock it";
const RESET_HOME: &str = "reset, then home the machine (or unlock it and jog away from the switch)";
const REPAIR: &str = "put the cause right, then reset and home";

/// An alarm, explained.
pub fn alarm(dialect: Dialect, number: u16) -> Alarm {
    let (means, remedy, position_kept) = alarm_words(dialect, number);
    Alarm { number, means: means.into(), remedy: remedy.into(), position_kept }
}

/// Locked without saying why: found so at connection, or after a reset.
pub fn locked() -> Alarm {
    Alarm {
        number: 0,
        means: "the controller is locked".into(),
        remedy: "home the machine, or unlock it if its position is known to be right".into(),
        position_kept: false,
    }
}

/// Whether the controller answers nothing at all until it is reset.
pub fn silent_until_reset(dialect: Dialect, alarm: u16) -> bool {
    match dialect {
        Dialect::GrblHal => matches!(alarm, 1 | 2 | 10 | 17 | 20),
        _ => matches!(alarm, 1 | 2),
    }
}

fn alarm_words(dialect: Dialect, number: u16) -> (&'static str, &'static str, bool) {
    match number {
        1 => ("a limit switch was hit in motion", RESET_HOME, false),
        2 => ("a move would leave the travel of the machine", "reset, then unlock", true),
        3 => ("it was reset while it moved; steps may be lost", HOME, false),
        4 => ("the probe was already touching, or already free, before the cycle", UNLOCK, true),
        5 => ("the probe found nothing within the programmed distance", UNLOCK, true),
        6 => ("homing was broken off by a reset", HOME, false),
        7 => ("the door opened during homing", HOME, false),
        8 => ("homing could not free the limit switch by pulling off", REPAIR, false),
        9 => ("homing did not find the limit switch", REPAIR, false),
        _ => match dialect {
            Dialect::GrblHal => hal_alarm(number),
            Dialect::FluidNc => fluid_alarm(number),
            Dialect::Grbl if number == 10 => {
                ("homing did not find the second switch of a dual axis", REPAIR, false)
            }
            Dialect::Grbl => UNKNOWN_ALARM,
        },
    }
}

const UNKNOWN_ALARM: (&str, &str, bool) =
    ("an alarm that is not in our list", "see the manual of the controller", false);

fn hal_alarm(number: u16) -> (&'static str, &'static str, bool) {
    match number {
        10 => ("the emergency stop is pressed", "release it, then reset", false),
        11 => ("homing is required", HOME, false),
        12 => ("a limit switch is engaged", "jog away from it, then unlock", false),
        13 => ("the probe protection was triggered", UNLOCK, true),
        14 => ("the spindle did not reach its speed in time", UNLOCK, true),
        15 => ("auto-squaring did not find the second switch", REPAIR, false),
        16 => ("the self test of the controller failed", REPAIR, false),
        17 => ("a motor driver reports a fault", REPAIR, false),
        18 => ("homing is set up wrongly", "correct the settings, then reset", false),
        19 => ("the spindle drive does not answer", REPAIR, true),
        20 => ("the input/output expander does not answer", REPAIR, false),
        21 => ("the settings memory failed", REPAIR, false),
        22 => ("a buffer overflowed", "reset; lower the load on the link", false),
        _ => UNKNOWN_ALARM,
    }
}

fn fluid_alarm(number: u16) -> (&'static str, &'static str, bool) {
    match number {
        10 => ("the spindle could not be controlled", UNLOCK, true),
        11 => ("an input was active at start", "clear the input, then reset", false),
        12 => ("a limit switch is engaged and nobody knows which end", UNLOCK, false),
        13 => ("a hard stop", RESET_HOME, false),
        14 => ("the machine has not been homed", HOME, false),
        15 => ("the controller is starting", UNLOCK, false),
        16 => ("an expander was reset", REPAIR, false),
        17 => ("a G-code error stopped the machine", UNLOCK, true),
        18 => ("the probe hit a hard limit", RESET_HOME, false),
        _ => UNKNOWN_ALARM,
    }
}

/// What `error:N` means.
pub fn error(dialect: Dialect, number: u16) -> &'static str {
    let words = match dialect {
        Dialect::GrblHal => hal_error(number),
        Dialect::FluidNc => fluid_error(number),
        Dialect::Grbl => None,
    };
    words.or_else(|| grbl_error(number)).unwrap_or("an error that is not in our list")
}

fn hal_error(number: u16) -> Option<&'static str> {
    Some(match number {
        18 => "the reset input is asserted",
        19 => "the value must be greater than zero",
        39 => "a value is out of range",
        40 => "a tool change is pending",
        41 => "the spindle is not running",
        42 => "the plane must be ZX",
        43 => "the maximum feed rate is exceeded",
        44 => "the spindle speed is out of range",
        45 => "a limit switch is engaged; only homing is allowed",
        46 => "home the machine first",
        47 => "the current tool must be set with M61",
        48 => "words contradict each other",
        49 => "the self test has failed",
        50 => "the emergency stop is pressed",
        51 => "a motor driver reports a fault",
        52 => "the setting is out of range",
        53 => "the setting is not available",
        54 => "the retract position is below the drill depth",
        55 => "two auto-squared axes in one homing command",
        56 => "the work coordinate system is locked",
        57 => "an unexpected `%`",
        58 | 86 => "the port cannot be used",
        60 | 64 => "the SD card is not mounted",
        61 => "the file could not be read",
        62 => "the folder could not be opened",
        63 => "the folder does not exist",
        65 => "the file system is not mounted",
        66 => "the file system is read only",
        70 => "Bluetooth did not start",
        71 => "an unknown operation in an expression",
        72 => "division by zero in an expression",
        73 => "an argument is out of range in an expression",
        74 | 75 => "an expression is malformed",
        76 => "the result of an expression cannot be used",
        77 => "a password is required",
        78 => "access was denied",
        79 => "not allowed while something critical is pending",
        80 => "flow control is only allowed in a macro",
        81 => "flow control is malformed",
        82 => "flow control is nested too deeply",
        83 => "out of memory",
        84 => "the file could not be opened",
        85 => "formatting failed",
        87 => "there is a tool in the spindle",
        88 => "there is no tool in the spindle",
        89 => "the file could not be deleted",
        90..=92 => "cutter compensation is not possible here",
        253 => "an error that the maker of the controller defined",
        _ => return None,
    })
}

fn fluid_error(number: u16) -> Option<&'static str> {
    Some(match number {
        18 => "no homing cycle is defined",
        19 => "homing single axes is not enabled",
        38 => "a value is too large",
        39 => "the P value is too large",
        40 => "check the pins that are active at start",
        60 => "the SD card could not be mounted",
        61 => "the file could not be read",
        62 => "the folder could not be opened",
        63 => "the folder does not exist",
        64 => "the file is empty",
        65 => "the file does not exist",
        66 => "the file could not be opened",
        67 => "the SD card is busy",
        68 | 69 => "the file or folder could not be deleted",
        70 => "the file could not be renamed",
        80 => "a number is out of range",
        81 => "a value is not valid",
        82 => "the file could not be created",
        83 => "formatting failed",
        90 => "a message could not be sent",
        100 | 101 => "the stored settings could not be accessed",
        110 => "not permitted without a password",
        111..=114 => "the channel ended before the line did",
        120 => "another interface is running a job",
        130 => "the jog was cancelled",
        150 => "a pin is not valid",
        151 => "a setting is not valid at run time",
        152 => "the configuration is not valid; the machine is locked",
        160 | 161 => "the file transfer failed",
        162 => "the setting is read only",
        170..=175 => "an expression is malformed",
        176..=179 => "flow control is malformed",
        180 => "an assignment is malformed",
        181 => "the value of a word is not valid",
        _ => return None,
    })
}

/// What setting `$n` is, and its unit (empty where it has none).
pub fn setting(number: u16) -> Option<(&'static str, &'static str)> {
    Some(match number {
        0 => ("step pulse width", "us"),
        1 => ("step idle delay (255 keeps the motors on)", "ms"),
        2 => ("step signal inverted", "axis mask"),
        3 => ("direction inverted", "axis mask"),
        4 => ("step enable inverted", ""),
        5 => ("limit inputs inverted", ""),
        6 => ("probe input inverted", ""),
        10 => ("contents of the status report", "mask"),
        11 => ("junction deviation", "mm"),
        12 => ("arc tolerance", "mm"),
        13 => ("reports in inches", ""),
        20 => ("soft limits", ""),
        21 => ("hard limits", ""),
        22 => ("homing", ""),
        23 => ("homing direction", "axis mask"),
        24 => ("homing feed while locating", "mm/min"),
        25 => ("homing feed while seeking", "mm/min"),
        26 => ("debounce of the switches", "ms"),
        27 => ("pull-off after homing", "mm"),
        30 => ("highest spindle speed", "rpm"),
        31 => ("lowest spindle speed", "rpm"),
        32 => ("laser mode", ""),
        100 => ("X steps", "steps/mm"),
        101 => ("Y steps", "steps/mm"),
        102 => ("Z steps", "steps/mm"),
        110 => ("X highest rate", "mm/min"),
        111 => ("Y highest rate", "mm/min"),
        112 => ("Z highest rate", "mm/min"),
        120 => ("X acceleration", "mm/s^2"),
        121 => ("Y acceleration", "mm/s^2"),
        122 => ("Z acceleration", "mm/s^2"),
        130 => ("X travel", "mm"),
        131 => ("Y travel", "mm"),
        132 => ("Z travel", "mm"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_what_its_dialect_says() {
        assert_eq!(error(Dialect::Grbl, 20), "the controller does not support this command");
        assert_eq!(error(Dialect::GrblHal, 20), error(Dialect::Grbl, 20));
        assert_ne!(error(Dialect::GrblHal, 60), error(Dialect::FluidNc, 62));
        assert_eq!(error(Dialect::FluidNc, 130), "the jog was cancelled");
        assert_eq!(error(Dialect::Grbl, 999), "an error that is not in our list");
    }

    #[test]
    fn position_is_doubted_after_exactly_the_alarms_that_lose_steps() {
        let kept = |number| alarm(Dialect::Grbl, number).position_kept;
        for number in [1, 3, 6, 7, 8, 9, 10, 99] {
            assert!(!kept(number), "ALARM:{number}");
        }
        for number in [2, 4, 5] {
            assert!(kept(number), "ALARM:{number}");
        }
    }

    #[test]
    fn only_some_alarms_silence_the_controller() {
        assert!(silent_until_reset(Dialect::Grbl, 1) && silent_until_reset(Dialect::GrblHal, 10));
        assert!(!silent_until_reset(Dialect::Grbl, 3) && !silent_until_reset(Dialect::Grbl, 10));
    }
}
