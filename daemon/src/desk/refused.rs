//! Why the desk says no.

use headstock_config::explain::{Explain, sentence};
use headstock_config::job::JobState;
use headstock_config::people::Role;
use headstock_config::preflight::Finding;
use headstock_drivers::Refusal;

use crate::rules::Interlocked;
use crate::{files, ledger, machine};

/// Why the desk said no.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such machine in the configuration.
    #[error("no machine is called `{0}`")]
    UnknownMachine(String),
    /// It is a device that takes values.
    #[error("machine `{0}` runs no programs")]
    NoPrograms(String),
    /// No such job.
    #[error("there is no job `{0}`")]
    UnknownJob(String),
    /// No such file.
    #[error("there is no file `{0}`")]
    UnknownFile(String),
    /// No such token.
    #[error("there is no token `{0}`")]
    UnknownToken(String),
    /// No such point.
    #[error("no point is called `{0}`")]
    UnknownPoint(String),
    /// Of this machine nothing is kept of what goes over its wire.
    #[error("no frames are kept of machine `{0}`: it is on no such bus")]
    NoFrames(String),
    /// It is what a device reports, and nobody declared that it may be set.
    #[error("point `{0}` cannot be set")]
    ReadOnly(String),
    /// No such alarm.
    #[error("there is no alarm `{0}`")]
    UnknownAlarm(String),
    /// The alarm is in a state in which this cannot be done.
    #[error("alarm `{alarm}`: {why}")]
    Alarm {
        /// Its id.
        alarm: String,
        /// Why not.
        why: String,
    },
    /// A rule stands against it.
    #[error(transparent)]
    Interlocked(#[from] Interlocked),
    /// The person may not do this.
    #[error("`{who}` may not do that")]
    Forbidden {
        /// Who asked.
        who: String,
        /// The least role that may.
        need: Role,
    },
    /// The words are wrong.
    #[error("{0}")]
    Words(String),
    /// An interrupted job waits for a decision.
    #[error("machine `{machine}` is locked by the interrupted job `{job}`")]
    Locked {
        /// The machine's id.
        machine: String,
        /// The job's id.
        job: String,
    },
    /// Somebody looks around already.
    #[error("somebody is looking around already")]
    Looking,
    /// A step is under way.
    #[error("machine `{machine}` is still jogging; dropped repeats: {dropped}")]
    Jogging {
        /// The machine's id.
        machine: String,
        /// How many came since the last one that was taken.
        dropped: u64,
    },
    /// Somebody else holds a jog key down.
    #[error("`{holder}` is moving machine `{machine}` by hand")]
    InHand {
        /// The machine's id.
        machine: String,
        /// Who.
        holder: String,
    },
    /// The job is in a state in which this cannot be done.
    #[error("job `{job}` is {}", .state.word())]
    State {
        /// The job's id.
        job: String,
        /// Its state.
        state: JobState,
    },
    /// The program must not be started as things are.
    #[error("the program must not be started: {}", first(.0))]
    Preflight(Vec<Finding>),
    /// The program cannot be gone on with from that line.
    #[error("cannot go on from line {line}: {reason}")]
    CannotResume {
        /// The file line asked for.
        line: u64,
        /// Why not.
        reason: String,
        /// The nearest earlier line from which it can be gone on with.
        nearest: Option<u64>,
        /// What to do.
        remedy: String,
    },
    /// A file is needed by a job.
    #[error("file `{file}` belongs to job `{job}`")]
    InUse {
        /// The file's id.
        file: String,
        /// The job's id.
        job: String,
    },
    /// Something of that name exists.
    #[error("there is already a token `{0}`")]
    Exists(String),
    /// Only the reserve is left on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// The file was not stored.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The machine did not take it.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// It could not be written down, so it was not done.
    #[error(transparent)]
    Unrecorded(#[from] ledger::Error),
}

/// Which kind of no it is; a door turns it into its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense.
    Wrong,
    /// Not this person.
    Forbidden,
    /// No such thing.
    Unknown,
    /// Not as things are now.
    NotNow,
    /// Too much of it.
    TooBig,
    /// The house cannot at the moment.
    Unavailable,
}

impl Refused {
    /// Which kind of no it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::UnknownMachine(_)
            | Self::UnknownJob(_)
            | Self::UnknownFile(_)
            | Self::UnknownPoint(_)
            | Self::NoFrames(_)
            | Self::UnknownAlarm(_)
            | Self::UnknownToken(_) => Kind::Unknown,
            Self::Forbidden { .. } => Kind::Forbidden,
            Self::Words(_)
            | Self::NoPrograms(_)
            | Self::ReadOnly(_)
            | Self::Machine(machine::Error::Refused(
                Refusal::BadCommand(_) | Refusal::TooLong(..),
            )) => Kind::Wrong,
            Self::File(files::Error::TooBig(_)) | Self::Unrecorded(ledger::Error::TooLong(_)) => {
                Kind::TooBig
            }
            Self::File(files::Error::Disk(_)) | Self::DiskFull | Self::Unrecorded(_) => {
                Kind::Unavailable
            }
            Self::File(_) => Kind::Wrong,
            Self::Machine(machine::Error::Gone | machine::Error::Busy | machine::Error::Deaf) => {
                Kind::Unavailable
            }
            Self::Machine(_)
            | Self::Locked { .. }
            | Self::Looking
            | Self::Jogging { .. }
            | Self::InHand { .. }
            | Self::State { .. }
            | Self::Preflight(_)
            | Self::CannotResume { .. }
            | Self::InUse { .. }
            | Self::Alarm { .. }
            | Self::Interlocked(_)
            | Self::Exists(_) => Kind::NotNow,
        }
    }

    /// More for programs: the findings of a preflight, say.
    pub fn details(&self) -> serde_json::Value {
        match self {
            Self::Preflight(findings) => serde_json::json!(findings),
            Self::CannotResume { nearest, .. } => serde_json::json!({ "nearest": nearest }),
            Self::Interlocked(it) | Self::Machine(machine::Error::Interlocked(it)) => {
                serde_json::json!({ "rule": it.rule(), "because": it.because() })
            }
            _ => serde_json::Value::Null,
        }
    }
}

