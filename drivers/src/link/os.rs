//! The few things that only the operating system can do for a link.
//!
//! This is the one module with `unsafe` in it: `libc` is the only door to terminal attributes,
//! pseudo terminals and real-time scheduling. Every function here is a safe, small wrapper that
//! checks its result; nothing here decides anything.
//!
//! Sources: `ioctl_tty(2)`, `tty_ioctl(4)`, `sched(7)`, `pts(4)`, `linux/serial.h`.
#![allow(unsafe_code)] // the reason is the head of this file

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use super::serial::Tty;

/// `ASYNC_LOW_LATENCY` of `linux/serial.h`.
const LOW_LATENCY: libc::c_int = 1 << 13;

/// `struct serial_struct` of `linux/serial.h`; only `flags` is looked at.
#[repr(C)]
#[derive(Clone, Copy)]
struct SerialStruct {
    kind: libc::c_int,
    line: libc::c_int,
    port: libc::c_uint,
    irq: libc::c_int,
    flags: libc::c_int,
    xmit_fifo_size: libc::c_int,
    custom_divisor: libc::c_int,
    baud_base: libc::c_int,
    close_delay: libc::c_ushort,
    io_type: libc::c_char,
    reserved_char: [libc::c_char; 1],
    hub6: libc::c_int,
    closing_wait: libc::c_ushort,
    closing_wait2: libc::c_ushort,
    iomem_base: *mut libc::c_uchar,
    iomem_reg_shift: libc::c_ushort,
    port_high: libc::c_uint,
    iomap_base: libc::c_ulong,
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Runs the calling thread at SCHED_FIFO with this priority (1 to 99). Threads that it starts are
/// ordinary ones: what reads a disk or works out a program must never come before a machine.
///
/// Fails with `PermissionDenied` without CAP_SYS_NICE or a sufficient `RLIMIT_RTPRIO`.
pub fn realtime(priority: i32) -> io::Result<()> {
    // SAFETY: an all-zero sched_param is a valid value of this plain C struct.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = priority;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: `parameter` lives through the call; 0 names the calling thread.
    checked(unsafe { libc::sched_setscheduler(0, policy, &parameter) }).map(|_| ())
}

/// Lets sleeps of the calling thread end within about 1 us of their time instead of 50 us.
pub fn precise_sleeps() -> io::Result<()> {
    let slack: libc::c_ulong = 1_000;
    // SAFETY: PR_SET_TIMERSLACK takes one unsigned long and touches no memory of ours.
    checked(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack) }).map(|_| ())
}

/// Nobody else may open this terminal from now on (TIOCEXCL; does not hold root back).
pub fn exclusive(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCEXCL takes no argument.
    checked(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCEXCL) }).map(|_| ())
}

/// Undoes [`exclusive`]: the mark outlives us where someone else keeps the terminal open.
pub fn shared(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCNXCL takes no argument.
    checked(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCNXCL) }).map(|_| ())
}

/// Whether someone has marked this terminal as exclusively theirs.
pub fn is_exclusive(terminal: BorrowedFd<'_>) -> bool {
    let mut answer: libc::c_int = 0;
    // SAFETY: TIOCGEXCL writes one int to `answer`.
    let asked = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGEXCL, &raw mut answer) };
    asked == 0 && answer != 0
}

/// Takes the advisory lock that serial programs share; it ends with the process.
///
/// Fails with `WouldBlock` if another program has it.
pub fn lock(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: flock touches no memory of ours.
    checked(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(|_| ())
}

/// Gives back what [`lock`] took.
pub fn unlock(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: flock touches no memory of ours.
    checked(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) }).map(|_| ())
}

/// Whether this is a terminal of any kind.
pub fn is_terminal(file: BorrowedFd<'_>) -> bool {
    // SAFETY: isatty only looks at the descriptor.
    unsafe { libc::isatty(file.as_raw_fd()) == 1 }
}

