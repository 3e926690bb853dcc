//! Pretend Modbus devices at the far end of a real pseudo terminal, or behind a real socket.
//!
//! ```text
//!   host -- tty (symlink) == pty master -- thread: line.rs  --+
//!                                                             +-- Devices: bank, life, faults
//!   host -- 127.0.0.1:port ------------- thread: network.rs --+
//! ```
//!
//! The same code serves tests, the demonstration, `headstock sim` and training. The devices are
//! those that machines declare: their registers exist, and what is known of their profile goes on
//! in them. A serial bus takes its time, as its baud rate says; a time scale makes wires and
//! devices faster alike, and 0 lets nothing take any time.

mod bank;
mod device;
mod fault;
mod life;
mod line;
mod network;
#[cfg(test)]
mod tests;
mod wake;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headstock_config::machine::{Machine, Port};
use headstock_config::tag::Area;

pub use self::device::Counted;
use self::device::Devices;
pub use self::fault::{Fault, NoFault, What};
use self::wake::Bell;
use crate::modbus::frame;
use crate::registry::Pretender;

/// How a pretend bus is built and what is to go wrong on it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Wires and devices are this many times faster; 0: nothing takes any time.
    pub time_scale: f64,
    /// How long devices think about an answer.
    pub turnaround: Duration,
    /// How long a late answer is late, give or take a half of it. Not scaled: it is measured
    /// against the patience of a host.
    pub late: Duration,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Seed of what is random.
    pub seed: u64,
    /// Where to put a symlink to the terminal; it follows when the cable is plugged in again.
    pub link: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            turnaround: Duration::from_millis(5),
            late: Duration::from_millis(600),
            faults: Vec::new(),
            seed: 1,
            link: None,
        }
    }
}

impl Options {
    /// This span of the real world, here.
    fn scaled(&self, span: Duration) -> Duration {
        match self.time_scale {
            scale if 0.0 < scale => span.div_f64(scale),
            _ => Duration::ZERO,
        }
    }

    fn thinking(&self) -> Duration {
        self.scaled(self.turnaround)
    }
}

/// A pretend bus that runs until this is dropped.
#[derive(Debug)]
pub struct Sim {
    devices: Arc<Mutex<Devices>>,
    port: Port,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

fn locked(devices: &Mutex<Devices>) -> MutexGuard<'_, Devices> {
    devices.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Switches on a serial bus with the devices of these machines; the first one's speed is its own.
/// Fails if there is no pseudo terminal left or the symlink cannot be made.
pub fn serial(machines: &[Machine], options: Options) -> io::Result<Sim> {
    let devices = Arc::new(Mutex::new(Devices::new(machines, &options)));
    let character = machines.first().map_or(Duration::ZERO, frame::character_of);
    let (bell, heard) = wake::pair()?;
    let (path, thread) = line::start(devices.clone(), character, options, heard)?;
    Ok(Sim { devices, port: Port::Path(path), bell, thread: Some(thread) })
}

/// Switches on devices behind a socket of this box.
pub fn network(machines: &[Machine], options: Options) -> io::Result<Sim> {
    let devices = Arc::new(Mutex::new(Devices::new(machines, &options)));
    let (bell, heard) = wake::pair()?;
    let framed = machines.iter().any(|it| it.driver == "modbus-rtu");
    let (at, thread) = network::start(devices.clone(), framed, heard)?;
    let port = Port::Tcp(at.ip().to_string(), at.port());
    Ok(Sim { devices, port, bell, thread: Some(thread) })
}

impl Sim {
    /// Where to find it.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Its address, if it is behind a socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.port {
            Port::Tcp(host, port) => Some(SocketAddr::new(host.parse().ok()?, *port)),
            _ => None,
        }
    }

    /// Lets something go wrong; moments count from now.
    pub fn fault(&self, fault: Fault) {
        locked(&self.devices).fault(fault);
        self.bell.ring();
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        locked(&self.devices).mend();
        self.bell.ring();
    }

    /// What has happened so far.
    pub fn counted(&self) -> Counted {
        locked(&self.devices).counted
    }

    /// When the latest request that writes something to this unit began to come in on its line.
    pub fn written_at(&self, unit: u8) -> Option<Instant> {
        locked(&self.devices).written_at(unit)
    }

    /// What a coil (0 or 1) or register holds; `None` if there is none.
    pub fn peek(&self, unit: u8, area: Area, address: u16) -> Option<u16> {
        locked(&self.devices).peek(unit, area, address)
    }

    /// Puts something into a coil or register. `false`: there is none.
    pub fn poke(&self, unit: u8, area: Area, address: u16, word: u16) -> bool {
        locked(&self.devices).poke(unit, area, address, word)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.bell.stop();
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed already.
            thread.join().ok();
        }
    }
}

/// Pretend devices behind a serial line, for the list of drivers.
pub fn pretend_serial(
    link: &Path,
    time_scale: f64,
    machines: &[Machine],
) -> io::Result<(Port, Pretender)> {
    let link = Some(link.to_owned());
    let sim = serial(machines, Options { link, time_scale, ..Options::default() })?;
    Ok((sim.port.clone(), Box::new(sim)))
}

/// Pretend devices behind a socket, for the list of drivers.
pub fn pretend_network(
    _: &Path,
    time_scale: f64,
    machines: &[Machine],
) -> io::Result<(Port, Pretender)> {
    let sim = network(machines, Options { time_scale, ..Options::default() })?;
    Ok((sim.port.clone(), Box::new(sim)))
}
