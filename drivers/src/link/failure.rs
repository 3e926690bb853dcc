//! Why a link could not be opened or was lost, told to the person at the machine.

use std::io;

use headstock_config::explain::Explain;

/// A link could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {port} for machine `{machine}`")]
pub struct OpenError {
    /// The machine as named in the configuration.
    pub machine: String,
    /// The port as written in the configuration, or the device node found for it.
    pub port: String,
    /// What stood in the way.
    #[source]
    pub why: Why,
}

/// What stood in the way of opening a port.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Nothing is plugged in under that name.
    #[error("there is no such device")]
    Absent,
    /// The node exists and belongs to someone else.
    #[error("permission denied")]
    Denied,
    /// Another program has it open.
    #[error("another program is using it")]
    InUse,
    /// The path is a file or a device of another kind.
    #[error("it is not a serial port")]
    NotSerial,
    /// No device has the wanted USB attributes.
    #[error("no device has these attributes")]
    NoMatch,
    /// Several devices have the wanted USB attributes.
    #[error("{} devices have these attributes: {}", .0.len(), .0.join(", "))]
    Ambiguous(Vec<String>),
    /// The path leads to another device than before.
    #[error("another device ({0}) has taken its place")]
    Stranger(String),
    /// The device is there and cannot be used like this.
    #[error("{0}")]
    Unfit(String),
    /// There is no pretend device of that name.
    #[error("there is no pretend device `{0}`")]
    NoSim(String),
    /// A device on the network that cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(io::Error),
    /// Anything else the system said.
    #[error(transparent)]
    Other(io::Error),
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EBUSY) => return Self::InUse,
            Some(libc::ENXIO | libc::ENODEV) => return Self::Absent,
            Some(libc::ENOTTY) => return Self::NotSerial,
            _ => (),
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::WouldBlock => Self::InUse,
            io::ErrorKind::IsADirectory => Self::NotSerial,
            _ => Self::Other(error),
        }
    }
}

impl From<tokio_serial::Error> for Why {
    fn from(error: tokio_serial::Error) -> Self {
        match error.kind() {
            // This is how the library reports EBUSY, in spite of the name.
            tokio_serial::ErrorKind::NoDevice => Self::InUse,
            tokio_serial::ErrorKind::Io(kind) => io::Error::from(kind).into(),
            _ => Self::Other(io::Error::other(error)),
        }
    }
}

impl Explain for OpenError {
    fn code(&self) -> &'static str {
        match self.why {
            Why::Absent => "link.open.absent",
            Why::Denied => "link.open.denied",
            Why::InUse => "link.open.in_use",
            Why::NotSerial => "link.open.not_serial",
            Why::NoMatch => "link.open.no_match",
            Why::Ambiguous(_) => "link.open.ambiguous",
            Why::Stranger(_) => "link.open.stranger",
            Why::Unfit(_) => "link.open.unfit",
            Why::NoSim(_) => "link.open.no_sim",
            Why::Unreachable(_) => "link.open.unreachable",
            Why::Other(_) => "link.open.other",
        }
    }

    fn means(&self) -> String {
        format!(
            "`{}` stays offline and is tried again every few seconds; other machines go on working",
            self.machine
        )
    }

    fn remedy(&self) -> String {
        let port = &self.port;
        match self.why {
            Why::Absent | Why::NoMatch => "check the cable and the power of the machine; compare \
                 the port with the list that `headstock doctor` prints"
                .into(),
            Why::Denied => format!(
                "add the daemon's user to the group that owns {port} (usually `dialout`), then \
                 restart the service"
            ),
            Why::InUse => format!(
                "close the other program; `fuser -v {port}` names it. A sender that is still \
                 open, or ModemManager, is the usual one; if it is this service, two machines \
                 in the configuration name one adapter, by a path and by USB attributes say"
            ),
            Why::NotSerial => "write the path of a serial port; `headstock doctor` lists them, \
                 and a path below /dev/serial/by-id stays the same"
                .into(),
            Why::Ambiguous(_) => "add the serial number to the match, or write one of the paths \
                 below /dev/serial/by-path"
                .into(),
            Why::Stranger(_) => "plug the machine in again, into the same USB socket if its \
                 adapter has no serial number; if it was moved or replaced on purpose, restart \
                 the service"
                .into(),
            Why::Unfit(_) => "compare what is declared with what the board has; `gpioinfo` and \
                 `i2cdetect -l` list it"
                .into(),
            Why::NoSim(_) => "write `sim:grbl`".into(),
            Why::Unreachable(_) => format!(
                "check the power and the cable of the device, and that {port} is its address; many \
                 devices take one connection only, so close other programs that speak to it"
            ),
            Why::Other(_) => "unplug the device and plug it in again; the system's log \
                 (`journalctl -k`) says more"
                .into(),
        }
    }
}

/// A link that was open is gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection to {port} is gone")]
pub struct LostError {
    /// The device node.
    pub port: String,
    /// What the system said.
    pub source: io::Error,
}

impl Explain for LostError {
    fn code(&self) -> &'static str {
        "link.lost"
    }

    fn means(&self) -> String {
        "the machine is offline; it carries out what it had already received, and a job that was \
         running is interrupted"
            .into()
    }

    fn remedy(&self) -> String {
        "look at the machine first; then check the USB cable, its plug and the power supply. The \
         connection is made again by itself, the job is not"
            .into()
    }
}

/// What the system says when a device has vanished: a read of nothing.
pub(super) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the device has vanished")
}
