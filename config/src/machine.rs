//! A machine: as declared in the configuration, and as it is seen from outside.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::tag::{Bus, Tag};

/// A point or an offset in X, Y, Z, in millimetres.
pub type Xyz = [f64; 3];

/// A machine as declared by `[[machine]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Its name in commands, addresses and files: `a-z 0-9 - _`, at most 32 characters.
    pub id: String,
    /// What people call it; the id where nothing else is given.
    pub name: String,
    /// The driver's name in the registry: `grbl`, `marlin`, `modbus-rtu`.
    pub driver: String,
    /// Where it is plugged in.
    pub port: Port,
    /// Bits per second on the wire.
    pub baud: u32,
    /// Raise DTR when the port opens; `false` keeps boards from being reset by it.
    pub dtr: bool,
    /// What the tool can reach, in machine coordinates; `None`: as the controller reports it.
    pub envelope: Option<Envelope>,
    /// The units of programs that do not say (no G20 or G21).
    pub units: Units,
    /// Whether a program that leaves the envelope is refused before it starts.
    pub soft_limits: SoftLimits,
    /// The tool is a laser: S may change in motion, and a hold must put the beam out.
    pub laser: bool,
    /// What HOLD means here.
    pub hold: HoldMeans,
    /// What STOP means here.
    pub stop: StopMeans,
    /// What an `error:N` in a job does.
    pub on_error: OnError,
    /// Seconds that a spindle needs to reach its speed, waited for before motion resumes.
    pub spinup_s: f64,
    /// Height that resume-from-line retracts to, machine coordinates.
    pub safe_z: f64,
    /// What only a printer has.
    pub printer: Printer,
    /// Distance that a jog may cover after its operator was last heard of, mm per axis.
    pub jog_overrun: Xyz,
    /// What cuts its power, if anything that the house can switch does.
    pub power: Option<Power>,
    /// Devices on a bus: how they are reached there.
    pub bus: Bus,
    /// Devices on a bus: what is read from them and written to them.
    pub tags: Vec<Tag>,
}

/// Drivers of devices that are read and told by tags, and may share a port with others.
const ON_BUSES: [&str; 4] = ["modbus-rtu", "modbus-tcp", "gpio", "i2c"];

impl Machine {
    /// Whether it is reached over a bus and does what it does by tags; otherwise it moves.
    pub fn on_a_bus(&self) -> bool {
        ON_BUSES.contains(&self.driver.as_str())
    }
}

impl Default for Machine {
    /// What holds where nothing is declared; a machine without a name that is plugged in nowhere.
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            driver: String::new(),
            port: Port::Sim(String::new()),
            // GRBL's own since 0.9, and Marlin's as shipped.
            baud: 115_200,
            dtr: true,
            envelope: None,
            units: Units::default(),
            soft_limits: SoftLimits::default(),
            laser: false,
            hold: HoldMeans::default(),
            stop: StopMeans::default(),
            on_error: OnError::default(),
            // Small spindles need one to two, and waiting longer costs nothing but time.
            spinup_s: 3.0,
            // GRBL homes to the top of Z, which is machine zero less the pull-off (1 mm as shipped).
            safe_z: -1.0,
            // What a hand on the table can be moved out of, and a cutter above the part.
            jog_overrun: [5.0, 5.0, 1.0],
            power: None,
            bus: Bus::default(),
            tags: Vec::new(),
            printer: Printer::default(),
        }
    }
}

/// What cuts the power of a machine: a tag of another one. An abort switches it off beside what it
/// sends to the machine itself; only a person switches it on again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Power {
    /// The id of the machine that switches.
    pub machine: String,
    /// The name of its tag.
    pub tag: String,
    /// What the tag is while the power is cut.
    pub off: bool,
    /// Other machines hang on it as well.
    pub shared: bool,
}

impl Power {
    /// The tag as a point: `relays.printer`.
    pub fn point(&self) -> String {
        format!("{}.{}", self.machine, self.tag)
    }

    /// The words by which a person switches the power on again.
    pub fn on_again(&self) -> String {
        let on = if self.off { "off" } else { "on" };
        format!("headstock point {} --set {on}", self.point())
    }
}

