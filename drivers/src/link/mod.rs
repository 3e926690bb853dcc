//! A link carries bytes to and from one device.
//!
//! ```text
//! machine task                      Link                          device
//!   out.urgent -> try_write_urgent ------------------+
//!   out.bytes  -> try_write -> [ Pace: room? ] ------+--> tty --> wire -->
//!   driver.hear <------------- readable_read <----------- tty <----------
//!   driver.unanswered_bytes -> answered -> [ Pace ]
//! ```
//!
//! Made for one biased `select!`: every method takes `&self` (so that several branches may be
//! built at once), every `async` one can be dropped at any await and loses nothing:
//!
//! ```text
//! loop {
//!     let now = Instant::now();
//!     if !out.urgent.is_empty() { let n = link.try_write_urgent(now, &out.urgent)?; out.urgent.drain(..n); }
//!     if !out.bytes.is_empty() { let n = link.try_write(now, &out.bytes)?; out.bytes.drain(..n); }
//!     tokio::select! {
//!         biased;
//!         Some(stop) = stops.recv() => …,
//!         () = link.room_comes(), if !(out.bytes.is_empty() && out.urgent.is_empty()) => continue,
//!         read = link.readable_read(&mut buffer) => {
//!             driver.hear(Instant::now(), &buffer[..read?], &mut out);
//!             let written = driver.unanswered_bytes().saturating_sub(out.bytes.len());
//!             link.answered(Instant::now(), written);
//!         }
//!         …
//!     }
//! }
//! ```
//!
//! Invariants: at most 64 ordinary bytes are handed to the kernel ahead of the wire (see
//! [`pace`]); realtime bytes are written at once, whatever waits; 0 bytes read means that the
//! device is gone and is an error. Not here: when to try again ([`retry`] says), and whose task
//! this runs on.

pub mod failure;
pub mod far_end;
pub mod fault;
pub mod i2c;
pub mod i2c_scan;
pub mod identity;
pub mod look;
pub mod modbus;
pub mod os;
pub mod pace;
pub mod pins;
pub mod retry;
mod serial;
pub mod trace;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use headstock_config::machine::Machine;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use self::failure::{LostError, OpenError};
use self::identity::{Identity, Sysfs};
use self::pace::Pace;
use self::serial::Tty;
use self::trace::{Direction, Recorder};

/// An open link to one device.
#[derive(Debug)]
pub struct Link {
    tty: AsyncFd<Tty>,
    path: PathBuf,
    identity: Option<Identity>,
    // Held for a few instructions, never across an await.
    pace: Mutex<Pace>,
    recorder: Option<Mutex<Recorder>>,
}

impl Link {
    /// Opens the port of a declared machine. Must be called inside a tokio runtime; the link
    /// belongs to that runtime from then on. Returns at once.
    ///
    /// `known` is the [`identity`](Self::identity) of the device that was there before: if it has
    /// come back under another name, it is found; if another device has taken its name, that one
    /// is not touched.
    pub fn open(machine: &Machine, known: Option<&Identity>) -> Result<Self, OpenError> {
        Self::open_below(&Sysfs::default(), machine, known)
    }

    /// As [`open`](Self::open), with the system's folders elsewhere.
    pub fn open_below(
        sysfs: &Sysfs,
        machine: &Machine,
        known: Option<&Identity>,
    ) -> Result<Self, OpenError> {
        let failed = |port: String, why| OpenError { machine: machine.id.clone(), port, why };
        let path = serial::locate(sysfs, &machine.port, known)
            .map_err(|why| failed(machine.port.to_string(), why))?;
        let line = serial::Line {
            baud: machine.baud,
            parity: machine.bus.parity,
            stop_bits: machine.bus.stop_bits,
            dtr: machine.dtr,
        };
        let tty = serial::open(sysfs, &path, line)
            .and_then(|tty| Ok(os::watch(tty)?))
            .map_err(|why| failed(path.display().to_string(), why))?;
        let identity = sysfs.identity(&path);
        let pace = Mutex::new(Pace::new(Instant::now(), machine.baud));
        Ok(Self { tty, path, identity, pace, recorder: None })
    }

