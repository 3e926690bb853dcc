//! Jobs: making, looking at, and deciding about them.

use std::path::Path;

use headstock_config::api::{Decide, Decided, JobView, StartJob};
use headstock_config::job::Decision;
use headstock_config::preflight::Finding;
use headstock_tui::view;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::args::JobVerb;
use super::client::encoded;
use super::exit::Exit;
use super::trouble::Trouble;
use super::{Call, files, watch};

pub(super) fn job(call: &Call, what: JobVerb) -> Result<Exit, Trouble> {
    match what {
        JobVerb::Start { machine, file, dry_run, watch } => {
            let view = start(call, machine, &file, dry_run)?;
            call.show(&view, view::jobs::progress_plain);
            if watch { watch::job(call, &view.job.id) } else { Ok(Exit::Done) }
        }
        JobVerb::Check { machine, file } => check(call, &machine, &file),
        JobVerb::List { machine, state, limit, before } => {
            let jobs: Vec<JobView> = call.client.get(&list_path(machine, state, limit, before))?;
            call.show(&jobs[..], view::jobs::list);
            Ok(Exit::Done)
        }
        JobVerb::Show { job } => {
            let view: JobView = call.client.get(&path(&job))?;
            call.show(&view, view::jobs::show);
            Ok(Exit::Done)
        }
        JobVerb::Watch { job } => watch::job(call, &job),
        JobVerb::Go { job } => act(call, &job, "start"),
        JobVerb::Hold { job } => act(call, &job, "hold"),
        JobVerb::Resume { job } => act(call, &job, "resume"),
        JobVerb::Cancel { job } => act(call, &job, "cancel"),
        JobVerb::Decide { job, decision, reason, from_line, accept } => {
            decide(call, &job, Decide { decision, reason, from_line, accepted: accept })
        }
        JobVerb::Note { job, text } => note(call, &job, text.join(" ")),
    }
}

/// The path of a job.
pub(super) fn path(job: &str) -> String {
    format!("jobs/{}", encoded(job))
}

fn list_path(
    machine: Option<String>,
    state: Option<String>,
    limit: u32,
    before: Option<String>,
) -> String {
    let mut path = format!("jobs?limit={limit}");
    for (key, value) in [("machine", machine), ("state", state), ("before", before)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", encoded(&value)));
        }
    }
    path
}

/// Makes a job of a stored file, or of a file of this box, which is uploaded first.
fn start(call: &Call, machine: String, file: &str, dry_run: bool) -> Result<JobView, Trouble> {
    let file = stored(call, file)?;
    call.client.post("jobs", &StartJob { machine, file, dry_run })
}

/// What stands against a job, without making one.
fn check(call: &Call, machine: &str, file: &str) -> Result<Exit, Trouble> {
    let file = stored(call, file)?;
    let path = format!("files/{}/preflight?machine={}", encoded(&file), encoded(machine));
    let findings: Vec<Finding> = call.client.get(&path)?;
    call.show(&findings[..], |it| match it {
        [] => "nothing stands against it".to_owned(),
        findings => view::findings::list(findings),
    });
    Ok(if findings.iter().any(|it| it.blocks) { Exit::Refused } else { Exit::Done })
}

/// The id of a stored file; a file of this box is stored first.
fn stored(call: &Call, file: &str) -> Result<String, Trouble> {
    if is_file_id(file) {
        return Ok(file.to_owned());
    }
    Ok(files::send(call, Path::new(file), None)?.id)
}

/// Ids have 16 hexadecimal digits. A file of that very name is meant by `./NAME`.
fn is_file_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

fn act(call: &Call, job: &str, what: &str) -> Result<Exit, Trouble> {
    let path = format!("{}/{what}", path(job));
    let view: JobView = call.client.post(&path, &serde_json::json!({}))?;
    // The machine has yet to do it: what is shown is how it was asked.
    call.show(&view, |it| format!("{what} passed on; it was: {}", view::jobs::progress_plain(it)));
    Ok(Exit::Done)
}

fn decide(call: &Call, job: &str, wish: Decide) -> Result<Exit, Trouble> {
    let decided: Decided = call.client.post(&format!("{}/decision", path(job)), &wish)?;
    call.show(&decided, |it| told(it, wish.decision));
    Ok(Exit::Done)
}

fn told(decided: &Decided, decision: Decision) -> String {
    let mut text = view::jobs::progress_plain(&decided.job);
    if let Some(next) = &decided.next {
        text.push_str(&format!("\nruns now as {next}"));
    }
    if let (Some(lines), Decision::Resume) = (&decided.preview, decision) {
        text.push_str("\nthis would be sent first, then the line itself:\n");
        for line in lines {
            text.push_str(&format!("  {}\n", headstock_tui::words::plain(line)));
        }
        text.push_str("nothing was sent; verify the work offset, then repeat with --accept");
    }
    text
}

/// `job note --json`.
#[derive(Serialize)]
struct Noted<'a> {
    job: &'a str,
    text: String,
}

fn note(call: &Call, job: &str, text: String) -> Result<Exit, Trouble> {
    let body = serde_json::json!({ "text": text });
    let _: IgnoredAny = call.client.post(&format!("{}/notes", path(job)), &body)?;
    call.show(&Noted { job, text }, |_| format!("noted on {job}"));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_decision_is_said_to_run_already() {
        let job = headstock_config::job::Job::default();
        let job = JobView {
            job,
            progress: 0.0,
            line: 0,
            executing: None,
            time_left_s: None,
            asks: None,
            starved: 0,
        };
        let decided = Decided { job, next: Some("j2".into()), preview: None };
        assert!(told(&decided, Decision::Restart).ends_with("\nruns now as j2"));
    }

    #[test]
    fn a_file_is_told_from_a_file_id() {
        assert!(is_file_id("0123456789abcdef"));
        for path in ["./0123456789abcdef", "part.nc", "0123456789ABCDEF", ""] {
            assert!(!is_file_id(path), "{path}");
        }
    }

    #[test]
    fn filters_of_a_list_travel_encoded() {
        let path = list_path(Some("mill 1".into()), Some("held".into()), 5, Some("j7".into()));
        assert_eq!(path, "jobs?limit=5&machine=mill%201&state=held&before=j7");
    }
}
