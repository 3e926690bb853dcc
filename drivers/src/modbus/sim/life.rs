//! What goes on in a pretend device: spindles turn up, meters count, kilns get hot.
//!
//! A device is recognized by its profile; one without lives by its tags: what can only be read
//! wanders within its range, what was written stays. All of it speaks of tags by name and in their
//! units; [`Face`] knows where they are found.

use headstock_config::machine::Machine;
use headstock_config::point::Value;
use headstock_config::tag::{Area, Kind, Register, Source, Tag};

use super::bank::Bank;
use crate::modbus::value::{self, Raw};

/// The tags of a device, and its registers behind them.
pub(super) struct Face<'a> {
    tags: &'a [Tag],
    bank: &'a mut Bank,
}

fn found(tag: &Tag) -> Option<&Register> {
    match &tag.source {
        Source::Register(register) => Some(register),
        _ => None,
    }
}

impl<'a> Face<'a> {
    pub(super) fn new(tags: &'a [Tag], bank: &'a mut Bank) -> Self {
        Self { tags, bank }
    }

    fn tag(&self, name: &str) -> Option<(&'a Tag, &'a Register)> {
        let tag = self.tags.iter().find(|it| it.name == name)?;
        Some((tag, found(tag)?))
    }

    /// What a tag says; 0 where there is none.
    pub(super) fn get(&self, name: &str) -> f64 {
        let Some((tag, register)) = self.tag(name) else { return 0.0 };
        let words = self.bank.get(register.area, register.address, register.width());
        let said = words.ok().and_then(|words| match register.area {
            Area::Coil | Area::Discrete => value::read_bit(tag, words[0] != 0).value,
            _ => value::read(tag, register, &words).value,
        });
        said.and_then(|it| it.number()).unwrap_or_default()
    }

    /// Lets a tag say this; nothing where there is none, or where it does not fit.
    pub(super) fn set(&mut self, name: &str, number: f64) {
        let Some((tag, register)) = self.tag(name) else { return };
        // A device may say what nobody would be allowed to write.
        let free = Tag { range: None, ..tag.clone() };
        let value = match register.kind {
            Kind::Bit => Value::Flag(number != 0.0),
            _ => Value::Number(number),
        };
        let words = match value::write(&free, register, &value) {
            Ok((Raw::Words(words), _)) => words,
            Ok((Raw::Bit(on) | Raw::Coil(on), _)) => vec![u16::from(on)],
            Err(_) => return,
        };
        self.bank.set(register, &words);
    }
}

/// What a device is.
#[derive(Clone, Debug)]
pub(super) enum Life {
    /// Counts energy.
    Meter(Meter),
    /// Turns a spindle.
    Drive(Drive),
    /// Heats to a set point.
    Heater {
        /// °C.
        temperature: f64,
    },
    /// Tells what it is like in the shop.
    Climate,
    /// Does what it is told.
    Still,
    /// Wanders.
    Unknown,
}

impl Life {
    /// What this machine's device is.
    pub(super) fn of(machine: &Machine) -> Self {
        match machine.bus.profile {
            Some(name) if name.starts_with("eastron") || name.starts_with("pzem") => {
                Self::Meter(Meter { imported: 1_234.0, total: 1_240.5 })
            }
            Some("huanyang-hy") => Self::Drive(Drive::new(&[1, 17], 400.0)),
            Some("huanyang-gt") => Self::Drive(Drive::new(&[1, 2], 400.0)),
            Some("delta-vfd") => Self::Drive(Drive::new(&[18, 34], 400.0)),
            Some("omron-e5cc") => Self::Heater { temperature: 21.0 },
            Some("xy-md02") => Self::Climate,
            Some("relays-8") => Self::Still,
            _ => Self::Unknown,
        }
    }

    /// Lets time pass. `now`: seconds since it was switched on; `passed`: of these, since last.
    pub(super) fn advance(&mut self, now: f64, passed: f64, face: &mut Face<'_>) {
        match self {
            Self::Meter(meter) => meter.advance(now, passed, face),
            Self::Drive(drive) => drive.advance(passed, face),
            Self::Heater { temperature } => heat(temperature, passed, face),
            Self::Climate => {
                face.set("temperature", 21.4 + 0.8 * (now / 60.0).sin());
                face.set("humidity", 46.0 + 3.0 * (now / 90.0).cos());
            }
            Self::Still => (),
            Self::Unknown => wander(now, face),
        }
    }
}

