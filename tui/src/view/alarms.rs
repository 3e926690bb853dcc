//! Alarms: a table, one in detail, and what happened to them.

use headstock_config::alarm::{AlarmEvent, AlarmState, Priority};
use headstock_config::api::AlarmView;

use super::details;
use crate::table::table;
use crate::words::{count, moment};

/// The state as people read it; capitals where somebody is called.
pub fn state(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Normal => "normal",
        AlarmState::Unacknowledged => "UNACK",
        AlarmState::Acknowledged => "ack",
        AlarmState::ReturnedUnacknowledged => "RTN UNACK",
        AlarmState::LatchedUnacknowledged => "LATCHED UNACK",
        AlarmState::LatchedAcknowledged => "latched",
        AlarmState::Shelved => "shelved",
        AlarmState::SuppressedByDesign => "suppressed",
        AlarmState::OutOfService => "out of service",
    }
}

/// One row per alarm, below a line that says how many there are; that line alone where there is
/// none.
pub fn list(alarms: &[AlarmView]) -> String {
    let mut text = format!("{}\n", summary(alarms));
    if !alarms.is_empty() {
        let rows: Vec<_> = alarms.iter().map(row).collect();
        text += &table(["P", "STATE", "ALARM", "SINCE", "VALUE", "TIMES", "WHAT"], &rows);
    }
    text
}

/// `2 critical, 0 high, 1 low; 1 not acknowledged`.
pub fn summary(alarms: &[AlarmView]) -> String {
    let shown = |it: &&AlarmView| {
        it.state != AlarmState::Normal
            && !matches!(
                it.state,
                AlarmState::Shelved | AlarmState::SuppressedByDesign | AlarmState::OutOfService
            )
    };
    let of = |priority| alarms.iter().filter(shown).filter(|it| it.priority == priority).count();
    let calls = alarms.iter().filter(|it| it.state.calls()).count();
    format!(
        "{} critical, {} high, {} low; {calls} not acknowledged",
        of(Priority::Critical),
        of(Priority::High),
        of(Priority::Low)
    )
}

fn row(alarm: &AlarmView) -> [String; 7] {
    let first = if alarm.first_out { " (first)" } else { "" };
    let what = if alarm.text.is_empty() { &alarm.cause } else { &alarm.text };
    let note = note(alarm);
    let what = if note.is_empty() { what.clone() } else { format!("{what}; {note}") };
    [
        alarm.priority.number().to_string(),
        state(alarm.state).into(),
        format!("{}{first}", alarm.id),
        alarm.since_ms.map(moment).unwrap_or_default(),
        alarm.value.clone().unwrap_or_default(),
        count(alarm.count),
        what,
    ]
}

/// Why it is not as its condition is.
fn note(alarm: &AlarmView) -> String {
    if let Some(out) = &alarm.out_of_use {
        return format!("out of service, {}: {}", out.by, out.reason);
    }
    if let Some(because) = &alarm.suppressed_by {
        return format!("explained by {because}");
    }
    if let Some(shelf) = &alarm.shelf {
        let until = moment(shelf.until_ms);
        return format!("shelved until {until} by {}: {}", shelf.by, shelf.reason);
    }
    if alarm.chattering { "comes and goes".into() } else { String::new() }
}

/// Everything about one alarm.
pub fn show(alarm: &AlarmView) -> String {
    let yes = |flag| if flag { "yes" } else { "" }.to_owned();
    details(&[
        ("alarm", alarm.id.clone()),
        ("about", alarm.about.clone()),
        ("priority", alarm.priority.word().into()),
        ("state", state(alarm.state).into()),
        ("note", note(alarm)),
        ("since", alarm.since_ms.map(moment).unwrap_or_default()),
        ("what", alarm.text.clone()),
        ("value", alarm.value.clone().unwrap_or_default()),
        ("why", alarm.cause.clone()),
        ("if not", alarm.meaning.clone()),
        ("do now", alarm.action.clone()),
        ("group", alarm.group.clone().unwrap_or_default()),
        ("first of its group", yes(alarm.first_out)),
        ("must be reset", yes(alarm.latch)),
        ("acknowledged by", alarm.acknowledged_by.clone().unwrap_or_default()),
        ("times", count(alarm.count)),
    ])
}

/// What happened to an alarm.
pub(super) fn event(happened: &AlarmEvent) -> String {
    match happened {
        AlarmEvent::Raised { text, first_out, .. } => {
            format!("ALARM{}, {text}", if *first_out { ", the first of its group" } else { "" })
        }
        AlarmEvent::Returned { .. } => "its condition is gone".into(),
        AlarmEvent::Chattering => "comes and goes; counted from here on".into(),
        AlarmEvent::Quiet { times } => format!("quiet again; it came {times} more times"),
        AlarmEvent::Acknowledged { by } => format!("acknowledged by {by}"),
        AlarmEvent::Reset { by } => format!("reset by {by}"),
        AlarmEvent::Shelved { by, reason, until_ms } => {
            format!("shelved by {by} until {}: {reason}", moment(*until_ms))
        }
        AlarmEvent::Unshelved { by: Some(by) } => format!("taken from the shelf by {by}"),
        AlarmEvent::Unshelved { by: None } => "back from the shelf".into(),
        AlarmEvent::Suppressed { because } => format!("explained by {because}"),
        AlarmEvent::Unsuppressed => "not explained by another one any more".into(),
        AlarmEvent::OutOfService { by, reason } => format!("out of service, {by}: {reason}"),
        AlarmEvent::InService { by } => format!("in service again, {by}"),
        AlarmEvent::Forgotten => "not declared any more".into(),
    }
}

#[cfg(test)]
mod tests {
    use headstock_config::alarm::Shelf;

    use super::*;
    use crate::view::samples;

    #[test]
    fn the_table_says_first_how_many_call_and_names_the_first_of_a_group() {
        let mut shelved = samples::door_alarm();
        (shelved.id, shelved.priority) = ("mill.offline".into(), Priority::Low);
        (shelved.state, shelved.first_out) = (AlarmState::Shelved, false);
        let shelf = Shelf { by: "ada".into(), reason: "new cable".into(), until_ms: 0 };
        shelved.shelf = Some(shelf);
        let expected = "\
0 critical, 1 high, 0 low; 1 not acknowledged
P  STATE    ALARM              SINCE                 VALUE  TIMES  WHAT
2  UNACK    door-open (first)  2024-02-29 23:59:59Z  off    3      `pins.door` is off
3  shelved  mill.offline       2024-02-29 23:59:59Z  off    3      `pins.door` is off; shelved until 1970-01-01 00:00:00Z by ada: new cable
";
        assert_eq!(list(&[samples::door_alarm(), shelved]), expected);
        assert_eq!(list(&[]), "0 critical, 0 high, 0 low; 0 not acknowledged\n");
    }

    #[test]
    fn one_alarm_says_what_to_do_now() {
        let expected = "\
alarm               door-open
about               mill
priority            high
state               UNACK
since               2024-02-29 23:59:59Z
what                `pins.door` is off
value               off
why                 somebody has opened the door
if not              the mill is held in the cut
do now              close the door
group               mill
first of its group  yes
times               3
";
        assert_eq!(show(&samples::door_alarm()), expected);
    }
}
