//! Every alarm that this house can raise: those that are declared, one for each interlock, two or three
//! for each machine, and a few about the box itself.
//!
//! Ids are stable names: `kiln-hot` and `mill-door` as declared, `mill.offline`,
//! `mill.controller`, `house.disk`.

use std::collections::BTreeMap;
use std::time::Duration;

use headstock_config::alarm::{Alarm, Priority, Texts};
use headstock_config::machine::Machine;
use headstock_config::point::Value;
use headstock_config::rule::{Compare, Interlock, Unknown};
use headstock_config::settings::Settings;
use headstock_config::tag::Role;

/// The chain of the hardware stop is open.
pub const STOP_CHAIN: &str = "house.stop-chain";
/// Too many alarms at once.
pub const FLOOD: &str = "house.flood";
/// The disk is full but for the reserve.
pub const DISK: &str = "house.disk";
/// The history of points has a gap.
pub const HISTORY: &str = "house.history";
/// The journal has failed.
pub const JOURNAL: &str = "house.journal";
/// The box's clock was set.
pub const CLOCK: &str = "house.clock";
/// The processor is hot.
pub const TEMPERATURE: &str = "house.temperature";
/// The supply is too weak.
pub const UNDERVOLTAGE: &str = "house.undervoltage";

/// An alarm as the house knows it before anything has happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// How much hangs on it.
    pub priority: Priority,
    /// What a person is told.
    pub texts: Texts,
    /// It must be reset when it is over.
    pub latch: bool,
    /// Those of a group are told apart by which came first.
    pub group: Option<String>,
    /// Alarms that explain it.
    pub suppressed_by: Vec<String>,
    /// What it is about: a machine's id, or `house`.
    pub about: String,
    /// Where its condition is looked for.
    pub source: Source,
    /// The condition must have held for so long.
    pub delay_on: Duration,
    /// It must have been gone for so long.
    pub delay_off: Duration,
}

/// Where an alarm's condition is looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A limit of a point.
    Point(Limit),
    /// An interlock has tripped; its name.
    Interlock(String),
    /// A machine is out of reach; its id.
    Offline(String),
    /// A machine's controller has locked itself; the machine's id.
    Controller(String),
    /// A machine was met with heat or a spindle on; its id.
    LeftOn(String),
    /// Something about the house, by the alarm's own id.
    House,
}

/// A limit with a way back.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// `machine.tag`.
    pub point: String,
    /// The limit.
    pub compare: Compare,
    /// How far the value must come back, in the point's unit.
    pub hysteresis: f64,
    /// What counts while nobody knows; `None`: it stays as it was.
    pub if_unknown: Option<Unknown>,
}

/// All alarms of a house, by id.
pub type Definitions = BTreeMap<String, Definition>;

/// The alarms of a workshop as it is declared.
pub fn of(settings: &Settings) -> Definitions {
    let mut all = house(settings);
    all.extend(of_box(settings));
    for machine in &settings.machines {
        all.extend(of_machine(machine));
    }
    all.extend(settings.rules.interlocks.iter().map(of_interlock));
    all.extend(settings.alarm.iter().map(of_point));
    all
}

fn of_point(alarm: &Alarm) -> (String, Definition) {
    let machine = alarm.point.split_once('.').map_or("house", |(machine, _)| machine);
    let definition = Definition {
        priority: alarm.priority,
        texts: alarm.texts.clone(),
        latch: alarm.latch,
        group: alarm.group.clone(),
        suppressed_by: alarm.suppressed_by.clone(),
        about: machine.to_owned(),
        source: Source::Point(Limit {
            point: alarm.point.clone(),
            compare: alarm.limit.clone(),
            hysteresis: alarm.hysteresis,
            if_unknown: alarm.if_unknown,
        }),
        delay_on: Duration::from_secs_f64(alarm.delay_on_s),
        delay_off: Duration::from_secs_f64(alarm.delay_off_s),
    };
    (alarm.name.clone(), definition)
}

fn of_interlock(interlock: &Interlock) -> (String, Definition) {
    let source = Source::Interlock(interlock.name.clone());
    let definition = Definition {
        texts: interlock.texts.clone(),
        latch: interlock.latch,
        group: interlock.group.clone(),
        ..plain(interlock.does.machine(), interlock.priority, source)
    };
    (interlock.name.clone(), definition)
}

