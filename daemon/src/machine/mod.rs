//! One task per machine. It owns the link and the driver, and nobody else does.
//!
//! ```text
//!            +---------------------------+
//!  stops --> |                           |
//!  asks  --> |  task      [ driver ]     | -> ledger (facts), watch (live)
//!  program-> |                           |
//!            | bytes out        bytes in |
//!            +---------------------------+
//!                  |                ^
//!                  +---- [ link ] --+
//! ```
//!
//! A machine on a serial line runs on an OS thread of its own, above everything else where the
//! system permits it: a full house then never delays a hold or starves a planner.
//!
//! Channels never leave this module: the house reaches a machine by its [`Handle`].

pub mod bus;
mod lane;
mod power;
mod program;
mod task;
mod traces;
mod work;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::explain::Explain;
use headstock_config::machine::{Live, Machine, Mode};
use headstock_drivers::bus::meaning;
use headstock_drivers::{Driver, Refusal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::lane::Entrance;
use self::power::{Relay, Supply};
pub use self::power::{Switching, Told};
pub use self::program::{Program, Source};
use crate::ledger;
use crate::rules::{Asker, Interlocked, Permit, Rules, Wish};

/// Other requests that may wait; more than a few mean that nobody reads the answers.
const REQUESTS: usize = 32;
/// Changes that may wait for whoever shows a machine as points: seconds of them, while it is kept from
/// its work. What comes when there are more is seen as far as it lasts.
const CHANGES: usize = 64;
/// SCHED_FIFO priority of a machine on a serial line.
const PRIORITY: i32 = 40;

/// How to reach a running machine. Cheap to clone, safe to keep.
#[derive(Clone)]
pub struct Handle {
    /// As declared.
    pub declared: Arc<Machine>,
    stops: Entrance,
    requests: mpsc::Sender<Ask>,
    live: watch::Receiver<Live>,
    /// What rules go by, each time that it changed; for the one who takes it.
    changes: Arc<Mutex<Option<mpsc::Receiver<Changed>>>>,
    /// When the task last went round.
    round: Arc<Mutex<Instant>>,
    /// What may be asked of it.
    rules: Rules,
    /// Its place among the machines that the task serves.
    seat: usize,
    /// The bus that it is on, if it is on one.
    bus: Option<Arc<bus::View>>,
    /// What cuts its power, if anything can.
    relay: Option<Arc<Relay>>,
    supply: Supply,
}

/// What a machine was from a moment on.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Since then.
    pub at: Instant,
    /// As it was told.
    pub live: Live,
}

/// When the byte of a stop was handed to the port, or why none was.
pub type Sent = Result<Instant, Error>;

/// When it was read back that a power is off, or why that is not known.
pub type Cut = Result<Instant, Error>;

/// Why a request did not reach the device.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The task has ended.
    #[error("the machine is being shut down")]
    Gone,
    /// The task is alive and has more to do than it can take.
    #[error("{REQUESTS} requests are already waiting for the machine")]
    Busy,
    /// The task has not taken it in time.
    #[error("the machine's task does not answer")]
    Deaf,
    /// It was asked for before a stop, and had not reached the machine yet.
    #[error("the machine was stopped after this had been asked for")]
    Overtaken,
    /// A program is under way.
    #[error("job `{0}` is under way")]
    AtWork(String),
    /// A rule stands against it, at the moment at which it would have been sent.
    #[error(transparent)]
    Interlocked(Interlocked),
    /// The driver said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The device said no to a value.
    #[error("{0}")]
    Rejected(String),
    /// A value was sent, and is not known to be there.
    #[error("{0}")]
    Unverified(String),
    /// A value was not sent.
    #[error("{0}")]
    NotSent(String),
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Gone => "machine.gone",
            Self::Busy => "machine.busy",
            Self::Deaf => "machine.deaf",
            Self::Overtaken => "machine.overtaken",
            Self::AtWork(_) => "machine.at_work",
            Self::Interlocked(it) => it.code(),
            Self::Refused(Refusal::NotOnline) => "machine.offline",
            Self::Refused(Refusal::NotNow(_)) => "machine.not_now",
            Self::Refused(Refusal::Backlog(_)) => "machine.backlog",
            Self::Refused(Refusal::TooLong(..)) => "machine.line_too_long",
            Self::Refused(Refusal::BadCommand(_)) => "machine.bad_command",
            Self::Refused(Refusal::Unready(_)) => "machine.unready",
            Self::Refused(Refusal::Unsupported(_)) => "machine.unsupported",
            Self::Rejected(_) => "machine.rejected",
            Self::Unverified(_) => "machine.unverified",
            Self::NotSent(_) => "machine.not_sent",
        }
    }

    fn means(&self) -> String {
        match self {
            Self::Rejected(_) => "the device is there and has kept its value".into(),
            Self::Unverified(_) => "the device may have the value, or the one before".into(),
            _ => "nothing was sent to the machine".into(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Gone => "try again when the service runs".into(),
            Self::Busy | Self::Refused(Refusal::Backlog(_)) => "wait for the earlier ones".into(),
            Self::Deaf => "use its power switch; the log of the service says more".into(),
            Self::Overtaken => "look at the machine, then ask again".into(),
            Self::Interlocked(it) => it.remedy(),
            Self::AtWork(job) => format!("wait for `{job}`, or `headstock job cancel {job}`"),
            Self::Refused(Refusal::NotOnline) => {
                "look at power and cable; `headstock machines` says why it is offline".into()
            }
            Self::Refused(Refusal::NotNow("alarm")) => "look at it, then home or unlock it".into(),
            Self::Refused(Refusal::NotNow(_)) => "wait until it rests, or stop it first".into(),
            Self::Refused(Refusal::Unready(_)) => {
                "see to that first; `headstock machines` shows how it stands".into()
            }
            Self::Refused(Refusal::TooLong(..) | Refusal::BadCommand(_)) => {
                "correct the command".into()
            }
            Self::Refused(Refusal::Unsupported(_)) => {
                "see `headstock machines --json` for what the controller reports".into()
            }
            Self::Rejected(_) => "compare the tag and the value with the device's manual".into(),
            Self::Unverified(_) => {
                "look at the device; `headstock points` shows what it says now".into()
            }
            Self::NotSent(_) => "look at `headstock buses`, then ask again".into(),
        }
    }
}

