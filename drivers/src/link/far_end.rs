//! The far end of a cable: a pretend device on a thread of its own, behind a real pseudo terminal.
//!
//! ```text
//!   host -- tty (symlink) == pty master -- thread -- Device (pure)
//!                                            ^ faults   -> its figures
//! ```
//!
//! The thread sleeps in `ppoll` until a byte arrives or the device has something to do. A host may
//! come and go: the slave is kept open here, as a UART does not mind either. What a device can do
//! wrong by itself is its own; what happens to the cable is done here.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::fault::{Cable, Fault, Named, When};
use super::os;

/// What is plugged in. Times are seconds since it was, and never go back.
pub trait Device: Send + 'static {
    /// What can go wrong with it.
    type What: Named;
    /// What is counted.
    type Counters: Clone + Default + std::fmt::Debug + Send + 'static;

    /// A byte arrives.
    fn receive(&mut self, now: f64, byte: u8);

    /// Does everything that is due.
    fn advance(&mut self, now: f64);

    /// What it has said since the last look.
    fn take_output(&mut self) -> Vec<u8>;

    /// When something is to be done next; `None`: only a byte can change anything.
    fn next_event(&self) -> Option<f64>;

    /// Lines that it has read: faults can wait for a number of them.
    fn lines(&self) -> u64;

    /// Brings the figures up to date.
    fn tell(&self, counters: &mut Self::Counters);

    /// Something goes wrong with it now.
    fn strike(&mut self, now: f64, what: Self::What);

    /// That is over.
    fn relieve(&mut self, what: Self::What);
}

/// The thread looks up at least this often, in case a wake-up was lost.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// What nobody has read for this long is thrown away: a wire does not keep anything either.
const UNREAD: Duration = Duration::from_millis(500);
/// How often garbage comes, and how much.
const GARBAGE_EVERY: Duration = Duration::from_millis(20);
const GARBAGE_BYTES: usize = 16;

/// What both sides of the thread see.
#[derive(Debug)]
pub struct Shared<D: Device> {
    common: Arc<Common<D>>,
    wake: UnixStream,
}

#[derive(Debug)]
struct Common<D: Device> {
    stop: AtomicBool,
    inner: Mutex<Inner<D>>,
}

#[derive(Debug)]
struct Inner<D: Device> {
    path: PathBuf,
    counters: D::Counters,
    faults: Vec<Fault<D::What>>,
}

impl<D: Device> Common<D> {
    fn lock(&self) -> MutexGuard<'_, Inner<D>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Device> Shared<D> {
    /// Where to open it: the symlink, or else the terminal as it is now.
    pub fn path(&self) -> PathBuf {
        self.common.lock().path.clone()
    }

    /// The figures so far.
    pub fn counters(&self) -> D::Counters {
        self.common.lock().counters.clone()
    }

    /// Lets something go wrong.
    pub fn fault(&self, fault: Fault<D::What>) {
        self.common.lock().faults.push(fault);
        self.rouse();
    }

    /// Lets the thread end.
    pub fn stop(&self) {
        self.common.stop.store(true, Ordering::SeqCst);
        self.rouse();
    }

    fn rouse(&self) {
        // If the socket is full, the thread is about to wake anyway.
        (&self.wake).write_all(&[0]).ok();
    }
}

/// Our end of the cable.
#[derive(Debug)]
pub(crate) struct Plug {
    pub(crate) master: File,
    /// Kept open so that the master can be read while no host is there.
    _slave: File,
    pub(crate) path: PathBuf,
    link: Option<PathBuf>,
}

