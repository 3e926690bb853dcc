//! Declared rules, tried with scripts: what points say in turn, and what is done about it.

mod follow;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headstock_config::command::{Command, NO_AXIS, Stop};
use headstock_config::load;
use headstock_config::point::{Quality, Value};
use headstock_config::rule::{Because, Reading, What};

use super::declared::Declared;
use super::engine::{By, Deed, Engine, Sight};
use super::judge::{Asker, Interlocked, Memory, Wish, judge};

const WORKSHOP: &str = r#"
[[machine]]
id = "laser"
driver = "grbl"
port = "/dev/ttyUSB0"
laser = true
[[machine]]
id = "mill"
driver = "grbl"
port = "/dev/ttyUSB1"
[[machine]]
id = "pins"
driver = "gpio"
[[machine.tag]]
name = "chain"
pin = "gpiochip0/1"
role = "estop_chain"
[[machine.tag]]
name = "door"
pin = "gpiochip0/2"
role = "door"
[[machine.tag]]
name = "exhaust"
pin = "gpiochip0/3"
[[machine.tag]]
name = "hold"
pin = "gpiochip0/4"
role = "hold"
[[machine.tag]]
name = "lamp"
pin = "gpiochip0/5"
role = "stack_red"
safe = false
[[machine]]
id = "relays"
driver = "modbus-tcp"
port = "10.0.0.20:502"
[[machine.tag]]
name = "dust"
area = "coil"
address = 0
write = true
safe = false
[[machine.tag]]
name = "horn"
area = "coil"
address = 1
write = true
safe = false
[[machine.tag]]
name = "coolant"
area = "coil"
address = 2
write = true
safe = false
[[machine.tag]]
name = "level"
area = "input"
address = 0

[[permissive]]
name = "laser-start"
machine = "laser"
what = "start"
needs = [{ point = "pins.exhaust", equals = true }, { point = "pins.door", equals = true }]
[[permissive]]
name = "coolant-needs-level"
machine = "relays"
what = "write"
tag = "coolant"
needs = [{ point = "relays.level", above = 10, if_unknown = "ignore" }]
[[interlock]]
name = "door-open"
when = { point = "pins.door", equals = false }
machine = "laser"
does = "hold"
[[interlock]]
name = "smoke"
when = { point = "relays.level", above = 90, if_unknown = "ignore" }
machine = "laser"
does = "abort"
latch = true
[[interlock]]
name = "dry"
when = { point = "relays.level", below = 5, if_unknown = "ignore" }
does = "write"
write = "relays.coolant"
value = false
[[follow]]
name = "dust"
when = { point = "mill.spindle", above = 0 }
write = "relays.dust"
on = true
off = false
delay_on_s = 1
delay_off_s = 20
optional = true
[[follow]]
name = "horn"
when = { point = "pins.door", equals = false }
write = "relays.horn"
on = true
off = false
pulse_s = 2
"#;

fn declared() -> Declared {
    let drivers = ["grbl", "gpio", "modbus-tcp"];
    Declared::of(&load::parse(WORKSHOP, "t.toml", &drivers).unwrap_or_else(|it| panic!("{it:?}")))
}

/// A workshop whose points say what the script has them say.
struct Shop {
    declared: Declared,
    engine: Engine,
    began: Instant,
    at_s: f64,
    points: BTreeMap<String, Reading>,
    moving: RefCell<Vec<&'static str>>,
}

impl Shop {
    fn new() -> Self {
        let (declared, began) = (declared(), Instant::now());
        let engine = Engine::new(declared.clone(), began);
        let (points, moving) = (BTreeMap::new(), RefCell::default());
        Self { declared, engine, began, at_s: 0.0, points, moving }
    }

    /// As above, with everything as it should be and looked at once.
    fn quiet() -> Self {
        let mut shop = Self::new();
        for (point, value) in [
            ("pins.chain", "on"),
            ("pins.door", "on"),
            ("pins.exhaust", "on"),
            ("pins.hold", "off"),
            ("relays.level", "50"),
            ("mill.spindle", "0"),
        ] {
            shop.say(point, value);
        }
        assert_eq!(shop.after(0.0), Vec::<String>::new());
        shop
    }

