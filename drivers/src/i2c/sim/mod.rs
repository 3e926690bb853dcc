//! A pretend I2C bus, down to the registers of its chips, reached by a socket.
//!
//! What the house says, as bytes in hexadecimal; the answers are what was read:
//!
//! ```text
//! xfer 76 w d0 r 1        write d0, then read one byte from 0x76   -> ok 60
//!                         nobody has said that they are there      -> error nack
//! ```
//!
//! What a person says:
//!
//! ```text
//! chips                           -> ok 20=mcp23017 76=bme280
//! set 76 temperature 31.5         the world changes; it drifts no more
//! set 20 a3 1                     something outside drives a pin; `get 20 a3` tells the pin
//! fault 76 nack 3                 a fault, for so many transfers; for good where no number stands
//! fault bus stuck                 a line of the bus is held down
//! fault 76 off                    all faults are over
//! ```
//!
//! The faults of a chip: `nack` (it does not answer), `wrong-id`, `bad-crc`, `slow` (a measurement
//! does not end), `reset` (its power was away for a moment: happens once).

mod adc;
mod climate;
mod distance;
mod expander;
mod far;
mod fault;
mod integer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use headstock_config::machine::Machine;

pub use self::far::Far;
use self::fault::{Fault, Faults};
use crate::sim::{Device, Door};

/// Longest transfer, bytes each way.
const TRANSFER_MAX: usize = 256;

/// A chip as the wire sees it. `None`: it does not answer.
trait Pretend: Send {
    /// Bytes come from the master.
    fn write(&mut self, now: Instant, faults: &Faults, bytes: &[u8]) -> Option<()>;

    /// The master reads so many.
    fn read(&mut self, now: Instant, faults: &Faults, into: &mut [u8]) -> Option<()>;

    /// The world changes what this measures.
    fn set(&mut self, what: &str, value: f64) -> bool;

    /// What the world sees of it.
    fn get(&self, what: &str) -> Option<f64>;

    /// Its power was away.
    fn reset(&mut self);
}

/// A bus that pretends until it is dropped.
pub struct Bus {
    wires: Arc<Wires>,
    door: Door,
}

#[derive(Default)]
struct Wires {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chips: BTreeMap<u8, (&'static str, Box<dyn Pretend>)>,
    faults: BTreeMap<u8, Faults>,
    stuck: bool,
    /// Addresses that were asked, in order; bounded.
    asked: Vec<u8>,
}

/// Addresses that are remembered for who looks on.
const ASKED_MAX: usize = 10_000;

impl Bus {
    /// Opens its door at this path, with these chips at these addresses. Climate drifts this many
    /// times faster than real; 0: it stands still.
    pub fn open(path: &Path, time_scale: f64, chips: &[(&str, u8)]) -> io::Result<Self> {
        let wires = Arc::new(Wires::default());
        for (name, address) in chips {
            let known = made(name, time_scale);
            let known = known.ok_or_else(|| io::Error::other(format!("no pretend `{name}`")))?;
            wires.state().chips.insert(*address, known);
        }
        let door = Door::open(path, &wires)?;
        Ok(Self { wires, door })
    }

    /// Where its door is.
    pub fn path(&self) -> &Path {
        self.door.path()
    }

