//! What is written down: entries, and the state folded from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alarm::{AlarmEvent, Standing};
use crate::api::StopReport;
use crate::command::Command;
use crate::discover::LookOnBus;
use crate::event::{Alarm, Event};
use crate::file::File;
use crate::job::{Decision, Job, JobEvent};
use crate::machine::{Controller, Mode};
use crate::people::{Person, Role};
use crate::rule::{Because, ChainEvent, RuleEvent};

/// A fact with its place in the book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts up by one for ever; clients and sync resume from it.
    pub number: u64,
    /// Milliseconds since 1970, as the box's clock had it.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// One thing that happened, or was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The daemon began.
    HouseOpened {
        /// Its version.
        version: String,
        /// The one before it ended in order.
        clean: bool,
    },
    /// The daemon ends in order. The last entry of a clean run.
    HouseClosed,
    /// Somebody asked for something; written before it is done, stops excepted.
    Asked {
        /// Who.
        by: Person,
        /// What.
        request: Request,
    },
    /// What came of it.
    Answered {
        /// The entry that asked.
        of: u64,
        /// `None`: it was done or passed on. Otherwise why not.
        refused: Option<String>,
    },
    /// What came of a stop on each machine, some time after it was asked for.
    Stopped {
        /// The entry that asked.
        of: u64,
        /// One for each machine.
        reports: Vec<StopReport>,
    },
    /// A machine said something.
    Machine {
        /// Its id.
        machine: String,
        /// What it said.
        said: Event,
    },
    /// Something happened to a job.
    Job {
        /// Its id.
        job: String,
        /// What happened.
        happened: JobEvent,
    },
    /// A file was stored.
    FileStored {
        /// The file.
        file: Box<File>,
    },
    /// A file was removed.
    FileRemoved {
        /// Its id.
        file: String,
    },
    /// A token was made.
    TokenMade {
        /// The token.
        token: Token,
    },
    /// A token was taken back.
    TokenRevoked {
        /// Its name.
        name: String,
    },
    /// Something happened to an alarm.
    Alarm {
        /// Its id.
        alarm: String,
        /// What happened.
        happened: AlarmEvent,
    },
    /// Something happened to a rule.
    Rule {
        /// Its name.
        rule: String,
        /// What happened.
        happened: RuleEvent,
    },
    /// Something happened to the hardware stop chain.
    StopChain {
        /// What happened.
        happened: ChainEvent,
    },
}

impl Entry {
    /// The entry as the doors show it: what only the box needs is left empty.
    #[must_use]
    pub fn for_people(mut self) -> Self {
        if let Fact::TokenMade { token } = &mut self.fact {
            token.digest.clear();
        }
        self
    }
}

/// Everything that may be asked at the desk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// One machine is told something.
    Tell {
        /// Its id.
        machine: String,
        /// What.
        command: Command,
    },
    /// All machines are stopped.
    StopAll,
    /// Somebody wants to know what is plugged in.
    Discover {
        /// What does not introduce itself is asked.
        actively: bool,
        /// Units of this bus are read.
        #[serde(default)]
        modbus: Option<LookOnBus>,
    },
    /// A program is to be run.
    StartJob {
        /// The machine's id.
        machine: String,
        /// The file's id.
        file: String,
        /// Check mode only.
        dry_run: bool,
    },
    /// A job that waits in the queue is to be run now.
    GoJob {
        /// Its id.
        job: String,
    },
    /// A job is given up.
    CancelJob {
        /// Its id.
        job: String,
    },
    /// An interrupted job is decided.
    Decide {
        /// Its id.
        job: String,
        /// How.
        decision: Decision,
        /// Why.
        reason: String,
        /// For `resume`: the file line to go on with.
        from_line: Option<u64>,
    },
    /// A remark on a job.
    Note {
        /// Its id.
        job: String,
        /// The remark.
        text: String,
    },
    /// A file is brought.
    Upload {
        /// Its name.
        name: String,
    },
    /// A file is removed.
    RemoveFile {
        /// Its id.
        file: String,
    },
    /// A token is made.
    MakeToken {
        /// Its name.
        name: String,
        /// What its bearer may do.
        role: Role,
    },
    /// A token is taken back.
    RevokeToken {
        /// Its name.
        name: String,
    },
    /// Somebody knows of an alarm.
    AcknowledgeAlarm {
        /// Its id.
        alarm: String,
    },
    /// An alarm is put aside for a time.
    ShelveAlarm {
        /// Its id.
        alarm: String,
        /// For how long.
        minutes: u64,
        /// Why.
        reason: String,
    },
    /// An alarm is taken back from the shelf.
    UnshelveAlarm {
        /// Its id.
        alarm: String,
    },
    /// An alarm that latches is reset after it was over.
    ResetAlarm {
        /// Its id.
        alarm: String,
    },
    /// An alarm is taken out of use, or put back.
    AlarmService {
        /// Its id.
        alarm: String,
        /// It is in use.
        in_service: bool,
        /// Why.
        reason: String,
    },
    /// The hardware stop chain is closed again, and somebody has looked.
    Clear {
        /// The machine's id; all machines if absent.
        machine: Option<String>,
    },
}