    fn say(&mut self, point: &str, value: &str) -> &mut Self {
        let reading = match value {
            "stale" | "bad" => {
                let quality = if value == "bad" { Quality::Bad } else { Quality::Stale };
                let value = self.points.get(point).and_then(|it| it.value.clone());
                Reading { value, quality }
            }
            value => Reading { value: Some(Value::typed(value)), quality: Quality::Good },
        };
        self.points.insert(point.to_owned(), reading);
        self
    }

    /// What is done after so long, as words.
    fn after(&mut self, seconds: f64) -> Vec<String> {
        self.at_s += seconds;
        let now = self.began + Duration::from_secs_f64(self.at_s);
        let read = |point: &str| self.points.get(point).cloned().unwrap_or_default();
        let moves = |machine: &str| self.moving.borrow().contains(&machine);
        let deeds = self.engine.look(now, &Sight { read: &read, moves: &moves });
        deeds.iter().map(|deed| self.words(deed)).collect()
    }

    fn words(&self, deed: &Deed) -> String {
        let rules = &self.declared.rules;
        let by = |by: &By| match by {
            By::Chain => "chain".to_owned(),
            By::Interlock(rule) => rules.interlocks[*rule].name.clone(),
            By::Follow(rule) => rules.follows[*rule].name.clone(),
        };
        match deed {
            Deed::Opened { because } => format!("chain open: {because}"),
            Deed::Closed => "chain closed".into(),
            Deed::Tripped { rule, because } => {
                format!("{} tripped: {because}", rules.interlocks[*rule].name)
            }
            Deed::Stop { by: account, machine, how } => {
                let how = match how {
                    Stop::Hold => "hold",
                    Stop::Stop => "stop",
                    Stop::Abort => "abort",
                };
                format!("{}: {how} {machine}", by(account))
            }
            Deed::Write { by: account, output } => {
                format!("{}: {} = {}", by(account), output.point(), output.value)
            }
            Deed::Released { rule } => format!("{} released", rules.interlocks[*rule].name),
            Deed::Pressed { point, .. } => format!("{point} pressed"),
        }
    }

    fn judge(&self, memory: &Memory, machine: &str, wish: &Wish<'_>) -> Result<(), Interlocked> {
        let read = |point: &str| self.points.get(point).cloned().unwrap_or_default();
        judge(&self.declared, memory, &Asker::Person, machine, wish, &read)
    }
}

/// One step of a script: seconds later, these points say this, and this is done.
type Step<'s> = (f64, &'s [(&'s str, &'s str)], &'s [&'s str]);

