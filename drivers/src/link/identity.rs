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

    /// Whether this is the same adapter. A serial number tells in any socket; adapters without
    /// one are as alike as two peas, so only the socket says which machine hangs on it.
    pub fn same_adapter(&self, other: &Self) -> bool {
        self.vid == other.vid
            && self.pid == other.pid
            && self.serial == other.serial
            && self.interface == other.interface
            && (self.serial.is_some() || self.socket == other.socket)
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

    /// Where the device with this identity is now; one without a serial number only in the same
    /// socket.
    pub fn same_device(&self, known: &Identity) -> Option<PathBuf> {
        let alike = |found: &Found| {
            found.identity.as_ref().is_some_and(|identity| identity.same_adapter(known))
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

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder that looks like `/sys` and `/dev`.
    pub(crate) struct Tree {
        _folder: tempfile::TempDir,
        pub(crate) sysfs: Sysfs,
    }

    impl Tree {
        pub(crate) fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            // The system's folder for temporary files may itself be a link.
            let root = fs::canonicalize(folder.path()).unwrap();
            let sysfs = Sysfs { sys: root.join("sys"), dev: root.join("dev") };
            fs::create_dir_all(sysfs.sys.join("class/tty")).unwrap();
            fs::create_dir_all(sysfs.dev.join("serial/by-id")).unwrap();
            Self { _folder: folder, sysfs }
        }

        /// Plugs an adapter into a socket: `socket` like `1-1.2`.
        pub(crate) fn plug(&self, tty: &str, socket: &str, serial: Option<&str>) {
            let usb = self.sysfs.sys.join("devices/pci0/usb1").join(socket);
            let port = usb.join(format!("{socket}:1.0")).join(tty);
            fs::create_dir_all(&port).unwrap();
            fs::write(usb.join("idVendor"), "1a86\n").unwrap();
            fs::write(usb.join("idProduct"), "7523\n").unwrap();
            fs::write(usb.join("product"), "USB Serial\n").unwrap();
            fs::write(usb.join(format!("{socket}:1.0/bInterfaceNumber")), "00\n").unwrap();
            if let Some(serial) = serial {
                fs::write(usb.join("serial"), format!("{serial}\n")).unwrap();
            }
            let class = self.sysfs.sys.join("class/tty").join(tty);
            fs::create_dir_all(&class).unwrap();
            symlink(&port, class.join("device")).unwrap();
            fs::write(self.sysfs.dev.join(tty), "").unwrap();
        }

        pub(crate) fn unplug(&self, tty: &str, socket: &str) {
            fs::remove_dir_all(self.sysfs.sys.join("class/tty").join(tty)).unwrap();
            fs::remove_dir_all(self.sysfs.sys.join("devices/pci0/usb1").join(socket)).unwrap();
            fs::remove_file(self.sysfs.dev.join(tty)).unwrap();
        }

        pub(crate) fn node(&self, tty: &str) -> PathBuf {
            self.sysfs.dev.join(tty)
        }
    }

    #[test]
    fn the_attributes_of_a_port_are_found_above_it() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1.2", Some("A50285BI"));
        let identity = tree.sysfs.identity(&tree.node("ttyUSB0")).unwrap();
        assert_eq!(
            identity,
            Identity {
                vid: "1a86".into(),
                pid: "7523".into(),
                serial: Some("A50285BI".into()),
                interface: Some("00".into()),
                socket: "1-1.2".into(),
                label: "USB Serial".into(),
            }
        );
        assert_eq!(tree.sysfs.identity(&tree.node("ttyS0")), None);
    }

    #[test]
    fn attributes_that_are_not_given_are_not_asked_about() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1", Some("ONE"));
        tree.plug("ttyUSB1", "1-2", Some("TWO"));
        let wanted = |vid: &str, serial: Option<&str>| UdevMatch {
            vid: Some(vid.into()),
            pid: None,
            serial: serial.map(Into::into),
        };
        assert_eq!(tree.sysfs.find(&wanted("1A86", None)).len(), 2);
        assert_eq!(tree.sysfs.find(&wanted("1a86", Some("two"))), [tree.node("ttyUSB1")]);
        assert_eq!(tree.sysfs.find(&wanted("0403", None)).len(), 0);
    }

    #[test]
    fn a_device_that_comes_back_under_another_name_is_found_again() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1", Some("ONE"));
        tree.plug("ttyUSB1", "1-2", Some("TWO"));
        let known = tree.sysfs.identity(&tree.node("ttyUSB0")).unwrap();
        tree.unplug("ttyUSB0", "1-1");
        assert_eq!(tree.sysfs.same_device(&known), None);
        tree.plug("ttyUSB2", "1-3", Some("ONE"));
        assert_eq!(tree.sysfs.same_device(&known), Some(tree.node("ttyUSB2")));
    }

    #[test]
    fn twins_without_serial_numbers_are_told_apart_by_their_sockets() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1", None);
        let known = tree.sysfs.identity(&tree.node("ttyUSB0")).unwrap();
        tree.unplug("ttyUSB0", "1-1");
        tree.plug("ttyUSB1", "1-4", None);
        assert_eq!(tree.sysfs.same_device(&known), None, "the only one is not the same one");
        tree.plug("ttyUSB2", "1-1", None);
        assert_eq!(tree.sysfs.same_device(&known), Some(tree.node("ttyUSB2")));
    }

    #[test]
    fn ports_are_listed_with_the_name_that_stays_and_without_empty_sockets() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1", Some("ONE"));
        let class = tree.sysfs.sys.join("class/tty/ttyS0");
        fs::create_dir_all(class.join("device")).unwrap();
        fs::write(class.join("type"), "0\n").unwrap();
        fs::write(tree.node("ttyS0"), "").unwrap();
        let by_id = tree.sysfs.dev.join("serial/by-id/usb-1a86-if00-port0");
        symlink("../../ttyUSB0", &by_id).unwrap();
        let all = tree.sysfs.list();
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((&all[0].path, &all[0].by_id), (&tree.node("ttyUSB0"), &Some(by_id)));
    }
}
