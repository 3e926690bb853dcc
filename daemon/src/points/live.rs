//! Machines that move, as points: `mill.x`, `mill.mode`, `printer.hotend`.
//!
//! ```text
//!  machine task --changes, in order--+
//!               \--watch: the latest--+--> [ table of what is shown ] --report--> points
//! ```
//!
//! The machine's own thread is not bothered with points: it may be above everything else on the
//! box, and must not wait for a lock that others hold. What rules go by (mode, spindle, inputs) is
//! told at once and every change of it, with its moment, so that a door that was open for an instant
//! was open however late its watcher runs; positions come ten times a second.
//!
//! Invariant: while a machine is offline or has not introduced itself all of its points are bad.

use std::time::{Duration, Instant};

use headstock_config::machine::{HEATERS, Live, Machine, Mode, Temperature};
use headstock_config::point::{Quality, Value};

use super::{Declared, News, PointId, Points};

/// A machine that is connected is heard several times a second; this long is a fault.
const AGE_LIMIT: Duration = Duration::from_secs(5);
/// What is not moved by more is noise of a report's last digit, mm.
const LENGTH: f64 = 0.000_5;
/// Noise of a thermometer, K, and of the share that holds its heater at a temperature.
const WARMTH: f64 = 0.1;
const POWER: f64 = 0.01;

/// One thing that is shown of a machine.
struct Shown {
    name: String,
    unit: &'static str,
    deadband: f64,
    /// Not every machine of its kind has it.
    optional: bool,
    value: Reading,
}

