//! A GPIO tag: which line, and what it is used as.

use toml::de::DeValue;

use super::findings::Findings;
use super::section::Section;
use super::value::{self, Read, Wrong};
use crate::tag::{Line, Pin, PinMode, Pull, Role};

const PIN: &str = "a line of a chip: \"gpiochip0/17\", with `!` in front if on is low, `^` or `~` \
    to pull it up or down";

const MODES: [(&str, PinMode); 5] = [
    ("in", PinMode::In),
    ("count", PinMode::Count),
    ("frequency", PinMode::Frequency),
    ("out", PinMode::Out),
    ("pwm", PinMode::Pwm),
];
const ROLES: [(&str, Role); 12] = [
    ("door", Role::Door),
    ("hold", Role::Hold),
    ("resume", Role::Resume),
    ("cycle_start", Role::CycleStart),
    ("acknowledge", Role::Acknowledge),
    ("estop_chain", Role::EstopChain),
    ("relay", Role::Relay),
    ("stack_red", Role::StackRed),
    ("stack_amber", Role::StackAmber),
    ("stack_green", Role::StackGreen),
    ("stack_blue", Role::StackBlue),
    ("buzzer", Role::Buzzer),
];
/// Contacts bounce for 1 to 5 ms; twice that is not felt by a hand.
const USUAL_DEBOUNCE_MS: u32 = 10;
/// Lamps do not flicker yet, and any board can do it.
const USUAL_HERTZ: u32 = 100;

pub(super) fn pin(table: &Section<'_>, findings: &mut Findings) -> Option<Pin> {
    table.missing("pin", PIN, findings);
    let line = table.read("pin", PIN, findings, line);
    let role = table.word("role", &ROLES, findings);
    let drives = role.is_some_and(|role| {
        matches!(
            role,
            Role::Relay
                | Role::StackRed
                | Role::StackAmber
                | Role::StackGreen
                | Role::StackBlue
                | Role::Buzzer
        )
    });
    let usual = if drives { PinMode::Out } else { PinMode::In };
    let mode = table.word("mode", &MODES, findings).unwrap_or(usual);
    if let Some(role) = role
        && drives != mode.output()
    {
        let why = if drives { "is what an output is" } else { "is what an input is" };
        let accepted = if drives { "mode = \"out\"" } else { "mode = \"in\"" };
        debug_assert!(table.entry("role").is_some(), "{role:?}");
        table.refuse("role", Wrong::Value(why, None), accepted, findings);
    }
    if mode.output() {
        table.missing("safe", super::tag::SAFE, findings);
    }
    let debounce = table.whole("debounce_ms", 0..=10_000, "milliseconds", findings);
    let debounce_ms = debounce.and_then(|it| u32::try_from(it).ok()).unwrap_or(USUAL_DEBOUNCE_MS);
    let hertz =
        table.whole("hertz", 1..=50_000, "how often it is switched on in a second", findings);
    let hertz = hertz.and_then(|it| u32::try_from(it).ok()).unwrap_or(USUAL_HERTZ);
    Some(Pin { line: line?, mode, role, debounce_ms, hertz })
}

fn line(value: &DeValue<'_>) -> Read<Line> {
    let said = value::text(value, 64)?;
    let bare = said.trim_start_matches(['!', '^', '~']);
    let marks = &said[..said.len() - bare.len()];
    let wrong = || Wrong::Value("is not a line of a GPIO chip", hint(bare));
    let (chip, offset) = bare.split_once('/').ok_or_else(wrong)?;
    let plain = !chip.is_empty() && chip.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    let offset = offset.parse::<u32>().ok().filter(|it| plain && *it < 1024).ok_or_else(wrong)?;
    if 1 < marks.matches(['^', '~']).count() || 1 < marks.matches('!').count() {
        return value::refuse("has a mark twice");
    }
    let pull = match () {
        () if marks.contains('^') => Pull::Up,
        () if marks.contains('~') => Pull::Down,
        () => Pull::None,
    };
    Ok(Line { chip: chip.to_owned(), offset, inverted: marks.contains('!'), pull })
}

/// What somebody meant who wrote a bare number, or the board's name of a line.
fn hint(said: &str) -> Option<String> {
    let digits = said.trim_start_matches("GPIO").trim_start_matches("gpio");
    let number = digits.parse::<u32>().ok()?;
    Some(value::did_you_mean(format!("gpiochip0/{number}")))
}
