//! The one writer. What it publishes has been stored.
//!
//! ```text
//!  write, note -> [ number, append | one fdatasync for all that waits | fold, save, publish ] -> answer
//! ```
//!
//! It lives on a thread of its own, since every step ends in a wait for the disk. Facts that
//! arrive while it waits share the next wait. After the journal has failed nothing is
//! acknowledged any more, and `health` says so; the house then holds its machines.
//!
//! ```text
//!  Ok <--- reserve laid again / disk full ---> LowSpace          either --- journal fails ---> Failed
//! ```
//!
//! Invariants: numbers are dense; an entry is published only after it is durable; a reader that
//! takes a snapshot and a subscription under one lock misses nothing and sees nothing twice.

mod room;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use headstock_config::explain::{Explain, sentence};
use headstock_config::job::{Job, JobEvent};
use headstock_config::ledger::{Changed, Entry, Fact, State, job_number};
use headstock_config::point::JOURNAL_WORDS;
use tokio::sync::{broadcast, oneshot, watch};

use self::room::Room;
use crate::clock::now_ms;
use crate::journal::{Journal, ReadError, Reader, Stored, WriteError};
use crate::store::{History, Page, Store};

/// Facts that may wait for the disk. A house with eight busy machines writes some ten a second.
const WAITING: usize = 1024;
/// Facts that share one wait at the most.
const BATCH: usize = 256;
/// How long a checkpoint may wait for company, so that one a second
/// does not cost a disk write of its own.
const COMPANY: Duration = Duration::from_secs(1);
/// How often the writer looks at the disk's room when nothing is written.
const LOOK: Duration = Duration::from_secs(1);
/// SCHED_FIFO priority of the writer: just above the doors, since a stop looks its role up under
/// the lock that the writer holds while it publishes. It mostly waits for the disk.
const PRIORITY: i32 = 6;
/// Entries that a slow listener may be behind before it reads the gap from the journal.
const BEHIND: usize = 1024;

/// How to write and how to listen. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    writes: SyncSender<Message>,
    shared: Arc<Shared>,
}

struct Shared {
    state: RwLock<State>,
    entries: broadcast::Sender<Arc<Entry>>,
    health: watch::Sender<Health>,
    journal: Reader,
    history: History,
}

enum Message {
    Write(Box<Write>),
    /// Answered when everything before it has been dealt with.
    Alive(oneshot::Sender<()>),
}

struct Write {
    fact: Fact,
    stored: Option<oneshot::Sender<Result<u64, Error>>>,
}

/// Whether what is written stays written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    #[default]
    Ok,
    /// Yes, but only the reserve is left on the disk: no new work.
    LowSpace,
    /// No. Nothing is acknowledged until the daemon has been restarted.
    Failed,
}

impl Health {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => JOURNAL_WORDS[0],
            Self::LowSpace => JOURNAL_WORDS[1],
            Self::Failed => JOURNAL_WORDS[2],
        }
    }
}

/// Why a fact was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The disk would not take it.
    #[error("the journal cannot be written")]
    Failed,
    /// More waits for the disk than there is room for.
    #[error("{WAITING} records are already waiting for the disk")]
    Busy,
    /// More than one record holds.
    #[error("a record of {0} bytes is more than the journal takes")]
    TooLong(usize),
    /// The house is closing.
    #[error("the ledger is closed")]
    Closed,
    /// Old entries could not be read.
    #[error("the journal cannot be read: {0}")]
    Unreadable(String),
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Failed => "ledger.failed",
            Self::Busy => "ledger.busy",
            Self::TooLong(_) => "ledger.too_long",
            Self::Closed => "ledger.closed",
            Self::Unreadable(_) => "ledger.unreadable",
        }
    }

    fn means(&self) -> String {
        match self {
            Self::Failed => "nothing new is accepted and the machines are held; what was acknowledged before is safe".into(),
            Self::Busy | Self::TooLong(_) => "the request was not carried out".into(),
            Self::Closed => "the house is closing; nothing new is accepted".into(),
            Self::Unreadable(_) => "the answer would be incomplete, so there is none".into(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Failed => {
                "look at the disk (`dmesg`, free space, SD card), then restart the service".into()
            }
            Self::Busy => "try again in a few seconds; if it stays so, look at the disk".into(),
            Self::TooLong(_) => "make names and notes shorter".into(),
            Self::Closed => "try again when the service runs".into(),
            Self::Unreadable(_) => "run `headstock journal verify`".into(),
        }
    }
}

/// Who waits for a fact, and what it is told.
type Answer = (Option<oneshot::Sender<Result<u64, Error>>>, Result<u64, Error>);

