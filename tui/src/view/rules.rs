//! Rules: how each stands and why, and what happened to them.

use headstock_config::api::{RuleVerdict, RuleView};
use headstock_config::rule::{ChainEvent, RuleEvent};

use crate::table::table;
use crate::words::count;

/// One row per rule.
pub fn list(rules: &[RuleView]) -> String {
    let rows: Vec<_> = rules.iter().map(row).collect();
    table(["RULE", "KIND", "STATE", "DOES", "BECAUSE", "TRIPS"], &rows)
}

fn row(rule: &RuleView) -> [String; 6] {
    let state = rule.verdict.word();
    let loud =
        matches!(rule.verdict, RuleVerdict::Refuses | RuleVerdict::Tripped | RuleVerdict::Latched);
    let trips = if rule.kind == "interlock" { count(rule.trips) } else { String::new() };
    [
        rule.name.clone(),
        rule.kind.replace('_', " "),
        if loud { state.to_uppercase() } else { state.to_owned() },
        rule.does.clone(),
        if rule.because.point.is_empty() { String::new() } else { rule.because.to_string() },
        trips,
    ]
}

/// What happened to a rule.
pub(super) fn event(happened: &RuleEvent) -> String {
    match happened {
        RuleEvent::Tripped { because, did, times: 0 | 1, .. } => {
            format!("TRIPPED, {because}: {did}")
        }
        RuleEvent::Tripped { because, did, times, .. } => {
            format!("TRIPPED {times} times, {because}: {did}")
        }
        RuleEvent::Released => "not tripped any more".into(),
        RuleEvent::SetAside { by } => format!("stands back: {by} has set its tag"),
    }
}

/// What happened to the hardware stop chain.
pub(super) fn chain_event(happened: &ChainEvent) -> String {
    match happened {
        ChainEvent::Opened { because, machines } => {
            format!("OPEN, {because}; stopped: {}", machines.join(", "))
        }
        ChainEvent::Closed => "closed; machines wait to be cleared".into(),
        ChainEvent::Cleared { machine, by } => format!("{machine} is clear, says {by}"),
    }
}

#[cfg(test)]
mod tests {
    use headstock_config::rule::Because;

    use super::*;

    #[test]
    fn the_table_says_how_each_rule_stands_and_why() {
        let rule = |name: &str, kind: &str, verdict, does: &str, is: &str| RuleView {
            name: name.into(),
            kind: kind.into(),
            machine: Some("mill".into()),
            verdict,
            does: does.into(),
            because: Because { point: "pins.door".into(), is: is.into(), against: "on".into() },
            unknown: false,
            trips: 2,
        };
        let rules = [
            rule("laser-start", "permissive", RuleVerdict::Clear, "start", "on"),
            rule("door-open", "interlock", RuleVerdict::Tripped, "hold mill", "stale"),
        ];
        let expected = "\
RULE         KIND        STATE    DOES       BECAUSE               TRIPS
laser-start  permissive  clear    start      `pins.door` is on
door-open    interlock   TRIPPED  hold mill  `pins.door` is stale  2
";
        assert_eq!(list(&rules), expected);
    }
}
