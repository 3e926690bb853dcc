//! What the three stops do to each class of machine, in words that a person can rely on.
//!
//! | class   | hold                             | stop                                        |
//! |---------|----------------------------------|---------------------------------------------|
//! | mill    | feed hold, or the door procedure | feed hold, rest, reset                      |
//! | laser   | the beam goes out                | beam out, rest, reset                       |
//! | printer | no new moves; heaters stay on    | heaters and motors off, or it has to wait   |
//! | drive   | what its tags say for a hold     | run bit off, wait for its own rest          |
//! | output  | stays as it is; rules stand back | declared safe state, read back              |
//! | plc     | hold value written and read back | stop value written and read back            |
//! | sensor  | nothing                          | nothing                                     |
//!
//! An abort is a stop that does not wait for rest, and cuts the power of any of them that has a relay
//! for that; it is the only stop at once for a printer that has to wait.
//!
//! Pure, and a table. Whether a machine *has* come to rest is never said here: only its own report
//! says so.

use headstock_config::command::Stop;
use headstock_config::machine::{Controller, HoldMeans, Live, Machine, StopMeans};
use headstock_config::tag::{Area, Source, Tag};

/// What kind of machine it is, as far as stopping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A controller that moves a tool.
    Mill,
    /// The same with a beam for a tool.
    Laser,
    /// A printer: it moves and heats.
    Printer,
    /// A drive on a bus: it turns until it says that it does not.
    Drive,
    /// Something that is on or off.
    Output,
    /// A controller on a bus with stop values of its own.
    Plc,
    /// It has nothing that could be stopped.
    Sensor,
}

impl Class {
    /// The class of a declared machine.
    pub fn of(machine: &Machine) -> Self {
        match machine.driver.as_str() {
            "grbl" if machine.laser => Self::Laser,
            "marlin" => Self::Printer,
            _ if machine.on_a_bus() => Self::on_a_bus(&machine.tags),
            _ => Self::Mill,
        }
    }

    fn on_a_bus(tags: &[Tag]) -> Self {
        // What can be written may be on, whether or not anybody has said what a stop does about it.
        let acts = |it: &&Tag| it.write || it.stop.is_some() || it.safe.is_some();
        let mut written = tags.iter().filter(acts);
        if tags.iter().any(|it| it.rest_below.is_some()) {
            return Self::Drive;
        }
        let Some(first) = written.next() else { return Self::Sensor };
        let switches = |it: &Tag| match &it.source {
            Source::Register(register) => register.area == Area::Coil,
            Source::Pin(_) | Source::Channel { .. } => true,
        };
        if switches(first) && written.all(switches) { Self::Output } else { Self::Plc }
    }

    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mill => "mill",
            Self::Laser => "laser",
            Self::Printer => "printer",
            Self::Drive => "drive",
            Self::Output => "output",
            Self::Plc => "plc",
            Self::Sensor => "sensor",
        }
    }
}

/// What a stop does to this machine; `after` is what it has said since.
pub fn does(machine: &Machine, controller: Option<&Controller>, after: &Live, how: Stop) -> String {
    let words = match Class::of(machine) {
        Class::Mill => mill(machine, how),
        Class::Laser => laser(machine, controller, how),
        Class::Printer => printer(controller, how, machine.power.is_some()),
        Class::Drive if how == Stop::Hold => hold_on_a_bus(&machine.tags),
        Class::Drive => "run bit off; at rest when the drive says so",
        Class::Output | Class::Plc if how == Stop::Hold => hold_on_a_bus(&machine.tags),
        Class::Output | Class::Plc if !stopped(&machine.tags) => {
            "stays as it is: no stop value is declared"
        }
        Class::Output => "outputs to their stop state, read back",
        Class::Plc => "stop values written and read back",
        Class::Sensor => "nothing here can be stopped",
    };
    let mut words = words.to_owned();
    if let Some(power) = &machine.power {
        let relay = power.point();
        words += &match how {
            Stop::Abort => format!("; its power is switched off ({relay})"),
            Stop::Stop if waits(machine, controller) => format!("; abort cuts its power ({relay})"),
            Stop::Stop | Stop::Hold => String::new(),
        };
    }
    match &after.position_doubt {
        Some(doubt) => format!("{words}; position is not sure: {doubt}"),
        None => words,
    }
}

fn mill(machine: &Machine, how: Stop) -> &'static str {
    match (how, machine.hold, machine.stop) {
        (Stop::Hold, HoldMeans::FeedHold, _) => "feed hold; the spindle keeps turning",
        (Stop::Hold, HoldMeans::Door, _) => "door hold; spindle and coolant off until resume",
        (Stop::Stop, _, StopMeans::HoldThenReset) => {
            "feed hold, rest, then reset; spindle and coolant off"
        }
        _ => "reset at once; spindle and coolant off",
    }
}

fn laser(machine: &Machine, controller: Option<&Controller>, how: Stop) -> &'static str {
    let verified = controller.and_then(|it| it.laser) == Some(true);
    match (how, machine.stop) {
        (Stop::Hold, _) if verified && machine.hold == HoldMeans::FeedHold => {
            "feed hold; laser mode puts the beam out ($32=1)"
        }
        (Stop::Hold, _) => "door hold; the beam is out until resume",
        (Stop::Stop, StopMeans::HoldThenReset) => "beam out with the hold, rest, then reset",
        _ => "reset at once; the beam is out",
    }
}

