//! Carries requests to the chips of an I2C bus.
//!
//! ```text
//!            set_up ok              begin      sleep      finish
//!  unknown ------------> known ----------> [ the bus is free ] ----> answer
//!     ^                    | fault, or settings lost
//!     +--------------------+
//! ```
//!
//! One owner for each bus: every transfer is made here, one at a time. While a sensor measures,
//! the future sleeps and gives way: a stop of another chip does not wait for it.
//!
//! Invariants: outputs take their safe state when the bus opens, when it closes, when an expander
//! comes back from a loss of power, and when the house's heart has stopped. One chip that is
//! missing keeps no other from being read.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use embedded_hal::i2c::{ErrorType, I2c, Operation};
use headstock_config::machine::{Machine, Port};
use headstock_config::point::Quality;

use super::failure::{OpenError, Why};
use super::os::{self, Piece};
use super::pins::Heart;
use crate::bus::{Carrier, Dialect, Errand, Fault, Reading};
use crate::i2c::{self, Answer, Ask, Chip, Chips, Request, Setup, Step, Trouble, WireError, sim};

/// Longest that the adapter waits for a chip that holds the clock.
const CLOCK_HELD: Duration = Duration::from_millis(100);
/// A chip that takes so many times longer than its datasheet says, and this more, is not waited
/// for: others on the bus want to be asked too.
const SLOW: u32 = 4;
const SPARE: Duration = Duration::from_millis(50);
const CLAIMED: &str = "a driver of the kernel has this address: unload it, or read its hwmon";

/// An open bus: chips talk over it.
pub trait Bus: I2c<Error = WireError> + Send {
    /// Whether a driver of the kernel has this address.
    fn is_claimed(&self, address: u8) -> bool;
}

/// Opens the bus at this path: a device of the kernel, or the socket of a pretend one.
pub fn open(path: &Path) -> Result<Box<dyn Bus>, Why> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_socket() {
        return Ok(Box::new(sim::Far::visit(path)?));
    }
    let file = File::options().read(true).write(true).open(path)?;
    os::i2c_timeout(file.as_fd(), CLOCK_HELD).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOTTY | libc::EINVAL) => Why::Unfit("it is not an I2C bus".into()),
        _ => error.into(),
    })?;
    Ok(Box::new(Adapter { file }))
}

/// A bus of the kernel: `/dev/i2c-1`.
struct Adapter {
    file: File,
}

impl ErrorType for Adapter {
    type Error = WireError;
}

impl I2c for Adapter {
    /// As the traits have it, but that two writes in a row are two messages.
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), WireError> {
        let mut pieces = Vec::with_capacity(operations.len());
        for operation in operations {
            pieces.push(match operation {
                Operation::Read(into) => Piece::Read(into),
                Operation::Write(from) => Piece::Write(from),
            });
        }
        os::i2c_transfer(self.file.as_fd(), address, &mut pieces).map_err(|it| said(&it))
    }
}

impl Bus for Adapter {
    fn is_claimed(&self, address: u8) -> bool {
        os::i2c_is_claimed(self.file.as_fd(), address)
    }
}

/// What the kernel's adapters mean. Source: `Documentation/i2c/fault-codes.rst`.
fn said(error: &io::Error) -> WireError {
    match error.raw_os_error() {
        Some(libc::ENXIO | libc::EREMOTEIO) => WireError::Nack,
        Some(libc::ETIMEDOUT | libc::EAGAIN | libc::EBUSY) => WireError::Stuck,
        Some(libc::ENODEV | libc::EBADF | libc::ESHUTDOWN) => WireError::Gone(error.to_string()),
        _ => WireError::Other(error.to_string()),
    }
}

/// See the head of this file.
pub struct I2cCarrier {
    path: PathBuf,
    whose: String,
    chips: Chips,
    /// As the machines; `None`: it declares no chip, and nothing is asked of it.
    stations: Vec<Option<Station>>,
    heart: Heart,
    heart_stopped: bool,
    bus: Option<Box<dyn Bus>>,
}