/// Where its value is found; there is none while the machine does not say.
enum Reading {
    Of(fn(&Live) -> Option<Value>),
    /// Of the heater of this name.
    Heater(&'static str, fn(&Temperature) -> Option<f64>),
}

type Row = (&'static str, &'static str, f64, fn(&Live) -> Option<Value>);

/// What every machine that moves has.
const MOVES: &[Row] = &[
    ("mode", "", 0.0, |live| Some(Value::Text(live.mode.word().into()))),
    ("x", "mm", LENGTH, |live| number(live.machine_position?[0])),
    ("y", "mm", LENGTH, |live| number(live.machine_position?[1])),
    ("z", "mm", LENGTH, |live| number(live.machine_position?[2])),
    ("feed", "mm/min", 0.0, |live| number(live.feed)),
    ("feed_override", "%", 0.0, |live| number(live.overrides[0].into())),
    ("line", "", 0.0, |live| number(live.progress?.line as f64)),
    ("homed", "", 0.0, |live| live.homed.map(Value::Flag)),
];

/// What controllers of the GRBL family have beside that: work coordinates, a spindle, and inputs and
/// outputs, which they report by letters. A door is on while it is closed, as the role of a pin has it.
const MILLS: &[Row] = &[
    ("work_x", "mm", LENGTH, |live| number(live.work_position?[0])),
    ("work_y", "mm", LENGTH, |live| number(live.work_position?[1])),
    ("work_z", "mm", LENGTH, |live| number(live.work_position?[2])),
    ("spindle", "rev/min", 0.0, |live| number(live.spindle)),
    ("rapid_override", "%", 0.0, |live| number(live.overrides[1].into())),
    ("spindle_override", "%", 0.0, |live| number(live.overrides[2].into())),
    ("door", "", 0.0, |live| Some(Value::Flag(!live.pins.contains('D')))),
    ("probe", "", 0.0, |live| Some(Value::Flag(live.pins.contains('P')))),
    ("limit", "", 0.0, |live| {
        Some(Value::Flag(live.pins.contains(['X', 'Y', 'Z', 'A', 'B', 'C'])))
    }),
    ("flood", "", 0.0, |live| Some(Value::Flag(live.accessory.contains('F')))),
    ("mist", "", 0.0, |live| Some(Value::Flag(live.accessory.contains('M')))),
];

/// What printers have beside that.
const PRINTS: &[Row] = &[
    ("layer", "", 0.0, |live| number(live.layer?[0].into())),
    ("flow", "%", 0.0, |live| number(live.flow?.into())),
];

fn number(value: f64) -> Option<Value> {
    Some(Value::Number(value))
}

/// What is shown of a machine with this driver; nothing if it is on a bus, where tags are points.
fn shown(driver: &str) -> Vec<Shown> {
    match driver {
        "grbl" => of(MOVES, false).chain(of(MILLS, false)).collect(),
        "marlin" => of(MOVES, false).chain(of(PRINTS, true)).chain(heaters()).collect(),
        _ => Vec::new(),
    }
}

fn of(rows: &'static [Row], optional: bool) -> impl Iterator<Item = Shown> {
    rows.iter().map(move |&(name, unit, deadband, read)| {
        let value = Reading::Of(read);
        Shown { name: name.to_owned(), unit, deadband, optional, value }
    })
}

fn heaters() -> impl Iterator<Item = Shown> {
    let shown = |name: String, unit, deadband, value| {
        let optional = true;
        Shown { name, unit, deadband, optional, value }
    };
    HEATERS.iter().flat_map(move |&name| {
        let celsius = Reading::Heater(name, |it| Some(it.celsius));
        let target = Reading::Heater(name, |it| it.target);
        let power = Reading::Heater(name, |it| it.power);
        [
            shown(name.to_owned(), "°C", WARMTH, celsius),
            shown(format!("{name}_target"), "°C", 0.0, target),
            shown(format!("{name}_power"), "", POWER, power),
        ]
    })
}

impl Reading {
    fn of(&self, live: &Live) -> Option<Value> {
        match self {
            Self::Of(read) => read(live),
            Self::Heater(name, read) => {
                read(live.temperatures.iter().find(|it| it.name == *name)?).map(Value::Number)
            }
        }
    }
}

/// The points of a machine that moves.
pub(super) fn declared(machine: &Machine) -> Vec<Declared> {
    let mut rows: Vec<_> = shown(&machine.driver)
        .into_iter()
        .map(|it| (it.name, it.unit, it.deadband, it.optional))
        .collect();
    if !rows.is_empty() {
        // How far a program has come is known of the job, not of the machine.
        rows.push(("progress".into(), "", 0.001, false));
    }
    let point = |(name, unit, deadband, optional): (String, &str, f64, bool)| Declared {
        name: format!("{}.{name}", machine.id),
        unit: unit.into(),
        writable: false,
        age_limit: AGE_LIMIT,
        deadband,
        optional,
    };
    rows.into_iter().map(point).collect()
}

/// Reports what one machine says.
pub struct Bridge {
    points: Points,
    rows: Vec<(PointId, Shown)>,
    progress: PointId,
    /// It knows where it is only once it has been homed: a printer has no other zero.
    homes: bool,
}

impl Bridge {
    /// For the machine of this id and driver; `None` if it has no such points.
    pub fn of(points: &Points, id: &str, driver: &str) -> Option<Self> {
        let find = |name: &str| points.id(&format!("{id}.{name}"));
        let rows = shown(driver).into_iter();
        let rows = rows.filter_map(|row| Some((find(&row.name)?, row))).collect();
        let (progress, homes) = (find("progress")?, driver == "marlin");
        Some(Self { rows, progress, homes, points: points.clone() })
    }