fn printer(controller: Option<&Controller>, how: Stop, relay: bool) -> &'static str {
    match (how, hears_at_once(controller)) {
        (Stop::Hold, _) => "no new moves; heaters stay on",
        (_, true) => "heaters and motors off at once; position lost",
        (_, false) if relay => "software stop waits for the moves it has: no emergency parser",
        (_, false) => {
            "software stop waits for the moves it has: no emergency parser; use its power switch"
        }
    }
}

/// Whether a software stop of this machine waits for the moves that it has.
fn waits(machine: &Machine, controller: Option<&Controller>) -> bool {
    Class::of(machine) == Class::Printer && !hears_at_once(controller)
}

/// Whether the firmware acts on an emergency command while it is busy with others.
fn hears_at_once(controller: Option<&Controller>) -> bool {
    controller.is_some_and(|it| it.options.contains("EMERGENCY_PARSER"))
}

fn hold_on_a_bus(tags: &[Tag]) -> &'static str {
    if tags.iter().any(|it| it.hold.is_some()) {
        "hold values written and read back, none after a stop; rules that switch it stand back"
    } else {
        "stays as it is: no hold value is declared; rules that switch it stand back"
    }
}

/// Whether a stop writes anything.
fn stopped(tags: &[Tag]) -> bool {
    tags.iter().any(|it| it.stop.is_some() || it.safe.is_some())
}

#[cfg(test)]
mod tests {
    use headstock_config::machine::Power;
    use headstock_config::point::Value;

    use super::*;

    fn told(driver: &str, laser: bool, controller: Option<Controller>, how: Stop) -> String {
        let machine = Machine { driver: driver.into(), laser, ..Machine::default() };
        does(&machine, controller.as_ref(), &Live::default(), how)
    }

    #[test]
    fn a_laser_is_held_by_what_puts_its_beam_out() {
        let with = |laser| Some(Controller { laser, ..Controller::default() });
        assert!(told("grbl", true, with(Some(true)), Stop::Hold).starts_with("feed hold"));
        for unsure in [None, with(None), with(Some(false))] {
            assert!(told("grbl", true, unsure, Stop::Hold).starts_with("door hold"));
        }
    }

    #[test]
    fn a_printer_that_cannot_be_interrupted_is_not_called_stopped() {
        let options = "EEPROM EMERGENCY_PARSER".into();
        let fast = Some(Controller { options, ..Controller::default() });
        assert!(told("marlin", false, fast, Stop::Stop).starts_with("heaters and motors off"));
        assert!(told("marlin", false, None, Stop::Abort).contains("use its power switch"));
    }

    #[test]
    fn an_abort_of_a_machine_with_a_relay_cuts_its_power() {
        let power = Power { machine: "relays".into(), tag: "it".into(), ..Power::default() };
        let told = |driver: &str, how| {
            let power = Some(power.clone());
            let machine = Machine { driver: driver.into(), power, ..Machine::default() };
            does(&machine, None, &Live::default(), how)
        };
        for driver in ["grbl", "marlin", "modbus-tcp"] {
            assert!(told(driver, Stop::Abort).ends_with("its power is switched off (relays.it)"));
        }
        let stop = told("marlin", Stop::Stop);
        assert!(stop.starts_with("software stop waits"), "{stop}");
        assert!(stop.ends_with("abort cuts its power (relays.it)"), "{stop}");
        assert!(!told("grbl", Stop::Stop).contains("power"));
    }

    #[test]
    fn a_position_that_a_stop_has_cost_is_named() {
        let live =
            Live { position_doubt: Some("it was reset in motion".into()), ..Live::default() };
        let machine = Machine { driver: "grbl".into(), ..Machine::default() };
        let words = does(&machine, None, &live, Stop::Abort);
        assert!(words.ends_with("position is not sure: it was reset in motion"), "{words}");
    }

    #[test]
    fn devices_on_a_bus_are_classed_by_what_a_stop_writes() {
        let pin = |channel: &str| Source::Channel { channel: channel.into(), output: true };
        let off = Some(Value::Flag(false));
        let relay = Tag { source: pin("relay"), safe: off.clone(), ..Tag::default() };
        let drive = Tag { rest_below: Some(0.5), ..relay.clone() };
        let sensor = Tag { source: pin("temperature"), ..Tag::default() };
        let rows = [
            (vec![relay.clone(), sensor.clone()], Class::Output),
            (vec![sensor.clone()], Class::Sensor),
            (vec![Tag { write: true, safe: None, ..relay.clone() }], Class::Output),
            (vec![relay, drive], Class::Drive),
        ];
        for (tags, class) in rows {
            let machine = Machine { driver: "modbus-rtu".into(), tags, ..Machine::default() };
            assert_eq!(Class::of(&machine), class);
        }
    }

    #[test]
    fn a_stop_that_writes_nothing_to_an_output_says_so() {
        let source = Source::Channel { channel: "relay".into(), output: true };
        let pump = Tag { source, write: true, ..Tag::default() };
        let machine =
            Machine { driver: "modbus-rtu".into(), tags: vec![pump], ..Machine::default() };
        let words = does(&machine, None, &Live::default(), Stop::Stop);
        assert_eq!(words, "stays as it is: no stop value is declared");
    }
}