fn play(shop: &mut Shop, script: &[Step<'_>]) {
    for (number, (seconds, said, done)) in script.iter().enumerate() {
        for (point, value) in *said {
            shop.say(point, value);
        }
        assert_eq!(shop.after(*seconds), *done, "step {number}: {said:?} after {seconds} s");
    }
}

#[test]
fn an_interlock_acts_on_the_edge_and_again_only_on_what_moves_all_the_same() {
    let mut shop = Shop::quiet();
    play(
        &mut shop,
        &[
            (
                1.0,
                &[("pins.door", "off")],
                &[
                    "door-open tripped: `pins.door` is off",
                    "door-open: hold laser",
                    "horn: relays.horn = on",
                ],
            ),
            (0.1, &[], &[]),
            (1.9, &[], &["horn: relays.horn = off"]),
            (5.0, &[("pins.door", "on")], &["door-open released"]),
            (
                1.0,
                &[("pins.door", "stale")],
                &["door-open tripped: `pins.door` is stale", "door-open: hold laser"],
            ),
        ],
    );
    shop.moving.borrow_mut().push("laser");
    play(
        &mut shop,
        &[
            (0.2, &[], &[]),
            (0.1, &[], &["door-open: hold laser"]),
            (0.2, &[], &[]),
            (
                0.1,
                &[("relays.level", "95")],
                &[
                    "door-open: hold laser",
                    "smoke tripped: `relays.level` is 95",
                    "smoke: abort laser",
                ],
            ),
        ],
    );
}

#[test]
fn an_interlock_sets_its_tag_until_it_is_so() {
    let mut shop = Shop::quiet();
    play(
        &mut shop,
        &[
            (
                1.0,
                &[("relays.level", "3"), ("relays.coolant", "on")],
                &["dry tripped: `relays.level` is 3", "dry: relays.coolant = off"],
            ),
            (0.9, &[], &[]),
            (0.1, &[], &["dry: relays.coolant = off"]),
            (1.0, &[("relays.coolant", "off")], &[]),
            // Nobody knows: declared to be ignored.
            (1.0, &[("relays.level", "bad")], &["dry released"]),
        ],
    );
}

#[test]
fn a_machine_that_was_not_sent_a_stop_is_stopped_as_soon_as_it_moves() {
    let mut shop = Shop::quiet();
    let tripped = "door-open tripped: `pins.door` is off";
    let hold = "door-open: hold laser";
    let opens = [("pins.door", "off")];
    let horn = "horn: relays.horn = on";
    play(&mut shop, &[(0.0, &opens, &[tripped, hold, horn])]);
    shop.engine.not_sent(By::Interlock(0));
    shop.moving.borrow_mut().push("laser");
    play(&mut shop, &[(0.01, &[], &[hold]), (0.01, &[], &[]), (0.3, &[], &[hold])]);
}

#[test]
fn what_a_device_can_hold_of_a_number_is_as_written() {
    let declared = declared();
    let same = |point, is| declared.is_as_written(point, &Value::Number(0.1), &Value::Number(is));
    assert!(same("relays.level", 0.4) && !same("relays.level", 0.7), "it holds whole numbers");
    assert!(same("mill.feed", 0.100_000_001) && !same("mill.feed", 0.101));
}

#[test]
fn what_is_found_when_the_house_opens_switches_nothing() {
    let mut shop = Shop::new();
    let calm = [("pins.chain", "on"), ("pins.door", "on"), ("pins.hold", "on")];
    play(
        &mut shop,
        &[
            // Nothing has been read yet: refused, but nothing is stopped.
            (0.0, &[], &[]),
            (4.0, &calm, &[]),
            // The spindle turns already, and the button is stuck.
            (0.0, &[("mill.spindle", "8000")], &[]),
            (60.0, &[("pins.hold", "on")], &[]),
            (0.0, &[("mill.spindle", "0"), ("pins.hold", "off")], &[]),
            (60.0, &[], &[]),
            // These are changes.
            (0.0, &[("mill.spindle", "8000"), ("pins.hold", "on")], &["pins.hold pressed"]),
            (1.0, &[], &["dust: relays.dust = on"]),
        ],
    );
}

#[test]
fn an_input_that_never_comes_is_lost_after_a_while() {
    let mut shop = Shop::new();
    play(
        &mut shop,
        &[
            (4.9, &[], &[]),
            (
                0.1,
                &[],
                &[
                    "chain open: `pins.chain` is not known",
                    "chain: stop laser",
                    "chain: stop mill",
                    "chain: stop relays",
                    "door-open tripped: `pins.door` is not known",
                    "door-open: hold laser",
                ],
            ),
        ],
    );
}

#[test]
fn the_chain_stops_everything_that_moves_before_anything_else_is_looked_at() {
    let mut shop = Shop::quiet();
    let stops = ["chain: stop laser", "chain: stop mill", "chain: stop relays"];
    let opened = [&["chain open: `pins.chain` is off"], &stops[..]].concat();
    play(&mut shop, &[(1.0, &[("pins.chain", "off")], &opened), (0.5, &[], &[])]);
    shop.moving.borrow_mut().push("mill");
    play(
        &mut shop,
        &[
            (0.1, &[], &["chain: stop mill"]),
            (0.0, &[("pins.chain", "on")], &["chain closed"]),
            (5.0, &[], &[]),
        ],
    );
    let opened = [&["chain open: `pins.chain` is bad"], &stops[..]].concat();
    play(&mut shop, &[(1.0, &[("pins.chain", "bad")], &opened)]);
}

fn jog() -> Command {
    Command::Jog { by: NO_AXIS, feed: 1.0, absolute: false }
}

fn write(tag: &str, value: bool) -> Command {
    Command::Write { tag: tag.into(), value: Value::Flag(value) }
}

#[test]
fn every_refusal_names_the_rule_and_what_its_point_says() {
    let mut shop = Shop::quiet();
    let none = Memory::default();
    let latched = Memory {
        latched: [(
            "smoke".to_owned(),
            Because { point: "relays.level".into(), is: "95".into(), against: "above 90".into() },
        )]
        .into(),
        ..Memory::default()
    };
    let uncleared = Memory { uncleared: ["laser".to_owned()].into(), ..Memory::default() };
    let said = |shop: &Shop, memory: &Memory, machine: &str, wish: &Wish<'_>| {
        shop.judge(memory, machine, wish).err().map(|it| it.to_string()).unwrap_or_default()
    };
    assert_eq!(said(&shop, &none, "laser", &Wish::Start), "");
    assert_eq!(said(&shop, &none, "mill", &Wish::Command(&jog())), "");
    assert_eq!(
        said(&shop, &latched, "laser", &Wish::Start),
        "interlock `smoke` has tripped and was not reset: `relays.level` is 95 then"
    );
    assert_eq!(
        said(&shop, &uncleared, "laser", &Wish::Command(&Command::Home { axes: None })),
        "`laser` has not been cleared since the hardware stop chain was open"
    );
    assert_eq!(said(&shop, &uncleared, "laser", &Wish::Command(&Command::Unlock)), "");

    shop.say("pins.exhaust", "off");
    let start = shop.judge(&none, "laser", &Wish::Start).unwrap_err();
    assert_eq!(
        start.to_string(),
        "permissive `laser-start` is not met: `pins.exhaust` is off, and must be on"
    );
    assert!(matches!(start, Interlocked::NotPermitted { what: What::Start, .. }));
    // Only the start needs it.
    assert_eq!(said(&shop, &none, "laser", &Wish::Command(&jog())), "");
    assert_ne!(said(&shop, &none, "laser", &Wish::Command(&Command::Resume)), "");
    let typed = |line: &str| Command::Run { line: line.into() };
    assert_ne!(said(&shop, &none, "laser", &Wish::Command(&typed("M3"))), "");
    assert_eq!(said(&shop, &none, "laser", &Wish::Command(&typed("M5"))), "");

    shop.say("pins.exhaust", "on").say("pins.door", "stale");
    assert_eq!(said(&shop, &none, "laser", &Wish::Command(&typed("M5 M9"))), "");
    assert_eq!(
        said(&shop, &none, "laser", &Wish::Command(&jog())),
        "interlock `door-open` is tripped: `pins.door` is stale"
    );
    shop.say("pins.chain", "off");
    assert_eq!(
        said(&shop, &none, "mill", &Wish::Start),
        "the hardware stop chain is open: `pins.chain` is off"
    );
    for stop in [Command::Hold, Command::Stop, Command::Abort, Command::Reset, Command::JogCancel] {
        assert_eq!(said(&shop, &uncleared, "laser", &Wish::Command(&stop)), "");
    }
}

