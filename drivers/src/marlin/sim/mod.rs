//! A pretend Marlin 2.1 at the far end of a real pseudo terminal.
//!
//! ```text
//!   host -- tty (symlink) == pty master -- thread of its own -- Firmware (pure)
//!                                             ^ faults            -> Counters
//! ```
//!
//! The same code serves tests, the demonstration, `headstock sim` and training: line numbers and
//! checksums, a receive ring that overflows, a command queue, a planner, motion that takes its time
//! and heaters that take theirs. Not here: a baud rate; the pty carries bytes as fast as it can.

mod bytes;
mod codes;
mod device;
mod fault;
mod firmware;
mod heater;
mod motion;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::fault::What;
pub use self::firmware::{Counters, Firmware};
use crate::link::far_end::{self, Shared, Socket};
pub use crate::link::fault::When;

/// Something going wrong with a pretend printer.
pub type Fault = crate::link::fault::Fault<What>;

/// How the pretend printer is built and what is to go wrong with it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Motion, heating and dwells run this many times faster; 0: they take no time.
    pub time_scale: f64,
    /// Bytes of the receive ring.
    pub rx: usize,
    /// Blocks of the planner.
    pub planner_blocks: usize,
    /// Commands that wait (`BUFSIZE`).
    pub queue: usize,
    /// Processor time of a line, and of each of its bytes.
    pub line_time: Duration,
    /// See `line_time`.
    pub byte_time: Duration,
    /// `ok N12 P15 B3` (`ADVANCED_OK`).
    pub advanced_ok: bool,
    /// M108, M112, M410 and M876 take effect when they are received (`EMERGENCY_PARSER`).
    pub emergency_parser: bool,
    /// M155 and M154 are known.
    pub reports: bool,
    /// `busy:` every two seconds (`HOST_KEEPALIVE_FEATURE`).
    pub keepalive: bool,
    /// `//action:` and M876 (`HOST_PROMPT_SUPPORT`).
    pub prompts: bool,
    /// It has a probe: G30.
    pub probe: bool,
    /// What M115 tells that the nozzle reaches from zero, mm (`M115_GEOMETRY_REPORT`).
    pub area: Option<[f64; 3]>,
    /// An `ok` follows each `Resend:`; some builds of 2.0.7 and 2.0.8 send none.
    pub ok_after_resend: bool,
    /// The receive ring is emptied when a bad line was found (AVR boards).
    pub flush_on_error: bool,
    /// °C of nozzle and bed when it is switched on.
    pub warm: [f64; 2],
    /// What they are set to when it is switched on, as if an earlier run had left them so.
    pub targets: [f64; 2],
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Seed of what is random: garbage.
    pub seed: u64,
    /// Where to put a symlink to the terminal; it follows when the cable is plugged in again.
    pub link: Option<PathBuf>,
    /// Keep the text of every line that is carried out, for comparison.
    pub keep_lines: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            rx: 128,
            planner_blocks: 16,
            queue: 4,
            line_time: Duration::from_micros(400),
            byte_time: Duration::from_micros(8),
            advanced_ok: true,
            emergency_parser: true,
            reports: true,
            keepalive: true,
            prompts: true,
            probe: true,
            area: Some([220.0, 220.0, 250.0]),
            ok_after_resend: true,
            flush_on_error: true,
            warm: [21.0; 2],
            targets: [0.0; 2],
            faults: Vec::new(),
            seed: 1,
            link: None,
            keep_lines: false,
        }
    }
}

/// A pretend printer that runs until this is dropped.
#[derive(Debug)]
pub struct Sim {
    shared: Arc<Shared<Firmware>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Switches a printer on. Fails if there is no pseudo terminal left or the symlink cannot be made
/// (a symlink that is there is replaced, anything else is not).
pub fn start(options: Options) -> io::Result<Sim> {
    let socket = Socket {
        name: "pretend-marlin",
        link: options.link.clone(),
        faults: options.faults.clone(),
        seed: options.seed,
    };
    let (shared, thread) = far_end::start(Firmware::new(options), socket)?;
    Ok(Sim { shared: Arc::new(shared), thread: Some(thread) })
}

impl Sim {
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

    /// Switches it off and gives the last figures.
    pub fn stop(mut self) -> Counters {
        self.switch_off();
        self.counters()
    }

    fn switch_off(&mut self) {
        self.shared.stop();
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
