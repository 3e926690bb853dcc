//! What is declared, as rules need it: the rules, the inputs of the hardware stop chain, buttons,
//! and which machines move.

use std::collections::{BTreeMap, BTreeSet};

use headstock_config::machine::Machine;
use headstock_config::point::Value;
use headstock_config::rule::{Rules, same};
use headstock_config::settings::Settings;
use headstock_config::tag::{Kind, Role, Source, Tag};

/// What a number loses on its way to a device and back, as a share of it.
const ROUNDING: f64 = 1e-6;

/// What rules look at and act on. Never changes while the house is open.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The rules.
    pub rules: Rules,
    /// Inputs of the hardware stop chain: closed while they are on.
    pub chain: Vec<String>,
    /// Machines that are stopped when the chain opens.
    pub movers: Vec<String>,
    /// Buttons, and what each is for.
    pub buttons: Vec<(String, Role)>,
    /// Lamps and buzzers, by point.
    pub signals: BTreeMap<String, Role>,
    /// Values that calm a tag down, by point: its safe state, and what a stop writes; where neither
    /// is declared, off of what is only on or off, and what a follow rule switches it off with.
    calm: BTreeMap<String, Vec<Value>>,
    /// Half a step of what a device can hold, by point, where it holds whole numbers.
    half_steps: BTreeMap<String, f64>,
}

impl Declared {
    /// The rules of a workshop as it is declared.
    pub fn of(settings: &Settings) -> Self {
        let mut declared = Self { rules: settings.rules.clone(), ..Self::default() };
        for machine in &settings.machines {
            if moves(machine) {
                declared.movers.push(machine.id.clone());
            }
            for tag in &machine.tags {
                declared.take(format!("{}.{}", machine.id, tag.name), tag);
            }
        }
        for follow in &settings.rules.follows {
            let calm = declared.calm.entry(follow.point()).or_default();
            if calm.is_empty() {
                calm.push(follow.off.clone());
            }
        }
        for (point, tag) in settings.machines.iter().flat_map(tags_of) {
            if tag.write && tag.is_a_bit() {
                declared.calm.entry(point).or_insert_with(|| vec![Value::Flag(false)]);
            }
        }
        declared
    }

    fn take(&mut self, point: String, tag: &Tag) {
        match tag.role() {
            Some(Role::EstopChain) => self.chain.push(point.clone()),
            Some(role @ (Role::Hold | Role::Resume | Role::CycleStart | Role::Acknowledge)) => {
                self.buttons.push((point.clone(), role));
            }
            Some(role) if role.signals() => {
                self.signals.insert(point.clone(), role);
            }
            _ => (),
        }
        if let Source::Register(register) = &tag.source
            && !matches!(register.kind, Kind::F32 | Kind::F64)
        {
            self.half_steps.insert(point.clone(), tag.scale.abs() / 2.0);
        }
        let calm: Vec<Value> = [&tag.safe, &tag.stop].into_iter().flatten().cloned().collect();
        if !calm.is_empty() {
            self.calm.insert(point, calm);
        }
    }

    /// Whether setting the tag to this makes things calmer, and is never refused by a permissive,
    /// a stopped machine or an open chain.
    pub fn calms(&self, point: &str, value: &Value) -> bool {
        let calm = self.calm.get(point).into_iter().flatten();
        calm.into_iter().any(|it| same(it, value) == Some(true))
    }

    /// Whether this is an interlock that a person must reset.
    pub fn latches(&self, rule: &str) -> bool {
        self.rules.interlocks.iter().any(|it| it.latch && it.name == rule)
    }

    /// Whether a tag is as it was written, as far as its device can hold that.
    pub fn is_as_written(&self, point: &str, written: &Value, is: &Value) -> bool {
        if same(written, is) == Some(true) {
            return true;
        }
        let (Value::Number(written), Value::Number(is)) = (written, is) else { return false };
        let half_step = self.half_steps.get(point).copied().unwrap_or_default();
        let close = half_step.max(written.abs() * ROUNDING);
        (written - is).abs() <= close * (1.0 + ROUNDING)
    }

