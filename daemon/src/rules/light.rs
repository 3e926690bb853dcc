//! The stack light and the buzzer: what they show follows from the book and the machines.
//!
//! | lamp   | on while                                                                        |
//! |--------|---------------------------------------------------------------------------------|
//! | red    | the hardware stop chain is open, or a critical or high alarm is not acknowledged |
//! | amber  | something wants a person: any other alarm that stands, a machine that is held, locked by a job or not cleared |
//! | green  | work is going on                                                                |
//! | blue   | a machine asks for a person: a tool change, an M0, filament                     |
//! | buzzer | an alarm is not acknowledged; of low ones none while there is a flood            |
//!
//! Lamps say nothing that does not stand in the book already, so what is written to them is not
//! written down: see `docs/decisions/2026-11-29-lamps-are-not-written-down.md`. What a lamp should
//! be is compared with what its tag says, so one that was switched otherwise is put right.

use std::collections::BTreeMap;
use std::time::Duration;

use headstock_config::alarm::{AlarmState, Priority};
use headstock_config::api::{AlarmView, Equipment};
use headstock_config::machine::Mode;
use headstock_config::point::Value;
use headstock_config::rule::Output;
use headstock_config::tag::Role;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::shared::Rules;
use crate::alarms::definition::FLOOD;
use crate::desk::Desk;

/// How often the lamps are looked at.
const ROUND: Duration = Duration::from_millis(250);
/// How long after it was written a lamp that is otherwise is written again.
const AGAIN: Duration = Duration::from_secs(2);

/// Which lamps are to be on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lamps {
    /// Something is wrong.
    pub red: bool,
    /// Something wants a person.
    pub amber: bool,
    /// Work is going on.
    pub green: bool,
    /// Somebody must come.
    pub blue: bool,
    /// An alarm is not acknowledged.
    pub buzzer: bool,
}

impl Lamps {
    /// What is to be shown.
    pub fn of(alarms: &[AlarmView], equipment: &[Equipment], chain_open: bool) -> Self {
        let flood = alarms.iter().any(|it| it.id == FLOOD && it.active);
        let calls = |it: &&AlarmView| it.state.calls();
        let urgent = |it: &AlarmView| it.priority != Priority::Low;
        let hidden = [
            AlarmState::Normal,
            AlarmState::Shelved,
            AlarmState::SuppressedByDesign,
            AlarmState::OutOfService,
        ];
        let stands = |it: &AlarmView| !hidden.contains(&it.state);
        let red = chain_open || alarms.iter().filter(calls).any(urgent);
        let waits = |it: &Equipment| {
            it.uncleared
                || it.locked_by.is_some()
                || matches!(it.state, Mode::Held | Mode::Door | Mode::Alarm)
        };
        let works =
            |mode| matches!(mode, Mode::Running | Mode::Jogging | Mode::Homing | Mode::Holding);
        Self {
            red,
            amber: alarms.iter().any(stands) || equipment.iter().any(waits),
            green: equipment.iter().any(|it| it.job.is_some() || works(it.state)),
            blue: equipment.iter().any(|it| it.live.asks.is_some()),
            buzzer: alarms.iter().filter(calls).any(|it| urgent(it) || !flood),
        }
    }

    fn of_role(self, role: Role) -> Option<bool> {
        Some(match role {
            Role::StackRed => self.red,
            Role::StackAmber => self.amber,
            Role::StackGreen => self.green,
            Role::StackBlue => self.blue,
            Role::Buzzer => self.buzzer,
            _ => return None,
        })
    }
}

/// Keeps the lamps as they should be. Never ends.
pub(super) async fn keep(rules: Rules, desk: Desk) {
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written: BTreeMap<String, (bool, Instant)> = BTreeMap::new();
    loop {
        round.tick().await;
        let chain_open = rules.chain_open().is_some();
        let lamps = Lamps::of(&desk.alarms(false), &desk.equipment(), chain_open);
        for (point, role) in &rules.declared().signals {
            let Some(on) = lamps.of_role(*role) else { continue };
            let is = rules.read(point).believed().map(Value::is_on);
            let just =
                written.get(point).is_some_and(|(was, at)| *was == on && at.elapsed() < AGAIN);
            if is == Some(on) || just {
                continue;
            }
            let Some((machine, tag)) = point.split_once('.') else { continue };
            let (machine, tag, value) = (machine.to_owned(), tag.to_owned(), Value::Flag(on));
            written.insert(point.clone(), (on, Instant::now()));
            if let Err(refused) = desk.signal(Output { machine, tag, value }).await {
                tracing::debug!(%point, "the lamp was not switched: {}", refused.sentence());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(id: &str, priority: Priority, state: AlarmState) -> AlarmView {
        AlarmView {
            id: id.into(),
            about: "house".into(),
            priority,
            state,
            active: state != AlarmState::Normal,
            chattering: false,
            first_out: false,
            group: None,
            since: None,
            since_ms: None,
            text: String::new(),
            value: None,
            cause: String::new(),
            meaning: String::new(),
            action: String::new(),
            latch: false,
            count: 1,
            acknowledged_by: None,
            shelf: None,
            shelved_until: None,
            suppressed_by: None,
            out_of_use: None,
        }
    }

    fn lit(alarms: &[AlarmView], chain_open: bool) -> String {
        let Lamps { red, amber, green, blue, buzzer } = Lamps::of(alarms, &[], chain_open);
        [(red, 'r'), (amber, 'a'), (green, 'g'), (blue, 'b'), (buzzer, 'z')]
            .iter()
            .map(|(on, letter)| if *on { *letter } else { '-' })
            .collect()
    }

    #[test]
    fn lamps_say_how_urgent_it_is_and_the_buzzer_whether_anybody_knows() {
        use AlarmState::*;
        use Priority::*;
        for (priority, state, expected) in [
            (High, Normal, "-----"),
            (High, Unacknowledged, "ra--z"),
            (High, ReturnedUnacknowledged, "ra--z"),
            (High, Acknowledged, "-a---"),
            (Low, Unacknowledged, "-a--z"),
            (Critical, LatchedAcknowledged, "-a---"),
            (Critical, Shelved, "-----"),
        ] {
            assert_eq!(lit(&[alarm("a", priority, state)], false), expected, "{state:?}");
        }
        assert_eq!(lit(&[], true), "r----");
        let flood = [alarm("a", Low, Unacknowledged), alarm(FLOOD, Low, Acknowledged)];
        assert_eq!(lit(&flood, false), "-a---");
    }
}