/// A machine on the bus.
struct Station {
    name: String,
    chip: Box<dyn Chip>,
    setup: Setup,
    patience: Duration,
    /// It has been asked who it is, and set up.
    known: bool,
    /// It can tell by itself that it has lost its settings.
    remembers: bool,
}

impl Station {
    fn new(machine: &Machine) -> Option<Self> {
        let (kind, setup) = i2c::declared(machine)?;
        Some(Self {
            name: machine.id.clone(),
            chip: (kind.build)(setup.clone()),
            setup,
            patience: Duration::from_millis(machine.bus.timeout_ms),
            known: false,
            remembers: kind.reads_back,
        })
    }

    fn meet(&mut self, bus: &mut dyn Bus) -> Result<(), Trouble> {
        if self.known {
            return Ok(());
        }
        if bus.is_claimed(self.setup.address) {
            return Err(Trouble::Stranger(CLAIMED.into()));
        }
        self.chip.set_up(as_wire(bus))?;
        self.known = true;
        Ok(())
    }

    /// After trouble it is asked again who it is. An expander that only did not answer is not:
    /// setting it up would switch off what nobody asked to be switched off.
    fn failed(&mut self, trouble: &Trouble) -> Fault {
        self.known &= self.remembers && matches!(trouble, Trouble::Wire(_));
        trouble.fault(self.setup.address, self.patience)
    }

    fn set(&mut self, bus: &mut dyn Bus, channel: u8, raw: f64) -> Result<(), Trouble> {
        self.meet(bus)?;
        self.chip.set(as_wire(bus), channel, raw)
    }

    fn all_safe(&mut self, bus: &mut dyn Bus) {
        for (channel, raw) in self.setup.outputs.clone() {
            if let Err(trouble) = self.set(bus, channel, raw) {
                tracing::error!(machine = %self.name, %trouble, "an output may not be in its safe state");
                self.failed(&trouble);
            }
        }
    }
}

/// Comes when the request is called back.
async fn recalled(errand: &mut Errand<'_>) {
    match &mut errand.recall {
        Some(recall) => recall.as_mut().await,
        None => std::future::pending().await,
    }
}

fn as_wire(bus: &mut dyn Bus) -> &mut i2c::Wire<'_> {
    bus
}

impl I2cCarrier {
    /// For the chips of these machines, all on one bus. Opens nothing yet.
    pub fn new(machines: &[Machine], heart: Heart) -> Self {
        let path = match machines.first().map(|it| &it.port) {
            Some(Port::Path(path)) => path.clone(),
            _ => PathBuf::new(),
        };
        let names: Vec<&str> = machines.iter().map(|it| it.id.as_str()).collect();
        Self {
            path,
            whose: names.join(", "),
            chips: Chips::new(machines),
            stations: machines.iter().map(Station::new).collect(),
            heart,
            heart_stopped: false,
            bus: None,
        }
    }

    fn at(&mut self, machine: usize) -> Result<(&mut Station, &mut dyn Bus), Fault> {
        let bus = self.bus.as_mut().ok_or_else(|| Fault::Lost("it is not open".into()))?;
        let station = self.stations.get_mut(machine).and_then(Option::as_mut);
        Ok((station.ok_or_else(|| Fault::Unlike("no such chip".into()))?, bus.as_mut()))
    }

    async fn measure(
        &mut self,
        machine: usize,
        channels: &[u8],
        mut errand: Errand<'_>,
    ) -> Result<Answer, Fault> {
        let begun = Instant::now();
        let (station, bus) = self.at(machine)?;
        let patience = station.patience;
        let begin = |station: &mut Station, bus: &mut dyn Bus| {
            station.meet(bus)?;
            station.chip.begin(as_wire(bus), channels)
        };
        let mut wait = begin(station, bus).map_err(|trouble| station.failed(&trouble))?;
        let patience = patience.min(wait * SLOW + SPARE);
        loop {
            if !wait.is_zero() {
                tokio::select! {
                    biased;
                    () = recalled(&mut errand) => return Err(Fault::GaveWay { sent: false }),
                    () = tokio::time::sleep(wait) => (),
                }
            }
            let (station, bus) = self.at(machine)?;
            match station.chip.finish(as_wire(bus), channels) {
                Ok(Step::Done(answer)) => return Ok(answer),
                Ok(Step::Later(longer)) if begun.elapsed() < patience => wait = longer,
                Ok(Step::Later(_)) => {
                    station.known = false;
                    let ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
                    return Err(Fault::Silence(ms));
                }
                Err(trouble) => return Err(station.failed(&trouble)),
            }
        }
    }

