//! Machines that move, as points: `mill.x`, `mill.mode`, `printer.hotend`.
//!
//! ```text
//!  machine task --watch--> [ table of what is shown ] --report--> points
//! ```
//!
//! The machine's own thread is not bothered with points: it may be above everything else on the
//! box, and must not wait for a lock that others hold. What it tells at once (mode, spindle, inputs)
//! is here as soon as its watcher runs; positions come ten times a second.
//!
//! Invariant: while a machine is offline or has not introduced itself all of its points are bad.

use std::time::{Duration, Instant};

use headstock_config::machine::{Live, Machine, Mode};
use headstock_config::point::{Quality, Value};

use super::{Declared, News, PointId, Points};

/// A machine that is connected is heard several times a second; this long is a fault.
const AGE_LIMIT: Duration = Duration::from_secs(5);
/// What is not moved by more is noise of a report's last digit, mm.
const LENGTH: f64 = 0.000_5;

/// One thing that is shown of a machine.
struct Shown {
    name: &'static str,
    unit: &'static str,
    deadband: f64,
    /// Its value; `None` while the machine does not say.
    value: fn(&Live) -> Option<Value>,
}

const fn shown(name: &'static str, unit: &'static str, value: fn(&Live) -> Option<Value>) -> Shown {
    Shown { name, unit, deadband: 0.0, value }
}

const fn length(name: &'static str, value: fn(&Live) -> Option<Value>) -> Shown {
    Shown { name, unit: "mm", deadband: LENGTH, value }
}

/// What every machine that moves has. Inputs and outputs are known of those that report them by
/// letters; a door is on while it is closed, as the role of a pin has it.
const MOVES: &[Shown] = &[
    shown("mode", "", |live| Some(Value::Text(live.mode.word().into()))),
    length("x", |live| number(live.machine_position?[0])),
    length("y", |live| number(live.machine_position?[1])),
    length("z", |live| number(live.machine_position?[2])),
    length("work_x", |live| number(live.work_position?[0])),
    length("work_y", |live| number(live.work_position?[1])),
    length("work_z", |live| number(live.work_position?[2])),
    shown("feed", "mm/min", |live| number(live.feed)),
    shown("spindle", "rev/min", |live| number(live.spindle)),
    shown("feed_override", "%", |live| number(live.overrides[0].into())),
    shown("rapid_override", "%", |live| number(live.overrides[1].into())),
    shown("spindle_override", "%", |live| number(live.overrides[2].into())),
    shown("line", "", |live| number(live.progress?.line as f64)),
    shown("homed", "", |live| live.homed.map(Value::Flag)),
];

/// What controllers of the GRBL family have beside that.
const LETTERS: &[Shown] = &[
    shown("door", "", |live| Some(Value::Flag(!live.pins.contains('D')))),
    shown("probe", "", |live| Some(Value::Flag(live.pins.contains('P')))),
    shown("limit", "", |live| {
        Some(Value::Flag(live.pins.contains(['X', 'Y', 'Z', 'A', 'B', 'C'])))
    }),
    shown("flood", "", |live| Some(Value::Flag(live.accessory.contains('F')))),
    shown("mist", "", |live| Some(Value::Flag(live.accessory.contains('M')))),
];

fn number(value: f64) -> Option<Value> {
    Some(Value::Number(value))
}

/// The tables of a machine with this driver; none if it is on a bus, where tags are its points.
fn tables(driver: &str) -> &'static [&'static [Shown]] {
    match driver {
        "grbl" => &[MOVES, LETTERS],
        "marlin" => &[MOVES],
        _ => &[],
    }
}

/// The points of a machine that moves.
pub(super) fn declared(machine: &Machine) -> impl Iterator<Item = Declared> + '_ {
    let rows = tables(&machine.driver).iter().copied().flatten();
    let row = |it: &Shown| (it.name, it.unit, it.deadband);
    // How far a program has come is known of the job, not of the machine.
    let progress = (!tables(&machine.driver).is_empty()).then_some(("progress", "", 0.001));
    rows.map(row).chain(progress).map(|(name, unit, deadband)| Declared {
        name: format!("{}.{name}", machine.id),
        unit: unit.into(),
        writable: false,
        age_limit: AGE_LIMIT,
        deadband,
    })
}