/// A bearer token. The secret itself is shown once and never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its name, as history shows it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// blake3 of the secret, hexadecimal.
    pub digest: String,
    /// Milliseconds since 1970.
    pub made_ms: u64,
    /// Who made it.
    pub by: String,
}

/// What the book says about one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineState {
    /// What it is doing.
    pub mode: Mode,
    /// What its controller is, once known.
    pub controller: Option<Controller>,
    /// Why it is locked, while it is.
    pub alarm: Option<Alarm>,
    /// The interrupted job that a person must decide before anything is started.
    pub locked_by: Option<String>,
    /// Why it is offline, while it is.
    pub offline_reason: Option<String>,
    /// The hardware stop chain was open and nobody has said since that this machine is clear.
    #[serde(default)]
    pub uncleared: bool,
}

/// Everything that the book says, as of entry `applied`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last entry folded in.
    pub applied: u64,
    /// Machines by id.
    pub machines: BTreeMap<String, MachineState>,
    /// Jobs by number.
    pub jobs: BTreeMap<u64, Job>,
    /// Files by id.
    pub files: BTreeMap<String, File>,
    /// Tokens by name.
    pub tokens: BTreeMap<String, Token>,
    /// Alarms by id.
    pub alarms: BTreeMap<String, Standing>,
    /// Interlocks that nobody has reset since they tripped, by name, and the point that tripped each.
    #[serde(default)]
    pub latched: BTreeMap<String, Because>,
    /// The number that the next job gets.
    pub next_job: u64,
    /// The last run ended in order.
    pub closed: bool,
}

/// What an entry has changed, so that a store writes only that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A machine, by id.
    Machine(String),
    /// A job, by number.
    Job(u64),
    /// A file, by id.
    File(String),
    /// A token, by name.
    Token(String),
    /// An alarm, by id.
    Alarm(String),
    /// An interlock that latches, by name.
    Latch(String),
    /// Counters and marks of the house.
    House,
}

/// The number in a job id: 12 of `j12`.
pub fn job_number(id: &str) -> Option<u64> {
    id.strip_prefix('j')?.parse().ok()
}