impl Plug {
    /// A new terminal, behind this link if one is given; a link that is there is replaced.
    pub(crate) fn new(link: Option<&Path>) -> io::Result<Self> {
        let (master, path) = os::open_pty()?;
        let slave = os::open_terminal(&path)?;
        if let Some(link) = link {
            if fs::symlink_metadata(link).is_ok_and(|it| it.file_type().is_symlink()) {
                fs::remove_file(link)?;
            }
            symlink(&path, link)?;
        }
        Ok(Self { master: os::adopt(master), _slave: slave, path, link: link.map(Into::into) })
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let Some(link) = &self.link else { return };
        if fs::read_link(link).is_ok_and(|target| target == self.path) {
            // If it stays, it leads nowhere, which is what an unplugged device looks like.
            fs::remove_file(link).ok();
        }
    }
}

/// How a device is plugged in.
#[derive(Clone, Debug)]
pub struct Socket<W> {
    /// The thread's name.
    pub name: &'static str,
    /// Where to put a symlink to the terminal; it follows when the cable is plugged in again.
    pub link: Option<PathBuf>,
    /// What goes wrong.
    pub faults: Vec<Fault<W>>,
    /// Seed of what is random: garbage.
    pub seed: u64,
}

/// Begins a thread with a device on it. Fails if there is no pseudo terminal left or the symlink
/// cannot be made (a symlink that is there is replaced, anything else is not).
pub fn start<D: Device>(
    device: D,
    socket: Socket<D::What>,
) -> io::Result<(Shared<D>, JoinHandle<()>)> {
    let plug = Plug::new(socket.link.as_deref())?;
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    let inner = Inner {
        path: socket.link.clone().unwrap_or_else(|| plug.path.clone()),
        counters: D::Counters::default(),
        faults: socket.faults,
    };
    let common = Arc::new(Common { stop: AtomicBool::new(false), inner: Mutex::new(inner) });
    let life = Life {
        device,
        link: socket.link,
        plug: Some(plug),
        common: common.clone(),
        woken,
        start: Instant::now(),
        out: Vec::new(),
        stuck_since: None,
        active: Vec::new(),
        random: socket.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        garbage_at: None,
    };
    let thread = Builder::new().name(socket.name.into()).spawn(move || life.live())?;
    Ok((Shared { common, wake }, thread))
}

struct Life<D: Device> {
    device: D,
    link: Option<PathBuf>,
    plug: Option<Plug>,
    common: Arc<Common<D>>,
    woken: UnixStream,
    start: Instant,
    out: Vec<u8>,
    stuck_since: Option<Instant>,
    /// Faults under way, and when they end.
    active: Vec<(D::What, Instant)>,
    random: u64,
    garbage_at: Option<Instant>,
}

impl<D: Device> Life<D> {
    fn live(mut self) {
        // Without it, motion is merely 50 us less exact.
        os::precise_sleeps().ok();
        while !self.common.stop.load(Ordering::SeqCst) {
            self.faults();
            self.hear();
            let now = self.seconds();
            self.device.advance(now);
            self.speak();
            self.tell();
            self.sleep();
        }
    }

    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn tell(&self) {
        self.device.tell(&mut self.common.lock().counters);
    }

    // ---- bytes --------------------------------------------------------------------------------

    fn hear(&mut self) {
        let Some(plug) = &mut self.plug else { return };
        let mut buffer = [0; 1024];
        // No host there, or nothing said: both are no news.
        let read = plug.master.read(&mut buffer).unwrap_or(0);
        for &byte in &buffer[..read] {
            let now = self.seconds();
            self.device.receive(now, byte);
            // Bytes that come in one read came one after the other.
            self.device.advance(now);
        }
    }

    fn speak(&mut self) {
        let said = self.device.take_output();
        if !self.is_mute() {
            self.out.extend_from_slice(&said);
        }
        let Some(plug) = &mut self.plug else { return self.out.clear() };
        if self.out.is_empty() {
            return;
        }
        match plug.master.write(&self.out) {
            Ok(written) => {
                self.out.drain(..written);
                self.stuck_since = None;
            }
            Err(_) => {
                let since = *self.stuck_since.get_or_insert_with(Instant::now);
                if since.elapsed() > UNREAD {
                    self.out.clear();
                }
            }
        }
    }