fn attributes(terminal: BorrowedFd<'_>) -> io::Result<libc::termios> {
    // SAFETY: an all-zero termios is a valid value of this plain C struct.
    let mut attributes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: tcgetattr writes one termios to `attributes`.
    checked(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut attributes) })?;
    Ok(attributes)
}

fn set_attributes(terminal: BorrowedFd<'_>, attributes: &libc::termios) -> io::Result<()> {
    // SAFETY: tcsetattr reads one termios that lives through the call.
    checked(unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, attributes) })?;
    Ok(())
}

/// Keeps DTR as it is when the port is closed, so that boards are not reset by it.
pub fn clear_hupcl(terminal: BorrowedFd<'_>) -> io::Result<()> {
    let mut wanted = attributes(terminal)?;
    wanted.c_cflag &= !libc::HUPCL;
    set_attributes(terminal, &wanted)
}

/// Makes a terminal pass bytes through unchanged.
pub fn raw(terminal: BorrowedFd<'_>) -> io::Result<()> {
    let mut wanted = attributes(terminal)?;
    // SAFETY: cfmakeraw changes the termios it is given, nothing else.
    unsafe { libc::cfmakeraw(&mut wanted) };
    set_attributes(terminal, &wanted)
}

/// Throws away what arrived before now.
pub fn forget_input(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: tcflush touches no memory of ours.
    checked(unsafe { libc::tcflush(terminal.as_raw_fd(), libc::TCIFLUSH) }).map(|_| ())
}

/// Raises or lowers DTR. A pseudo terminal has none and answers ENOTTY.
pub fn set_dtr(terminal: BorrowedFd<'_>, raised: bool) -> io::Result<()> {
    let request = if raised { libc::TIOCMBIS } else { libc::TIOCMBIC };
    let line: libc::c_int = libc::TIOCM_DTR;
    // SAFETY: TIOCMBIS and TIOCMBIC read one int.
    checked(unsafe { libc::ioctl(terminal.as_raw_fd(), request, &raw const line) }).map(|_| ())
}

/// Bytes written that the driver has not yet put on the wire, as far as it knows (TIOCOUTQ).
///
/// A pseudo terminal always says 0; USB adapters do not count what their chip holds.
pub fn queued_output(terminal: BorrowedFd<'_>) -> usize {
    let mut queued: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int to `queued`.
    let asked = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
    if asked == 0 { usize::try_from(queued).unwrap_or(0) } else { 0 }
}

/// Asks the driver to hand over received bytes at once (ASYNC_LOW_LATENCY).
pub fn low_latency(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an all-zero serial_struct (with a null pointer in it) is a valid value.
    let mut serial: SerialStruct = unsafe { std::mem::zeroed() };
    let fd = terminal.as_raw_fd();
    // SAFETY: TIOCGSERIAL writes one serial_struct, whose shape is the kernel's.
    checked(unsafe { libc::ioctl(fd, libc::TIOCGSERIAL, &raw mut serial) })?;
    serial.flags |= LOW_LATENCY;
    // SAFETY: TIOCSSERIAL reads one serial_struct.
    checked(unsafe { libc::ioctl(fd, libc::TIOCSSERIAL, &raw const serial) }).map(|_| ())
}

/// Makes reads and writes return at once instead of waiting.
pub fn nonblocking(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_GETFL and F_SETFL take and give plain ints.
    let flags = checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    let wanted = flags | libc::O_NONBLOCK;
    // SAFETY: as above.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, wanted) }).map(|_| ())
}

/// Takes over a descriptor that its former owner gives up.
pub fn adopt(former: impl IntoRawFd) -> File {
    // SAFETY: `into_raw_fd` hands over ownership; nobody else will close this descriptor.
    unsafe { File::from_raw_fd(former.into_raw_fd()) }
}

/// Puts a port under the eyes of the tokio runtime that we run in.
pub(super) fn watch(tty: Tty) -> io::Result<AsyncFd<Tty>> {
    // SAFETY: `Tty` owns its descriptor and never closes or replaces it while it lives.
    Ok(unsafe { AsyncFd::register(tty) }?)
}