/// What a printer needs beside what every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Printer {
    /// Where the nozzle goes while a print is held: X and Y in mm. `None`: it stays where it is.
    pub park: Option<[f64; 2]>,
    /// What it is lifted by on the way there, mm, 0 to 50.
    pub lift_mm: f64,
    /// Filament drawn back before it leaves the part, mm, 0 to 50.
    pub retract_mm: f64,
    /// Filament pushed out before it returns, mm, 0 to 100.
    pub purge_mm: f64,
    /// The hottest that a nozzle may be set by hand or by a program, °C.
    pub max_hotend: f64,
    /// The same for bed and chamber, °C.
    pub max_bed: f64,
}

impl Default for Printer {
    fn default() -> Self {
        Self {
            park: None,
            lift_mm: 10.0,
            retract_mm: 2.0,
            purge_mm: 0.0,
            max_hotend: 275.0,
            max_bed: 120.0,
        }
    }
}

/// Where a machine is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Port {
    /// A device node; best one below `/dev/serial/by-id`.
    Path(PathBuf),
    /// The one serial device whose udev attributes have these values.
    Udev(UdevMatch),
    /// A device on the network: name or address, and TCP port.
    Tcp(String, u16),
    /// The pins of this board, which each tag names.
    Pins(PinsBy),
    /// A pretend device, by driver name. Machines that share a pretend bus have the same label
    /// behind a `#`: `modbus-rtu#shop`.
    Sim(String),
}

/// Who moves the pins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PinsBy {
    /// The kernel, by its character devices: any Linux board.
    #[default]
    Cdev,
    /// rppal, by the registers of a Raspberry Pi.
    Rppal,
}

impl Port {
    /// The driver that a pretend device speaks to, and the label of a bus that it shares.
    pub fn pretends(&self) -> Option<(&str, Option<&str>)> {
        let Self::Sim(what) = self else { return None };
        Some(match what.split_once('#') {
            Some((driver, label)) => (driver, Some(label)),
            None => (what, None),
        })
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(out, "{}", path.display()),
            Self::Udev(udev) => {
                let parts = [("vid", &udev.vid), ("pid", &udev.pid), ("serial", &udev.serial)];
                let said: Vec<String> = parts
                    .iter()
                    .filter_map(|(key, value)| value.as_ref().map(|it| format!("{key}={it}")))
                    .collect();
                write!(out, "usb {}", said.join(" "))
            }
            Self::Tcp(host, port) if host.contains(':') => write!(out, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(out, "{host}:{port}"),
            Self::Pins(PinsBy::Cdev) => write!(out, "cdev"),
            Self::Pins(PinsBy::Rppal) => write!(out, "rppal"),
            Self::Sim(driver) => write!(out, "sim:{driver}"),
        }
    }
}

/// USB attributes that tell one adapter from the others; the given ones must all be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdevMatch {
    /// Vendor, four hexadecimal digits.
    pub vid: Option<String>,
    /// Product, four hexadecimal digits.
    pub pid: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
}

/// A box in machine coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The corner with the smallest coordinates.
    pub min: Xyz,
    /// The corner with the largest coordinates.
    pub max: Xyz,
}

/// Units of length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// Millimetres.
    #[default]
    Mm,
    /// Inches.
    Inch,
}

/// What happens to a program that leaves the envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoftLimits {
    /// It is not started.
    #[default]
    Refuse,
    /// It is started with a warning.
    Warn,
    /// It is not checked.
    Off,
}

/// What HOLD does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldMeans {
    /// Motion slows down and stops; the spindle goes on.
    #[default]
    FeedHold,
    /// As feed hold, and spindle and coolant go off until resume.
    Door,
}

/// What STOP does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMeans {
    /// Feed hold, wait for rest, then reset: position is kept.
    #[default]
    HoldThenReset,
    /// Reset at once: faster, and position is lost.
    Reset,
}

/// What an `error:N` in a job does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Feeding stops and the machine is held; the job fails when it is at rest.
    #[default]
    Stop,
    /// Feeding stops and the machine is held until a person resumes or cancels.
    Hold,
    /// The line is written down and the job goes on.
    Continue,
}

/// What a machine is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nobody is talking to it.
    #[default]
    Offline,
    /// The port is open; the controller has not answered yet.
    Connecting,
    /// Ready for work.
    Idle,
    /// Moving on a program's behalf.
    Running,
    /// Slowing down into a hold.
    Holding,
    /// At rest in the middle of work, ready to go on.
    Held,
    /// Moving by hand.
    Jogging,
    /// Looking for its limit switches.
    Homing,
    /// Parsing without moving.
    Checking,
    /// The safety door is or was open.
    Door,
    /// Locked until a person has looked.
    Alarm,
    /// Motors and spindle off until a reset.
    Sleeping,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Offline,
        Self::Connecting,
        Self::Idle,
        Self::Running,
        Self::Holding,
        Self::Held,
        Self::Jogging,
        Self::Homing,
        Self::Checking,
        Self::Door,
        Self::Alarm,
        Self::Sleeping,
    ];

    /// The word used in every interface.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Connecting => "connecting",
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Holding => "holding",
            Self::Held => "held",
            Self::Jogging => "jogging",
            Self::Homing => "homing",
            Self::Checking => "checking",
            Self::Door => "door",
            Self::Alarm => "alarm",
            Self::Sleeping => "sleeping",
        }
    }
}