    /// Reports what the machine says since a moment, and how much of its job is done: 0 to 1, if it has one.
    pub fn tell(&self, at: Instant, live: &Live, done: Option<f64>) {
        let absent = absent(live.mode);
        let mut news: Vec<News> = Vec::with_capacity(self.rows.len() + 1);
        for (id, row) in &self.rows {
            let value = row.value.of(live);
            let (mut quality, mut why) = judged(live, row.unit, value.as_ref(), absent);
            if self.homes
                && row.unit == "mm"
                && quality == Quality::Good
                && live.homed != Some(true)
            {
                let unknown = "it has not been homed, as far as is known".to_owned();
                (quality, why) = (Quality::Uncertain, Some(unknown));
            }
            news.push(News { id: *id, value, quality, at, why });
        }
        // Without a job nothing is done.
        let value = Some(Value::Number(done.unwrap_or(0.0)));
        let (quality, why) = judged(live, "", value.as_ref(), absent);
        news.push(News { id: self.progress, value, quality, at, why });
        self.points.report(news);
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
    unit: &str,
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
        Some(doubt) if unit == "mm" => (Quality::Uncertain, Some(doubt.clone())),
        _ => (Quality::Good, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str, driver: &str) -> (Points, Bridge) {
        let machine = Machine { id: id.into(), driver: driver.into(), ..Machine::default() };
        let points = Points::of(&[machine]);
        let bridge = Bridge::of(&points, id, driver).unwrap();
        (points, bridge)
    }

    #[test]
    fn a_machine_that_moves_is_points() {
        let (points, bridge) = machine("mill", "grbl");
        let live = Live {
            mode: Mode::Running,
            machine_position: Some([1.0, 2.0, -3.0]),
            spindle: 12_000.0,
            overrides: [110, 100, 100],
            pins: "D".into(),
            ..Live::default()
        };
        bridge.tell(Instant::now(), &live, Some(0.25));
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
        let (points, bridge) = machine("mill", "grbl");
        let quality = |name: &str| points.one(name).unwrap().quality;
        let mut live =
            Live { mode: Mode::Idle, machine_position: Some([0.0; 3]), ..Live::default() };
        live.position_doubt = Some("it was reset in motion".into());
        bridge.tell(Instant::now(), &live, None);
        assert_eq!((quality("mill.x"), quality("mill.mode")), (Quality::Uncertain, Quality::Good));
        live.mode = Mode::Offline;
        bridge.tell(Instant::now(), &live, None);
        assert!(points.shown("mill.").iter().all(|it| it.quality == Quality::Bad));
        assert_eq!(points.one("mill.mode").unwrap().value, Some(Value::Text("offline".into())));
    }

    #[test]
    fn a_printer_shows_the_heaters_that_it_has() {
        let (points, bridge) = machine("printer", "marlin");
        let heater = |name: &str, celsius, target| Temperature {
            name: name.into(),
            celsius,
            target,
            power: None,
        };
        let temperatures = vec![heater("hotend", 204.5, Some(210.0)), heater("board", 38.0, None)];
        let live = Live { mode: Mode::Idle, temperatures, ..Live::default() };
        bridge.tell(Instant::now(), &live, None);
        let number = |name: &str| points.one(name).unwrap().value.unwrap().number().unwrap();
        assert_eq!((number("printer.hotend"), number("printer.hotend_target")), (204.5, 210.0));
        let shown: Vec<String> = points.shown("printer.").into_iter().map(|it| it.name).collect();
        assert!(shown.contains(&"printer.board".into()) && shown.contains(&"printer.x".into()));
        for name in ["printer.bed", "printer.board_target", "printer.hotend_power", "printer.layer"]
        {
            assert!(!shown.contains(&name.to_owned()), "{name} has never been said");
        }
        bridge.tell(Instant::now(), &Live::default(), None);
        assert_eq!(points.one("printer.hotend").unwrap().quality, Quality::Bad);
    }

    #[test]
    fn rules_may_name_every_point_that_a_machine_has() {
        for (driver, port) in [("grbl", "/dev/ttyUSB0"), ("marlin", "/dev/ttyUSB1")] {
            let it = Machine { id: "it".into(), driver: driver.into(), ..Machine::default() };
            for name in declared(&it).into_iter().map(|it| it.name) {
                let rule = |test: &str| {
                    format!(
                        "[[machine]]\nid = \"it\"\ndriver = \"{driver}\"\nport = \"{port}\"\n\
                         [[permissive]]\nname = \"a\"\nmachine = \"it\"\nwhat = \"start\"\n\
                         needs = [{{ point = \"{name}\", {test} }}]\n"
                    )
                };
                let may = ["above = 0", "equals = true", "equals = \"idle\""].map(|test| {
                    headstock_config::load::parse(&rule(test), "t.toml", &[driver]).is_ok()
                });
                assert!(may.contains(&true), "{name} of {driver}");
            }
        }
    }

    #[test]
    fn devices_on_a_bus_have_their_tags_and_no_more() {
        let vfd = Machine { id: "vfd".into(), driver: "modbus-rtu".into(), ..Machine::default() };
        assert!(declared(&vfd).is_empty());
    }
}
