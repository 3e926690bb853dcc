//! Looks the box over: what the daemon needs, with or without a daemon that runs.
//!
//! Invariants: nothing is changed; no serial port is ever opened, since opening one resets many
//! boards, and I2C buses are only read from; one check that cannot be made does not keep the others
//! from being made. What is asked of the system is asked as the user who types, which need not be
//! the daemon's: verdicts say so.

mod buses;
mod house;
mod ports;

use headstock_config::places::Surroundings;
use headstock_tui::words::plain;
use serde::Serialize;

use super::args::Common;
use super::exit::Exit;
use super::say;
use super::trouble::Trouble;

/// What came of one check.
#[derive(Debug, PartialEq, Serialize)]
struct Check {
    /// What was looked at.
    name: String,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to try first; empty where nothing is wrong.
    #[serde(rename = "try")]
    remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Works, or may be meant so.
    Warn,
    /// Something will not work.
    Bad,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        let remedy = String::new();
        Self { name: name.into(), verdict: Verdict::Ok, found: found.into(), remedy }
    }

    fn warn(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let verdict = Verdict::Warn;
        Self { name: name.into(), verdict, found: found.into(), remedy: remedy.into() }
    }

    fn bad(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, ..Self::warn(name, found, remedy) }
    }

    /// `ok    clock    2026-11-03 14:02:11Z`, and below it what to try.
    fn line(&self, width: usize) -> String {
        let word = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Bad => "bad",
        };
        let mut line =
            format!("{word:<4}  {:<width$}  {}\n", plain(&self.name), plain(&self.found));
        if !self.remedy.is_empty() {
            line.push_str(&format!(
                "{:width$}    try: {}\n",
                "",
                plain(&self.remedy),
                width = width + 4
            ));
        }
        line
    }
}

/// `doctor --json`.
#[derive(Serialize)]
struct Report {
    /// Nothing is bad.
    ok: bool,
    checks: Vec<Check>,
}

/// Makes all checks; exit code 1 if something is bad.
pub(super) fn doctor(common: &Common) -> Result<Exit, Trouble> {
    let around = Surroundings::of_this_process();
    let (settings, mut checks) = house::configuration(common, &around);
    checks.extend(house::daemon(common));
    checks.extend(house::places(&settings, &around));
    checks.push(house::clock());
    checks.push(house::realtime());
    checks.extend(ports::groups(&settings.machines));
    checks.extend(ports::machines(&settings.machines));
    checks.extend(ports::devices());
    checks.extend(buses::i2c(&settings.machines));
    checks.extend(buses::pins(&settings.machines));
    checks.extend(ports::meddlers());
    let report = Report { ok: checks.iter().all(|it| it.verdict != Verdict::Bad), checks };
    if common.json {
        say::json(&report);
    } else {
        let width = report.checks.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
        let lines: String = report.checks.iter().map(|it| it.line(width)).collect();
        say::text(&lines);
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_try_stands_below_what_was_found() {
        let check = Check::bad("clock", "it is 1970", "set it");
        let expected = "bad   clock  it is 1970\n             try: set it\n";
        assert_eq!(check.line(5), expected);
    }
}
