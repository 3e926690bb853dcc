//! A pretend GRBL 1.1h at the far end of a real pseudo terminal.
//!
//! ```text
//!   host -- tty (symlink) == pty master -- thread of its own -- Controller (pure)
//!                                             ^ faults            -> Counters
//! ```
//!
//! The same code serves tests, the demonstration, `headstock sim` and training. The thread sleeps
//! in `ppoll` until a byte arrives or the controller has something to do, so its motion is exact to
//! some 100 us and it costs nothing at rest. A host may come and go: the slave is kept open here,
//! as a UART does not mind either. Not here: a baud rate; the pty carries bytes as fast as it can.

mod acts;
mod alarm;
mod arc;
mod commands;
mod controller;
mod device;
mod fault;
mod line;
mod lines;
mod planner;
mod profile;
mod program;
mod realtime;
mod report;
mod settings;
mod words;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headstock_config::machine::Xyz;

pub use self::controller::{Controller, Counters};
pub use self::fault::What;
use crate::link::far_end::{self, Shared, Socket};
pub use crate::link::fault::When;

/// Something going wrong with a pretend controller.
pub type Fault = crate::link::fault::Fault<What>;

/// How the pretend controller is built and what is to go wrong with it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Motion, dwells and homing run this many times faster; 0: they take no time.
    pub time_scale: f64,
    /// Bytes of the receive ring.
    pub rx: usize,
    /// Blocks of the planner.
    pub planner_blocks: usize,
    /// `$` settings that differ from a small mill's.
    pub settings: Vec<(u16, f64)>,
    /// Processor time of a line, and of each of its bytes.
    pub line_time: Duration,
    /// See `line_time`.
    pub byte_time: Duration,
    /// Time to write a byte of EEPROM, during which the controller is deaf.
    pub eeprom_byte: Duration,
    /// What it waits after an `ALARM:` to let the text out.
    pub alarm_pause: Duration,
    /// Z (machine coordinates, mm) of a plate that the probe touches.
    pub probe_plane: Option<f64>,
    /// Where the tool is at first, machine coordinates, mm.
    pub start: Xyz,
    /// Built with line numbers (`Ln:` in reports).
    pub line_numbers: bool,
    /// Start-up lines, `$N0` and `$N1`.
    pub startup: [String; 2],
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Seed of what is random: garbage.
    pub seed: u64,
    /// Where to put a symlink to the terminal; it follows when the cable is plugged in again.
    pub link: Option<PathBuf>,
    /// Keep the text of every line, for comparison.
    pub keep_lines: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            rx: 128,
            planner_blocks: 15,
            settings: Vec::new(),
            line_time: Duration::from_micros(400),
            byte_time: Duration::from_micros(8),
            eeprom_byte: Duration::from_micros(3_400),
            alarm_pause: Duration::from_millis(500),
            probe_plane: Some(-40.0),
            start: [0.0; 3],
            line_numbers: false,
            startup: Default::default(),
            faults: Vec::new(),
            seed: 1,
            link: None,
            keep_lines: false,
        }
    }
}

/// A pretend controller that runs until this is dropped.
#[derive(Debug)]
pub struct Sim {
    handle: Handle,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Reaches a running pretend controller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared<Controller>>,
}

/// Switches a controller on. Fails if there is no pseudo terminal left or the symlink cannot be
/// made (a symlink that is there is replaced, anything else is not).
pub fn start(options: Options) -> io::Result<Sim> {
    let socket = Socket {
        name: "pretend-grbl",
        link: options.link.clone(),
        faults: options.faults.clone(),
        seed: options.seed,
    };
    let (shared, thread) = far_end::start(Controller::new(options), socket)?;
    Ok(Sim { handle: Handle { shared: Arc::new(shared) }, thread: Some(thread) })
}

impl Sim {
    /// A way to reach it that can be given away.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::path`].
    pub fn path(&self) -> PathBuf {
        self.handle.path()
    }

    /// See [`Handle::counters`].
    pub fn counters(&self) -> Counters {
        self.handle.counters()
    }

    /// See [`Handle::fault`].
    pub fn fault(&self, fault: Fault) {
        self.handle.fault(fault);
    }

    /// Switches it off and gives the last figures.
    pub fn stop(mut self) -> Counters {
        self.switch_off();
        self.counters()
    }

    fn switch_off(&mut self) {
        self.handle.shared.stop();
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed already.
            thread.join().ok();
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.switch_off();
    }
}

impl Handle {
    /// Where to open it: the symlink, or else the terminal as it is now.
    pub fn path(&self) -> PathBuf {
        self.shared.path()
    }

    /// The figures so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Lets something go wrong.
    pub fn fault(&self, fault: Fault) {
        self.shared.fault(fault);
    }
}

#[cfg(test)]
#[cfg(test)]
mod tests;
