//! The lines of a pretend board, and who is told when one changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::link::os;
use crate::sim::Device;

/// Lines that can be named: more are no board.
const LINES_MAX: usize = 1024;
/// Longest that a level must be kept before it counts.
const STILL_MAX: u64 = 10_000;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Lines {
    state: Mutex<State>,
    /// Something is to be done earlier than it was.
    sooner: Condvar,
    off: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    lines: BTreeMap<String, Line>,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    to: SyncSender<String>,
    /// As a kernel tells the owner of a request, or as a person is told.
    edges: bool,
}

#[derive(Debug, Default)]
struct Line {
    /// What is on the wire.
    high: bool,
    /// What a kernel that debounces tells.
    told: bool,
    settles: Option<Instant>,
    owner: Option<Owner>,
    number: u32,
    /// Somebody has put a level on the wire.
    touched: bool,
    /// Its kernel does not debounce.
    bare: bool,
}

#[derive(Debug)]
struct Owner {
    connection: u64,
    output: bool,
    rising: bool,
    falling: bool,
    still: Duration,
}

impl Lines {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn switch_off(&self) {
        self.off.store(true, Ordering::SeqCst);
        self.state().watchers.clear();
        self.sooner.notify_all();
    }

    fn is_off(&self) -> bool {
        self.off.load(Ordering::SeqCst)
    }

    /// Tells of levels that have been kept long enough, until the board is switched off.
    pub(super) fn settle(&self) {
        let mut state = self.state();
        while !self.is_off() {
            let now = Instant::now();
            state.settle(now);
            let next = state.lines.values().filter_map(|it| it.settles).min();
            let wait =
                next.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(now));
            state = self.sooner.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Device for Lines {
    fn watch(&self, to: SyncSender<String>, edges: bool) {
        self.state().watchers.push(Watcher { to, edges });
    }

    /// What is left when a connection ends: its lines are free, and as they were.
    fn leave(&self, connection: u64) {
        for line in self.state().lines.values_mut() {
            if line.owner.as_ref().is_some_and(|it| it.connection == connection) {
                line.owner = None;
                line.settles = None;
                line.told = line.high;
            }
        }
    }

    fn answer(&self, connection: u64, words: &[&str]) -> Result<String, String> {
        let mut state = self.state();
        let state = &mut *state;
        match words {
            ["set", name, level] => {
                let high = level_of(level)?;
                let line = state.line(name)?;
                if line.owner.as_ref().is_some_and(|it| it.output) {
                    return Err("the house drives this line".into());
                }
                line.touched = true;
                if std::mem::replace(&mut line.high, high) != high {
                    state.changed(name);
                    self.sooner.notify_all();
                }
                Ok(String::new())
            }
            ["bare", name] => {
                state.line(name)?.bare = true;
                Ok(String::new())
            }
            ["get", name] => {
                let line = state.line(name)?;
                Ok(format!("{} {}", u8::from(line.high), line.whose()))
            }
            ["lines"] => {
                let shown = |(name, it): (&String, &Line)| {
                    format!("{name}={}{}", u8::from(it.high), it.whose())
                };
                Ok(state.lines.iter().map(shown).collect::<Vec<_>>().join(" "))
            }
            ["level", name] => Ok(u8::from(state.line(name)?.told).to_string()),
            ["drive", name, level] => Ok(state.drive(connection, name, level_of(level)?)?),
            ["reserve", name, rest @ ..] => Ok(state.reserve(connection, name, rest)?),
            _ => Err("say `set LINE 0|1`, `get LINE`, `lines` or `watch`".into()),
        }
    }
}

impl Line {
    fn whose(&self) -> &'static str {
        match &self.owner {
            Some(owner) if owner.output => "out",
            Some(_) => "in",
            None => "free",
        }
    }
}

impl State {
    fn line(&mut self, name: &str) -> Result<&mut Line, &'static str> {
        let known = self.lines.contains_key(name);
        if !known && (LINES_MAX <= self.lines.len() || !spelled_right(name)) {
            return Err("there is no such line: `gpiochip0/17`");
        }
        Ok(self.lines.entry(name.to_owned()).or_default())
    }

