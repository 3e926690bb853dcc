//! The book, one line per entry.

use headstock_config::api::StopReport;
use headstock_config::event::Event;
use headstock_config::job::JobEvent;
use headstock_config::ledger::{Entry, Fact, Request};
use headstock_config::people::Role;
use serde::Serialize;
use serde_json::Value;

use super::house::rest;
use crate::words::{count, moment, plain, position};

/// `142  2026-11-03 14:02:11Z  mill: running`.
pub fn line(entry: &Entry) -> String {
    plain(&format!("{:>7}  {}  {}", entry.number, moment(entry.at_ms), fact(&entry.fact)))
}

fn fact(fact: &Fact) -> String {
    match fact {
        Fact::HouseOpened { version, clean: true } => format!("headstock {version} began"),
        Fact::HouseOpened { version, clean: false } => {
            format!("headstock {version} began after an end that was not in order")
        }
        Fact::HouseClosed => "headstock ended in order".into(),
        Fact::Asked { by, request } => {
            format!("{} ({}) asked: {}", by.name, role(by.role), asked(request))
        }
        Fact::Answered { of, refused: None } => format!("request {of} was passed on"),
        Fact::Answered { of, refused: Some(why) } => format!("request {of} was refused: {why}"),
        Fact::Stopped { of, reports } => {
            let each: Vec<_> = reports.iter().map(stopped).collect();
            format!("stop {of}: {}", each.join("; "))
        }
        Fact::Machine { machine, said } => format!("{machine}: {}", event(said)),
        Fact::Job { job, happened } => format!("{job}: {}", job_event(happened)),
        Fact::FileStored { file } => format!("file {} stored: {}", file.id, file.name),
        Fact::FileRemoved { file } => format!("file {file} removed"),
        Fact::TokenMade { token } => {
            format!("token `{}` made by {}: {}", token.name, token.by, role(token.role))
        }
        Fact::TokenRevoked { name } => format!("token `{name}` revoked"),
        Fact::Alarm { alarm, happened } => {
            format!("alarm {alarm}: {}", super::alarms::event(happened))
        }
        Fact::Rule { rule, happened } => format!("rule {rule}: {}", super::rules::event(happened)),
        Fact::StopChain { happened } => {
            format!("hardware stop chain: {}", super::rules::chain_event(happened))
        }
    }
}

fn stopped(report: &StopReport) -> String {
    let came = match (report.confirmed, report.ms) {
        (true, Some(ms)) => format!("{} after {} ms", rest(report), count(ms)),
        (true, None) => rest(report).into(),
        (false, _) if report.sent => "sent, NOT confirmed".into(),
        (false, _) => "NOT sent".into(),
    };
    let why = report.text.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
    let power = match &report.power {
        Some(it) if it.confirmed => format!(", power off ({})", it.relay),
        Some(it) => format!(", power NOT confirmed off ({}): {}", it.relay, it.text),
        None => String::new(),
    };
    format!("{} {came}{why}{power}", report.machine)
}

/// The role's word in every interface.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Maintainer => "maintainer",
        Role::Admin => "admin",
    }
}

fn asked(request: &Request) -> String {
    match request {
        Request::Tell { machine, command } => format!("{machine} {}", compact(command)),
        Request::StopAll => "stop all machines".into(),
        Request::StartJob { machine, file, dry_run } => {
            let how = if *dry_run { "try" } else { "run" };
            format!("{how} file {file} on {machine}")
        }
        Request::Decide { job, decision, reason, .. } => {
            format!("decide {job}: {}, {reason}", compact(decision))
        }
        other => compact(other),
    }
}

/// A word, or a shape as `word key=value …`, as the interfaces spell it.
fn compact(it: &impl Serialize) -> String {
    let mut parts = match serde_json::to_value(it) {
        Ok(Value::Object(parts)) => parts,
        Ok(Value::String(word)) => return word,
        other => return other.map(|value| value.to_string()).unwrap_or_default(),
    };
    let tag = ["command", "ask", "event"].iter().find_map(|tag| parts.remove(*tag));
    let mut words: Vec<_> = tag.iter().map(bare).collect();
    let told = parts.iter().filter(|(_, value)| !value.is_null());
    words.extend(told.map(|(key, value)| format!("{key}={}", bare(value))));
    words.join(" ")
}

