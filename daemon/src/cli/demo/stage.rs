//! What the demo plays on: a workshop of pretend machines, a temporary folder, and a daemon of its
//! own.
//!
//! Nothing of this is special to the demo: the daemon is this program's `daemon` verb with an
//! ordinary configuration, and the machines are ports like any other. Those that stream programs
//! are kept here, so that what arrived at them can be counted; the devices on buses are pretended
//! by the daemon. All of it is gone when the [`Stage`] is dropped.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use headstock_drivers::grbl::sim::{self, Options, Sim};
use headstock_drivers::marlin::sim as printer;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cli::Call;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;

/// The machine that mills, and the one that prints.
pub(super) const MILL: &str = "mill";
/// See [`MILL`].
pub(super) const PRINTER: &str = "printer";
/// What the wire of a real machine carries, bits per second.
const BAUD: u32 = 115_200;
/// The daemon is given this long to end in order.
const FAREWELL: Duration = Duration::from_secs(12);
/// Between two looks at something that is awaited.
const PACE: Duration = Duration::from_millis(10);
const SAMPLE_PART: &str = include_str!("../../../assets/sample-part.nc");
const SAMPLE_PRINT: &str = include_str!("../../../assets/sample-print.gcode");
const CONFIGURATION: &str = include_str!("../../../assets/demo.toml");

/// Everything that the demo has started.
pub(super) struct Stage {
    // In the order in which they end: the daemon, its machines, the folder.
    daemon: Daemon,
    pub(super) mill: Sim,
    pub(super) printer: printer::Sim,
    folder: TempDir,
}

impl Stage {
    /// Starts the machines, then the daemon; it need not be ready yet.
    pub(super) fn build(time_scale: u32) -> Result<Self, Trouble> {
        Self::try_build(time_scale).map_err(|error| {
            let remedy = "check the free space and the rights of this user in the temporary folder";
            let message = format!("cannot set up the demo: {error}");
            Trouble::new(Exit::Failed, "demo.stage", message, "nothing runs", remedy)
        })
    }

    fn try_build(time_scale: u32) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("headstock-demo-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let mill = sim::start(milling(at("tty-mill"), time_scale))?;
        let printer = printer::start(printing(at("tty-printer"), time_scale))?;
        fs::write(at("sample-part.nc"), SAMPLE_PART)?;
        fs::write(at("sample-print.gcode"), SAMPLE_PRINT)?;
        fs::write(at("headstock.toml"), configuration(folder.path(), time_scale))?;
        let daemon = Daemon::start(&at("headstock.toml"), &at("daemon.log"))?;
        Ok(Self { daemon, mill, printer, folder })
    }

    /// Something in the demo's folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the hands of the world reach the pretend pins.
    pub(super) fn board(&self) -> PathBuf {
        self.path("sim/pins.pins")
    }

    /// Does something to the switch of the mill's door, as a hand would.
    pub(super) fn pins(&self, what: &str, level: &str) -> io::Result<String> {
        headstock_drivers::sim::say(&self.board(), &format!("{what} {} {level}", super::DOOR))
    }

    /// A client of the demo's daemon.
    pub(super) fn call(&self, json: bool) -> Result<Call, Trouble> {
        Ok(Call { client: Client::new(self.path("headstock.sock"))?, json })
    }

    /// Where REST listens; empty until the daemon has said so.
    pub(super) fn web(&self) -> String {
        fs::read_to_string(self.path("web.addr")).unwrap_or_default().trim().to_owned()
    }

    /// The daemon has not ended.
    pub(super) fn is_up(&self) -> bool {
        self.daemon.runs()
    }

    /// Says what the daemon said last, for when it does not do as expected.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Ends the daemon in order. Whether it did.
    pub(super) fn close(mut self) -> bool {
        self.daemon.end()
    }
}

/// A machine whose motion, wire and processor are all faster than real ones by the same factor, so
/// that what has to keep up with what stays as it is.
fn milling(link: PathBuf, time_scale: u32) -> Options {
    let real = Options::default();
    Options {
        time_scale: f64::from(time_scale),
        line_time: real.line_time / time_scale,
        byte_time: real.byte_time / time_scale,
        // Homing is set up, so the machine wakes up locked, as a real one does.
        settings: vec![(22, 1.0)],
        link: Some(link),
        ..real
    }
}

/// The same for the printer; its heaters are as much faster.
fn printing(link: PathBuf, time_scale: u32) -> printer::Options {
    let real = printer::Options::default();
    printer::Options {
        time_scale: f64::from(time_scale),
        line_time: real.line_time / time_scale,
        byte_time: real.byte_time / time_scale,
        link: Some(link),
        ..real
    }
}

/// What a person would write for this workshop.
fn configuration(folder: &Path, time_scale: u32) -> String {
    let baud = (BAUD * time_scale).to_string();
    let folder = folder.display().to_string();
    let text = CONFIGURATION.replace("FOLDER", &folder).replace("BAUD", &baud);
    text.replace("SCALE", &time_scale.to_string())
}

/// The daemon as a process of its own; ended when dropped.
struct Daemon {
    // Even a look at a child changes it; nobody keeps it borrowed.
    child: RefCell<Child>,
}

impl Daemon {
    fn start(config: &Path, log: &Path) -> io::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["daemon", "--config"])
            .arg(config)
            // What is set for another daemon must not reach this one.
            .env_remove("HEADSTOCK_SOCKET")
            .env_remove("STATE_DIRECTORY")
            .env_remove("RUNTIME_DIRECTORY")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()?;
        Ok(Self { child: RefCell::new(child) })
    }

    /// It has not ended.
    fn runs(&self) -> bool {
        matches!(self.child.borrow_mut().try_wait(), Ok(None))
    }

    /// Asks it to end, waits, and takes it down if it does not. Whether it ended in order.
    fn end(&mut self) -> bool {
        let child = self.child.get_mut();
        let Ok(None) = child.try_wait() else { return false };
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let asked = id.is_some_and(|id| kill_process(id, Signal::TERM).is_ok());
        let until = Instant::now() + FAREWELL;
        while asked && Instant::now() < until {
            if let Ok(Some(status)) = child.try_wait() {
                return status.success();
            }
            sleep(PACE);
        }
        child.kill().ok();
        child.wait().ok();
        false
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use headstock_config::load;
    use headstock_drivers::registry;

    use super::*;

    #[test]
    fn the_demos_configuration_is_one_that_passes_its_check() {
        let text = configuration(Path::new("/tmp/x"), 100);
        let settings = load::parse(&text, "demo", &registry::names());
        let settings = settings.unwrap_or_else(|wrong| panic!("{}", load::render(&wrong)));
        let ids: Vec<_> = settings.machines.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, [MILL, PRINTER, "spindle", "meter", "relays", "pins", "climate"]);
    }
}