/// What the house knows of a controller once it has introduced itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    /// `grbl`, `grblhal` or `fluidnc`; of a printer the firmware's own name: `Marlin`.
    pub dialect: String,
    /// As it says itself: `1.1h.20190830`.
    pub version: String,
    /// Bytes its receive buffer holds.
    pub rx_bytes: usize,
    /// Blocks its planner holds.
    pub planner_blocks: usize,
    /// Longest line it takes, without terminator.
    pub line_max: usize,
    /// Build options it reports, as it spells them.
    pub options: String,
    /// Homing is set up (`$22`); `None` until the settings have been read.
    pub homing: Option<bool>,
    /// Soft limits are on in the controller (`$20`).
    pub soft_limits: Option<bool>,
    /// Laser mode (`$32`).
    pub laser: Option<bool>,
    /// Reports and offsets are in inches (`$13`).
    pub reports_inches: bool,
    /// Steps per mm (`$100`…).
    pub steps_per_mm: Option<Xyz>,
    /// Highest rates, mm/min (`$110`…).
    pub max_rate: Option<Xyz>,
    /// Accelerations, mm/s² (`$120`…).
    pub acceleration: Option<Xyz>,
    /// Travels, mm (`$130`…).
    pub travel: Option<Xyz>,
    /// Junction deviation, mm (`$11`).
    pub junction_deviation: Option<f64>,
    /// Arc tolerance, mm (`$12`).
    pub arc_tolerance: Option<f64>,
    /// Highest spindle speed, rev/min (`$30`).
    pub spindle_max: Option<f64>,
    /// Every setting it has told, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// What it has stored about coordinates (`$#`); `None` until it was told in full.
    #[serde(default)]
    pub work_offsets: Option<Box<WorkOffsets>>,
}

/// A setting of a controller (`$110=5000.000`); also an item of
/// `GET /api/v1/equipment/{id}/settings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The number after the `$`.
    pub number: u16,
    /// As the controller says it.
    pub value: String,
    /// What it is; empty where we have no name for it.
    pub name: String,
    /// Its unit; empty where it has none.
    pub unit: String,
}

/// Where a controller's coordinate systems lie. All in mm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkOffsets {
    /// Origins of G54 to G59, machine coordinates.
    pub systems: [Xyz; 6],
    /// Where G28 goes, machine coordinates.
    pub g28: Xyz,
    /// Where G30 goes, machine coordinates.
    pub g30: Xyz,
    /// G92: shifts all systems.
    pub g92: Xyz,
    /// G43.1: shifts Z of all systems.
    pub tool_length: f64,
    /// Where the last probe ended, machine coordinates.
    pub probe: Xyz,
    /// Whether it touched.
    pub probe_touched: bool,
}

/// What two reports of one offset may differ by for rounding, mm.
const ROUNDING: f64 = 0.01;

impl WorkOffsets {
    /// Machine minus work position while system 1 to 6 (G54 to G59) is selected.
    pub fn of(&self, system: u8) -> Option<Xyz> {
        let origin = self.systems.get(usize::from(system).checked_sub(1)?)?;
        let length = [0.0, 0.0, self.tool_length];
        Some(std::array::from_fn(|axis| origin[axis] + self.g92[axis] + length[axis]))
    }

    /// The system that is selected while the controller reports this work offset; of several that
    /// lie in one place, the first. `None`: these are not the offsets that it has now.
    pub fn selected(&self, work_offset: Xyz) -> Option<u8> {
        (1..=6).find(|&system| {
            self.of(system).is_some_and(|it| {
                it.iter().zip(&work_offset).all(|(one, other)| (one - other).abs() <= ROUNDING)
            })
        })
    }
}