    /// Every point that anything here looks at.
    pub fn points(&self) -> BTreeSet<String> {
        let rules = &self.rules;
        let needs = rules.permissives.iter().flat_map(|it| &it.needs);
        let whens = rules.interlocks.iter().map(|it| &it.when);
        let conditions = needs.chain(whens).chain(rules.follows.iter().map(|it| &it.when));
        let tests = conditions.flat_map(|it| it.tests()).map(|it| it.point.clone());
        let buttons = self.buttons.iter().map(|(point, _)| point.clone());
        tests.chain(buttons).chain(self.chain.iter().cloned()).collect()
    }
}

fn tags_of(machine: &Machine) -> impl Iterator<Item = (String, &Tag)> {
    machine.tags.iter().map(|tag| (format!("{}.{}", machine.id, tag.name), tag))
}

/// Whether a stop changes anything about the machine: it moves by itself, or has an output that is
/// more than a lamp.
fn moves(machine: &Machine) -> bool {
    let acts = |tag: &Tag| tag.stop.is_some() && !tag.role().is_some_and(Role::signals);
    !machine.on_a_bus() || machine.tags.iter().any(acts)
}

#[cfg(test)]
mod tests {
    use headstock_config::command::Command;
    use headstock_config::explain::Explain;
    use headstock_config::load;
    use headstock_config::rule::Reading;

    use super::super::judge::{Asker, Memory, Wish, judge};
    use super::*;

    /// A pump that nobody has declared a safe state of, and a drive that a rule runs slowly.
    const BOARD: &str = r#"
[[machine]]
id = "relays"
driver = "modbus-tcp"
port = "10.0.0.20:502"
[[machine.tag]]
name = "level"
area = "input"
address = 0
[[machine.tag]]
name = "pump"
area = "coil"
address = 3
write = true
[[machine.tag]]
name = "speed"
area = "holding"
address = 3
write = true
safe = 0
[[machine]]
id = "pins"
driver = "gpio"
[[machine.tag]]
name = "chain"
pin = "gpiochip0/1"
role = "estop_chain"
[[permissive]]
name = "level"
machine = "relays"
what = "write"
needs = [{ point = "relays.level", above = 10 }]
[[follow]]
name = "speed"
when = { point = "relays.level", above = 20 }
write = "relays.speed"
on = 100
off = 5
"#;

    #[test]
    fn what_is_on_can_be_switched_off_whatever_is_missing() {
        let settings = load::parse(BOARD, "t.toml", &["modbus-tcp", "gpio"]);
        let declared = Declared::of(&settings.unwrap_or_else(|it| panic!("{it:?}")));
        let person = Asker::Person;
        let rule = Asker::Follow("speed".into());
        let flag = Value::Flag;
        let number = Value::Number;
        let rows = [
            (&person, "pump", flag(true), true, Some("rule.permissive")),
            (&person, "pump", flag(false), true, None),
            (&person, "pump", flag(false), false, None),
            (&rule, "speed", number(100.0), true, Some("rule.permissive")),
            (&rule, "speed", number(5.0), true, None),
            (&person, "speed", number(0.0), false, None),
            // It stands at 0 then.
            (&rule, "speed", number(5.0), false, Some("rule.stop_chain")),
        ];
        for (asker, tag, value, closed, refused) in rows {
            let read = |point: &str| match point {
                "pins.chain" => Reading {
                    value: Some(Value::Flag(closed)),
                    quality: headstock_config::point::Quality::Good,
                },
                _ => Reading::default(),
            };
            let command = Command::Write { tag: tag.into(), value };
            let wish = Wish::Command(&command);
            let told = judge(&declared, &Memory::default(), asker, "relays", &wish, &read);
            assert_eq!(told.err().map(|it| it.code()), refused, "{asker:?} {command:?} {closed}");
        }
    }
}
