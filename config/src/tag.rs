//! A tag: one value of a device on a bus, as declared by `[[machine.tag]]`.
//!
//! A tag says where the value is found (a register, a pin, a channel of a chip), what the raw
//! thing there means, how often it is looked at, and what a stop writes to it. Once the house
//! runs, every tag is a point called `machine.tag`.

use serde::{Deserialize, Serialize};

use crate::point::Value;

/// One `[[machine.tag]]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tag {
    /// Its name: `a-z 0-9 - _`, at most 32 characters.
    pub name: String,
    /// Where it is found.
    pub source: Source,
    /// Value = raw × scale + offset.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
    /// As people write it: `Hz`, `°C`, `kWh`; empty where it has none.
    pub unit: String,
    /// Smallest and largest value that make sense, in the unit. What is read outside is uncertain;
    /// what is to be written outside is refused.
    pub range: Option<[f64; 2]>,
    /// A change that is not larger than this is not reported, in the unit.
    pub deadband: f64,
    /// How often it is read, milliseconds.
    pub period_ms: u64,
    /// Older than this it is stale, milliseconds.
    pub age_limit_ms: u64,
    /// People and rules may set it.
    pub write: bool,
    /// What HOLD writes to it, if anything. Nothing while the machine has been stopped.
    pub hold: Option<Value>,
    /// What STOP writes to it, if anything; `safe` where nothing else is said.
    pub stop: Option<Value>,
    /// The state in which nothing can happen. Pins and outputs of chips, which the house drives
    /// itself, are put into it when they are opened, when the house closes, and when the house's
    /// heart stops. A Modbus device is not written to by a house that starts, closes or finds it
    /// again: there it is what STOP writes where nothing else is said.
    pub safe: Option<Value>,
    /// The machine rests while the value is below this; `None`: the tag says nothing about that.
    pub rest_below: Option<f64>,
}

impl Default for Tag {
    /// What holds where nothing is declared; a tag without a name that is found nowhere.
    fn default() -> Self {
        Self {
            name: String::new(),
            source: Source::Channel { channel: String::new(), output: false },
            scale: 1.0,
            offset: 0.0,
            unit: String::new(),
            range: None,
            deadband: 0.0,
            period_ms: 1_000,
            age_limit_ms: 2_500,
            write: false,
            hold: None,
            stop: None,
            safe: None,
            rest_below: None,
        }
    }
}

impl Tag {
    /// What it is in the workshop, if it is a pin with a role.
    pub fn role(&self) -> Option<Role> {
        match &self.source {
            Source::Pin(pin) => pin.role,
            _ => None,
        }
    }

    /// Whether it can only be on or off.
    pub fn is_a_bit(&self) -> bool {
        match &self.source {
            Source::Register(register) => register.kind == Kind::Bit,
            Source::Pin(pin) => matches!(pin.mode, PinMode::In | PinMode::Out),
            Source::Channel { .. } => false,
        }
    }
}

/// Where a tag's value is found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Modbus.
    Register(Register),
    /// GPIO.
    Pin(Pin),
    /// A channel of an I2C chip, as its driver names it: `temperature`, `a0`.
    Channel {
        /// The channel's name.
        channel: String,
        /// It is an output of the chip.
        output: bool,
    },
}

/// The four tables of a Modbus device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Bits that can be written (0x).
    Coil,
    /// Bits that can only be read (1x).
    Discrete,
    /// Registers that can be written (4x).
    Holding,
    /// Registers that can only be read (3x).
    Input,
}

/// What registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A coil, a discrete input, or one bit of a register.
    Bit,
    /// One register.
    U16,
    /// One register, two's complement.
    I16,
    /// Two registers.
    U32,
    /// Two registers, two's complement.
    I32,
    /// Two registers, IEEE 754.
    F32,
    /// Four registers, IEEE 754.
    F64,
    /// Two characters to a register.
    String,
}

/// In which order the bytes of a value stand in its registers; `A` is the most significant one.
/// Longer values follow suit: words swapped, bytes swapped, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// As the standard has it.
    #[default]
    #[serde(rename = "ABCD")]
    Abcd,
    /// Low word first.
    #[serde(rename = "CDAB")]
    Cdab,
    /// Bytes of each word swapped.
    #[serde(rename = "BADC")]
    Badc,
    /// Everything reversed.
    #[serde(rename = "DCBA")]
    Dcba,
}

/// A place in a Modbus device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Register {
    /// The table.
    pub area: Area,
    /// The first coil or register, counted from 0.
    pub address: u16,
    /// What is there.
    pub kind: Kind,
    /// Order of its bytes.
    pub order: Order,
    /// For `bit` in a register: which, 0 being the least significant.
    pub bit: u8,
    /// For `string`: how many registers.
    pub length: u16,
    /// What stands there can be read. Of a register that only takes commands nobody can say.
    pub read_back: bool,
}

impl Register {
    /// Coils or registers that the value takes.
    pub fn width(&self) -> u16 {
        match self.kind {
            Kind::Bit | Kind::U16 | Kind::I16 => 1,
            Kind::U32 | Kind::I32 | Kind::F32 => 2,
            Kind::F64 => 4,
            Kind::String => self.length,
        }
    }
}

