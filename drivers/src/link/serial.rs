//! Opens a serial port so that nothing is disturbed by it.
//!
//! In this order: look (without taking) whether someone else has it; clear HUPCL, so that DTR
//! stays as it is when we leave; set 8 bits, raw, at the declared rate (any rate the chip can
//! make) with the declared parity and stop bits; take it for ourselves; forget what was received
//! before; set DTR as declared; ask the adapter to hand over bytes at once.
//!
//! Traps on the way: the library takes an exclusive mark off a port that it then finds locked, so
//! we look first and leave its own exclusive mode off. The mark (TIOCEXCL) outlives a killed
//! process where the far end of a pseudo terminal keeps it open, so those are only locked.
//! Opening raises DTR in the kernel, whatever is declared; with HUPCL clear it is not lowered on
//! closing, so that a board is reset at most at its first opening after it was plugged in.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use headstock_config::machine::{Port, UdevMatch};
use headstock_config::tag::Parity;

use super::failure::Why;
use super::identity::{Identity, Sysfs};
use super::os;

/// Major numbers of the slaves of pseudo terminals (`devices.txt` of the kernel).
const PTY_SLAVES: std::ops::RangeInclusive<u64> = 136..=143;

/// An open serial port. Others may open it again when this is dropped.
#[derive(Debug)]
pub(super) struct Tty {
    file: File,
    marked: bool,
}

impl Drop for Tty {
    fn drop(&mut self) {
        if self.marked {
            // Gone with the device if it fails; nothing is lost.
            os::shared(self.file.as_fd()).ok();
        }
    }
}

