//! The house: opened in order, watched while it runs, closed in reverse.
//!
//! ```text
//!  open:   state folder (locked) -> journal -> store -> ledger -> machines -> desk -> doors
//!  close:  doors -> machines (farewell) -> guard -> buses (farewell), hand -> ledger -> store
//! ```
//!
//! The guard ends between the two: while machines come to rest it sees what buses say, and what a
//! bus that is being left does not say any more trips nothing.
//!
//! Every task stands in one set, and the end of any of them that nobody asked for closes the
//! house: a house without a door or a dispatcher is not one that a workshop can rely on.
//!
//! Invariant: nothing is sent to a machine while the house opens but what its driver sends to
//! find out how it is. A job that was under way is `interrupted` before any door opens.

mod broken_off;
pub mod fit;
mod heart;
mod plug;
mod service;
mod stage;
mod supply;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use headstock_config::ledger::Fact;
use headstock_config::machine::Machine;
use headstock_config::settings::Settings;
use headstock_drivers::link::pins::Heart;
use headstock_drivers::registry::{self, Pretender};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::plug::Plugs;
pub use self::service::{BadConfiguration, DaemonArgs, run, runtime};
use self::stage::Stage;
use crate::desk::Desk;
use crate::files::Files;
use crate::journal::{Journal, Options};
use crate::points::{Keeper, Points};
use crate::rules::{Declared, Rules};
use crate::store::Store;
use crate::{alarms, ledger, machine, modbus_door, rules, web};

/// How long a closing house waits for its parts before it names the late ones and goes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a house lives.
#[derive(Clone, Debug)]
pub struct Ground {
    /// What is declared.
    pub settings: Settings,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// Where clients on the box knock.
    pub socket: PathBuf,
}

/// An open house.
pub struct House {
    /// Where everything is asked for.
    pub desk: Desk,
    /// Where the REST door listens.
    pub web: std::net::SocketAddr,
    ledger: ledger::Handle,
    tasks: JoinSet<&'static str>,
    /// They write down what the guard does, and end after it.
    hands: JoinSet<&'static str>,
    /// Machines on lines of their own.
    machines: Stage,
    /// What the rules watch with.
    guard: Stage,
    /// Buses, and the machines on them.
    buses: Stage,
    book: JoinHandle<()>,
    /// Keeps the history of points.
    keeper: Keeper,
    /// Ends the doors and everything that serves people.
    doors_closing: CancellationToken,
    /// Ends the hand of the rules.
    guard_over: CancellationToken,
    /// The pretend devices behind `sim:` ports; switched off when they are dropped.
    _pretenders: Vec<Pretender>,
}

impl House {
    /// Opens a house, or says which part of it could not be opened.
    pub async fn open(ground: Ground) -> Result<Self> {
        Self::open_recorded(ground, None).await
    }

    /// The same, with every byte between machines and house written down in the folder `traces`.
    pub async fn open_recorded(ground: Ground, traces: Option<PathBuf>) -> Result<Self> {
        let opened = Instant::now();
        if let Some(folder) = &traces {
            std::fs::create_dir_all(folder).with_context(|| {
                format!("cannot make the folder for traces {}", folder.display())
            })?;
        }
        let Ground { settings, state_dir, socket } = ground;
        std::fs::create_dir_all(&state_dir)
            .with_context(|| format!("cannot make the state folder {}", state_dir.display()))?;
        let (ledger, book) = open_book(&state_dir, &settings)?;
        let listeners = web::bind(&settings, &socket).await?;
        let web = listeners.tcp_addr();
        std::fs::write(state_dir.join("web.addr"), web.to_string())?;
        let modbus = modbus_door::bind(&settings.modbus_server).await?;
        if let Some(door) = &modbus {
            std::fs::write(state_dir.join("modbus.addr"), door.at.to_string())?;
        }

        let points = Points::of_house(&settings);
        let (mut machines_on_lines, mut buses) = (Stage::default(), Stage::default());
        let folder = state_dir.join("sim");
        let mut plugs = Plugs { settings: &settings, folder, pretenders: Vec::new() };
        let mut handles = BTreeMap::new();
        for declared in &settings.machines {
            let plugged = plugs.machine(declared)?;
            let kind = registry::find(&declared.driver)
                .context("the configuration names only known drivers")?;
            let Some(driver) = kind.driver(&plugged) else { continue };
            let closing = machines_on_lines.closing.clone();
            let (handle, thread) =
                machine::start(plugged, driver, ledger.clone(), closing, traces.clone())?;
            handles.insert(declared.id.clone(), known_as(declared, handle));
            machines_on_lines.take(declared.id.clone(), thread);
        }
        let heart = Heart::default();
        for bus in plug::buses(&settings.machines) {
            let plugged = plugs.bus(&bus)?;
            let (points, ledger, heart) = (points.clone(), ledger.clone(), heart.clone());
            let closing = buses.closing.clone();
            let around = machine::bus::Surroundings { points, ledger, closing, heart };
            let (on_it, thread) = machine::bus::start(bus.kind, &bus.machines, plugged, around)?;
            handles.extend(on_it.into_iter().map(|it| (it.declared.id.clone(), it)));
            buses.take(bus.name(), thread);
        }
        let pretenders = plugs.pretenders;
        let files = Files::open(state_dir.join("files"), settings.web.max_upload_bytes)?;
        {
            let state = ledger.state();
            files.sweep(&state.files.values().map(|file| file.blake3.as_str()).collect())?;
        }
        let disk_bytes = settings.points.disk_bytes;
        let keeper = Keeper::start(points.clone(), &state_dir, disk_bytes, ledger.health())?;
        let rules = Rules::new(Declared::of(&settings), points.clone(), &ledger.state());
        for handle in handles.values_mut() {
            *handle = handle.clone().ruled_by(rules.clone());
        }
        supply::wire(&mut handles);
        let alarms = alarms::definition::of(&settings);
        let machines = handles.clone();
        let desk = Desk::with_rules(ledger.clone(), handles, files, points, alarms, rules.clone());

        let doors_closing = CancellationToken::new();
        let guard_over = CancellationToken::new();
        let (mut tasks, mut hands) = (JoinSet::new(), JoinSet::new());
        let mut guard = Stage::default();
        let closing = rules::Closing {
            doors: &doors_closing,
            guard: &guard.closing,
            guard_over: &guard_over,
        };
        supply::spawn(&mut tasks, &machines, desk.points(), &doors_closing);
        let into = [&mut tasks, &mut hands];
        let thread = rules::start(&rules, machines, &desk, into, closing)?;
        guard.take("the rules", thread);
        watch::keep_alarms(&mut tasks, &desk, &settings, &doors_closing);
        if let Some(door) = modbus {
            let (desk, closing) = (desk.clone(), doors_closing.clone());
            let offered = settings.modbus_server.clone();
            tasks.spawn(async move {
                modbus_door::serve(door, desk, offered, closing).await;
                "the door for Modbus"
            });
        }
        let door = web::Door { desk: desk.clone(), settings: Arc::new(settings), opened };
        let closing = doors_closing.clone();
        tasks.spawn(async move {
            web::serve(listeners, door, closing).await;
            "the doors"
        });
        watch::spawn(&mut tasks, &desk, &doors_closing);
        heart::spawn(&mut tasks, &desk, &heart, &doors_closing);
        tracing::info!(%web, socket = %socket.display(), state = %state_dir.display(), "open");
        Ok(Self {
            desk,
            web,
            ledger,
            tasks,
            hands,
            machines: machines_on_lines,
            guard,
            buses,
            book,
            keeper,
            doors_closing,
            guard_over,
            _pretenders: pretenders,
        })
    }