/// A line of a GPIO chip: `gpiochip0/17`, `!` in front inverts it, `^` pulls it up, `~` down.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Line {
    /// The chip: `gpiochip0`.
    pub chip: String,
    /// The line's number on it.
    pub offset: u32,
    /// On is low.
    pub inverted: bool,
    /// The resistor in the chip.
    pub pull: Pull,
}

/// The resistor that a chip can put on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// None.
    #[default]
    None,
    /// To the supply.
    Up,
    /// To ground.
    Down,
}

/// A GPIO tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The line.
    pub line: Line,
    /// What it is used as.
    pub mode: PinMode,
    /// What it is in the workshop.
    pub role: Option<Role>,
    /// A contact must keep still for so long before it counts, milliseconds.
    pub debounce_ms: u32,
    /// How often a line with `mode = "pwm"` is switched on in a second, Hz.
    pub hertz: u32,
}

/// What a line is used as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PinMode {
    /// An input: on or off.
    #[default]
    In,
    /// An input whose rising edges are counted.
    Count,
    /// An input whose rising edges per second are told, Hz.
    Frequency,
    /// An output: on or off.
    Out,
    /// An output that is on for a share of the time, 0 to 1.
    Pwm,
}

impl PinMode {
    /// Whether the house drives the line.
    pub fn output(self) -> bool {
        matches!(self, Self::Out | Self::Pwm)
    }
}

/// What a pin is in the workshop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A door: on while it is closed.
    Door,
    /// A button: holds every machine.
    Hold,
    /// A button: goes on after a hold.
    Resume,
    /// A button: starts the next job that waits.
    CycleStart,
    /// A button: acknowledges the alarms that are shown.
    Acknowledge,
    /// The contact of a hardware stop chain: on while it is closed. Only looked at, never driven.
    EstopChain,
    /// An output that switches something.
    Relay,
    /// A lamp of a stack light: something is wrong.
    StackRed,
    /// A lamp of a stack light: something wants a person.
    StackAmber,
    /// A lamp of a stack light: work is going on.
    StackGreen,
    /// A lamp of a stack light: somebody must come.
    StackBlue,
    /// Sounds while an alarm is not acknowledged.
    Buzzer,
}

impl Role {
    /// A lamp or a buzzer that shows how things are: the house drives it, and nothing hangs on it.
    pub fn signals(self) -> bool {
        matches!(
            self,
            Self::StackRed | Self::StackAmber | Self::StackGreen | Self::StackBlue | Self::Buzzer
        )
    }
}

/// The parity bit of a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// None: what is met in the field.
    #[default]
    None,
    /// Even: what the Modbus standard asks for.
    Even,
    /// Odd.
    Odd,
}

/// How Modbus travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// RTU on a serial line, MBAP over TCP.
    #[default]
    Standard,
    /// RTU frames inside a TCP stream, as transparent serial servers carry them.
    RtuOverTcp,
    /// The private function codes of Huanyang spindle drives, on a serial line.
    Huanyang,
}

/// By which function values get into holding registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteFunction {
    /// 6 or 16, and 3 to read back.
    #[default]
    Write,
    /// 23: written and read back in one transaction. Where a device does not know it, as above.
    ReadWrite,
}

/// What a machine on a bus declares beside its tags. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bus {
    /// Modbus: the device's number on its bus, 0 to 255.
    pub unit: u8,
    /// Serial lines: the parity bit. All machines on one port agree.
    pub parity: Parity,
    /// Serial lines: 1 or 2. All machines on one port agree.
    pub stop_bits: u8,
    /// Modbus: how it travels.
    pub framing: Framing,
    /// How long an answer may take.
    pub timeout_ms: u64,
    /// Silence before a request, beyond what the standard asks for.
    pub pause_ms: u64,
    /// Modbus: registers nobody asked for that may be read along to save a request; `None`: as
    /// many as are cheaper to read than to ask again.
    pub max_gap: Option<u16>,
    /// Modbus: most registers in one request, 1 to 125.
    pub max_registers: u16,
    /// Modbus: by which function holding registers are written. Single bits of them are not: those
    /// have a function of their own.
    pub write_function: WriteFunction,
    /// A tag that is written again and again, so that the device stops by itself when the house
    /// falls silent.
    pub watchdog: Option<Watchdog>,
    /// Modbus: the profile that its tags are from.
    pub profile: Option<&'static str>,
    /// I2C: the chip, by the name of its driver: `bme280`.
    pub chip: Option<String>,
    /// I2C: its address, 0x03 to 0x77.
    pub address: Option<u8>,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            unit: 1,
            parity: Parity::None,
            stop_bits: 1,
            framing: Framing::Standard,
            timeout_ms: 500,
            pause_ms: 0,
            max_gap: None,
            max_registers: 125,
            write_function: WriteFunction::Write,
            watchdog: None,
            profile: None,
            chip: None,
            address: None,
        }
    }
}

/// See [`Bus::watchdog`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watchdog {
    /// The register, written as one number that counts up.
    pub address: u16,
    /// How often, milliseconds.
    pub period_ms: u64,
}