    /// The addresses that were asked since it was opened, in order.
    pub fn asked(&self) -> Vec<u8> {
        self.wires.state().asked.clone()
    }
}

fn made(name: &str, time_scale: f64) -> Option<(&'static str, Box<dyn Pretend>)> {
    Some(match name {
        "mcp23017" => ("mcp23017", Box::new(expander::Mcp23017::default())),
        "pcf8574" => ("pcf8574", Box::new(expander::Pcf8574::default())),
        "ads1115" => ("ads1115", Box::new(adc::Ads1115::default())),
        "pcf8591" => ("pcf8591", Box::new(adc::Pcf8591::default())),
        "ina219" => ("ina219", Box::new(adc::Ina219::default())),
        "bme280" => ("bme280", Box::new(climate::Bme280::new(time_scale, true))),
        "bmp280" => ("bmp280", Box::new(climate::Bme280::new(time_scale, false))),
        "sht31" => ("sht31", Box::new(climate::Sht31::new(time_scale))),
        "vl53l0x" => ("vl53l0x", Box::new(distance::Vl53l0x::default())),
        _ => return None,
    })
}

impl Wires {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for Wires {
    fn answer(&self, _: u64, words: &[&str]) -> Result<String, String> {
        let mut state = self.state();
        match words {
            ["xfer", address, rest @ ..] => state.transfer(hex(address)?, rest),
            ["chips"] => {
                let shown = |(address, (name, _)): (&u8, &(&str, Box<dyn Pretend>))| {
                    format!("{address:02x}={name}")
                };
                Ok(state.chips.iter().map(shown).collect::<Vec<_>>().join(" "))
            }
            ["set", address, what, value] => {
                let value = value.parse::<f64>().ok().filter(|it| it.is_finite());
                let value = value.ok_or("not a number")?;
                let set = state.chip(hex(address)?)?.set(what, value);
                if set { Ok(String::new()) } else { Err(format!("nothing is called `{what}`")) }
            }
            ["get", address, what] => {
                let said = state.chip(hex(address)?)?.get(what);
                said.map(|it| it.to_string()).ok_or_else(|| format!("nothing is called `{what}`"))
            }
            ["fault", "bus", what] => {
                state.stuck = *what == "stuck";
                Ok(String::new())
            }
            ["fault", address, what, rest @ ..] => state.fault(hex(address)?, what, rest),
            _ => {
                Err("say `chips`, `set 76 temperature 30`, `get 20 a0` or `fault 76 nack 3`".into())
            }
        }
    }
}

fn hex(word: &str) -> Result<u8, String> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    u8::from_str_radix(digits, 16).map_err(|_| format!("`{word}` is not a byte in hexadecimal"))
}

impl State {
    fn chip(&mut self, address: u8) -> Result<&mut Box<dyn Pretend>, String> {
        let chip = self.chips.get_mut(&address).map(|(_, chip)| chip);
        chip.ok_or_else(|| format!("no chip at {address:02x}"))
    }

    fn fault(&mut self, address: u8, what: &str, rest: &[&str]) -> Result<String, String> {
        let chip = self.chip(address)?;
        if what == "reset" {
            chip.reset();
            return Ok(String::new());
        }
        let faults = self.faults.entry(address).or_default();
        if what == "off" {
            *faults = Faults::default();
            return Ok(String::new());
        }
        let fault = Fault::named(what).ok_or_else(|| format!("`{what}` is not a fault"))?;
        let times = match rest {
            [times] => Some(times.parse().map_err(|_| "not a number of transfers")?),
            _ => None,
        };
        faults.begin(fault, times);
        Ok(String::new())
    }

    /// `w d0 f4 r 2`: pieces, in order.
    fn transfer(&mut self, address: u8, words: &[&str]) -> Result<String, String> {
        if self.asked.len() < ASKED_MAX {
            self.asked.push(address);
        }
        if self.stuck {
            return Err("stuck".into());
        }
        let faults = self.faults.entry(address).or_default();
        faults.next_transfer();
        let Some((_, chip)) = self.chips.get_mut(&address) else { return Err("nack".into()) };
        if faults.has(Fault::Nack) {
            return Err("nack".into());
        }
        let (now, mut read) = (Instant::now(), String::new());
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            match *word {
                "w" => {
                    let mut bytes = Vec::new();
                    while let Some(byte) = words.next_if(|it| !matches!(**it, "w" | "r")) {
                        bytes.push(hex(byte)?);
                    }
                    chip.write(now, faults, &bytes).ok_or("nack")?;
                }
                "r" => {
                    let length = words.next().and_then(|it| it.parse::<usize>().ok());
                    let length = length.filter(|it| *it <= TRANSFER_MAX).ok_or("no such length")?;
                    let mut bytes = vec![0xff; length];
                    chip.read(now, faults, &mut bytes).ok_or("nack")?;
                    read.extend(bytes.iter().map(|it| format!("{it:02x} ")));
                }
                _ => return Err("say `w d0 r 1`".into()),
            }
        }
        Ok(read.trim_end().to_owned())
    }
}

/// The bus that these machines are on, with the chips that they declare.
pub fn pretend(path: &Path, time_scale: f64, machines: &[Machine]) -> io::Result<Bus> {
    let declared = |it: &Machine| Some((it.bus.chip.clone()?, it.bus.address?));
    let chips: Vec<(String, u8)> = machines.iter().filter_map(declared).collect();
    let chips: Vec<(&str, u8)> = chips.iter().map(|(name, at)| (name.as_str(), *at)).collect();
    Bus::open(path, time_scale, &chips)
}
