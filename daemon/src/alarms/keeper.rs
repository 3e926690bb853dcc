//! The keeper: looks wherever alarms come from, and writes down what is new.
//!
//! ```text
//!  points (followed) --+
//!  interlocks, chain --+--look--> engine --events--> ledger
//!  machines, box ------+  every 250 ms, and whenever something of it changes
//! ```
//!
//! Conditions are levels, looked at again and again; edges come with the entries of the book and
//! with followed points, so that nothing is missed that is shorter than a round. What cannot be
//! written down now is written down later, in order; after the journal has failed, nothing is.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use headstock_config::event::{self, Event};
use headstock_config::ledger::{Entry, Fact};
use headstock_config::machine::Mode;
use headstock_config::rule::{Because, ChainEvent, Reading, RuleEvent};
use headstock_config::settings::Alarms;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use super::cell::Seen;
use super::definition::{CLOCK, DISK, Definition, HISTORY, STOP_CHAIN, Source};
use super::engine::{Engine, Look, limit};
use super::left_on::LeftOn;
use crate::clock::now_ms;
use crate::desk::Desk;
use crate::ledger::Health;
use crate::points::{Change, Follower, PointId};

/// How often everything is looked at.
const ROUND: Duration = Duration::from_millis(250);
/// Events that may wait for room in the ledger; more mean that it has failed.
const UNWRITTEN: usize = 1024;
/// A clock that has gone so much farther than time has was set.
const JUMP_MS: i64 = 2_000;

/// Keeps the alarms of a house.
pub struct Keeper {
    desk: Desk,
    engine: Engine,
    settings: Alarms,
    follower: Follower,
    /// The alarms of each point.
    by_point: BTreeMap<PointId, Vec<String>>,
    /// Since when each machine has been out of reach.
    offline: BTreeMap<String, Instant>,
    left_on: LeftOn,
    /// The box's clock beside the one that cannot be set.
    clock: (Instant, u64),
    unwritten: VecDeque<Fact>,
}

impl Keeper {
    /// The alarms as the book has them.
    pub fn new(desk: &Desk, settings: Alarms) -> Self {
        let definitions = desk.alarm_definitions().clone();
        let mut by_point: BTreeMap<PointId, Vec<String>> = BTreeMap::new();
        for (id, definition) in &definitions {
            let point = limit(definition).and_then(|it| desk.points().id(&it.point));
            if let Some(point) = point {
                by_point.entry(point).or_default().push(id.clone());
            }
        }
        let (engine, news) = {
            let book = desk.ledger().state();
            Engine::new(definitions, &book.alarms, &book.latched)
        };
        let follower = desk.points().follow(by_point.keys().copied());
        let mut keeper = Self {
            desk: desk.clone(),
            engine,
            settings,
            follower,
            by_point,
            offline: BTreeMap::new(),
            left_on: LeftOn::default(),
            clock: (Instant::now(), now_ms()),
            unwritten: VecDeque::new(),
        };
        keeper.push(news);
        keeper
    }