/// The same for GPIO lines that have been reserved.
pub(super) fn watch_lines(
    lines: Arc<gpiocdev::Request>,
) -> io::Result<AsyncFd<Arc<gpiocdev::Request>>> {
    // SAFETY: a `Request` owns its descriptor and never closes or replaces it while it lives.
    Ok(unsafe { AsyncFd::register(lines) }?)
}

/// `struct i2c_msg` of `linux/i2c.h`.
#[repr(C)]
struct I2cMessage {
    address: u16,
    flags: u16,
    length: u16,
    bytes: *mut u8,
}

/// `struct i2c_rdwr_ioctl_data` of `linux/i2c-dev.h`.
#[repr(C)]
struct I2cTransfer {
    messages: *mut I2cMessage,
    count: u32,
}

/// One piece of a transfer on an I2C bus.
#[derive(Debug)]
pub enum Piece<'a> {
    /// From the chip.
    Read(&'a mut [u8]),
    /// To the chip.
    Write(&'a [u8]),
}

/// Messages in one transfer, as the kernel has it (I2C_RDWR_IOCTL_MAX_MSGS).
const PIECES_MAX: usize = 42;

/// Transfers all pieces in one go, with a repeated start between them. No piece may be longer than
/// the 8192 bytes that the kernel takes.
pub fn i2c_transfer(bus: BorrowedFd<'_>, address: u8, pieces: &mut [Piece<'_>]) -> io::Result<()> {
    const I2C_RDWR: libc::Ioctl = 0x0707;
    const READ: u16 = 0x0001;
    let message = |piece: &mut Piece<'_>| {
        let (flags, length, bytes) = match piece {
            Piece::Read(into) => (READ, into.len(), into.as_mut_ptr()),
            // The kernel only reads from where a message without the flag points to.
            Piece::Write(from) => (0, from.len(), from.as_ptr().cast_mut()),
        };
        let length = u16::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(I2cMessage { address: address.into(), flags, length, bytes })
    };
    let mut messages = pieces.iter_mut().map(message).collect::<io::Result<Vec<_>>>()?;
    if PIECES_MAX < messages.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let count = messages.len() as u32;
    let mut transfer = I2cTransfer { messages: messages.as_mut_ptr(), count };
    // SAFETY: `transfer`, the messages and the buffers they point to live through the call; those
    // that the kernel writes to are borrowed for writing.
    checked(unsafe { libc::ioctl(bus.as_raw_fd(), I2C_RDWR, &raw mut transfer) }).map(|_| ())
}

/// Whether a driver of the kernel has this address.
pub fn i2c_is_claimed(bus: BorrowedFd<'_>, address: u8) -> bool {
    const I2C_SLAVE: libc::Ioctl = 0x0703;
    let address = libc::c_ulong::from(address);
    // SAFETY: I2C_SLAVE takes a number and touches no memory of ours.
    let asked = unsafe { libc::ioctl(bus.as_raw_fd(), I2C_SLAVE, address) };
    asked < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EBUSY)
}

/// How long the adapter waits for a chip that holds the clock, in steps of 10 ms. Also tells
/// whether this is an I2C bus at all.
pub fn i2c_timeout(bus: BorrowedFd<'_>, at_most: Duration) -> io::Result<()> {
    const I2C_TIMEOUT: libc::Ioctl = 0x0702;
    let steps = at_most.as_millis().div_ceil(10).clamp(1, 1_000) as libc::c_ulong;
    // SAFETY: I2C_TIMEOUT takes a number and touches no memory of ours.
    checked(unsafe { libc::ioctl(bus.as_raw_fd(), I2C_TIMEOUT, steps) }).map(|_| ())
}

/// CLOCK_MONOTONIC: what the kernel stamps the edges of GPIO lines with.
pub fn monotonic() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one timespec to `time`.
    checked(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) })?;
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Ok(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
}

