//! What went wrong, told the same way whether the daemon refused or we never reached it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use headstock_config::api::{ApiError, ErrorBody};
use headstock_config::preflight::Finding;
use headstock_tui::view::findings;
use headstock_tui::words::{plain, rfc3339};
use serde::Deserialize;
use serde_json::Value;

use super::exit::Exit;

/// A failure and the exit code that goes with it.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The exit code.
    pub(super) exit: Exit,
    /// As the API tells errors; boxed because it is large and rare.
    pub(super) error: Box<ApiError>,
}

impl Trouble {
    /// A failure found on this side of the socket.
    pub(super) fn new(
        exit: Exit,
        code: &str,
        message: impl fmt::Display,
        means: &str,
        remedy: &str,
    ) -> Self {
        let error = Box::new(ApiError {
            code: code.to_owned(),
            message: message.to_string(),
            means: means.to_owned(),
            remedy: remedy.to_owned(),
            details: Value::Null,
            timestamp: rfc3339(now_ms()),
            request_id: String::new(),
        });
        Self { exit, error }
    }

    /// The words are wrong in a way that the argument parser cannot see.
    pub(super) fn words(message: impl fmt::Display, remedy: &str) -> Self {
        Self::new(Exit::WrongWords, "cli.words", message, "nothing was sent", remedy)
    }

    /// A file of this box cannot be used.
    pub(super) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let message = format!("cannot {doing} {}: {error}", path.display());
        let remedy = "check the path and who may use it";
        Self::new(Exit::Failed, "cli.file", message, "nothing was changed on the daemon", remedy)
    }

    /// The daemon answered with something other than success.
    pub(super) fn answered(status: u16, body: &[u8]) -> Self {
        let exit = Exit::of_status(status);
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Self { exit, error: Box::new(body.error) },
            Err(_) => Self::new(
                exit,
                "cli.answer",
                format!("the daemon answered with status {status} and no explanation"),
                "the request was not carried out",
                "look into the daemon's log; check that both are of the same version",
            ),
        }
    }

    /// For a terminal: what happened, what it means, what to try, and the details.
    pub(super) fn render(&self) -> String {
        let ApiError { code, message, means, remedy, details, .. } = &*self.error;
        let mut text = format!("{} [{}]", plain(message), plain(code));
        for (name, what) in [("means:", means), ("try:  ", remedy)] {
            if !what.is_empty() {
                text.push_str(&format!("\n  {name} {}", plain(what)));
            }
        }
        if let Ok(findings) = Vec::<Finding>::deserialize(details) {
            text.push_str(&format!("\n{}", findings::list(&findings).trim_end()));
            return text;
        }
        for detail in details.as_array().into_iter().flatten() {
            text.push_str(&format!("\n  - {}", plain(&told(detail))));
        }
        text
    }

    /// One line, as the API answers: `{"error":{…}}`.
    pub(super) fn to_json(&self) -> String {
        let body = ErrorBody { error: (*self.error).clone() };
        serde_json::to_string(&body).expect("an error is valid JSON")
    }
}

/// One detail: a sentence, or a shape as it is.
fn told(detail: &Value) -> String {
    detail.as_str().map_or_else(|| detail.to_string(), str::to_owned)
}

/// Milliseconds since 1970; 0 on a box whose clock is before that.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"error":{"code":"job.preflight","message":"`b.nc` cannot run on `mill`",
        "means":"the job was not made","try":"move the work offset",
        "details":[{"code":"preflight.x","text":"X reaches 310","line":42,"means":"it hits",
        "remedy":"move it","blocks":true}],
        "timestamp":"2026-11-03T14:02:11.250Z","requestId":"r1"}}"#;

    #[test]
    fn a_refusal_is_told_with_its_meaning_remedy_and_details() {
        let trouble = Trouble::answered(409, BODY.as_bytes());
        assert_eq!(trouble.exit, Exit::Refused);
        let expected = "\
`b.nc` cannot run on `mill` [job.preflight]
  means: the job was not made
  try:   move the work offset
blocks  line 42: X reaches 310 [preflight.x]
        means: it hits
        try:   move it";
        assert_eq!(trouble.render(), expected);
    }

    #[test]
    fn a_refusal_passes_through_as_json() {
        let told: Value = serde_json::from_str(&Trouble::answered(409, BODY.as_bytes()).to_json())
            .expect("one JSON document");
        let sent: Value = serde_json::from_str(BODY).expect("one JSON document");
        assert_eq!(told, sent);
    }

    #[test]
    fn an_answer_that_is_no_error_body_is_still_explained() {
        let trouble = Trouble::answered(502, b"<html>");
        assert_eq!(trouble.exit, Exit::Failed);
        assert!(trouble.render().contains("status 502"));
    }
}