/// Starts the ledger's thread. It ends, and with it the journal, when every handle is gone.
pub fn start(
    journal: Journal,
    store: Store,
    state: State,
) -> (Handle, std::thread::JoinHandle<()>) {
    start_with(journal, store, state, Room::new(room::AGAIN))
}

fn start_with(
    journal: Journal,
    store: Store,
    state: State,
    room: Room,
) -> (Handle, std::thread::JoinHandle<()>) {
    let (writes, waiting) = sync_channel(WAITING);
    let shared = Arc::new(Shared {
        state: RwLock::new(state),
        entries: broadcast::Sender::new(BEHIND),
        health: watch::Sender::new(Health::Ok),
        journal: journal.reader(),
        history: store.history(),
    });
    let writer = Writer { journal, store, room, shared: shared.clone() };
    let thread = std::thread::Builder::new()
        .name("ledger".into())
        .spawn(move || {
            // Without the right to it a busy box answers later; `doctor` says so.
            headstock_drivers::link::os::realtime(PRIORITY).ok();
            writer.live(&waiting);
        })
        .expect("a thread can be started while the house opens");
    (Handle { writes, shared }, thread)
}

impl Handle {
    /// Writes a fact and waits until it is durable. Answers its number.
    pub async fn write(&self, fact: Fact) -> Result<u64, Error> {
        let (stored, number) = oneshot::channel();
        self.send(Write { fact, stored: Some(stored) }).map_err(|(error, _)| error)?;
        number.await.map_err(|_| Error::Closed)?
    }

    /// Writes a fact without waiting. Gives it back if there is no room for it now.
    pub fn note(&self, fact: Fact) -> Result<(), (Error, Box<Fact>)> {
        self.send(Write { fact, stored: None })
    }

    fn send(&self, write: Write) -> Result<(), (Error, Box<Fact>)> {
        self.writes.try_send(Message::Write(Box::new(write))).map_err(|error| match error {
            TrySendError::Full(Message::Write(write)) => (Error::Busy, Box::new(write.fact)),
            TrySendError::Disconnected(Message::Write(write)) => {
                (Error::Closed, Box::new(write.fact))
            }
            TrySendError::Full(_) | TrySendError::Disconnected(_) => {
                unreachable!("what could not be sent is the message that was given")
            }
        })
    }

    /// Whether the writer still goes round. Waits as long as the disk does.
    pub async fn alive(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.writes.try_send(Message::Alive(answer)).is_ok() && answered.await.is_ok()
    }

    /// The state as of the latest entry. Hold it briefly: the writer waits meanwhile.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `look` sees in the state, and every entry after that.
    pub fn follow<T>(
        &self,
        look: impl FnOnce(&State) -> T,
    ) -> (T, broadcast::Receiver<Arc<Entry>>) {
        let state = self.state();
        let entries = self.shared.entries.subscribe();
        (look(&state), entries)
    }

    /// Entries from `first` on, at most `limit` of them and none newer than the latest published.
    pub async fn read(&self, first: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        let (journal, last) = (self.shared.journal.clone(), self.state().applied);
        let read = move || {
            let stored = journal.read_from(first.max(1), limit)?;
            Ok::<_, ReadError>(stored.into_iter().take_while(|it| it.number <= last).collect())
        };
        let stored: Vec<Stored> = tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| Error::Closed)?
            .map_err(|error| Error::Unreadable(sentence(&error)))?;
        let entries = stored.iter().map(|it| serde_json::from_slice(&it.body));
        entries.collect::<Result<_, _>>().map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// Up to `limit` jobs with numbers below `before` (all of them if `None`) for which `wanted`
    /// is true, newest first. Waits for the disk only if the state does not hold enough of them.
    pub async fn jobs(
        &self,
        before: Option<u64>,
        limit: usize,
        wanted: impl Fn(&Job) -> bool + Send + 'static,
    ) -> Result<Vec<Job>, Error> {
        let page = Page::of(&self.state(), before, limit, &wanted);
        if page.whole() {
            return Ok(page.jobs());
        }
        self.look_back(move |history| page.with(history, wanted).jobs()).await
    }

    /// The job with this id, however long it has been over.
    pub async fn job(&self, id: &str) -> Result<Option<Job>, Error> {
        let held = self.state().job(id).cloned();
        match (held, job_number(id)) {
            (None, Some(number)) => self.look_back(move |history| history.job(number)).await,
            (held, _) => Ok(held),
        }
    }

    async fn look_back<T: Send + 'static>(
        &self,
        look: impl FnOnce(&History) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let history = self.shared.history.clone();
        let looked = tokio::task::spawn_blocking(move || look(&history)).await;
        looked.map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// Whether what is written stays written.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }
}

