//! The guard: a thread of its own that follows the points of the rules and acts at once.
//!
//! Just below the machines where the system permits it, above everything else. It sends stops by
//! the machines' own lanes and leaves the rest (facts, writes, what buttons ask for) to the hand,
//! by notes and wishes that never make it wait: see `hand.rs`.
//!
//! ```text
//!  points --steps, in the order in which devices said them--> engine --deeds--> lanes, notes, wishes
//!     ^-- all of them again every 100 ms: what is stale has said nothing
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use headstock_config::command::Stop;
use headstock_config::machine::Mode;
use headstock_config::rule::{Because, Does, Output, Reading, same};
use headstock_config::tag::Role;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::engine::{By, Deed, Engine, LOOK, Sight};
use super::shared::{Note, Rules, SetAside};
use crate::machine;
use crate::points::{Change, PointId, Step};

/// SCHED_FIFO priority: just below machines on serial lines (40), which must send what it asks for.
const PRIORITY: i32 = 39;

/// What the guard wishes to be written, by rule; the latest counts.
pub(super) struct Wishes {
    /// Of each follow rule.
    pub(super) follows: Vec<watch::Sender<Option<Wished>>>,
    /// Of each interlock.
    pub(super) interlocks: Vec<watch::Sender<Option<Output>>>,
}

/// What a follow rule wishes.
#[derive(Clone)]
pub(super) struct Wished {
    pub(super) output: Output,
    /// Its tag goes on; otherwise off.
    pub(super) on: bool,
    /// Stops of the machine when it was wished: it does not come after a later one.
    pub(super) stops: u64,
    /// When it was wished: no two wishes of a rule are of the same moment.
    pub(super) at: Instant,
}

struct Guard {
    rules: Rules,
    machines: BTreeMap<String, machine::Handle>,
    engine: Engine,
    wishes: Wishes,
    readings: BTreeMap<Arc<str>, Reading>,
    names: BTreeMap<PointId, Arc<str>>,
    /// When the device said what is being looked at.
    seen: Instant,
    /// When everything was last looked at.
    looked: Instant,
}

/// Starts the guard. It ends when `closing` is cancelled.
pub(super) fn start(
    rules: Rules,
    machines: BTreeMap<String, machine::Handle>,
    wishes: Wishes,
    closing: CancellationToken,
) -> std::io::Result<JoinHandle<()>> {
    // One that never comes to its first round is missed too.
    rules.go_round();
    std::thread::Builder::new().name("rules".into()).spawn(move || {
        if let Err(error) = headstock_drivers::link::os::realtime(PRIORITY) {
            tracing::info!(%error, "no realtime priority; a busy box may delay interlocks");
        }
        let engine = Engine::new(rules.declared().clone(), Instant::now());
        let names: BTreeMap<PointId, Arc<str>> =
            rules.ids().iter().map(|(name, id)| (*id, name.as_str().into())).collect();
        let (readings, seen, looked) = (BTreeMap::new(), Instant::now(), Instant::now());
        Guard { rules, machines, engine, wishes, readings, names, seen, looked }.watch(&closing);
    })
}

impl Guard {
    fn watch(mut self, closing: &CancellationToken) {
        let mut follower = self.rules.points().follow(self.names.keys().copied());
        while !closing.is_cancelled() {
            self.rules.go_round();
            let now = Instant::now();
            let patience = self.engine.deadline(now).saturating_duration_since(now);
            let changes = follower.recv_timeout(patience);
            // What has woken it may be a bus that is being left.
            if closing.is_cancelled() {
                return;
            }
            self.stand_back();
            let idle = changes.is_empty();
            self.look_at(changes);
            // Points that change all the time must not hide one that has gone stale.
            if idle || LOOK <= self.looked.elapsed() {
                self.look_again();
            }
        }
    }

    /// What has changed, step by step, in the order in which devices said it: a door that was open
    /// for a moment only was open.
    fn look_at(&mut self, changes: Vec<Change>) {
        let mut steps: Vec<(PointId, Step)> = Vec::new();
        for change in changes {
            let id = change.id;
            steps.extend(change.steps.into_iter().map(|step| (id, step)));
        }
        steps.sort_by_key(|(_, step)| step.at);
        for (id, step) in steps {
            let Some(name) = self.names.get(&id).cloned() else { continue };
            let reading = Reading { value: step.value, quality: step.quality };
            self.seen = step.at;
            self.readings.insert(name, reading);
            self.look();
        }
    }

    fn look_again(&mut self) {
        self.seen = Instant::now();
        self.looked = self.seen;
        for (id, name) in &self.names {
            let latest = self.rules.points().now(*id);
            let reading = Reading { value: latest.value, quality: latest.quality };
            self.readings.insert(name.clone(), reading);
        }
        self.look();
    }

    fn look(&mut self) {
        let read = |point: &str| self.readings.get(point).cloned().unwrap_or_default();
        let moves = |machine: &str| {
            let Some(live) = self.machines.get(machine).map(machine::Handle::live) else {
                return false;
            };
            // A mode may be older than what the machine was told, or hide that it moves.
            let hidden = live.busy && matches!(live.mode, Mode::Idle | Mode::Held);
            hidden || matches!(live.mode, Mode::Running | Mode::Jogging | Mode::Homing)
        };
        let sight = Sight { read: &read, moves: &moves };
        let deeds = self.engine.look(Instant::now(), &sight);
        for deed in deeds {
            let stop = match &deed {
                Deed::Stop { by, .. } => Some(*by),
                _ => None,
            };
            let sent = self.act(deed);
            if let Some(by) = stop.filter(|_| !sent) {
                self.engine.not_sent(by);
            }
        }
        let mut status = self.rules.status();
        status.phases = self.engine.phases().collect();
        status.tripped = self.engine.tripped().map(|it| it.cloned()).collect();
        status.chain_open = self.engine.chain_open();
    }

