//! Which device is behind a terminal's name, as sysfs tells it.
//!
//! `/dev/ttyUSB0` is only a number in order of arrival: a device that was unplugged may come back
//! as `ttyUSB1`, and another one may have taken its name meanwhile. What stays are the USB
//! attributes. A path below `/dev/serial/by-id` is kept up by udev from the same attributes.
//!
//! The folders are given as an argument ([`Sysfs`]), so that tests bring their own.
//! Not here: opening anything.

use std::fs;
use std::path::{Path, PathBuf};

use headstock_config::machine::UdevMatch;
use serde::Serialize;

/// Where the system keeps its devices.
#[derive(Clone, Debug)]
pub struct Sysfs {
    /// Usually `/sys`.
    pub sys: PathBuf,
    /// Usually `/dev`.
    pub dev: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into() }
    }
}

/// The USB attributes of a serial device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Vendor, four hexadecimal digits.
    pub vid: String,
    /// Product, four hexadecimal digits.
    pub pid: String,
    /// Serial number; many cheap adapters have none.
    pub serial: Option<String>,
    /// Interface number, two hexadecimal digits: adapters may have several ports.
    pub interface: Option<String>,
    /// The socket it is plugged into: `1-1.2`.
    pub socket: String,
    /// What it calls itself: maker and product.
    pub label: String,
}

impl Identity {
    /// Whether the wanted attributes, where given, are these.
    pub fn matches(&self, wanted: &UdevMatch) -> bool {
        let same = |wanted: &Option<String>, is: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(is))
        };
        same(&wanted.vid, &self.vid)
            && same(&wanted.pid, &self.pid)
            && same(&wanted.serial, self.serial.as_deref().unwrap_or_default())
    }

    /// Whether this may be the same piece of hardware, whatever socket it is in now.
    pub fn same_hardware(&self, other: &Self) -> bool {
        self.vid == other.vid
            && self.pid == other.pid
            && self.serial == other.serial
            && self.interface == other.interface
    }
}

/// A serial device that is plugged in now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The device node.
    pub path: PathBuf,
    /// A name that stays, below `/dev/serial/by-id`, if udev has given one.
    pub by_id: Option<PathBuf>,
    /// Its USB attributes; `None` for ports on the board.
    pub identity: Option<Identity>,
}

impl Sysfs {
    /// The USB attributes of the device behind a node; `None` for ports that are not USB.
    pub fn identity(&self, node: &Path) -> Option<Identity> {
        let node = fs::canonicalize(node).ok()?;
        let device = self.sys.join("class/tty").join(node.file_name()?).join("device");
        let device = fs::canonicalize(device).ok()?;
        let interface = device.ancestors().find_map(|at| word(&at.join("bInterfaceNumber")));
        let usb = device.ancestors().find(|at| at.join("idVendor").is_file())?;
        let label = [word(&usb.join("manufacturer")), word(&usb.join("product"))];
        Some(Identity {
            vid: word(&usb.join("idVendor"))?,
            pid: word(&usb.join("idProduct"))?,
            serial: word(&usb.join("serial")),
            interface,
            socket: usb.file_name()?.to_string_lossy().into_owned(),
            label: label.into_iter().flatten().collect::<Vec<_>>().join(" "),
        })
    }

    /// The serial devices whose attributes are these, by name.
    pub fn find(&self, wanted: &UdevMatch) -> Vec<PathBuf> {
        let matches = |found: &Found| found.identity.as_ref().is_some_and(|is| is.matches(wanted));
        self.list().into_iter().filter(matches).map(|found| found.path).collect()
    }

    /// Where the device with this identity is now. One without a serial number is recognized by
    /// its socket, or by being the only one of its kind.
    pub fn same_device(&self, known: &Identity) -> Option<PathBuf> {
        let alike = |found: &Found| {
            found.identity.as_ref().is_some_and(|identity| identity.same_hardware(known))
        };
        let mut all: Vec<Found> = self.list().into_iter().filter(alike).collect();
        if all.len() > 1 {
            let socket = |found: &Found| found.identity.as_ref().map(|is| is.socket.clone());
            all.retain(|found| socket(found).as_ref() == Some(&known.socket));
        }
        if all.len() == 1 { all.pop().map(|found| found.path) } else { None }
    }

    /// All serial devices that have hardware behind them, by name.
    pub fn list(&self) -> Vec<Found> {
        let Ok(folder) = fs::read_dir(self.sys.join("class/tty")) else { return Vec::new() };
        let by_id = self.by_id();
        let mut all: Vec<Found> = folder
            .filter_map(Result::ok)
            .filter(|entry| self.is_hardware(&entry.path()))
            .map(|entry| {
                let path = self.dev.join(entry.file_name());
                let identity = self.identity(&path);
                let lasting = by_id.iter().find(|(_, node)| *node == path);
                Found { by_id: lasting.map(|(name, _)| name.clone()), path, identity }
            })
            .filter(|found| found.path.exists())
            .collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// The kernel lists 32 `ttyS` whether or not there is a chip; those have type 0.
    fn is_hardware(&self, class: &Path) -> bool {
        class.join("device").exists() && word(&class.join("type")).as_deref() != Some("0")
    }

    fn by_id(&self) -> Vec<(PathBuf, PathBuf)> {
        let Ok(folder) = fs::read_dir(self.dev.join("serial/by-id")) else { return Vec::new() };
        folder
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.path(), fs::canonicalize(entry.path()).ok()?)))
            .collect()
    }

    /// The file that holds an FTDI adapter's latency timer in ms, if this is one.
    pub fn latency_timer(&self, node: &Path) -> Option<PathBuf> {
        let name = fs::canonicalize(node).ok()?;
        let devices = self.sys.join("bus/usb-serial/devices");
        let file = devices.join(name.file_name()?).join("latency_timer");
        file.exists().then_some(file)
    }
}

/// A file's content without its line end; `None` if it cannot be read or is empty.
fn word(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
