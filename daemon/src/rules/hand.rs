//! The hand of the guard: writes down what the guard has done, and does what may wait a moment.
//!
//! ```text
//!  notes ----> facts for the ledger, buttons for the desk
//!  wishes ---> follow rules: by the desk, as `rule NAME`
//!         \--> interlocks: to the machine at once, like a stop; written down afterwards
//! ```
//!
//! Bounded everywhere: of each rule only the latest wish counts, a rule that trips again and again
//! is written down once a second with how often, and a follow rule that flutters is slowed down.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use headstock_config::command::Command;
use headstock_config::ledger::Fact;
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};
use headstock_config::rule::{Because, ChainEvent, Output, RuleEvent};
use headstock_config::tag;
use headstock_drivers::Refusal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Closing;
use super::guard::{Wished, Wishes};
use super::judge::Asker;
use super::shared::{Note, Rules};
use crate::desk::{Desk, Refused};
use crate::ledger::Health;
use crate::machine;

/// How often what could not be written down is tried again, and how often one rule is written down.
const ROUND: Duration = Duration::from_millis(250);
const AGAIN: Duration = Duration::from_secs(1);
/// Facts that may wait for room in the ledger; more mean that it has failed.
const UNWRITTEN: usize = 1024;
/// A follow rule may write so often…
const BURST: usize = 5;
/// … within so long; then it waits.
const WINDOW: Duration = Duration::from_secs(5);
/// How long after a write that did not come through it is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// … at first, and at last.
const RETRY_MOST: Duration = Duration::from_secs(300);

/// Puts the hand's tasks into the set of tasks; what the guard wishes with.
pub(super) fn spawn(
    tasks: &mut JoinSet<&'static str>,
    rules: &Rules,
    desk: &Desk,
    closing: &Closing<'_>,
) -> Wishes {
    let mut book = Book::new(rules.clone(), desk.clone(), closing.doors.clone());
    let until = closing.guard_over.clone();
    tasks.spawn(async move {
        until.run_until_cancelled(book.keep()).await;
        book.finish().await;
        "the hand of the rules"
    });
    let declared = &rules.declared().rules;
    let mut wishes = Wishes { follows: Vec::new(), interlocks: Vec::new() };
    for (number, rule) in declared.follows.iter().enumerate() {
        let (wish, wished) = watch::channel(None);
        wishes.follows.push(wish);
        let (desk, name, until) = (desk.clone(), rule.name.clone(), closing.guard.clone());
        tasks.spawn(async move {
            until.run_until_cancelled(follow(desk, (number, name), wished)).await;
            "a follow rule"
        });
    }
    for rule in &declared.interlocks {
        let (wish, wished) = watch::channel(None);
        wishes.interlocks.push(wish);
        let (desk, name, until) = (desk.clone(), rule.name.clone(), closing.guard.clone());
        tasks.spawn(async move {
            until.run_until_cancelled(interlock(desk, name, wished)).await;
            "an interlock"
        });
    }
    wishes
}