    fn sleep(&mut self) {
        let now = Instant::now();
        let event = self.device.next_event();
        let motion = event.map(|at| self.start + Duration::from_secs_f64(at.clamp(0.0, 1e9)));
        let faults = self.active.iter().map(|(_, until)| *until);
        let waiting = self.fault_times();
        let next = faults.chain(waiting).chain(motion).chain(self.garbage_at).min();
        let longest = if self.out.is_empty() { LONGEST_SLEEP } else { Duration::from_millis(20) };
        let span = next.map_or(longest, |at| at.saturating_duration_since(now).min(longest));
        let mut on = vec![(self.woken.as_fd(), false)];
        if let Some(plug) = &self.plug {
            on.push((plug.master.as_fd(), !self.out.is_empty()));
        }
        if os::wait(&on, span).is_err() {
            std::thread::sleep(span.min(Duration::from_millis(1)));
        }
        self.woke();
    }

    /// Only the wake-up counts, not what it is made of.
    fn woke(&mut self) {
        let mut ignored = [0; 64];
        while self.woken.read(&mut ignored).is_ok_and(|read| read == ignored.len()) {}
    }

    // ---- faults -------------------------------------------------------------------------------

    fn fault_times(&self) -> Vec<Instant> {
        let inner = self.common.lock();
        let time = |fault: &Fault<D::What>| match fault.when {
            When::Now => Some(self.start),
            When::After(span) => Some(self.start + span),
            When::Lines(_) => None,
        };
        inner.faults.iter().filter_map(time).collect()
    }

    fn faults(&mut self) {
        let now = Instant::now();
        let (elapsed, lines) = (self.start.elapsed(), self.device.lines());
        let is_due = |fault: &mut Fault<D::What>| match fault.when {
            When::Now => true,
            When::Lines(number) => lines >= number,
            When::After(span) => elapsed >= span,
        };
        let due: Vec<Fault<D::What>> = self.common.lock().faults.extract_if(.., is_due).collect();
        for fault in due {
            self.begin(fault.what);
            self.active.push((fault.what, now + fault.lasts));
        }
        let over: Vec<_> = self.active.extract_if(.., |(_, until)| *until <= now).collect();
        for (what, _) in over {
            if !self.is_active(what) {
                self.end(what);
            }
        }
        self.litter(now);
    }

    fn is_active(&self, what: D::What) -> bool {
        self.active.iter().any(|(active, _)| *active == what)
    }

    fn is_mute(&self) -> bool {
        self.active.iter().any(|(active, _)| active.cable() == Cable::Mute)
    }

    fn begin(&mut self, what: D::What) {
        let now = self.seconds();
        self.device.advance(now);
        match what.cable() {
            Cable::Out => self.plug = None,
            Cable::Garbage => self.garbage_at = Some(Instant::now()),
            Cable::Whole | Cable::Mute => (),
        }
        self.device.strike(now, what);
    }

    fn end(&mut self, what: D::What) {
        self.device.relieve(what);
        match what.cable() {
            Cable::Out => self.plug_in(what),
            Cable::Garbage => self.garbage_at = None,
            Cable::Whole | Cable::Mute => (),
        }
    }

    fn plug_in(&mut self, what: D::What) {
        match Plug::new(self.link.as_deref()) {
            Ok(plug) => {
                if plug.link.is_none() {
                    self.common.lock().path.clone_from(&plug.path);
                }
                self.plug = Some(plug);
            }
            // Another cable, another try: there is nobody to tell.
            Err(_) => self.active.push((what, Instant::now() + Duration::from_secs(1))),
        }
    }

    fn litter(&mut self, now: Instant) {
        if self.garbage_at.is_none_or(|at| now < at) {
            return;
        }
        self.garbage_at = Some(now + GARBAGE_EVERY);
        for _ in 0..GARBAGE_BYTES {
            let byte = self.random_byte();
            self.out.push(byte);
        }
    }

    /// xorshift64*.
    fn random_byte(&mut self) -> u8 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    }
}