/// An energy meter.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    /// kWh.
    imported: f64,
    /// kWh.
    total: f64,
}

impl Meter {
    fn advance(&mut self, now: f64, passed: f64, face: &mut Face<'_>) {
        // A compressor that comes and goes, and lamps that stay.
        let works = (now / 40.0).sin() > 0.2;
        let factor = if works { 0.82 } else { 0.96 };
        let mut all = 0.0;
        for (phase, shift) in [(1, 0.0), (2, 2.1), (3, 4.2)] {
            let voltage = 230.2 + 1.5 * (now / 17.0 + shift).sin();
            let power = 180.0 + 25.0 * (now / 9.0 + shift).sin() + if works { 720.0 } else { 0.0 };
            let current = power / voltage / factor;
            face.set(&format!("voltage_{phase}"), voltage);
            face.set(&format!("power_{phase}"), power);
            face.set(&format!("current_{phase}"), current);
            if phase == 1 {
                face.set("voltage", voltage);
                face.set("current", current);
                face.set("power", power);
            }
            all += power;
        }
        let three = face.tag("power_3").is_some();
        let power = if three { all } else { face.get("power") };
        face.set("power", power);
        face.set("power_factor", factor);
        face.set("frequency", 50.0 + 0.02 * (now / 5.0).sin());
        let energy = power * passed / 3_600_000.0;
        self.imported += energy;
        self.total += energy;
        face.set("imported", self.imported);
        face.set("total", self.total);
    }
}

/// A frequency drive with a spindle.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    /// What `control` holds while it runs.
    runs: &'static [u16],
    /// Highest frequency, Hz.
    highest: f64,
    /// Hz on the motor now.
    pub(super) frequency: f64,
}

/// How fast drives turn up and down, Hz per second.
const RAMP: f64 = 50.0;

impl Drive {
    fn new(runs: &'static [u16], highest: f64) -> Self {
        Self { runs, highest, frequency: 0.0 }
    }

    /// Whether it is told to run.
    pub(super) fn told(&self, face: &Face<'_>) -> bool {
        self.runs.iter().any(|it| f64::from(*it) == face.get("control"))
    }

    fn advance(&mut self, passed: f64, face: &mut Face<'_>) {
        let share = face.get("set_share") / 100.0 * self.highest;
        let set = face.get("set_frequency").max(share).min(self.highest);
        let wanted = if self.told(face) { set } else { 0.0 };
        let step = RAMP * passed;
        self.frequency += (wanted - self.frequency).clamp(-step, step);
        let turning = self.frequency / self.highest;
        face.set("output_frequency", self.frequency);
        face.set("current", if 0.0 < turning { 1.2 + 3.0 * turning } else { 0.0 });
        face.set("voltage", 220.0 * turning);
        face.set("speed", self.frequency * 60.0);
        face.set("dc_voltage", 325.0);
        face.set("lower_limit", 120.0);
        face.set("flags", if self.told(face) { 9.0 } else { 0.0 });
        face.set("temperature", 31.0 + 12.0 * turning);
    }
}

fn heat(temperature: &mut f64, passed: f64, face: &mut Face<'_>) {
    let setpoint = face.get("setpoint");
    let mut output = 0.0;
    let mut rest = passed.clamp(0.0, 600.0);
    // In small steps, or a controller that is rarely looked at would swing.
    while 0.0 < rest {
        let step = rest.min(0.1);
        rest -= step;
        output = ((setpoint - *temperature) * 5.0).clamp(0.0, 100.0);
        // Full power heats by 8 °C a second; what is hotter than the room loses half in 200 s.
        *temperature += (output / 100.0 * 8.0 - (*temperature - 21.0) / 290.0) * step;
    }
    face.set("temperature", *temperature);
    face.set("output", output);
    face.set("working_setpoint", setpoint);
}

fn wander(now: f64, face: &mut Face<'_>) {
    for (place, tag) in face.tags.iter().enumerate() {
        let Some(register) = found(tag) else { continue };
        let read_only = matches!(register.area, Area::Input | Area::Discrete);
        if !read_only || register.kind == Kind::String {
            continue;
        }
        let [low, high] = tag.range.unwrap_or([0.0, 100.0 * tag.scale.abs()]);
        let wave = (now / 20.0 + place as f64).sin();
        let number = match register.kind {
            Kind::Bit => f64::from(u8::from(0.0 < wave)),
            _ => low + (high - low) * (0.5 + 0.05 * wave),
        };
        face.set(&tag.name, number);
    }
}
