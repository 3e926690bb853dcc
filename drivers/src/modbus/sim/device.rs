//! The devices of a pretend bus: who is asked, what is answered, and what goes wrong with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::tag::{Area, Framing, Source, Tag};

use super::Options;
use super::bank::Bank;
use super::fault::{Fault, What};
use super::life::{Face, Life};
use crate::modbus::frame;
use crate::modbus::serve::{self, Exception};

/// What passes between two looks at a device whose motion takes no time.
const NO_TIME: f64 = 60.0;

/// One device.
#[derive(Clone, Debug)]
struct Device {
    framing: Framing,
    tags: Vec<Tag>,
    bank: Bank,
    life: Life,
    /// When it was last looked at, seconds since it was switched on.
    at: f64,
    /// It does one thing after the other: what it says next it says after this.
    free: Instant,
}

impl Device {
    fn new(machine: &Machine) -> Self {
        let mut bank = Bank::default();
        for tag in &machine.tags {
            if let Source::Register(register) = &tag.source {
                bank.declare(register);
            }
        }
        if let Some(watchdog) = &machine.bus.watchdog {
            bank.declare_word(Area::Holding, watchdog.address);
        }
        bank.fill_holes();
        let (framing, life) = (machine.bus.framing, Life::of(machine));
        Self { framing, tags: machine.tags.clone(), bank, life, at: 0.0, free: Instant::now() }
    }

    fn advance(&mut self, now: f64) {
        let passed = (now - self.at).max(0.0);
        self.at = now;
        self.life.advance(now, passed, &mut Face::new(&self.tags, &mut self.bank));
    }

    fn answer(&mut self, pdu: &[u8]) -> Vec<u8> {
        if self.framing == Framing::Huanyang {
            return self.huanyang(pdu);
        }
        let function = pdu.first().copied().unwrap_or_default();
        let done = serve::request(pdu).and_then(|ask| {
            let answer = self.bank.carry_out(&ask)?;
            Ok(serve::answer(&ask, &answer))
        });
        done.unwrap_or_else(|exception| serve::refusal(function, exception))
    }

    /// Functions of a Huanyang drive; where their values are found here is told in
    /// `config/profiles/huanyang-hy.toml`.
    fn huanyang(&mut self, pdu: &[u8]) -> Vec<u8> {
        let read = |bank: &Bank, area, address| {
            bank.get(area, address, 1).ok().map(|words| words[0].to_be_bytes())
        };
        let said = match *pdu {
            [1, 3, parameter, _, _] => read(&self.bank, Area::Input, 0x0100 + u16::from(parameter))
                .map(|[high, low]| vec![1, 3, parameter, high, low]),
            [3, 1, control] => {
                // Told at once what it has been told to do.
                self.bank.put(Area::Holding, 0x0300, &[u16::from(control)]).ok();
                self.advance(self.at);
                read(&self.bank, Area::Input, 0x0300).map(|[_, flags]| vec![3, 1, flags])
            }
            [4, 3, 0, _, _] => {
                read(&self.bank, Area::Holding, 0x0500).map(|[high, low]| vec![4, 3, 0, high, low])
            }
            [4, 3, index, _, _] => read(&self.bank, Area::Input, u16::from(index))
                .map(|[high, low]| vec![4, 3, index, high, low]),
            [5, 2, high, low] => self
                .bank
                .put(Area::Holding, 0x0500, &[u16::from_be_bytes([high, low])])
                .ok()
                .map(|()| vec![5, 2, high, low]),
            _ => None,
        };
        said.unwrap_or_else(|| vec![0x81, 1, pdu.get(2).copied().unwrap_or_default()])
    }
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests that were understood, to devices that exist.
    pub requests: u64,
    /// Answers that were right and in time.
    pub answers: u64,
    /// Requests that something went wrong with.
    pub faults: u64,
}

/// An answer on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Who says that it is.
    pub(super) unit: u8,
    /// What it says.
    pub(super) pdu: Vec<u8>,
    /// How long it thinks about it.
    pub(super) after: Duration,
    /// A bit is flipped on the way.
    pub(super) corrupt: bool,
    /// It ends early.
    pub(super) short: bool,
}