    fn set(&mut self, machine: usize, channel: u8, raw: f64) -> Result<Answer, Fault> {
        let stopped = self.heart.stopped(Instant::now());
        let (station, bus) = self.at(machine)?;
        let safe = station.setup.outputs.contains(&(channel, raw));
        if stopped && !safe {
            let means = "the house does not answer: outputs stay in their safe state";
            return Err(Fault::Refused { number: 0, means, later: true });
        }
        let set = station.set(bus, channel, raw);
        set.map(|()| Vec::new()).map_err(|trouble| station.failed(&trouble))
    }

    /// Every output to its safe state; one that cannot be reached keeps no other from it.
    fn all_safe(&mut self) {
        let Some(bus) = &mut self.bus else { return };
        for station in self.stations.iter_mut().flatten() {
            station.all_safe(bus.as_mut());
        }
    }

    /// A house that hangs can switch nothing off any more. What is to be told of it.
    fn watch_the_heart(&mut self, now: Instant) -> Vec<Reading> {
        let stopped = self.heart.stopped(now);
        if stopped == std::mem::replace(&mut self.heart_stopped, stopped) || !stopped {
            return Vec::new();
        }
        let why = format!("the house was silent for {} s", self.heart.patience().as_secs());
        tracing::error!(machine = %self.whose, "{why}: outputs go to their safe state");
        self.all_safe();
        let mut out = Vec::new();
        for (machine, station) in self.stations.iter().enumerate() {
            let Some(station) = station else { continue };
            let safe = station.setup.outputs.iter();
            let answer: Answer = safe.map(|(channel, raw)| (*channel, Ok(*raw))).collect();
            let request = Request { machine, ask: Ask::Measure(Vec::new()) };
            self.chips.read(now, &request, &answer, &mut out);
        }
        for reading in &mut out {
            (reading.quality, reading.why) = (Quality::Uncertain, Some(why.clone()));
        }
        out
    }
}

impl Carrier<Chips> for I2cCarrier {
    async fn open(&mut self) -> Result<(), OpenError> {
        self.bus = None;
        let failed = |why| OpenError {
            machine: self.whose.clone(),
            port: self.path.display().to_string(),
            why,
        };
        let mut bus = open(&self.path).map_err(failed)?;
        for station in self.stations.iter_mut().flatten() {
            station.known = false;
            if !station.setup.outputs.is_empty()
                && let Err(trouble) = station.meet(bus.as_mut())
            {
                tracing::warn!(machine = %station.name, %trouble, "its outputs are as they were");
            }
        }
        self.bus = Some(bus);
        Ok(())
    }

    async fn perform(
        &mut self,
        machine: usize,
        request: &Request,
        errand: Errand<'_>,
    ) -> Result<Answer, Fault> {
        errand.may()?;
        match &request.ask {
            Ask::Measure(channels) => self.measure(machine, channels, errand).await,
            Ask::Set(channel, raw) => self.set(machine, *channel, *raw),
        }
    }

    async fn unasked(&mut self) -> Result<Vec<Reading>, Fault> {
        if self.stations.iter().flatten().all(|it| it.setup.outputs.is_empty()) {
            return std::future::pending().await;
        }
        loop {
            let out = self.watch_the_heart(Instant::now());
            if !out.is_empty() {
                return Ok(out);
            }
            let again = Instant::now() + self.heart.patience();
            let next = if self.heart_stopped { again } else { self.heart.stops_at() };
            tokio::time::sleep_until(next.into()).await;
        }
    }

    async fn close(&mut self) {
        self.all_safe();
        self.bus = None;
    }
}

impl Drop for I2cCarrier {
    fn drop(&mut self) {
        self.all_safe();
    }
}