impl State {
    /// The job with this id.
    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.get(&job_number(id)?)
    }

    /// Folds one entry in and says what it changed. The only way that a state changes.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Changed> {
        self.applied = entry.number;
        match &entry.fact {
            Fact::HouseOpened { .. } => self.set_closed(false),
            Fact::HouseClosed => self.set_closed(true),
            Fact::Asked { .. } | Fact::Answered { .. } | Fact::Stopped { .. } => Vec::new(),
            Fact::Machine { machine, said } => self.hear(machine, said),
            Fact::Job { job, happened } => self.turn(entry.at_ms, job, happened),
            Fact::FileStored { file } => {
                self.files.insert(file.id.clone(), (**file).clone());
                vec![Changed::File(file.id.clone())]
            }
            Fact::FileRemoved { file } => {
                self.files.remove(file);
                vec![Changed::File(file.clone())]
            }
            Fact::TokenMade { token } => {
                self.tokens.insert(token.name.clone(), token.clone());
                vec![Changed::Token(token.name.clone())]
            }
            Fact::TokenRevoked { name } => {
                self.tokens.remove(name);
                vec![Changed::Token(name.clone())]
            }
            Fact::Alarm { alarm, happened } => self.alarm(entry.at_ms, alarm, happened),
            Fact::Rule { rule, happened } => self.rule(rule, happened),
            Fact::StopChain { happened } => self.chain(happened),
        }
    }

    fn alarm(&mut self, at_ms: u64, id: &str, happened: &AlarmEvent) -> Vec<Changed> {
        if matches!(happened, AlarmEvent::Forgotten) {
            self.alarms.remove(id);
        } else {
            self.alarms.entry(id.to_owned()).or_default().apply(at_ms, happened);
        }
        let over = matches!(happened, AlarmEvent::Reset { .. } | AlarmEvent::Forgotten)
            && self.alarms.get(id).is_none_or(|it| !it.latched);
        let mut changed = vec![Changed::Alarm(id.to_owned())];
        if over && self.latched.remove(id).is_some() {
            changed.push(Changed::Latch(id.to_owned()));
        }
        changed
    }

    fn rule(&mut self, rule: &str, happened: &RuleEvent) -> Vec<Changed> {
        let RuleEvent::Tripped { because, latch: true, .. } = happened else { return Vec::new() };
        self.latched.insert(rule.to_owned(), because.clone());
        vec![Changed::Latch(rule.to_owned())]
    }

    fn chain(&mut self, happened: &ChainEvent) -> Vec<Changed> {
        let (machines, uncleared) = match happened {
            ChainEvent::Opened { machines, .. } => (&machines[..], true),
            ChainEvent::Closed => return Vec::new(),
            ChainEvent::Cleared { machine, .. } => (std::slice::from_ref(machine), false),
        };
        for machine in machines {
            self.machines.entry(machine.clone()).or_default().uncleared = uncleared;
        }
        machines.iter().cloned().map(Changed::Machine).collect()
    }

    fn set_closed(&mut self, closed: bool) -> Vec<Changed> {
        self.closed = closed;
        vec![Changed::House]
    }

    fn hear(&mut self, id: &str, said: &Event) -> Vec<Changed> {
        let mut changed = self.doubt(id, said);
        let machine = self.machines.entry(id.to_owned()).or_default();
        match said {
            Event::Connected { controller } => {
                machine.controller = Some(controller.clone());
                machine.offline_reason = None;
            }
            Event::Disconnected { reason } => {
                machine.mode = Mode::Offline;
                machine.offline_reason = Some(reason.clone());
            }
            Event::Mode { mode } => {
                machine.mode = *mode;
                if *mode != Mode::Alarm {
                    machine.alarm = None;
                }
            }
            Event::Alarm(alarm) => machine.alarm = Some(alarm.clone()),
            Event::Unlocked | Event::Homed => machine.alarm = None,
            Event::WorkOffsets { offsets } => match &mut machine.controller {
                Some(controller) => controller.work_offsets = Some(offsets.clone()),
                None => return changed,
            },
            _ => return changed,
        }
        changed.push(Changed::Machine(id.to_owned()));
        changed
    }

    /// Whoever was out of sight may have been moved: what the job that locks this machine knew of
    /// its position does not count any more.
    fn doubt(&mut self, id: &str, said: &Event) -> Vec<Changed> {
        if !matches!(said, Event::Disconnected { .. } | Event::Restarted { asked: false }) {
            return Vec::new();
        }
        let locked = self.machines.get(id).and_then(|machine| machine.locked_by.as_deref());
        let Some(number) = locked.and_then(job_number) else { return Vec::new() };
        let interruption = self.jobs.get_mut(&number).and_then(|job| job.interruption.as_mut());
        let Some(known) = interruption.filter(|it| it.position_kept) else { return Vec::new() };
        known.position_kept = false;
        vec![Changed::Job(number)]
    }

    fn turn(&mut self, at_ms: u64, id: &str, happened: &JobEvent) -> Vec<Changed> {
        let Some(number) = job_number(id) else { return Vec::new() };
        if let JobEvent::Queued { job } = happened {
            self.jobs.insert(number, (**job).clone());
            self.next_job = self.next_job.max(number + 1);
            return vec![Changed::Job(number), Changed::House];
        }
        let Some(job) = self.jobs.get_mut(&number) else { return Vec::new() };
        if !job.apply(at_ms, happened) {
            return Vec::new();
        }
        let mut changed = vec![Changed::Job(number)];
        let machine = self.machines.entry(job.machine.clone()).or_default();
        match happened {
            JobEvent::Interrupted(_) => machine.locked_by = Some(id.to_owned()),
            JobEvent::Decided { .. } if machine.locked_by.as_deref() == Some(id) => {
                machine.locked_by = None;
            }
            _ => return changed,
        }
        changed.push(Changed::Machine(job.machine.clone()));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Interruption;

    /// What the book says about position after a job broke off with its position kept and the
    /// machine then said this.
    fn kept_after(machine: &str, said: Event) -> (bool, Vec<Changed>) {
        let job = Job { id: "j1".into(), machine: "mill".into(), ..Job::default() };
        let interruption = Interruption { position_kept: true, ..Interruption::default() };
        let of = |happened| Fact::Job { job: "j1".into(), happened };
        let mut state = State::default();
        let mut changed = Vec::new();
        for (number, fact) in [
            of(JobEvent::Queued { job: Box::new(job) }),
            of(JobEvent::Started { position: None, work_offset: None }),
            of(JobEvent::Interrupted(interruption)),
            Fact::Machine { machine: machine.into(), said },
        ]
        .into_iter()
        .enumerate()
        {
            changed = state.apply(&Entry { number: number as u64 + 1, at_ms: 0, fact });
        }
        (state.jobs[&1].interruption.as_ref().unwrap().position_kept, changed)
    }

    #[test]
    fn a_machine_that_was_out_of_sight_is_not_where_the_book_says() {
        let gone = || Event::Disconnected { reason: "unplugged".into() };
        let (kept, changed) = kept_after("mill", gone());
        assert!(!kept && changed.contains(&Changed::Job(1)), "{changed:?}");
        assert!(!kept_after("mill", Event::Restarted { asked: false }).0);
        assert!(kept_after("mill", Event::Restarted { asked: true }).0);
        assert!(kept_after("lathe", gone()).0);
    }

    #[test]
    fn a_machine_waits_for_a_person_from_the_chain_s_opening_until_it_is_said_to_be_clear() {
        let mut state = State::default();
        let mut uncleared = |happened| {
            let fact = Fact::StopChain { happened };
            state.apply(&Entry { number: state.applied + 1, at_ms: 0, fact });
            let waits = |id: &str| state.machines.get(id).is_some_and(|it| it.uncleared);
            [waits("mill"), waits("laser")]
        };
        let machines = vec!["mill".to_owned(), "laser".to_owned()];
        let because = crate::rule::Because::default();
        assert_eq!(uncleared(ChainEvent::Opened { because, machines }), [true, true]);
        assert_eq!(uncleared(ChainEvent::Closed), [true, true]);
        let cleared = ChainEvent::Cleared { machine: "mill".into(), by: "ada".into() };
        assert_eq!(uncleared(cleared), [false, true]);
    }

    #[test]
    fn a_latch_is_in_the_book_with_its_trip_until_it_is_reset() {
        let mut state = State::default();
        let mut latched = |fact| {
            state.apply(&Entry { number: state.applied + 1, at_ms: 0, fact });
            state.latched.keys().cloned().collect::<Vec<_>>()
        };
        let tripped = |latch| {
            let because = Because { point: "pins.door".into(), ..Because::default() };
            let happened =
                RuleEvent::Tripped { because, did: String::new(), times: 1, latch, counted: false };
            Fact::Rule { rule: "door".into(), happened }
        };
        let alarm = |happened| Fact::Alarm { alarm: "door".into(), happened };
        assert_eq!(latched(tripped(false)), [""; 0]);
        assert_eq!(latched(tripped(true)), ["door"]);
        let (text, value) = (String::new(), None);
        latched(alarm(AlarmEvent::Raised { text, value, latch: true, first_out: false }));
        // Its condition is there.
        assert_eq!(latched(alarm(AlarmEvent::Reset { by: "ada".into() })), ["door"]);
        latched(alarm(AlarmEvent::Returned { value: None }));
        latched(alarm(AlarmEvent::Acknowledged { by: "ada".into() }));
        assert_eq!(latched(alarm(AlarmEvent::Reset { by: "ada".into() })), [""; 0]);
        // An older book does not say whether it latches.
        let old = r#"{"event":"tripped","because":{"point":"p","is":"off","against":"on"},"did":"d","times":1}"#;
        let old = serde_json::from_str::<RuleEvent>(old).unwrap();
        assert_eq!(latched(Fact::Rule { rule: "old".into(), happened: old }), [""; 0]);
    }

    #[test]
    fn what_the_table_does_not_allow_neither_locks_nor_frees_a_machine() {
        let job = Job { id: "j1".into(), machine: "mill".into(), ..Job::default() };
        let mut state = State::default();
        let mut happens = |happened| {
            let fact = Fact::Job { job: "j1".into(), happened };
            let entry = Entry { number: state.applied + 1, at_ms: 0, fact };
            (state.apply(&entry), state.machines.get("mill").and_then(|it| it.locked_by.clone()))
        };
        happens(JobEvent::Queued { job: Box::new(job) });
        happens(JobEvent::Cancelled { by: "ada".into(), lines_acked: 0 });
        let late = happens(JobEvent::Interrupted(Interruption::default()));
        assert_eq!(late, (Vec::new(), None));
    }
}