    /// The same link, with everything that goes over it written down.
    #[must_use]
    pub fn recorded(self, recorder: Recorder) -> Self {
        Self { recorder: Some(Mutex::new(recorder)), ..self }
    }

    /// The device node that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the device at the far end is, if it is a USB device.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Puts a name to an error of one of the methods below.
    pub fn lost(&self, source: io::Error) -> LostError {
        LostError { port: self.path.display().to_string(), source }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        // Nothing in there can be half done.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When enough room for a worthwhile write comes; `None`: it is there.
    pub fn room_at(&self, now: Instant) -> Option<Instant> {
        self.pace().room_at(now)
    }

    /// Writes ordinary bytes, as many as there is room for, and says how many. Never waits.
    pub fn try_write(&self, now: Instant, bytes: &[u8]) -> io::Result<usize> {
        let mut pace = self.pace();
        pace.queued(now, os::queued_output(self.tty.get_ref().file().as_fd()));
        let some = &bytes[..bytes.len().min(pace.room(now))];
        self.put(now, &mut pace, Direction::Out, some)
    }

    /// Writes realtime bytes ahead of everything that has not been written yet, and says how
    /// many: fewer than given only if the kernel takes no more, in which case
    /// [`room_comes`](Self::room_comes) says when to go on. Never waits.
    pub fn try_write_urgent(&self, now: Instant, bytes: &[u8]) -> io::Result<usize> {
        self.put(now, &mut self.pace(), Direction::Urgent, bytes)
    }

    fn put(
        &self,
        now: Instant,
        pace: &mut Pace,
        direction: Direction,
        bytes: &[u8],
    ) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let written = match self.tty.get_ref().file().write(bytes) {
            // Tried once more where the runtime sees it fail, so that `writable` waits.
            Err(error) if is_for_later(&error) => {
                self.tty.try_io(Interest::WRITABLE, |tty| tty.file().write(bytes))
            }
            tried => tried,
        };
        let written = match written {
            Err(error) if is_for_later(&error) => 0,
            tried => tried?,
        };
        pace.wrote(now, written);
        self.note(now, direction, &bytes[..written]);
        Ok(written)
    }

    /// The device has answered all but this many of the bytes that were written to this link
    /// (what the driver counts, less what it has put into the outbox and is not written yet).
    /// What waits ahead of the wire cannot be more.
    pub fn answered(&self, now: Instant, unanswered_bytes: usize) {
        self.pace().answered(now, unanswered_bytes);
    }

    /// Waits until a write is worth trying: there is room, and the kernel takes bytes.
    pub async fn room_comes(&self) {
        if let Some(at) = self.room_at(Instant::now()) {
            tokio::time::sleep_until(at.into()).await;
        }
        self.writable().await;
    }

    /// Waits until the kernel takes bytes again (at once, unless a write was cut short).
    /// Errors are left for the write that follows to find.
    pub async fn writable(&self) {
        self.tty.writable().await.ok();
    }