impl Tty {
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl AsRawFd for Tty {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The device node that a declared port means now. `known` is the device that was there before.
pub(super) fn locate(sysfs: &Sysfs, port: &Port, known: Option<&Identity>) -> Result<PathBuf, Why> {
    match port {
        Port::Path(path) => at_path(sysfs, path, known),
        Port::Udev(wanted) => by_attributes(sysfs, wanted, known),
        Port::Sim(name) => Err(Why::NoSim(name.clone())),
        Port::Tcp(..) | Port::Pins(_) => Err(Why::NotSerial),
    }
}

fn at_path(sysfs: &Sysfs, path: &Path, known: Option<&Identity>) -> Result<PathBuf, Why> {
    let Some(known) = known else { return Ok(path.to_owned()) };
    let there = path.exists().then(|| sysfs.identity(path)).flatten();
    match there {
        Some(there) if there.same_adapter(known) => Ok(path.to_owned()),
        there => match (sysfs.same_device(known), there) {
            (Some(elsewhere), _) => Ok(elsewhere),
            (None, Some(stranger)) => Err(Why::Stranger(stranger.label)),
            (None, None) => Ok(path.to_owned()),
        },
    }
}

fn by_attributes(
    sysfs: &Sysfs,
    wanted: &UdevMatch,
    known: Option<&Identity>,
) -> Result<PathBuf, Why> {
    if let Some(there) = known.and_then(|known| sysfs.same_device(known)) {
        return Ok(there);
    }
    let mut all = sysfs.find(wanted);
    match (all.len(), known) {
        (0, _) => Err(Why::NoMatch),
        (1, None) => Ok(all.remove(0)),
        (1, Some(_)) => {
            let stranger = sysfs.identity(&all[0]).map(|it| it.label);
            Err(Why::Stranger(stranger.unwrap_or_default()))
        }
        _ => Err(Why::Ambiguous(all.iter().map(|path| path.display().to_string()).collect())),
    }
}

/// How bits stand on a serial line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Bits per second.
    pub(super) baud: u32,
    /// The parity bit.
    pub(super) parity: Parity,
    /// 1 or 2.
    pub(super) stop_bits: u8,
    /// Leave DTR raised (which opening does), or lower it.
    pub(super) dtr: bool,
}

/// Opens the node for us alone.
pub(super) fn open(sysfs: &Sysfs, path: &Path, line: Line) -> Result<Tty, Why> {
    // The name may be a link that leads elsewhere a moment later.
    let node = fs::canonicalize(path)?;
    let kind = fs::metadata(&node)?;
    if !kind.file_type().is_char_device() {
        return Err(Why::NotSerial);
    }
    let pseudo = PTY_SLAVES.contains(&u64::from(libc::major(kind.rdev())));
    let glance = os::open_terminal(&node)?;
    look(glance.as_fd(), pseudo)?;
    // A port that cannot keep DTR can still be worked with.
    os::clear_hupcl(glance.as_fd()).ok();
    let file = set_up(&node, line)?;
    drop(glance);
    os::lock(file.as_fd())?;
    let marked = !pseudo && os::exclusive(file.as_fd()).is_ok();
    let tty = Tty { file, marked };
    os::clear_hupcl(tty.file.as_fd()).ok();
    os::forget_input(tty.file.as_fd())?;
    if !line.dtr {
        // A pseudo terminal has no DTR to lower.
        os::set_dtr(tty.file.as_fd(), false).ok();
    }
    hasten(sysfs, &node, tty.file.as_fd());
    Ok(tty)
}

/// Whether it is a terminal that nobody else has taken.
fn look(terminal: BorrowedFd<'_>, pseudo: bool) -> Result<(), Why> {
    if !os::is_terminal(terminal) {
        return Err(Why::NotSerial);
    }
    // Root is let in by the kernel past the mark.
    if !pseudo && os::is_exclusive(terminal) {
        return Err(Why::InUse);
    }
    os::lock(terminal)?;
    Ok(os::unlock(terminal)?)
}

fn set_up(node: &Path, line: Line) -> Result<File, Why> {
    let parity = match line.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop_bits = match line.stop_bits {
        2 => tokio_serial::StopBits::Two,
        _ => tokio_serial::StopBits::One,
    };
    let port = tokio_serial::new(node.to_string_lossy(), line.baud)
        .data_bits(tokio_serial::DataBits::Eight)
        .parity(parity)
        .stop_bits(stop_bits)
        .flow_control(tokio_serial::FlowControl::None)
        .exclusive(false)
        .open_native()?;
    let file = os::adopt(port);
    os::nonblocking(file.as_fd())?;
    Ok(file)
}

/// FTDI adapters keep received bytes for 16 ms unless told otherwise. Not every port can be told.
fn hasten(sysfs: &Sysfs, node: &Path, terminal: BorrowedFd<'_>) {
    let written: io::Result<()> = match sysfs.latency_timer(node) {
        Some(timer) => fs::write(timer, "1"),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    if written.is_err() {
        os::low_latency(terminal).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::Tree;
    use super::*;

    #[test]
    fn a_plain_path_leads_to_the_device_that_was_there_before() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1", Some("MILL"));
        let path = Port::Path(tree.node("ttyUSB0"));
        let known = tree.sysfs.identity(&tree.node("ttyUSB0"));
        assert_eq!(locate(&tree.sysfs, &path, None).unwrap(), tree.node("ttyUSB0"));
        tree.unplug("ttyUSB0", "1-1");
        assert_eq!(locate(&tree.sysfs, &path, known.as_ref()).unwrap(), tree.node("ttyUSB0"));
        tree.plug("ttyUSB0", "1-1", Some("LATHE"));
        let stranger = locate(&tree.sysfs, &path, known.as_ref()).unwrap_err();
        assert!(matches!(stranger, Why::Stranger(_)), "{stranger:?}");
        tree.plug("ttyUSB1", "1-2", Some("MILL"));
        assert_eq!(locate(&tree.sysfs, &path, known.as_ref()).unwrap(), tree.node("ttyUSB1"));
    }

    /// A hub that was reset hands the numbers out in another order.
    #[test]
    fn adapters_without_serial_numbers_that_swap_their_names_keep_their_machines() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1", None);
        tree.plug("ttyUSB1", "1-2", None);
        let mill = tree.sysfs.identity(&tree.node("ttyUSB0"));
        tree.unplug("ttyUSB0", "1-1");
        tree.unplug("ttyUSB1", "1-2");
        tree.plug("ttyUSB0", "1-2", None);
        let by_path = Port::Path(tree.node("ttyUSB0"));
        let by_maker = Port::Udev(UdevMatch { vid: Some("1a86".into()), ..UdevMatch::default() });
        for port in [&by_path, &by_maker] {
            let stranger = locate(&tree.sysfs, port, mill.as_ref()).unwrap_err();
            assert!(matches!(stranger, Why::Stranger(_)), "{port}: {stranger:?}");
        }
        tree.plug("ttyUSB1", "1-1", None);
        for port in [by_path, by_maker] {
            let mills = locate(&tree.sysfs, &port, mill.as_ref()).unwrap();
            assert_eq!(mills, tree.node("ttyUSB1"), "{port}");
        }
    }

    #[test]
    fn attributes_that_two_devices_have_are_too_few() {
        let tree = Tree::new();
        let port = Port::Udev(UdevMatch { vid: Some("1a86".into()), ..UdevMatch::default() });
        assert!(matches!(locate(&tree.sysfs, &port, None), Err(Why::NoMatch)));
        tree.plug("ttyUSB0", "1-1", None);
        assert_eq!(locate(&tree.sysfs, &port, None).unwrap(), tree.node("ttyUSB0"));
        tree.plug("ttyUSB1", "1-2", None);
        let several = locate(&tree.sysfs, &port, None).unwrap_err();
        assert!(several.to_string().starts_with("2 devices have these attributes: "), "{several}");
    }
}