    fn drive(&mut self, connection: u64, name: &str, high: bool) -> Result<String, &'static str> {
        let line = self.line(name)?;
        let ours = |it: &Owner| it.output && it.connection == connection;
        if !line.owner.as_ref().is_some_and(ours) {
            return Err("the line is not reserved as an output");
        }
        line.told = high;
        if std::mem::replace(&mut line.high, high) != high {
            self.tell_people(name, high);
        }
        Ok(String::new())
    }

    fn reserve(
        &mut self,
        connection: u64,
        name: &str,
        rest: &[&str],
    ) -> Result<String, &'static str> {
        let line = self.line(name)?;
        if line.owner.is_some() {
            return Err("the line is in use");
        }
        let owner = |output, rising, falling, still| {
            let still = Duration::from_millis(still);
            Some(Owner { connection, output, rising, falling, still })
        };
        match *rest {
            ["out", level] => {
                line.owner = owner(true, false, false, 0);
                let high = level_of(level)?;
                line.told = high;
                if std::mem::replace(&mut line.high, high) != high {
                    self.tell_people(name, high);
                }
            }
            ["in", edges, pull, still] => {
                let still = still.parse().ok().filter(|it| *it <= STILL_MAX);
                let still = still.ok_or("not a time in milliseconds")?;
                let still = if line.bare { 0 } else { still };
                let (rising, falling) = (edges != "falling", edges != "rising");
                line.owner = owner(false, rising, falling, still);
                line.number = 0;
                // Where nobody has put anything on the wire, the resistor does.
                if !line.touched && pull != "none" {
                    line.high = pull == "up";
                }
                line.told = line.high;
                line.settles = None;
            }
            _ => return Err("say `in both up 10` or `out 0`"),
        }
        let line = self.line(name)?;
        Ok(format!("{}{}", u8::from(line.told), if line.bare { " bare" } else { "" }))
    }

    /// The world has changed the level of a line.
    fn changed(&mut self, name: &str) {
        let Some(line) = self.lines.get_mut(name) else { return };
        let high = line.high;
        match &line.owner {
            Some(owner) if !owner.still.is_zero() => {
                let due = Instant::now() + owner.still;
                // A level that comes back has only bounced.
                line.settles = (line.told != high).then_some(due);
            }
            _ => self.edge(name),
        }
        self.tell_people(name, high);
    }

    fn settle(&mut self, now: Instant) {
        let due = |it: &Line| it.settles.is_some_and(|at| at <= now);
        let names: Vec<String> =
            self.lines.iter().filter(|(_, it)| due(it)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.edge(&name);
        }
    }

    /// The kernel has seen an edge.
    fn edge(&mut self, name: &str) {
        let Some(line) = self.lines.get_mut(name) else { return };
        line.settles = None;
        line.told = line.high;
        let wanted = |it: &Owner| !it.output && if line.high { it.rising } else { it.falling };
        if !line.owner.as_ref().is_some_and(wanted) {
            return;
        }
        line.number = line.number.wrapping_add(1);
        let (level, number) = (u8::from(line.high), line.number);
        let nanos = os::monotonic().unwrap_or_default().as_nanos();
        self.tell(true, &format!("edge {name} {level} {nanos} {number}"));
    }

    fn tell_people(&mut self, name: &str, high: bool) {
        self.tell(false, &format!("{name} {}", u8::from(high)));
    }

    /// Who does not read in time misses something; who has gone is forgotten.
    fn tell(&mut self, edges: bool, words: &str) {
        self.watchers.retain(|it| {
            it.edges != edges
                || !matches!(it.to.try_send(words.to_owned()), Err(TrySendError::Disconnected(_)))
        });
    }
}

fn level_of(word: &str) -> Result<bool, &'static str> {
    match word {
        "1" | "high" => Ok(true),
        "0" | "low" => Ok(false),
        _ => Err("a level is 0 or 1"),
    }
}

/// `gpiochip0/17`.
fn spelled_right(name: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '-';
    name.split_once('/').is_some_and(|(chip, offset)| {
        !chip.is_empty()
            && chip.len() < 64
            && chip.chars().all(plain)
            && offset.parse::<u32>().is_ok_and(|it| it < 1024)
    })
}