#[test]
fn a_tag_can_always_be_made_safe_and_lamps_always_be_switched() {
    let mut shop = Shop::quiet();
    let none = Memory::default();
    let mut may = |said: &[(&str, &str)], machine: &str, command: Command| {
        for (point, value) in said {
            shop.say(point, value);
        }
        shop.judge(&none, machine, &Wish::Command(&command))
            .map_err(|it| headstock_config::explain::Explain::code(&it))
    };
    assert_eq!(may(&[], "relays", write("coolant", true)), Ok(()));
    assert_eq!(
        may(&[("relays.level", "8")], "relays", write("coolant", true)),
        Err("rule.permissive")
    );
    assert_eq!(may(&[], "relays", write("coolant", false)), Ok(()));
    // The interlock keeps it off.
    assert_eq!(
        may(&[("relays.level", "3")], "relays", write("coolant", true)),
        Err("rule.interlock")
    );
    // A rule that is not optional owns its tag.
    assert_eq!(may(&[], "relays", write("horn", true)), Err("rule.driven"));
    assert_eq!(may(&[], "relays", write("horn", false)), Ok(()), "it calms things down");
    assert_eq!(
        may(&[("pins.chain", "off")], "relays", write("dust", true)),
        Err("rule.stop_chain")
    );
    assert_eq!(may(&[], "relays", write("dust", false)), Ok(()));
    assert_eq!(may(&[], "pins", write("lamp", true)), Ok(()));
}