impl Explain for Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownMachine(_) => "desk.unknown_machine",
            Self::NoPrograms(_) => "desk.no_programs",
            Self::UnknownJob(_) => "desk.unknown_job",
            Self::UnknownFile(_) => "desk.unknown_file",
            Self::UnknownToken(_) => "desk.unknown_token",
            Self::UnknownAlarm(_) => "desk.unknown_alarm",
            Self::Alarm { .. } => "desk.alarm_state",
            Self::Interlocked(it) => it.code(),
            Self::Forbidden { .. } => "desk.forbidden",
            Self::Words(_) => "desk.words",
            Self::UnknownPoint(_) => "desk.unknown_point",
            Self::NoFrames(_) => "desk.no_frames",
            Self::ReadOnly(_) => "desk.point_read_only",
            Self::Locked { .. } => "desk.locked",
            Self::Looking => "desk.looking",
            Self::Jogging { .. } => "desk.jogging",
            Self::InHand { .. } => "desk.in_hand",
            Self::State { .. } => "desk.job_state",
            Self::Preflight(_) => "desk.preflight",
            Self::CannotResume { .. } => "desk.cannot_resume",
            Self::InUse { .. } => "desk.file_in_use",
            Self::Exists(_) => "desk.token_exists",
            Self::DiskFull => "desk.disk_full",
            Self::File(error) => error.code(),
            Self::Machine(error) => error.code(),
            Self::Unrecorded(error) => error.code(),
        }
    }

    fn means(&self) -> String {
        match self {
            Self::Interlocked(it) => it.means(),
            Self::File(error) => error.means(),
            Self::Machine(error) => error.means(),
            Self::Unrecorded(error) => error.means(),
            Self::Locked { .. } => {
                "nothing is started on it until a person has decided that job".into()
            }
            Self::DiskFull => "running jobs go on with the reserve; nothing new is accepted".into(),
            _ => "nothing was done".into(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::UnknownMachine(_) => "`headstock machines` lists them".into(),
            Self::NoPrograms(_) => "name a machine that moves: `headstock machines`".into(),
            Self::UnknownJob(_) => "`headstock job list` lists them".into(),
            Self::UnknownFile(_) => "`headstock files` lists them".into(),
            Self::UnknownToken(_) => "`headstock token list` lists them".into(),
            Self::UnknownAlarm(_) => "`headstock alarms --all` lists them".into(),
            Self::Alarm { alarm, .. } => format!("`headstock alarm show {alarm}` tells more"),
            Self::Interlocked(it) => it.remedy(),
            Self::Forbidden { need, .. } => {
                format!("ask somebody who is at least {need:?}").to_lowercase()
            }
            Self::UnknownPoint(_) => "`headstock points` lists them".into(),
            Self::NoFrames(_) => "`headstock buses` lists machines on buses".into(),
            Self::ReadOnly(_) => {
                "a tag can be set where its device lets it and the configuration says `write = true`; \
                 machines that move are told with commands"
                    .into()
            }
            Self::Words(_) => "see the API document or `headstock help`".into(),
            Self::Locked { job, .. } => format!(
                "look at the part, then `headstock job decide {job} done|scrap|restart|release --reason …`"
            ),
            Self::Looking => "`GET /api/v1/discover` tells how far that is".into(),
            Self::Jogging { .. } => "wait until it is idle; one press is one step".into(),
            Self::InHand { holder, .. } => {
                format!("ask `{holder}` to let go; a stop ends it at once")
            }
            Self::State { job, .. } => format!("`headstock job show {job}` tells more"),
            Self::Preflight(findings) => first_remedy(findings),
            Self::CannotResume { remedy, .. } => remedy.clone(),
            Self::InUse { job, .. } => format!("wait until `{job}` is over"),
            Self::Exists(_) => "choose another name or revoke that one".into(),
            Self::DiskFull => "remove files that are not needed (`headstock files delete`)".into(),
            Self::File(error) => error.remedy(),
            Self::Machine(error) => error.remedy(),
            Self::Unrecorded(error) => error.remedy(),
        }
    }
}

fn first(findings: &[Finding]) -> String {
    let blocking: Vec<&Finding> = findings.iter().filter(|finding| finding.blocks).collect();
    let more = blocking.len().saturating_sub(1);
    match blocking.first() {
        None => "nothing stands against it".into(),
        Some(finding) if more == 0 => finding.text.clone(),
        Some(finding) => format!("{} (and {more} more)", finding.text),
    }
}

fn first_remedy(findings: &[Finding]) -> String {
    let blocking = findings.iter().find(|finding| finding.blocks);
    blocking.map(|finding| finding.remedy.clone()).unwrap_or_default()
}

impl Refused {
    /// The whole of it in one line, for the book and the log.
    pub fn sentence(&self) -> String {
        sentence(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_in_itself_is_not_a_matter_of_the_moment() {
        let refused = |it| Refused::Machine(machine::Error::Refused(it)).kind();
        assert_eq!(refused(Refusal::BadCommand("a feed is above 0".into())), Kind::Wrong);
        assert_eq!(refused(Refusal::TooLong(300, 80)), Kind::Wrong);
        assert_eq!(refused(Refusal::NotOnline), Kind::NotNow);
        assert_eq!(Refused::NoFrames("mill".into()).kind(), Kind::Unknown);
    }
}