struct Writer {
    journal: Journal,
    store: Store,
    room: Room,
    shared: Arc<Shared>,
}

impl Writer {
    fn live(mut self, waiting: &Receiver<Message>) {
        loop {
            match waiting.recv_timeout(LOOK) {
                Ok(message) => self.go_round(message, waiting),
                Err(RecvTimeoutError::Timeout) => self.look_at_room(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.store.close();
    }

    fn go_round(&mut self, message: Message, waiting: &Receiver<Message>) {
        let mut askers = Vec::new();
        let batch = gather(message, waiting, &mut askers);
        if !batch.is_empty() {
            self.step(batch);
        }
        for asker in askers {
            // Whoever asked may have given up.
            asker.send(()).ok();
        }
    }

    /// Says so when the disk has become full, and when there is room again.
    fn look_at_room(&mut self) {
        let low = self.room.low(Instant::now(), self.journal.space());
        let news = match (*self.shared.health.borrow(), low) {
            (Health::Ok, true) => Health::LowSpace,
            (Health::LowSpace, false) => Health::Ok,
            _ => return,
        };
        match news {
            Health::Ok => tracing::info!("there is room on the disk again"),
            _ => tracing::warn!("the disk is full; new jobs and files are refused"),
        }
        self.shared.health.send_replace(news);
    }

    fn step(&mut self, batch: Vec<Write>) {
        let (entries, answers) = self.append_all(batch);
        let committed = self.journal.commit();
        self.look_at_room();
        match committed {
            Ok(_) => self.publish(&entries),
            Err(error) => {
                let error = sentence(&error);
                tracing::error!(%error, "the journal has failed; nothing is acknowledged any more");
                self.shared.health.send_replace(Health::Failed);
            }
        }
        for (stored, answer) in answers {
            let answer = if self.failed() { Err(Error::Failed) } else { answer };
            // The asker may have gone; the fact stands either way.
            stored.map(|stored| stored.send(answer));
        }
    }

    fn failed(&self) -> bool {
        *self.shared.health.borrow() == Health::Failed
    }

    /// Numbers and appends. A fact that the journal will not take is answered with why.
    fn append_all(&mut self, batch: Vec<Write>) -> (Vec<Arc<Entry>>, Vec<Answer>) {
        let mut entries = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for Write { fact, stored } in batch {
            let entry = Entry { number: self.journal.next_number(), at_ms: now_ms(), fact };
            let bytes = serde_json::to_vec(&entry).expect("an entry has only string keys");
            let answer = match self.journal.append(entry.number, entry.at_ms, &bytes) {
                Ok(()) => Ok(entry.number),
                Err(WriteError::TooLong(bytes)) => Err(Error::TooLong(bytes)),
                Err(_) => Err(Error::Failed),
            };
            if answer.is_ok() {
                entries.push(Arc::new(entry));
            }
            answers.push((stored, answer));
        }
        (entries, answers)
    }

    fn publish(&mut self, entries: &[Arc<Entry>]) {
        let mut changed: Vec<Changed> = Vec::new();
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            changed.extend(self.store.fold(&mut state, entry));
            // Nobody may be listening; the entry is stored all the same.
            self.shared.entries.send(entry.clone()).ok();
        }
        drop(state);
        // The view may make us wait. Readers, among them whoever looks up who asks for a stop, do
        // not: only this thread ever writes to the state.
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        self.store.save(&state, &changed);
        drop(state);
        self.store.trim(&mut self.shared.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A checkpoint may wait for company. Everything else is what a person waits to see, and what
/// explains a stop must not be lost with a box that is switched off right after it.
fn may_wait(fact: &Fact) -> bool {
    matches!(fact, Fact::Job { happened: JobEvent::Checkpoint(_), .. })
}

/// The first fact and those that share its wait for the disk.
fn gather(
    first: Message,
    waiting: &Receiver<Message>,
    askers: &mut Vec<oneshot::Sender<()>>,
) -> Vec<Write> {
    let until = Instant::now() + COMPANY;
    let (mut batch, mut urgent, mut next) = (Vec::new(), false, Some(first));
    while let Some(message) = next {
        match message {
            Message::Write(write) => {
                urgent |= write.stored.is_some() || !may_wait(&write.fact);
                batch.push(*write);
            }
            Message::Alive(asker) => {
                urgent = true;
                askers.push(asker);
            }
        }
        let left = until.saturating_duration_since(Instant::now());
        let left = if urgent { Duration::ZERO } else { left };
        next = if batch.len() < BATCH { waiting.recv_timeout(left).ok() } else { None };
    }
    batch
}