impl Said {
    /// As an RTU frame, or what is left of it.
    pub(super) fn rtu(&self) -> Vec<u8> {
        let mut bytes = frame::rtu(self.unit, &self.pdu);
        if self.corrupt {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        if self.short {
            bytes.truncate(bytes.len() - 2);
        }
        bytes
    }
}

/// All devices of a bus.
#[derive(Debug)]
pub(super) struct Devices {
    devices: BTreeMap<u8, Device>,
    options: Options,
    faults: Vec<Fault>,
    switched_on: Instant,
    random: u64,
    pub(super) counted: Counted,
    /// When the latest request that writes began to come in, by unit.
    written: BTreeMap<u8, Instant>,
}

impl Devices {
    pub(super) fn new(machines: &[Machine], options: &Options) -> Self {
        let devices = machines.iter().map(|it| (it.bus.unit, Device::new(it))).collect();
        Self {
            devices,
            options: options.clone(),
            faults: options.faults.clone(),
            switched_on: Instant::now(),
            random: options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            counted: Counted::default(),
            written: BTreeMap::new(),
        }
    }

    /// A request begins to come in at this moment.
    pub(super) fn comes_in(&mut self, at: Instant, unit: u8, pdu: &[u8]) {
        if matches!(pdu.first(), Some(5 | 6 | 15 | 16 | 22 | 23)) {
            self.written.insert(unit, at);
        }
    }

    pub(super) fn written_at(&self, unit: u8) -> Option<Instant> {
        self.written.get(&unit).copied()
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        let after = self.switched_on.elapsed() + fault.after;
        self.faults.push(Fault { after, ..fault });
    }

    pub(super) fn mend(&mut self) {
        self.faults.clear();
    }

    pub(super) fn framing(&self, unit: u8) -> Framing {
        self.devices.get(&unit).map_or(Framing::Standard, |it| it.framing)
    }

    /// Whether the cable is out.
    pub(super) fn cut(&self) -> bool {
        let now = self.switched_on.elapsed();
        self.faults.iter().any(|it| it.what == What::Cut && it.holds(now, 0))
    }

    pub(super) fn peek(&self, unit: u8, area: Area, address: u16) -> Option<u16> {
        let words = self.devices.get(&unit)?.bank.get(area, address, 1);
        words.ok().map(|it| it[0])
    }

    pub(super) fn poke(&mut self, unit: u8, area: Area, address: u16, word: u16) -> bool {
        let device = self.devices.get_mut(&unit);
        device.is_some_and(|it| it.bank.put(area, address, &[word]).is_ok())
    }

    /// A request came in whole, at this moment. `gateway`: somebody answers for units that do not
    /// exist.
    pub(super) fn asked(
        &mut self,
        arrived: Instant,
        unit: u8,
        pdu: &[u8],
        gateway: bool,
    ) -> Option<Said> {
        let since = self.switched_on.elapsed();
        let function = pdu.first().copied().unwrap_or_default();
        let said = |pdu, after| Said { unit, pdu, after, corrupt: false, short: false };
        let Some(device) = self.devices.get(&unit) else {
            return gateway.then(|| said(vec![function | 0x80, 0x0B], Duration::ZERO));
        };
        let now = match self.options.time_scale {
            0.0 => device.at + NO_TIME,
            scale => since.as_secs_f64() * scale,
        };
        self.counted.requests += 1;
        let fault = self.befalls(since, unit);
        let fault = fault.filter(|it| *it != What::Old || matches!(function, 22 | 23));
        if fault == Some(What::Dead) {
            self.counted.faults += 1;
            return None;
        }
        let device = self.devices.get_mut(&unit)?;
        device.advance(now);
        let begins = device.free.max(arrived);
        let thinking = self.options.thinking();
        device.free = begins + thinking;
        let after = begins.saturating_duration_since(arrived) + thinking;
        let answer = if fault == Some(What::Old) { Vec::new() } else { device.answer(pdu) };
        let mut said = said(answer, after);
        match fault {
            None => self.counted.answers += 1,
            Some(_) => self.counted.faults += 1,
        }
        let Some(fault) = fault else { return Some(said) };
        match fault {
            What::Silence | What::Dead | What::Cut => return None,
            What::Late => {
                let late = self.options.late.mul_f64(0.5 + self.chance());
                said.after += late;
                if let Some(device) = self.devices.get_mut(&unit) {
                    device.free += late;
                }
            }
            What::WrongUnit => said.unit = unit.wrapping_add(1).max(1),
            What::Corrupt => said.corrupt = true,
            What::Short => said.short = true,
            What::Busy => said.pdu = serve::refusal(function, Exception::Busy),
            What::Failing => said.pdu = serve::refusal(function, Exception::Failure),
            What::Old => said.pdu = serve::refusal(function, Exception::Function),
        }
        Some(said)
    }

    fn befalls(&mut self, now: Duration, unit: u8) -> Option<What> {
        let holding: Vec<Fault> =
            self.faults.iter().filter(|it| it.holds(now, unit)).copied().collect();
        holding.into_iter().find(|it| self.chance() < it.share).map(|it| it.what)
    }

    /// Below 1. The same row of them for the same seed.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}