/// A value as JSON has it, a text without its quotation marks.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a machine said.
pub fn event(said: &Event) -> String {
    match said {
        Event::Connected { controller } => {
            format!("connected, {} {}", controller.dialect, controller.version)
        }
        Event::Disconnected { reason } => format!("disconnected: {reason}"),
        Event::Mode { mode } => mode.word().into(),
        Event::Restarted { asked: true } => "controller was reset".into(),
        Event::Restarted { asked: false } => "controller restarted by itself".into(),
        Event::Alarm(alarm) => format!("ALARM {}: {}", alarm.number, alarm.means),
        Event::WorkOffsets { .. } => "has other work offsets".into(),
        Event::Message { text } => format!("says: {text}"),
        Event::Remark { text } => text.clone(),
        Event::CommandFailed { sent, means, .. } => format!("refused `{sent}`: {means}"),
        Event::Probed { at, touched: true } => format!("probe touched at {}", position(*at)),
        Event::Probed { touched: false, .. } => "probe touched nothing".into(),
        Event::LineRefused { line, text, number, means } => {
            format!("refused line {line} `{text}`: error {number}, {means}")
        }
        Event::Asks { why, line } => format!("waits for a person at line {line}: {why}"),
        Event::Mismatch(it) => format!(
            "MISMATCH ({}) at line {}: expected {}, found {}",
            compact(&it.check),
            it.line,
            it.expected,
            it.found
        ),
        Event::ProgramLost { reason, .. } => format!("program lost: {reason}"),
        Event::AtRest { position: Some(at), .. } => format!("at rest at {}", position(*at)),
        other => compact(other),
    }
}

fn job_event(happened: &JobEvent) -> String {
    match happened {
        JobEvent::Queued { job } => {
            format!("queued, {} on {} for {}", job.file_name, job.machine, job.by)
        }
        JobEvent::Started { .. } => "running".into(),
        JobEvent::Held { reason } => format!("held, {reason}"),
        JobEvent::Resumed { by } => format!("resumed by {by}"),
        JobEvent::Checkpoint(at) => format!("{} lines answered", count(at.acked)),
        JobEvent::Completed { lines_acked, .. } => format!("completed, {}", lines(*lines_acked)),
        JobEvent::Failed { reason, lines_acked } => {
            format!("failed after {}: {reason}", lines(*lines_acked))
        }
        JobEvent::Cancelled { by, lines_acked } => {
            format!("cancelled by {by} after {}", lines(*lines_acked))
        }
        JobEvent::Interrupted(it) => {
            format!("INTERRUPTED between lines {} and {}: {}", it.line_min, it.line_max, it.reason)
        }
        JobEvent::Decided { decision, by, reason, next } => {
            let next = next.as_ref().map(|id| format!(", goes on as {id}")).unwrap_or_default();
            format!("decided by {by}: {}, {reason}{next}", compact(decision))
        }
        JobEvent::Note { by, text } => format!("note by {by}: {text}"),
    }
}

fn lines(number: u64) -> String {
    format!("{} lines", count(number))
}

#[cfg(test)]
mod tests {
    use headstock_config::command::Command;
    use headstock_config::machine::Mode;
    use headstock_config::people::Person;

    use super::*;

    fn shown(fact: Fact) -> String {
        line(&Entry { number: 142, at_ms: 1_709_251_199_000, fact })
    }

    #[test]
    fn entries_are_sentences_with_number_and_time() {
        let said = Event::Mode { mode: Mode::Running };
        assert_eq!(
            shown(Fact::Machine { machine: "mill".into(), said }),
            "    142  2024-02-29 23:59:59Z  mill: running"
        );
        let by = Person { name: "ada".into(), role: Role::Operator };
        let command = Command::Home { axes: Some("XY".into()) };
        let request = Request::Tell { machine: "mill".into(), command };
        assert_eq!(
            shown(Fact::Asked { by, request }),
            "    142  2024-02-29 23:59:59Z  ada (operator) asked: mill home axes=XY"
        );
    }

    #[test]
    fn a_message_of_a_controller_cannot_steer_the_terminal() {
        let said = Event::Message { text: "\u{1b}[2Jhello".into() };
        let text = shown(Fact::Machine { machine: "mill".into(), said });
        assert!(text.ends_with("mill: says: ?[2Jhello"), "{text}");
    }
}
