//! Shapes that the doors speak: REST, WebSocket and CLI. Lists are plain JSON arrays.

use serde::{Deserialize, Serialize};

use crate::alarm::{AlarmState, OutOfUse, Priority, Shelf};
use crate::command::Stop;
use crate::event::Alarm;
use crate::job::{Decision, Job};
use crate::ledger::Entry;
use crate::machine::{Controller, Live, Mode};
use crate::people::Role;
use crate::point::Point;
use crate::rule::Because;

/// `GET /api/v1/equipment` (an array of these) and `GET /api/v1/equipment/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Equipment {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The driver's name.
    pub driver: String,
    /// Where it is plugged in, for people.
    pub port: String,
    /// What it is doing.
    pub state: Mode,
    /// The job that it is on, if any.
    pub job: Option<String>,
    /// Jobs that wait for it, in order.
    pub queue: Vec<String>,
    /// The interrupted job that a person must decide before anything is started.
    pub locked_by: Option<String>,
    /// Why it is locked by its controller, while it is.
    pub alarm: Option<Alarm>,
    /// Why it is offline, while it is.
    pub offline_reason: Option<String>,
    /// What its controller is, once known.
    pub controller: Option<Controller>,
    /// The hardware stop chain was open, and nobody has said since that it is clear.
    #[serde(default)]
    pub uncleared: bool,
    /// The tag that an abort switches to cut its power, if there is one.
    #[serde(default)]
    pub power: Option<String>,
    /// The latest it has said.
    pub live: Live,
}

/// `GET /api/v1/buses` (an array of these).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bus {
    /// Where it is plugged in, for people.
    pub port: String,
    /// Share of the last ten seconds in which it was busy, 0 to 1.
    pub utilisation: f64,
    /// Polls that were left out because they were late, since the house opened.
    pub overruns: u64,
    /// Its devices, as they are declared.
    pub devices: Vec<BusDevice>,
}

/// A device of a [`Bus`]. Counts are since the house opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BusDevice {
    /// The machine's id.
    pub machine: String,
    /// `connecting`, `online`, `suspect` or `offline`.
    pub health: String,
    /// Requests that read its tags, once each is due.
    pub polls: u64,
    /// Requests made.
    pub requests: u64,
    /// Good answers.
    pub answers: u64,
    /// Requests without an answer.
    pub silences: u64,
    /// Answers that were none: wrong checksum, device or function.
    pub garbled: u64,
    /// Requests that it refused.
    pub refused: u64,
    /// Polls of it that were left out because they were late.
    pub overruns: u64,
    /// Latest that a poll of it began after its time, milliseconds.
    pub latest_ms: f64,
    /// Half of its answers took no longer than this, rounded up to a power of two; `null` before
    /// the first.
    pub p50_ms: Option<f64>,
    /// The same for 99 of 100.
    pub p99_ms: Option<f64>,
}

/// `GET /api/v1/equipment/{id}/frames`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frames {
    /// What went over the machine's bus lately, oldest first: time, direction, bytes, verdict.
    pub frames: Vec<String>,
}

/// `GET /api/v1/jobs` (an array of these, newest first) and `GET /api/v1/jobs/{id}`; also each
/// line of `job watch --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Share of program lines answered, 0 to 1.
    pub progress: f64,
    /// File line number of the last answered line.
    pub line: u64,
    /// File line number being executed, where the controller reports it.
    pub executing: Option<u64>,
    /// Estimated seconds to go, while it runs.
    pub time_left_s: Option<f64>,
    /// What the machine waits for a person to do, if anything.
    pub asks: Option<String>,
    /// Times that the planner was seen empty while lines were still to come.
    pub starved: u64,
}

/// Body of `POST /api/v1/jobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartJob {
    /// The machine's id.
    pub machine: String,
    /// The file's id.
    pub file: String,
    /// Check mode only: nothing moves.
    #[serde(default)]
    pub dry_run: bool,
}