/// The latest a machine has said about itself. Ten times a second; never journalled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// What it is doing.
    pub mode: Mode,
    /// The controller's own word: `Hold:0`.
    pub said: String,
    /// Where it is, in machine coordinates.
    pub machine_position: Option<Xyz>,
    /// Where it is, in the selected work coordinates.
    pub work_position: Option<Xyz>,
    /// Work offset: machine minus work position.
    pub work_offset: Option<Xyz>,
    /// Real feed, mm/min.
    pub feed: f64,
    /// Spindle speed, rev/min.
    pub spindle: f64,
    /// Feed, rapid and spindle override, per cent.
    pub overrides: [u16; 3],
    /// Override of the filament that a printer pushes out, per cent; absent until it is known.
    #[serde(default)]
    pub flow: Option<u16>,
    /// Active inputs, the controller's letters: `XYZPDHRS`.
    pub pins: String,
    /// Spindle and coolant that are on: `S` cw, `C` ccw, `F` flood, `M` mist.
    pub accessory: String,
    /// Free planner blocks and free receive bytes.
    pub buffer: Option<[usize; 2]>,
    /// The machine has been homed since it was switched on, as far as we know.
    pub homed: Option<bool>,
    /// Why position is not to be trusted, if it is not.
    pub position_doubt: Option<String>,
    /// What it waits for a person to do, if anything.
    pub asks: Option<String>,
    /// What it heats, as last reported; empty on a machine without heaters.
    #[serde(default)]
    pub temperatures: Vec<Temperature>,
    /// Layer of the print, from 1, and how many there are (0: nobody knows).
    #[serde(default)]
    pub layer: Option<[u32; 2]>,
    /// Share of the print that is done by the program's own reckoning (M73), per cent.
    #[serde(default)]
    pub percent: Option<f64>,
    /// A software stop waits for the command that is being carried out: only a switch that cuts
    /// the power stops this machine at once.
    #[serde(default)]
    pub stop_waits: bool,
    /// It has been told something that may move it, and has not said since that it rests. Told at
    /// once, whatever `mode` says, which may be older than that.
    #[serde(default)]
    pub busy: bool,
    /// Milliseconds since 1970 of the report this comes from.
    pub at_ms: u64,
    /// The program it is running, if any.
    pub progress: Option<Progress>,
    /// The jog that somebody holds, if any.
    #[serde(default)]
    pub jog: Option<JogNow>,
}

/// A jog that goes on as long as somebody holds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct JogNow {
    /// -1, 0 or 1 for each axis.
    pub toward: [i8; 3],
    /// mm/min, capped so that `stop_mm` is within what is declared.
    pub feed: f64,
    /// Distance at the most from the operator's last sign to rest, mm.
    pub stop_mm: f64,
    /// It has come as far as it may.
    pub at_limit: bool,
}

/// What a printer may heat or measure, as [`Temperature::name`] has it. Each is a point of the
/// machine, with `_target` and `_power` two more.
pub const HEATERS: [&str; 9] =
    ["hotend", "hotend1", "hotend2", "hotend3", "bed", "chamber", "probe", "board", "cooler"];

/// One heater, or one thermometer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// `hotend`, `hotend1`, `bed`, `chamber`, `probe`, `board`, `cooler`.
    pub name: String,
    /// As measured, °C.
    pub celsius: f64,
    /// What it is set to, °C; 0 is off, absent where it is only measured.
    #[serde(default)]
    pub target: Option<f64>,
    /// Share of the time that it is switched on, 0 to 1, where the controller tells.
    #[serde(default)]
    pub power: Option<f64>,
}

/// How far a program has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Program lines handed to the controller.
    pub lines_sent: u64,
    /// Program lines the controller has answered.
    pub lines_acked: u64,
    /// File line number of the last answered line.
    pub line: u64,
    /// File line number being executed, where the build reports it.
    pub executing: Option<u64>,
    /// Times that the planner was seen empty while lines were still to come.
    pub starved: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_system_follows_from_the_offset_that_is_reported() {
        let mut offsets = WorkOffsets { tool_length: 2.0, ..WorkOffsets::default() };
        offsets.systems[1] = [-10.0, -20.0, -30.0];
        offsets.g92 = [0.5, 0.0, 0.0];
        assert_eq!(offsets.of(2), Some([-9.5, -20.0, -28.0]));
        assert_eq!(offsets.selected([-9.5, -20.001, -28.0]), Some(2));
        assert_eq!(offsets.selected([0.5, 0.0, 2.0]), Some(1), "like five others");
        assert_eq!(offsets.selected([-9.5, -20.0, -30.0]), None, "before the tool length");
        assert_eq!((offsets.of(0), offsets.of(7)), (None, None));
    }
}
