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
    /// Values that calm a tag down, by point: its safe state, and what a stop writes.
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

/// Whether a stop changes anything about the machine: it moves by itself, or has an output that is
/// more than a lamp.
fn moves(machine: &Machine) -> bool {
    let on_a_bus = ["modbus-rtu", "modbus-tcp", "gpio", "i2c"].contains(&machine.driver.as_str());
    let acts = |tag: &Tag| tag.stop.is_some() && !tag.role().is_some_and(Role::signals);
    !on_a_bus || machine.tags.iter().any(acts)
}