fn of_machine(machine: &Machine) -> Vec<(String, Definition)> {
    let id = &machine.id;
    let offline = format!("{id}.offline");
    let group = Some(id.clone());
    let lost = Definition {
        texts: texts(
            "its cable, its power or its adapter; `headstock machines` says what was seen",
            "nothing can be started on it, and what it reports is old",
            "look at power and cable; `headstock doctor` looks at the port",
        ),
        group: group.clone(),
        ..plain(id, Priority::Low, Source::Offline(id.clone()))
    };
    let locked = Definition {
        texts: texts(
            "a limit switch, a probe, a reset in motion or the controller's own guard",
            "it is locked: nothing moves on it until a person has looked",
            "look at the machine, then home it, or unlock it if you know where it stands",
        ),
        group,
        suppressed_by: vec![offline.clone()],
        ..plain(id, Priority::High, Source::Controller(id.clone()))
    };
    let mut all = vec![(offline, lost), (format!("{id}.controller"), locked)];
    // What is on of a device on a bus is told by its tags.
    if !machine.on_a_bus() {
        let texts = texts(
            "whoever worked with it before this service was started, or before it was out of reach",
            "it is hot or turns, no job is under way, and perhaps nobody is there",
            "look at it; `headstock stop` switches it off; acknowledge this if it is meant so",
        );
        let source = Source::LeftOn(id.clone());
        let left_on = Definition { texts, ..plain(id, Priority::High, source) };
        all.push((format!("{id}.left-on"), left_on));
    }
    all
}

fn plain(about: &str, priority: Priority, source: Source) -> Definition {
    Definition {
        priority,
        texts: Texts::default(),
        latch: false,
        group: None,
        suppressed_by: Vec::new(),
        about: about.to_owned(),
        source,
        delay_on: Duration::ZERO,
        delay_off: Duration::ZERO,
    }
}

fn texts(cause: &str, meaning: &str, action: &str) -> Texts {
    Texts { cause: cause.into(), meaning: meaning.into(), action: action.into() }
}

fn house(settings: &Settings) -> Definitions {
    let mut rows = vec![
        (
            DISK,
            Priority::High,
            texts(
                "the disk is full; only the reserve is left",
                "jobs that run go on; no new job and no file is accepted",
                "remove files that are not needed (`headstock files delete`), or make room on the disk",
            ),
        ),
        (
            HISTORY,
            Priority::Low,
            texts(
                "the disk is nearly full, or does not take the history of points",
                "values, rules and alarms go on; what points were in this time will not be known",
                "make room on the disk; the log of the service says more",
            ),
        ),
        (
            JOURNAL,
            Priority::Critical,
            texts(
                "the disk does not take what is written, or the card is worn out",
                "every machine was held; nothing is accepted until the service is restarted",
                "look at the disk (`dmesg`), replace the card if it is one, restart the service",
            ),
        ),
        (
            CLOCK,
            Priority::Low,
            texts(
                "the clock was set, or the box has found its time after a start without one",
                "times in history before and after it do not fit together; order is still right",
                "nothing, if it happens once after a start; else look at the network's time server",
            ),
        ),
        (
            FLOOD,
            Priority::Low,
            texts(
                "one fault that shows in many places; the first one of each group is marked",
                "alarms of priority low do not sound",
                "look at the alarms marked `first` before all others",
            ),
        ),
    ];
    if settings
        .machines
        .iter()
        .flat_map(|it| &it.tags)
        .any(|it| it.role() == Some(Role::EstopChain))
    {
        rows.push((
            STOP_CHAIN,
            Priority::Critical,
            texts(
                "somebody has pressed a red button or opened a guard, or a wire of the chain is loose",
                "the hardware has cut what it cuts; every machine that moves was stopped as well",
                "see to people first; put right what was wrong, close the chain, look at each machine, \
                 then `headstock clear`",
            ),
        ));
    }
    let define = |(id, priority, texts): (&str, Priority, Texts)| {
        (id.to_owned(), Definition { texts, ..plain("house", priority, Source::House) })
    };
    rows.into_iter().map(define).collect()
}

/// What the box says about itself by points of the house.
fn of_box(settings: &Settings) -> [(String, Definition); 2] {
    let limit = |point: &str, compare, hysteresis| {
        let point = format!("house.{point}");
        Source::Point(Limit { point, compare, hysteresis, if_unknown: None })
    };
    let hot = Compare::Above(settings.alarms.cpu_hot_c);
    let hot = limit("cpu_temperature", hot, 5.0);
    let weak = limit("undervoltage", Compare::Equals(Value::Flag(true)), 0.0);
    let delayed = |id: &str, priority, texts, source| {
        let delay = Duration::from_secs(10);
        let plain = plain("house", priority, source);
        (id.to_owned(), Definition { texts, delay_on: delay, delay_off: delay, ..plain })
    };
    let hot_texts = texts(
        "the box stands in the sun, its vents are full of dust, or its fan has stopped",
        "the processor slows itself down; above 85 °C machines may be fed too slowly",
        "clean and air the box",
    );
    let weak_texts = texts(
        "a supply or a cable that is too weak for the box and what is plugged into it",
        "adapters drop out and the card may lose data",
        "use the supply that the board asks for, and a hub with a supply of its own",
    );
    [
        delayed(TEMPERATURE, Priority::Low, hot_texts, hot),
        delayed(UNDERVOLTAGE, Priority::High, weak_texts, weak),
    ]
}