/// Body of `POST /api/v1/jobs/{id}/decision`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// What.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// For `resume`: the file line to go on with.
    #[serde(default)]
    pub from_line: Option<u64>,
    /// For `resume`: the preview has been looked at and the work offset verified.
    #[serde(default)]
    pub accepted: bool,
}

/// Answer to a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The decided job.
    pub job: JobView,
    /// The job that follows, for `restart` and `resume`.
    pub next: Option<String>,
    /// For `resume` without `accepted`: what would be sent before the line, and the line.
    pub preview: Option<Vec<String>>,
}

/// Body of `POST /api/v1/stop`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopScope {
    /// `all`, or a machine's id.
    pub scope: String,
    /// Which stop; `stop` if absent.
    #[serde(default)]
    pub how: Option<Stop>,
}

/// What came of a stop on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopReport {
    /// The machine's id.
    pub machine: String,
    /// What kind of machine it is, as far as stopping goes: `mill`, `laser`, `printer`, `drive`,
    /// `output`, `plc`, `sensor`.
    #[serde(default)]
    pub class: String,
    /// What this stop does to a machine of this kind: "feed hold, rest, then reset".
    #[serde(default)]
    pub did: String,
    /// The stop byte has left the house.
    pub sent: bool,
    /// The machine has reported that it rests; or it is out of reach, and its power is off.
    pub confirmed: bool,
    /// Milliseconds from the request until that was known.
    pub ms: Option<u64>,
    /// What the machine does now.
    pub state: Mode,
    /// For people: why it is not confirmed.
    pub text: Option<String>,
    /// What an abort did to its power, where something cuts that.
    #[serde(default)]
    pub power: Option<PowerReport>,
}

/// What an abort did to the power of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerReport {
    /// The tag that cuts it: `relays.printer`.
    pub relay: String,
    /// It has been read back that the power is off.
    pub confirmed: bool,
    /// Milliseconds from the request until it had been.
    pub ms: Option<u64>,
    /// For people: how it comes on again, or why it is not known to be off.
    pub text: String,
}

/// Body of `POST /api/v1/auth/tokens`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeToken {
    /// Its name, as history will show it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
}

/// Answer to it; the only time that the token is seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenMade {
    /// Its name.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// The secret.
    pub token: String,
}

/// `GET /api/v1/auth/tokens` is an array of these: nothing from which a secret could be guessed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownToken {
    /// Its name, as history shows it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Milliseconds since 1970.
    pub made_ms: u64,
    /// Who made it.
    pub by: String,
}

/// One message of `GET /api/v1/feed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FeedMessage {
    /// First message: everything as of entry `number`.
    Snapshot {
        /// The last entry it includes.
        number: u64,
        /// All machines.
        equipment: Vec<Equipment>,
        /// Unfinished jobs and the newest finished ones.
        jobs: Vec<JobView>,
        /// Alarms that are not normal.
        #[serde(default)]
        alarms: Vec<AlarmView>,
    },
    /// An entry; numbers never skip.
    Entry {
        /// The entry.
        entry: Entry,
    },
    /// The latest of one machine; may be skipped when the client is slow.
    Live {
        /// The machine's id.
        machine: String,
        /// The latest it has said.
        live: Live,
    },
    /// Points that have changed, for a feed that was opened with `points`; the latest of each.
    Points {
        /// The points.
        points: Vec<Point>,
    },
    /// Something that the client has said over the feed was refused.
    Refused {
        /// The machine's id; empty if the words were not understood.
        machine: String,
        /// A name that never changes: `desk.in_hand`.
        code: String,
        /// For people.
        message: String,
    },
}

/// `{"error": …}`: what every refused request is answered with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ApiError,
}

/// An error for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// A name that never changes: `desk.unknown_machine`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What is true now that it has.
    pub means: String,
    /// The first thing worth trying.
    #[serde(rename = "try")]
    pub remedy: String,
    /// More, by code: preflight findings, say.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// As in the `x-request-id` header and the log.
    pub request_id: String,
}