struct Ask {
    /// Whom it is asked of, among the machines of one task.
    seat: usize,
    what: What,
    by: String,
    /// Stops that had been asked for when this was.
    stops: u64,
    permit: Permit,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Ask {
    /// What stands against it at this moment. To be asked by the task when it takes it.
    fn permitted(&self, machine: &Machine) -> Result<(), Error> {
        self.permit.holds(machine, &self.what.wish()).map_err(Error::Interlocked)
    }
}

enum What {
    Obey(Command),
    Start(Box<Start>),
}

impl What {
    /// It leads to a standstill, and is welcome after a stop as well.
    fn calms(&self) -> bool {
        matches!(self, Self::Obey(Command::Reset | Command::JogCancel | Command::JogEnd))
    }

    /// It may make something move.
    fn acts(&self) -> bool {
        match self {
            Self::Obey(command) => command.acts(),
            Self::Start(start) => !start.dry_run,
        }
    }

    /// As rules judge it.
    fn wish(&self) -> Wish<'_> {
        match self {
            Self::Obey(command) => Wish::Command(command),
            Self::Start(start) if start.dry_run => Wish::Try,
            Self::Start(_) => Wish::Start,
        }
    }
}

/// A job that is to begin: everything about it has been written down.
pub struct Start {
    /// The job's id.
    pub job: String,
    /// Its lines.
    pub program: Program,
    /// Check mode only.
    pub dry_run: bool,
    /// Layers in all, if it is a print that tells them; 0 otherwise.
    pub layers: u32,
}

/// Starts a machine on a thread of its own. It ends after `closing` is cancelled. Into the folder
/// `traces` goes a record of every byte, if there is one.
pub fn start(
    declared: Machine,
    driver: Box<dyn Driver>,
    ledger: ledger::Handle,
    closing: CancellationToken,
    traces: Option<PathBuf>,
) -> std::io::Result<(Handle, std::thread::JoinHandle<()>)> {
    let (stops, stop_lane) = lane::lane();
    let (requests, asks) = mpsc::channel(REQUESTS);
    let (live, seen) = watch::channel(Live::default());
    let declared = Arc::new(declared);
    let round = Arc::new(Mutex::new(Instant::now()));
    let (supply, dark) = Supply::of(1);
    let (change, changes) = mpsc::channel(CHANGES);
    let handle = Handle {
        declared: declared.clone(),
        stops,
        requests,
        live: seen,
        changes: Arc::new(Mutex::new(Some(changes))),
        round: round.clone(),
        rules: Rules::default(),
        seat: 0,
        bus: None,
        relay: None,
        supply,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("machine {}", declared.id)).spawn(
        move || {
            if let Err(error) = headstock_drivers::link::os::realtime(PRIORITY) {
                tracing::info!(machine = %declared.id, %error, "no realtime priority; a busy box may delay this machine");
            }
            let ends = task::Ends { stops: stop_lane, asks, live, change, dark, round, closing };
            let traces = traces::Traces::new(traces);
            let task = task::Task::new(declared, driver, ledger, ends, traces);
            runtime.block_on(task.live());
        },
    )?;
    Ok((handle, thread))
}

