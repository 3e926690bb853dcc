//! What the daemon and its service manager say to each other.
//!
//! systemd hands over the address of a datagram socket (`NOTIFY_SOCKET`) and, if it wants signs of
//! life, how often (`WATCHDOG_USEC`). Everything said is one datagram of `NAME=value` lines; see
//! sd_notify(3) and sd_watchdog_enabled(3). Outside systemd nobody listens, and nothing is said.
//!
//! Not here: when to say what. READY is the house's to say once its doors are open, and it beats
//! the watchdog only while its tasks live. The unit, the udev rules and the user that the daemon
//! runs as are the files beside this package.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Longest that the service manager is waited for. Its queue is full only while it restarts.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    line: Option<(UnixDatagram, SocketAddr)>,
}

impl Manager {
    /// Nobody: everything said is dropped.
    pub fn none() -> Self {
        Self { line: None }
    }

    /// The one that started this process, or nobody if `NOTIFY_SOCKET` is not set.
    ///
    /// Fails if it is set to something that is no address of a Unix socket.
    pub fn of_this_process() -> io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(address) if !address.is_empty() => Self::at(&address),
            _ => Ok(Self::none()),
        }
    }

    /// The one that listens at this address: an absolute path, or `@name` for a socket in
    /// Linux's abstract namespace.
    pub fn at(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { line: Some((socket, address)) })
    }

    /// The house is open; `status` is one line for `systemctl status`.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.say(&format!("READY=1\nSTATUS={}\n", one_line(status)))
    }

    /// The house is closing.
    pub fn stopping(&self, status: &str) -> io::Result<()> {
        self.say(&format!("STOPPING=1\nSTATUS={}\n", one_line(status)))
    }

    /// A sign of life; wanted every [`watchdog_interval`].
    pub fn watchdog(&self) -> io::Result<()> {
        self.say("WATCHDOG=1\n")
    }

    /// Waits at most a second. Fails with `WouldBlock` if that was not enough, and as sending does
    /// if nobody listens there any more.
    fn say(&self, words: &str) -> io::Result<()> {
        let Some((socket, address)) = &self.line else { return Ok(()) };
        socket.send_to_addr(words.as_bytes(), address).map(|_| ())
    }
}

/// A line break would begin another word, such as a READY that nobody meant.
fn one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

/// How often the service manager wants a sign of life from this process: half of what it allows,
/// so that one that comes late is no death. `None` if it wants none.
pub fn watchdog_interval() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    watchdog_interval_of(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id())
}

/// `WATCHDOG_PID` names the process that is meant: a child inherits the variables, not the duty.
fn watchdog_interval_of(usec: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let allowed: u64 = usec?.parse().ok().filter(|&usec| usec > 0)?;
    let meant = pid.is_none_or(|pid| pid.parse() == Ok(own));
    meant.then(|| Duration::from_micros(allowed / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_asks_and_by_the_one_it_means() {
        let interval = |usec: &str, pid: &str| {
            let said = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
            watchdog_interval_of(said(usec), said(pid), 42)
        };
        let five = Some(Duration::from_secs(5));
        assert_eq!(interval("10000000", "42"), five);
        assert_eq!(interval("10000000", ""), five);
        for (usec, pid) in [("10000000", "43"), ("", "42"), ("0", ""), ("soon", ""), ("-1", "")] {
            assert_eq!(interval(usec, pid), None, "{usec} {pid}");
        }
    }
}