    /// Looks and writes. Never ends.
    pub async fn keep(mut self) {
        let ((), mut entries) = self.desk.ledger().follow(|_| ());
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let look = tokio::select! {
                entry = entries.recv() => match entry {
                    Ok(entry) => self.edge(&entry),
                    // The next round sees how things are.
                    Err(RecvError::Lagged(_)) => Vec::new(),
                    Err(RecvError::Closed) => return,
                },
                changes = self.follower.recv() => self.edges(changes),
                _ = round.tick() => self.everything(),
            };
            if !look.is_empty() {
                self.look(look);
            }
            self.write();
        }
    }

    fn look(&mut self, look: Look) {
        let state = self.desk.ledger().state();
        let news = self.engine.look(Instant::now(), now_ms(), look, &state.alarms);
        drop(state);
        self.push(news);
    }

    /// What an entry says that may be over before the next round.
    fn edge(&self, entry: &Entry) -> Look {
        let came = |id: &str, seen| vec![(id.to_owned(), seen)];
        match &entry.fact {
            // One that is only told of now is over, or will be seen in the next round; but nobody may
            // be left without an alarm to reset.
            Fact::Rule {
                happened: RuleEvent::Tripped { counted: true, latch: false, .. }, ..
            } => Vec::new(),
            Fact::Rule { rule, happened: RuleEvent::Tripped { because, did, .. } } => {
                came(rule, tripped(because, did))
            }
            Fact::StopChain { happened: ChainEvent::Opened { because, .. } } => {
                came(STOP_CHAIN, opened(because))
            }
            Fact::Machine { machine, said: Event::Alarm(alarm) } => {
                came(&format!("{machine}.controller"), locked(alarm))
            }
            _ => Vec::new(),
        }
    }

    /// Every step of points that have changed, in the order in which devices said them.
    fn edges(&mut self, changes: Vec<Change>) -> Look {
        let mut steps: Vec<_> = changes
            .into_iter()
            .flat_map(|it| it.steps.into_iter().map(move |step| (it.id, step)))
            .collect();
        steps.sort_by_key(|(_, step)| step.at);
        let last = steps.pop();
        for (id, step) in steps {
            let reading = Reading { value: step.value, quality: step.quality };
            let look = self.of_point(id, &reading);
            self.look(look);
        }
        let Some((id, step)) = last else { return Vec::new() };
        self.of_point(id, &Reading { value: step.value, quality: step.quality })
    }

    fn of_point(&self, id: PointId, reading: &Reading) -> Look {
        let alarms = self.by_point.get(&id).into_iter().flatten();
        let seen = |alarm: &String| {
            let limit = limit(self.engine.definitions().get(alarm)?)?;
            Some((alarm.clone(), limit.look(self.engine.was_seen(alarm), reading)))
        };
        alarms.filter_map(seen).collect()
    }

    /// How everything is now.
    fn everything(&mut self) -> Look {
        self.look_at_machines();
        let jumped = self.clock_jumped();
        let mut look = Look::new();
        for (id, definition) in self.engine.definitions() {
            let seen = match self.seen(id, definition) {
                Some(seen) => seen,
                None if id == CLOCK => jumped.clone(),
                None => continue,
            };
            look.push((id.clone(), seen));
        }
        look
    }

    fn seen(&self, id: &str, definition: &Definition) -> Option<Seen> {
        Some(match &definition.source {
            Source::Point(limit) => {
                let latest = self.desk.points().now(self.desk.points().id(&limit.point)?);
                let reading = Reading { value: latest.value, quality: latest.quality };
                limit.look(self.engine.was_seen(id), &reading)
            }
            Source::Interlock(rule) => match self.desk.rules().tripped(rule) {
                Some((because, did)) => tripped(&because, &did),
                None => Seen { there: Some(false), ..Seen::default() },
            },
            Source::Offline(machine) => self.away(machine)?,
            Source::Controller(machine) => {
                let state = self.desk.ledger().state();
                let alarm = state.machines.get(machine).and_then(|it| it.alarm.as_ref());
                alarm.map_or(Seen { there: Some(false), ..Seen::default() }, locked)
            }
            Source::LeftOn(machine) => {
                let on = self.left_on.of(machine);
                let text = on.unwrap_or_default().to_owned();
                Seen { there: Some(on.is_some()), text, value: None }
            }
            Source::House if id == HISTORY => {
                let gap = self.desk.points().gap();
                Seen { there: Some(gap.is_some()), text: gap.unwrap_or_default(), value: None }
            }
            Source::House if id == DISK => {
                let health = *self.desk.ledger().health().borrow();
                let text = "only the reserve is left on the disk".to_owned();
                Seen { there: Some(health == Health::LowSpace), text, value: None }
            }
            Source::House if id == STOP_CHAIN => match self.desk.rules().chain_stops() {
                Some(because) => opened(&because),
                None => Seen { there: Some(false), ..Seen::default() },
            },
            Source::House => return None,
        })
    }

    fn look_at_machines(&mut self) {
        let now = Instant::now();
        for (id, live, works) in self.desk.lives() {
            self.left_on.look(now, &id, &live, works);
            if matches!(live.mode, Mode::Offline | Mode::Connecting) {
                self.offline.entry(id).or_insert(now);
            } else {
                self.offline.remove(&id);
            }
        }
    }

    /// Between being away and being away for long nobody can tell.
    fn away(&self, machine: &str) -> Option<Seen> {
        let Some(since) = self.offline.get(machine) else {
            return Some(Seen { there: Some(false), ..Seen::default() });
        };
        if since.elapsed().as_secs_f64() < self.settings.offline_s {
            return None;
        }
        let state = self.desk.ledger().state();
        let reason = state.machines.get(machine).and_then(|it| it.offline_reason.clone());
        let text = reason.unwrap_or_else(|| "it has not answered".into());
        Some(Seen { there: Some(true), text, value: None })
    }

    /// There while the clock has just been set; gone at the next look.
    fn clock_jumped(&mut self) -> Seen {
        let (then, wall) = self.clock;
        self.clock = (Instant::now(), now_ms());
        let passed = i64::try_from(then.elapsed().as_millis()).unwrap_or(i64::MAX);
        let moved = self.clock.1 as i64 - wall as i64 - passed;
        Seen {
            there: Some(JUMP_MS < moved.abs()),
            text: format!("the clock was set by {:+.1} s", moved as f64 / 1000.0),
            value: None,
        }
    }

    fn push(&mut self, news: super::engine::News) {
        for (alarm, happened) in news {
            if UNWRITTEN <= self.unwritten.len() {
                tracing::error!(%alarm, "what happened to an alarm could not be written down");
                continue;
            }
            self.unwritten.push_back(Fact::Alarm { alarm, happened });
        }
    }

    fn write(&mut self) {
        while let Some(fact) = self.unwritten.pop_front() {
            if let Err((_, fact)) = self.desk.ledger().note(fact) {
                self.unwritten.push_front(*fact);
                return;
            }
        }
    }
}

fn there(text: String, value: String) -> Seen {
    Seen { there: Some(true), text, value: Some(value) }
}

fn tripped(because: &Because, did: &str) -> Seen {
    there(format!("{because}: {did}"), because.is.clone())
}

fn opened(because: &Because) -> Seen {
    there(because.to_string(), because.is.clone())
}

fn locked(alarm: &event::Alarm) -> Seen {
    there(format!("alarm {}: {}", alarm.number, alarm.means), alarm.number.to_string())
}
