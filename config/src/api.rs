//! Shapes that the doors speak: REST, WebSocket and CLI. Lists are plain JSON arrays.

use serde::{Deserialize, Serialize};

use crate::command::Stop;
use crate::event::Alarm;
use crate::job::{Decision, Job};
use crate::ledger::Entry;
use crate::machine::{Controller, Live, Mode};
use crate::people::Role;

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
    /// The stop byte has left the house.
    pub sent: bool,
    /// The machine has reported that it rests.
    pub confirmed: bool,
    /// Milliseconds from the request to that report.
    pub ms: Option<u64>,
    /// What the machine does now.
    pub state: Mode,
    /// For people: why it is not confirmed.
    pub text: Option<String>,
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