    /// `false`: nothing was sent, since there was no need.
    fn act(&self, deed: Deed) -> bool {
        let rules = &self.rules.declared().rules;
        match deed {
            Deed::Opened { because } => {
                // Remembered before the first stop is sent: see `shared.rs`.
                self.rules.opened(&because);
                self.rules.note(Note::Opened { because });
            }
            Deed::Closed => self.rules.note(Note::Closed),
            Deed::Tripped { rule, because } => {
                let declared = &rules.interlocks[rule];
                // Both at once: whoever resets an older trip must not take this one for it.
                let mut memory = self.rules.memory();
                if declared.latch {
                    memory.latched.insert(declared.name.clone(), because.clone());
                }
                self.rules.status().trips[rule] += 1;
                drop(memory);
                let (rule, did) = (declared.name.clone(), did(&declared.does));
                self.rules.note(Note::Tripped { rule, because, did });
            }
            Deed::Released { rule } => {
                let rule = rules.interlocks[rule].name.clone();
                self.rules.note(Note::Released { rule });
            }
            Deed::Stop { by, machine, how } => {
                let by = match by {
                    By::Chain => "hardware stop chain".to_owned(),
                    By::Interlock(rule) => format!("interlock {}", rules.interlocks[rule].name),
                    By::Follow(rule) => format!("rule {}", rules.follows[rule].name),
                };
                return self.stop(&machine, how, &by);
            }
            Deed::Write { by, output } => self.wish(by, output),
            Deed::Pressed { point, role } => self.pressed(point, role),
        }
        true
    }

    /// `false`: it rests, and a hold would only keep it from the next job.
    fn stop(&self, id: &str, how: Stop, by: &str) -> bool {
        let Some(machine) = self.machines.get(id) else { return true };
        if how == Stop::Hold {
            // Counted before it is looked at: what is taken at this moment either shows as busy or
            // is overtaken (see `Task::answer`).
            machine.overtake();
            if rests(machine) {
                return false;
            }
        }
        let told = machine.stop_now(how, by);
        self.rules.note(Note::Stopped { seen: self.seen, machine: id.to_owned(), told });
        true
    }

    fn wish(&self, by: By, output: Output) {
        match by {
            By::Follow(rule) => {
                let stops = self.machines.get(&output.machine).map_or(0, machine::Handle::stops);
                let on = same(&output.value, &self.rules.declared().rules.follows[rule].on);
                let wished = Wished { on: on == Some(true), output, stops, at: Instant::now() };
                self.wishes.follows[rule].send_replace(Some(wished));
            }
            By::Interlock(rule) => {
                self.wishes.interlocks[rule].send_replace(Some(output));
            }
            By::Chain => (),
        }
    }

    /// A hold is sent from here; whatever else a button asks for goes through the desk.
    fn pressed(&self, point: String, role: Role) {
        if role != Role::Hold {
            return self.rules.note(Note::Pressed { point, role });
        }
        let by = format!("button {point}");
        for machine in self.machines.keys() {
            self.stop(machine, Stop::Hold, &by);
        }
        let because = Because { point, is: "on".into(), against: "on".into() };
        self.rules.note(Note::Tripped { rule: by, because, did: "hold all machines".into() });
    }

    /// Somebody has set a tag: what follows it does not wish for anything any more. Which rules that
    /// makes a difference to.
    fn set_aside(&mut self, point: &str) -> Vec<usize> {
        let aside = self.engine.set_aside(point);
        for (rule, _) in &aside {
            self.wishes.follows[*rule].send_replace(None);
        }
        aside.into_iter().filter_map(|(rule, at_work)| at_work.then_some(rule)).collect()
    }

    fn stand_back(&mut self) {
        for SetAside { point, by, held } in self.rules.take_set() {
            let aside = if held { self.engine.hold_back(&point) } else { self.set_aside(&point) };
            for rule in aside {
                let rule = self.rules.declared().rules.follows[rule].name.clone();
                self.rules.note(Note::StoodBack { rule, by: by.clone() });
            }
        }
        for (rule, at) in self.rules.take_given_up() {
            let latest = self.wishes.follows[rule].borrow().as_ref().map(|it| it.at);
            if latest == Some(at) {
                self.engine.give_up(rule);
            }
        }
    }
}

/// Whether a machine has nothing that a hold could hold: it says so, and was told nothing since. A
/// device on a bus may have values to be written whatever it seems to do.
fn rests(machine: &machine::Handle) -> bool {
    let live = machine.live();
    let at_rest =
        matches!(live.mode, Mode::Idle | Mode::Held | Mode::Alarm | Mode::Sleeping | Mode::Offline);
    at_rest && !live.busy && !machine.declared.on_a_bus()
}

/// What an interlock does, for people.
pub(super) fn did(does: &Does) -> String {
    match does {
        Does::Stop { machine, how: Stop::Hold } => format!("hold {machine}"),
        Does::Stop { machine, how: Stop::Stop } => format!("stop {machine}"),
        Does::Stop { machine, how: Stop::Abort } => format!("abort {machine}"),
        Does::Write(output) => format!("set {} to {}", output.point(), output.value),
    }
}