    /// Waits for bytes and reads them. A device that is gone is an error, never 0 bytes.
    pub async fn readable_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self
            .tty
            .async_io(Interest::READABLE, |tty| match tty.file().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                read => read,
            })
            .await?;
        self.note(Instant::now(), Direction::In, &buffer[..read]);
        if read == 0 { Err(failure::gone()) } else { Ok(read) }
    }

    /// As [`readable_read`](Self::readable_read), for a library that polls. One at a time.
    pub(crate) fn poll_read(
        &self,
        task: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.tty.poll_read_ready(task))?;
            match ready.try_io(|tty| tty.get_ref().file().read(buffer)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => (),
                Ok(Ok(0)) => return Poll::Ready(Err(failure::gone())),
                Ok(read) => {
                    let some = *read.as_ref().unwrap_or(&0);
                    self.note(Instant::now(), Direction::In, &buffer[..some]);
                    return Poll::Ready(read);
                }
                // Not ready after all: asked again, so that somebody wakes us.
                Err(_) => (),
            }
        }
    }

    /// Writes past the pace, as far as the kernel takes it, for a library that polls: a frame that
    /// must not have gaps in it is shorter than what any kernel takes at once.
    pub(crate) fn poll_write(
        &self,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write_urgent(Instant::now(), bytes) {
                Ok(0) if !bytes.is_empty() => (),
                tried => return Poll::Ready(tried),
            }
            ready!(self.tty.poll_write_ready(task))?.clear_ready();
        }
    }

    fn note(&self, now: Instant, direction: Direction, bytes: &[u8]) {
        if let Some(recorder) = &self.recorder
            && !bytes.is_empty()
        {
            let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
            recorder.note(now, direction, bytes);
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use headstock_config::machine::Port;

    use super::failure::Why;
    use super::*;
    use headstock_config::explain::Explain;

    fn machine(path: &Path) -> Machine {
        declared(Port::Path(path.to_owned()))
    }

    fn declared(port: Port) -> Machine {
        Machine {
            id: "mill".into(),
            name: "mill".into(),
            driver: "grbl".into(),
            port,
            ..Machine::default()
        }
    }

    /// A link and the far end of its pty.
    fn pair() -> (Link, File) {
        let (master, path): (OwnedFd, PathBuf) = os::open_pty().unwrap();
        let link = Link::open(&machine(&path), None).unwrap();
        (link, File::from(master))
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_a_vanished_device_is_an_error() {
        let (link, mut far) = pair();
        let mut buffer = [0; 64];
        assert_eq!(link.try_write(Instant::now(), b"G0X1\n").unwrap(), 5);
        os::wait(&[(far.as_fd(), false)], Duration::from_secs(5)).unwrap();
        let got = far.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..got], b"G0X1\n");
        far.write_all(b"ok\r\n").unwrap();
        let got = link.readable_read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..got], b"ok\r\n");
        drop(far);
        let error = link.readable_read(&mut buffer).await.unwrap_err();
        assert_eq!(link.lost(error).code(), "link.lost");
    }

    #[tokio::test]
    async fn realtime_bytes_are_written_although_64_bytes_wait() {
        let (link, mut far) = pair();
        let now = Instant::now();
        assert_eq!(link.try_write(now, &[b'x'; 100]).unwrap(), 64);
        assert_eq!(link.try_write(now, &[b'x'; 100]).unwrap(), 0);
        assert_eq!(link.try_write_urgent(now, b"!?").unwrap(), 2);
        let mut got = Vec::new();
        while got.len() < 66 {
            os::wait(&[(far.as_fd(), false)], Duration::from_secs(5)).unwrap();
            let mut buffer = [0; 128];
            let read = far.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..read]);
        }
        assert!(got.ends_with(b"x!?"));
    }

    #[tokio::test]
    async fn a_recorded_link_leaves_a_trace_of_both_directions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mill.trace");
        let (link, mut far) = pair();
        let (recorder, writer) = Recorder::start(file.clone(), "mill".into());
        let link = link.recorded(recorder);
        link.try_write(Instant::now(), b"G0X1\n").unwrap();
        link.try_write_urgent(Instant::now(), b"?").unwrap();
        far.write_all(b"ok\r\n").unwrap();
        link.readable_read(&mut [0; 64]).await.unwrap();
        drop(link);
        writer.join().unwrap();
        let steps = trace::read(&std::fs::read_to_string(file).unwrap()).unwrap();
        let told: Vec<_> = steps.iter().map(|it| (it.direction, it.bytes.as_slice())).collect();
        let want: [(Direction, &[u8]); 3] =
            [(Direction::Out, b"G0X1\n"), (Direction::Urgent, b"?"), (Direction::In, b"ok\r\n")];
        assert_eq!(told, want);
    }

    #[tokio::test]
    async fn a_full_kernel_is_waited_for_and_loses_nothing() {
        let (link, mut far) = pair();
        let now = Instant::now();
        let mut sent = 0;
        while let some @ 1.. = link.try_write_urgent(now, &[b'x'; 1_000]).unwrap() {
            sent += some;
        }
        let waits = tokio::time::timeout(Duration::from_millis(20), link.writable());
        assert!(waits.await.is_err(), "the kernel is full and called writable");
        let mut got = 0;
        let mut buffer = [0; 4096];
        while got < sent {
            os::wait(&[(far.as_fd(), false)], Duration::from_secs(5)).unwrap();
            got += far.read(&mut buffer).unwrap();
        }
        tokio::time::timeout(Duration::from_secs(5), link.writable()).await.unwrap();
        assert_eq!(link.try_write_urgent(now, b"?").unwrap(), 1);
    }

    #[tokio::test]
    async fn a_port_in_use_is_called_in_use_and_left_alone() {
        let (master, path) = os::open_pty().unwrap();
        let first = Link::open(&machine(&path), None).unwrap();
        let second = Link::open(&machine(&path), None).unwrap_err();
        assert!(matches!(second.why, Why::InUse), "{second:?}");
        assert!(second.remedy().contains("two machines"), "{}", second.remedy());
        drop(first);
        assert!(Link::open(&machine(&path), None).is_ok());
        drop(master);
    }

    #[tokio::test]
    async fn what_is_not_there_or_no_port_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.txt");
        std::fs::write(&file, "no port").unwrap();
        let absent = Link::open(&machine(&folder.path().join("ttyUSB0")), None).unwrap_err();
        assert!(matches!(absent.why, Why::Absent), "{absent:?}");
        for path in [file.as_path(), Path::new("/dev/null"), folder.path()] {
            let other = Link::open(&machine(path), None).unwrap_err();
            assert!(matches!(other.why, Why::NotSerial), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_cable_that_was_pulled_is_noticed_and_the_port_can_be_opened_again() {
        use crate::grbl::sim::{Fault, Options, What, start};
        let folder = tempfile::tempdir().unwrap();
        let port = folder.path().join("mill");
        let sim = start(Options { link: Some(port.clone()), ..Options::default() }).unwrap();
        let link = Link::open(&machine(&port), None).unwrap();
        sim.fault(Fault::now(What::Unplug).lasting(Duration::from_millis(50)));
        let mut buffer = [0; 256];
        while link.readable_read(&mut buffer).await.is_ok() {}
        assert!(link.try_write_urgent(Instant::now(), b"?").is_err());
        drop(link);
        let again = loop {
            match Link::open(&machine(&port), None) {
                Ok(link) => break link,
                Err(error) => assert!(matches!(error.why, Why::Absent), "{error:?}"),
            }
            tokio::task::yield_now().await;
        };
        again.try_write_urgent(Instant::now(), b"?").unwrap();
        assert!(again.readable_read(&mut buffer).await.is_ok());
    }

    #[test]
    fn a_denied_port_is_explained_to_the_person_at_the_machine() {
        let denied =
            OpenError { machine: "mill".into(), port: "/dev/ttyUSB0".into(), why: Why::Denied };
        assert_eq!(
            headstock_config::explain::render(&denied),
            "cannot open /dev/ttyUSB0 for machine `mill`: permission denied [link.open.denied]\n  \
             means: `mill` stays offline and is tried again every few seconds; other machines go \
             on working\n  \
             try:   add the daemon's user to the group that owns /dev/ttyUSB0 (usually `dialout`), \
             then restart the service"
        );
    }
}