/// `GET /api/v1/alarms` is an array of these, the most urgent first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmView {
    /// A name that stays: `kiln-hot`, `mill.offline`, `house.disk`.
    pub id: String,
    /// What it is about: a machine's id, or `house`.
    pub about: String,
    /// How much hangs on it.
    pub priority: Priority,
    /// Which of the nine states it is in.
    pub state: AlarmState,
    /// Its condition holds, whatever its state.
    pub active: bool,
    /// It comes and goes faster than anybody can follow.
    pub chattering: bool,
    /// It was the first of its group.
    pub first_out: bool,
    /// Its group, if it has one.
    pub group: Option<String>,
    /// When its condition last came or went, RFC 3339 in UTC; `null`: never.
    pub since: Option<String>,
    /// The same in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// What happened the last time.
    pub text: String,
    /// The value then, as people write it.
    pub value: Option<String>,
    /// What brings it about.
    pub cause: String,
    /// What comes of it if nothing is done.
    pub meaning: String,
    /// What to do now.
    pub action: String,
    /// It must be reset after it is over.
    pub latch: bool,
    /// How often it has come.
    pub count: u64,
    /// Who acknowledged it last.
    pub acknowledged_by: Option<String>,
    /// Put aside by a person.
    pub shelf: Option<Shelf>,
    /// When it comes back from the shelf, RFC 3339 in UTC.
    pub shelved_until: Option<String>,
    /// The alarm that explains it.
    pub suppressed_by: Option<String>,
    /// Taken out of use.
    pub out_of_use: Option<OutOfUse>,
}

/// Body of `POST /api/v1/alarms/{id}/shelve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShelveAlarm {
    /// For how long, 1 to 480.
    pub minutes: u64,
    /// Why, for the history.
    pub reason: String,
}

/// Body of `POST /api/v1/alarms/{id}/service`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmService {
    /// It is in use.
    pub in_service: bool,
    /// Why, for the history.
    pub reason: String,
}

/// Body of `POST /api/v1/clear`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearScope {
    /// A machine's id; all that wait for it if absent.
    #[serde(default)]
    pub machine: Option<String>,
}

/// Answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The machines that were waiting for it.
    pub machines: Vec<String>,
}

/// `GET /api/v1/rules` is an array of these, as declared; first the hardware stop chain, where one
/// is wired to the box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleView {
    /// Its name.
    pub name: String,
    /// `stop_chain`, `permissive`, `interlock` or `follow`.
    pub kind: String,
    /// The machine that it keeps from something, stops or writes to; `null` for the stop chain.
    pub machine: Option<String>,
    /// How it stands.
    pub verdict: RuleVerdict,
    /// What it keeps the machine from or does, for people: `start`, `hold mill`.
    pub does: String,
    /// The point that decides at the moment, and what it says.
    pub because: Because,
    /// An input is unknown: the rule takes its declared side.
    pub unknown: bool,
    /// Interlocks: how often it has tripped since the house opened.
    pub trips: u64,
}

/// How a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleVerdict {
    /// A permissive that is met, an interlock that is not tripped, a chain that is closed.
    Clear,
    /// A permissive that is not met.
    Refuses,
    /// An interlock whose condition holds; a chain that is open.
    Tripped,
    /// An interlock that is over and must be reset; a chain that machines wait to be cleared from.
    Latched,
    /// A follow rule that has put its tag on.
    On,
    /// A follow rule that has put its tag off, or has not put it on.
    Off,
    /// A follow rule that waits until its condition comes to hold anew.
    StandsBack,
}

impl RuleVerdict {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Refuses => "refuses",
            Self::Tripped => "tripped",
            Self::Latched => "latched",
            Self::On => "on",
            Self::Off => "off",
            Self::StandsBack => "stands back",
        }
    }
}

/// `GET /api/v1/system`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// The daemon's version.
    pub version: String,
    /// Seconds since it began.
    pub uptime_s: u64,
    /// The last entry.
    pub entry: u64,
    /// `ok`, `low_space` or `failed`.
    pub journal: String,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Processor seconds used.
    pub cpu_s: f64,
    /// Where REST listens.
    pub web: Option<String>,
}