/// A new pseudo terminal: the master, in raw mode and non-blocking, and the path of its slave.
pub fn open_pty() -> io::Result<(OwnedFd, PathBuf)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: posix_openpt takes flags and gives a descriptor or -1.
    let fd = checked(unsafe { libc::posix_openpt(flags) })?;
    // SAFETY: `fd` is a fresh descriptor that nobody else owns.
    let master = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: grantpt and unlockpt only look at the descriptor.
    checked(unsafe { libc::grantpt(fd) })?;
    // SAFETY: as above.
    checked(unsafe { libc::unlockpt(fd) })?;
    let mut name = [0 as libc::c_char; 128];
    // SAFETY: ptsname_r writes at most `name.len()` bytes, NUL included.
    let told = unsafe { libc::ptsname_r(fd, name.as_mut_ptr(), name.len()) };
    if told != 0 {
        return Err(io::Error::from_raw_os_error(told));
    }
    // SAFETY: ptsname_r succeeded, so `name` holds a NUL-terminated string.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    raw(master.as_fd())?;
    Ok((master, path))
}

/// Opens a terminal without making it ours and without waiting for a carrier.
pub fn open_terminal(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    File::options().read(true).write(true).custom_flags(flags).open(path)
}

/// Waits until one of the descriptors can be read, or written where `true` stands beside it, or
/// the time is up. Errors and hang-ups count as readable.
pub fn wait(on: &[(BorrowedFd<'_>, bool)], at_most: Duration) -> io::Result<bool> {
    let mut list: Vec<libc::pollfd> = on
        .iter()
        .map(|(fd, write)| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN | if *write { libc::POLLOUT } else { 0 },
            revents: 0,
        })
        .collect();
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(at_most.as_secs()).unwrap_or(libc::time_t::MAX),
        // Below 10^9, so it fits 32 bits as well.
        tv_nsec: at_most.subsec_nanos() as libc::c_long,
    };
    let count = list.len() as libc::nfds_t;
    // SAFETY: `list` and `time` live through the call; no signal mask is given.
    let ready = unsafe { libc::ppoll(list.as_mut_ptr(), count, &time, std::ptr::null()) };
    match checked(ready) {
        Ok(ready) => Ok(ready > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_pty_carries_bytes_unchanged_both_ways() {
        let (master, path) = open_pty().unwrap();
        let mut near = open_terminal(&path).unwrap();
        let mut far = File::from(master);
        let all: Vec<u8> = (0..=255).collect();
        let mut got = [0; 256];
        near.write_all(&all).unwrap();
        far.read_exact(&mut got).unwrap();
        assert_eq!(got.as_slice(), all);
        far.write_all(&all).unwrap();
        wait(&[(near.as_fd(), false)], Duration::from_secs(5)).unwrap();
        near.read_exact(&mut got).unwrap();
        assert_eq!(got.as_slice(), all);
    }

    #[test]
    fn what_a_pty_does_not_have_is_an_error_and_no_more() {
        let (_master, path) = open_pty().unwrap();
        let near = open_terminal(&path).unwrap();
        assert!(is_terminal(near.as_fd()));
        assert!(clear_hupcl(near.as_fd()).is_ok());
        assert!(set_dtr(near.as_fd(), false).is_err());
        assert!(low_latency(near.as_fd()).is_err());
        assert_eq!(queued_output(near.as_fd()), 0);
    }

    #[test]
    fn an_exclusive_mark_can_be_seen_and_taken_back() {
        let (_master, path) = open_pty().unwrap();
        let near = open_terminal(&path).unwrap();
        assert!(!is_exclusive(near.as_fd()));
        exclusive(near.as_fd()).unwrap();
        assert!(is_exclusive(near.as_fd()));
        shared(near.as_fd()).unwrap();
        assert!(!is_exclusive(near.as_fd()));
    }
}