    /// Waits until a task ends that should not, and names it.
    pub async fn broken(&mut self) -> String {
        // The rules have one task at least: their hand.
        let ended = tokio::select! {
            ended = self.tasks.join_next() => ended,
            ended = self.hands.join_next() => ended,
        };
        match ended {
            Some(Ok(name)) => format!("{name} ended"),
            Some(Err(error)) => format!("a task of the house has failed: {error}"),
            None => "the house has no tasks".into(),
        }
    }

    /// Closes in order and names what was late.
    pub async fn close(mut self) {
        let until = tokio::time::Instant::now() + PATIENCE;
        self.doors_closing.cancel();
        let doors = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE / 3, doors).await.is_err() {
            tracing::warn!("the doors were late; closing without them");
            self.tasks.shutdown().await;
        }
        // A machine that comes to rest slowly goes on with that while the others end.
        let soon = || until.min(tokio::time::Instant::now() + PATIENCE / 3);
        self.machines.close(soon()).await;
        self.guard.close(soon()).await;
        self.buses.close(until).await;
        self.machines.close(until).await;
        for part in [&self.machines, &self.guard, &self.buses].into_iter().flat_map(Stage::late) {
            tracing::warn!(%part, "it was late; closing without it");
        }
        self.guard_over.cancel();
        let hands = async { while self.hands.join_next().await.is_some() {} };
        if tokio::time::timeout_at(until, hands).await.is_err() {
            tracing::warn!("the hand of the rules was late; what it had to write may be lost");
            self.hands.shutdown().await;
        }
        let history = self.keeper.close();
        let last = tokio::time::timeout_at(until, self.ledger.write(Fact::HouseClosed)).await;
        if !matches!(last, Ok(Ok(_))) {
            tracing::error!("the last entry could not be written");
        }
        // The ledger's thread ends when the last handle is gone.
        drop((self.desk, self.ledger));
        let late = || !self.book.is_finished() || !history.is_finished();
        while late() && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !history.is_finished() {
            tracing::warn!("the history of points was late; its last minute may be lost");
        }
        if !self.book.is_finished() {
            tracing::warn!("the ledger was late; everything it has acknowledged is stored");
        }
        tracing::info!("closed");
    }
}

/// Journal, store and ledger; what an earlier house left under way is interrupted.
fn open_book(dir: &Path, settings: &Settings) -> Result<(ledger::Handle, JoinHandle<()>)> {
    let reserve_bytes = settings.journal.disk_reserve_bytes;
    let options = Options { reserve_bytes, ..Options::default() };
    let (journal, opened) = Journal::open(&dir.join("journal"), options)?;
    if 0 < opened.truncated_bytes {
        tracing::warn!(
            bytes = opened.truncated_bytes,
            "a record that was being written when the box stopped was cut off; it had not been acknowledged"
        );
    }
    let (mut store, mut state) = Store::open(&dir.join("view"));
    store.catch_up(&mut state, &journal.reader())?;
    let clean = state.closed || state.applied == 0;
    let broken_off = broken_off::interruptions(&state, settings, clean);
    let (ledger, book) = ledger::start(journal, store, state);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    note(&ledger, Fact::HouseOpened { version, clean })?;
    for fact in broken_off {
        note(&ledger, fact)?;
    }
    Ok((ledger, book))
}

fn note(ledger: &ledger::Handle, fact: Fact) -> Result<()> {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(ledger.write(fact)))
        .context("the first entries cannot be written")?;
    Ok(())
}

/// People are shown what they wrote, not where a pretend device is plugged in.
fn known_as(declared: &Machine, mut handle: machine::Handle) -> machine::Handle {
    handle.declared = Arc::new(declared.clone());
    handle
}