impl Handle {
    /// The same machine, with rules that say what may be asked of it.
    #[must_use]
    pub fn ruled_by(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Stops the machine without waiting for anything; what comes of it will be told. An abort also
    /// cuts its power, where something can.
    pub fn stop_now(&self, how: Stop, by: &str) -> Told {
        self.freeze(how, by);
        let sent = self.stops.put(how, by);
        let power = if how == Stop::Abort { self.cut(by) } else { None };
        Told { sent, power }
    }

    /// What has been asked for does not reach the machine any more; nothing is sent. For a stop of a
    /// machine that rests.
    pub fn overtake(&self) {
        self.stops.overtake();
    }

    /// Stops the machine. Answers when the stop byte has been handed to the port, or why none was.
    pub async fn stop(&self, how: Stop, by: &str) -> Result<Instant, Error> {
        self.stop_now(how, by).sent().await
    }

    /// What is held stays as it is: no follow rule switches it meanwhile.
    fn freeze(&self, how: Stop, by: &str) {
        if how == Stop::Hold {
            self.rules.held(&self.declared.id, by);
        }
    }

    /// How many stops have been asked for. Whoever wishes for something takes note of this before
    /// anything makes it wait: what was asked for before a stop does not come after it.
    pub fn stops(&self) -> u64 {
        self.stops.asked()
    }

    /// The same, as it was when the machine's latest job ended.
    pub fn stops_at_end(&self) -> u64 {
        self.stops.asked_at_end()
    }

    /// Passes a command on and waits until the driver took or refused it. `stops`: how many had
    /// been asked for when this was.
    pub async fn tell(&self, command: Command, by: &str, stops: u64) -> Result<(), Error> {
        self.tell_as(Asker::Person, command, by, stops).await
    }

    /// The same, by a person or a rule.
    pub async fn tell_as(
        &self,
        asker: Asker,
        command: Command,
        by: &str,
        stops: u64,
    ) -> Result<(), Error> {
        self.ask(asker, What::Obey(command), by, stops).await
    }

    /// Whether this command of a person would be passed on at this moment: rules, and for values
    /// whether the device is there and they are within their range.
    pub fn could(&self, command: &Command) -> Result<(), Error> {
        let permit = Permit::of(&self.rules, Asker::Person);
        permit.holds(&self.declared, &Wish::Command(command)).map_err(Error::Interlocked)?;
        let Command::Write { tag, value } = command else { return Ok(()) };
        if self.live().mode == Mode::Offline {
            return Err(Refusal::NotOnline.into());
        }
        let declared = self.declared.tags.iter().find(|it| it.name == *tag);
        if let Some(declared) = declared.filter(|_| value.number().is_some()) {
            meaning::raw(declared, value)?;
        }
        Ok(())
    }

    /// Begins a job; `stops` as for a command.
    pub async fn run(&self, start: Start, by: &str, stops: u64) -> Result<(), Error> {
        self.ask(Asker::Person, What::Start(Box::new(start)), by, stops).await
    }

    async fn ask(&self, asker: Asker, what: What, by: &str, stops: u64) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let permit = Permit::of(&self.rules, asker);
        let ask = Ask { seat: self.seat, what, by: by.to_owned(), stops, permit, answer };
        ask.permitted(&self.declared)?;
        self.requests.try_send(ask).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Gone,
        })?;
        answered.await.map_err(|_| Error::Gone)?
    }

    /// How long ago its task last went round; it does so at least every few seconds.
    pub fn idle_for(&self) -> Duration {
        self.round.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// The bus that it is on, if it is on one.
    pub fn bus(&self) -> Option<&Arc<bus::View>> {
        self.bus.as_ref()
    }

    /// The latest the machine has said.
    pub fn live(&self) -> Live {
        self.live.borrow().clone()
    }

    /// What rules go by, every time that it changed and in order, from the machine's beginning: a short
    /// pulse of an input is among it, however late one looks. Once; `None` from then on.
    pub fn changes(&self) -> Option<mpsc::Receiver<Changed>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// To be told when it says something else.
    pub fn watch(&self) -> watch::Receiver<Live> {
        self.live.clone()
    }

    /// Waits until this stop is over, or the machine out of reach; the mode it is in then. A hold
    /// ends in a hold, any other stop behind it: there the hold is only on the way to a reset.
    pub async fn rest(&self, how: Stop) -> Mode {
        let rests = |live: &Live| match live.mode {
            Mode::Offline => true,
            Mode::Held => how == Stop::Hold && !live.busy,
            mode => !in_motion(mode) && mode != Mode::Connecting && !live.busy,
        };
        let mut live = self.live.clone();
        live.wait_for(rests).await.map(|live| live.mode).unwrap_or_default()
    }
}

/// Something moves, or may.
fn in_motion(mode: Mode) -> bool {
    matches!(mode, Mode::Running | Mode::Holding | Mode::Jogging | Mode::Homing)
}