/// Reports what one machine says.
pub struct Bridge {
    points: Points,
    rows: Vec<(PointId, &'static Shown)>,
    progress: PointId,
}

impl Bridge {
    /// For the machine of this id and driver; `None` if it has no such points.
    pub fn of(points: &Points, id: &str, driver: &str) -> Option<Self> {
        let find = |name: &str| points.id(&format!("{id}.{name}"));
        let rows = tables(driver).iter().copied().flatten();
        let rows = rows.filter_map(|row| Some((find(row.name)?, row))).collect();
        Some(Self { rows, progress: find("progress")?, points: points.clone() })
    }

    /// Reports what the machine says, and how much of its job is done: 0 to 1, if it has one.
    pub fn tell(&self, live: &Live, done: Option<f64>) {
        let at = Instant::now();
        let why = absent(live.mode);
        let news = self.rows.iter().map(|(id, row)| {
            let value = (row.value)(live);
            let (quality, why) = judged(live, row, value.as_ref(), why);
            News { id: *id, value, quality, at, why }
        });
        let quality = if why.is_none() { Quality::Good } else { Quality::Bad };
        // Without a job nothing is done.
        let value = Some(Value::Number(done.unwrap_or(0.0)));
        let why = why.map(str::to_owned);
        self.points.report(news.chain([News { id: self.progress, value, quality, at, why }]));
    }
}

/// Why nothing of a machine in this mode can be believed.
fn absent(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Offline => Some("the machine is offline"),
        Mode::Connecting => Some("the machine has not answered yet"),
        _ => None,
    }
}

fn judged(
    live: &Live,
    row: &Shown,
    value: Option<&Value>,
    absent: Option<&str>,
) -> (Quality, Option<String>) {
    if let Some(why) = absent {
        return (Quality::Bad, Some(why.into()));
    }
    if value.is_none() {
        return (Quality::Bad, Some("the machine does not say".into()));
    }
    match &live.position_doubt {
        Some(doubt) if row.unit == "mm" => (Quality::Uncertain, Some(doubt.clone())),
        _ => (Quality::Good, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mill() -> (Points, Bridge) {
        let mill = Machine { id: "mill".into(), driver: "grbl".into(), ..Machine::default() };
        let points = Points::of(&[mill]);
        let bridge = Bridge::of(&points, "mill", "grbl").unwrap();
        (points, bridge)
    }

    #[test]
    fn a_machine_that_moves_is_points() {
        let (points, bridge) = mill();
        let live = Live {
            mode: Mode::Running,
            machine_position: Some([1.0, 2.0, -3.0]),
            spindle: 12_000.0,
            overrides: [110, 100, 100],
            pins: "D".into(),
            ..Live::default()
        };
        bridge.tell(&live, Some(0.25));
        let is = |name: &str| points.one(name).map(|it| (it.value, it.quality, it.unit)).unwrap();
        let good = |value, unit: &str| (Some(value), Quality::Good, unit.to_owned());
        assert_eq!(is("mill.mode"), good(Value::Text("running".into()), ""));
        assert_eq!(is("mill.z"), good(Value::Number(-3.0), "mm"));
        assert_eq!(is("mill.spindle"), good(Value::Number(12_000.0), "rev/min"));
        assert_eq!(is("mill.feed_override"), good(Value::Number(110.0), "%"));
        assert_eq!(is("mill.progress"), good(Value::Number(0.25), ""));
        assert_eq!(is("mill.door"), good(Value::Flag(false), ""));
        assert_eq!(is("mill.work_x"), (None, Quality::Bad, "mm".into()), "it has not said");
    }

    #[test]
    fn a_position_in_doubt_is_uncertain_and_an_offline_machine_is_bad() {
        let (points, bridge) = mill();
        let quality = |name: &str| points.one(name).unwrap().quality;
        let mut live =
            Live { mode: Mode::Idle, machine_position: Some([0.0; 3]), ..Live::default() };
        live.position_doubt = Some("it was reset in motion".into());
        bridge.tell(&live, None);
        assert_eq!((quality("mill.x"), quality("mill.mode")), (Quality::Uncertain, Quality::Good));
        live.mode = Mode::Offline;
        bridge.tell(&live, None);
        assert!(
            points
                .all()
                .iter()
                .all(|it| it.quality == Quality::Bad || !it.name.starts_with("mill."))
        );
        assert_eq!(points.one("mill.mode").unwrap().value, Some(Value::Text("offline".into())));
    }

    #[test]
    fn devices_on_a_bus_have_their_tags_and_no_more() {
        let vfd = Machine { id: "vfd".into(), driver: "modbus-rtu".into(), ..Machine::default() };
        assert_eq!(declared(&vfd).count(), 0);
    }
}