/// What stands against a wish, worked out once more from the words of the rules.
fn oracle(shop: &Shop, memory: &Memory, machine: &str, command: &Command) -> bool {
    let says = |point: &str| {
        let reading = shop.points.get(point).cloned().unwrap_or_default();
        reading.believed().cloned()
    };
    let on = |point: &str| says(point).is_some_and(|it| it.is_on());
    let level = says("relays.level").and_then(|it| it.number());
    let smoke = level.is_some_and(|it| 90.0 < it) || memory.latched.contains_key("smoke");
    let starts = matches!(command, Command::Resume | Command::Run { .. });
    let acts = starts || matches!(command, Command::Jog { .. } | Command::Home { .. });
    match (machine, command) {
        (_, Command::Write { tag, value: Value::Flag(value) }) => match (tag.as_str(), value) {
            ("horn", _) => true,
            ("dust" | "coolant", false) => false,
            ("dust", true) => !on("pins.chain") || memory.uncleared.contains(machine),
            _ => {
                !on("pins.chain")
                    || memory.uncleared.contains(machine)
                    || level.is_some_and(|it| it <= 10.0)
            }
        },
        _ if !acts => false,
        _ if !on("pins.chain") || memory.uncleared.contains(machine) => true,
        ("laser", _) => {
            !on("pins.door") || smoke || (starts && !(on("pins.exhaust") && on("pins.door")))
        }
        _ => false,
    }
}

#[test]
fn no_sequence_of_changes_and_commands_passes_what_is_blocked() {
    let mut shop = Shop::new();
    let mut memory = Memory::default();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let points = ["pins.chain", "pins.door", "pins.exhaust"];
    let commands = [
        Command::Resume,
        Command::Run { line: "M3".into() },
        jog(),
        Command::Home { axes: None },
        Command::Hold,
        Command::Unlock,
        write("dust", true),
        write("dust", false),
        write("coolant", true),
        write("coolant", false),
        write("horn", true),
    ];
    let (mut passed, mut blocked) = (0, 0);
    for _ in 0..50_000 {
        match random(8) {
            0 => drop(shop.say(points[random(3)], ["on", "off", "stale", "bad"][random(4)])),
            1 => drop(shop.say(points[random(3)], "on")),
            2 => drop(shop.say("relays.level", ["3", "8", "50", "95", "bad"][random(5)])),
            3 => {
                let because = Because::default();
                match memory.latched.remove("smoke") {
                    Some(_) => (),
                    None => drop(memory.latched.insert("smoke".into(), because)),
                }
            }
            4 => {
                let machine = ["laser", "mill", "relays"][random(3)].to_owned();
                if !memory.uncleared.remove(&machine) {
                    memory.uncleared.insert(machine);
                }
            }
            _ => {
                let command = &commands[random(commands.len())];
                let machine = match command {
                    Command::Write { .. } => "relays",
                    _ => ["laser", "mill"][random(2)],
                };
                let stands = oracle(&shop, &memory, machine, command);
                let verdict = shop.judge(&memory, machine, &Wish::Command(command));
                assert_eq!(verdict.is_err(), stands, "{command:?} on {machine}: {verdict:?}");
                if stands { blocked += 1 } else { passed += 1 }
            }
        }
    }
    assert!(1_000 < passed && 1_000 < blocked, "{passed} passed, {blocked} were blocked");
}