/// Writes what a follow rule wishes, the latest of it, until it has come through. ON is given up
/// when somebody or something stands against it: what was stopped is not put on later.
async fn follow(desk: Desk, rule: (usize, String), mut wished: watch::Receiver<Option<Wished>>) {
    let (number, rule) = rule;
    let who = Person { name: format!("rule {rule}"), role: Role::Operator };
    let mut written: VecDeque<Instant> = VecDeque::new();
    let mut outcome = None;
    let mut pause = RETRY;
    while wished.changed().await.is_ok() {
        loop {
            if let Some(first) = written.front().filter(|_| BURST <= written.len()) {
                sleep(WINDOW.saturating_sub(first.elapsed())).await;
                written.pop_front();
            }
            let Some(Wished { output, on, stops, at }) = wished.borrow_and_update().clone() else {
                break;
            };
            written.push_back(Instant::now());
            let stops = on.then_some(stops);
            let asker = Asker::Follow(rule.clone());
            let Err(refused) = desk.follow(&who, asker, output, stops, &mut outcome).await else {
                pause = RETRY;
                break;
            };
            tracing::warn!(%rule, "the tag was not set: {}", refused.sentence());
            match on.then(|| After::of(&refused)) {
                // One that may be on all the same is put off in its time.
                Some(After::PerhapsOn) => break,
                Some(After::Over) => {
                    desk.rules().give_up(number, at);
                    break;
                }
                Some(After::Again) | None => (),
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(RETRY_MOST),
                changed = wished.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// What becomes of a wish for ON that was refused.
enum After {
    /// It is given up.
    Over,
    /// The value was sent.
    PerhapsOn,
    /// Nobody was there to hear it: it stands for as long as the rule's condition does.
    Again,
}

impl After {
    fn of(refused: &Refused) -> Self {
        use machine::Error::{Busy, Deaf, NotSent, Refused as Declined, Unverified};
        match refused {
            Refused::Machine(Unverified(_)) => Self::PerhapsOn,
            Refused::Machine(NotSent(_) | Busy | Deaf | Declined(Refusal::NotOnline)) => {
                Self::Again
            }
            _ => Self::Over,
        }
    }
}

/// Writes what an interlock wishes, at once. The guard wishes again while it is not so.
async fn interlock(desk: Desk, rule: String, mut wished: watch::Receiver<Option<Output>>) {
    let mut failed = false;
    while wished.changed().await.is_ok() {
        let Some(output) = wished.borrow_and_update().clone() else { continue };
        let told = desk.protect(&format!("interlock {rule}"), output).await;
        if let (Err(refused), false) = (&told, failed) {
            tracing::error!(%rule, "the tag was not set: {}", refused.sentence());
        }
        failed = told.is_err();
    }
}

/// What is written down.
struct Book {
    rules: Rules,
    desk: Desk,
    /// From then on nobody is served, at a button as little as at a door.
    doors: CancellationToken,
    unwritten: VecDeque<Fact>,
    trips: BTreeMap<String, Trip>,
}

/// One rule's trips.
struct Trip {
    written: Instant,
    untold: u64,
    /// What has not been told of is over.
    released: bool,
    because: Because,
    did: String,
}

impl Book {
    fn new(rules: Rules, desk: Desk, doors: CancellationToken) -> Self {
        Self { rules, desk, doors, unwritten: VecDeque::new(), trips: BTreeMap::new() }
    }

    /// Writes down what the guard has left behind: latches must survive the house.
    async fn finish(&mut self) {
        self.take_all();
        self.late_trips(Duration::ZERO);
        self.write();
        while !self.unwritten.is_empty() && *self.desk.ledger().health().borrow() != Health::Failed
        {
            sleep(Duration::from_millis(10)).await;
            self.write();
        }
    }

    fn take_all(&mut self) {
        let (notes, lost) = self.rules.take_notes();
        if 0 < lost {
            tracing::error!(lost, "notes of the guard were given up; its stops were sent");
        }
        for note in notes {
            self.take(note);
        }
    }

    async fn keep(&mut self) {
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let rules = self.rules.clone();
            tokio::select! {
                () = rules.noted() => (),
                _ = round.tick() => self.late_trips(AGAIN),
            }
            self.take_all();
            self.write();
        }
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Tripped { rule, because, did } => self.tripped(rule, because, did),
            Note::Latched { rule, because } => {
                let did = "it stays latched".to_owned();
                self.push_trip(rule, (because, did), (0, true));
            }
            Note::Released { rule } => {
                // A trip that is only counted so far is told of first.
                match self.trips.get_mut(&rule).filter(|it| 0 < it.untold) {
                    Some(trip) => trip.released = true,
                    None => self.push(Fact::Rule { rule, happened: RuleEvent::Released }),
                }
            }
            Note::Opened { because } => {
                tracing::warn!(%because, "the hardware stop chain is open; machines are stopped");
                let machines = self.rules.declared().movers.clone();
                let happened = ChainEvent::Opened { because, machines };
                self.push(Fact::StopChain { happened });
            }
            Note::Closed => self.push(Fact::StopChain { happened: ChainEvent::Closed }),
            Note::Uncleared { machine, because } => {
                let happened = ChainEvent::Opened { because, machines: vec![machine] };
                self.push(Fact::StopChain { happened });
            }
            Note::StoodBack { rule, by } => {
                self.push(Fact::Rule { rule, happened: RuleEvent::SetAside { by } });
            }
            Note::Stopped { seen, machine, mut told } => {
                let rules = self.rules.clone();
                if let Some(switching) = told.power.take() {
                    tokio::spawn(power_cut(machine.clone(), switching));
                }
                tokio::spawn(async move {
                    match told.sent().await {
                        Ok(sent) => rules.times().note(sent.saturating_duration_since(seen)),
                        // One that is out of reach is stopped when it moves again within sight.
                        Err(error) => tracing::warn!(%machine, %error, "it was not stopped"),
                    }
                });
            }
            Note::Pressed { point, .. } if self.doors.is_cancelled() => {
                tracing::info!(%point, "a button was pressed while the house closes");
            }
            Note::Pressed { point, role } => {
                let desk = self.desk.clone();
                tokio::spawn(async move { press(&desk, &point, role).await });
            }
        }
    }

    fn tripped(&mut self, rule: String, because: Because, did: String) {
        tracing::warn!(%rule, %because, %did, "tripped");
        if let Some(trip) = self.trips.get_mut(&rule).filter(|it| it.written.elapsed() < AGAIN) {
            trip.untold += 1;
            (trip.because, trip.did, trip.released) = (because, did, false);
            return;
        }
        let untold = self.trips.get(&rule).map_or(0, |it| it.untold);
        self.write_trip(rule, because, did, (untold + 1, false));
    }

    fn write_trip(&mut self, rule: String, because: Because, did: String, how: (u64, bool)) {
        let written = Instant::now();
        let (told, of) = ((because.clone(), did.clone()), rule.clone());
        self.trips.insert(rule, Trip { written, untold: 0, released: false, because, did });
        self.push_trip(of, told, how);
    }

    fn push_trip(&mut self, rule: String, told: (Because, String), how: (u64, bool)) {
        let latch = self.rules.declared().latches(&rule);
        let ((because, did), (times, counted)) = (told, how);
        let happened = RuleEvent::Tripped { because, did, times, latch, counted };
        self.push(Fact::Rule { rule, happened });
    }

    /// Trips that were only counted so far, for at least so long, and that they are over.
    fn late_trips(&mut self, since: Duration) {
        let late = |it: &Trip| 0 < it.untold && since <= it.written.elapsed();
        let rules: Vec<String> =
            self.trips.iter().filter(|(_, it)| late(it)).map(|(rule, _)| rule.clone()).collect();
        for rule in rules {
            let Some(Trip { untold, released, because, did, .. }) = self.trips.remove(&rule) else {
                continue;
            };
            self.write_trip(rule.clone(), because, did, (untold, true));
            if released {
                self.push(Fact::Rule { rule, happened: RuleEvent::Released });
            }
        }
    }

    fn push(&mut self, fact: Fact) {
        if UNWRITTEN <= self.unwritten.len() {
            self.unwritten.pop_front();
            tracing::error!("a fact about a rule could not be written down");
        }
        self.unwritten.push_back(fact);
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

/// What an interlock's abort does to a machine's power. The board's own task writes down what is not
/// confirmed.
async fn power_cut(machine: String, switching: machine::Switching) {
    match switching.cut().await {
        Ok(_) => tracing::warn!(%machine, "its power is off"),
        Err(error) => tracing::error!(%machine, %error, "that its power is off is not confirmed"),
    }
}

/// A button asks for something, at the desk like everybody else.
async fn press(desk: &Desk, point: &str, role: tag::Role) {
    let who = Person { name: format!("button {point}"), role: Role::Operator };
    let done = match role {
        tag::Role::Resume => resume(desk, &who).await,
        tag::Role::CycleStart => desk.cycle_start(&who).await.map(drop),
        tag::Role::Acknowledge => desk.acknowledge_all(&who).await,
        _ => Ok(()),
    };
    if let Err(refused) = done {
        tracing::warn!(%point, "the button's wish was refused: {}", refused.sentence());
    }
}

async fn resume(desk: &Desk, who: &Person) -> Result<(), Refused> {
    let held = desk.equipment().into_iter().filter(|it| it.state == Mode::Held);
    let mut told = Ok(());
    for machine in held {
        // One that may not go on keeps none of the others.
        if let Err(refused) = desk.tell(who, &machine.id, Command::Resume).await {
            tracing::warn!(machine = %machine.id, "it was not resumed: {}", refused.sentence());
            told = Err(refused);
        }
    }
    told
}
