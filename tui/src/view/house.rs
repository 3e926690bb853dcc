//! The house as a whole.

use headstock_config::api::{Equipment, JobView, StopReport, System};
use headstock_config::machine::Mode;

use super::{jobs, machines};
use crate::table::table;
use crate::words::{bytes, count, duration, plain};

/// The daemon in one line, its machines, and the jobs that are not over.
pub fn status(system: &System, machines: &[Equipment], jobs: &[JobView], width: usize) -> String {
    let web = system.web.as_deref().map(|it| format!(", web on {it}")).unwrap_or_default();
    let mut text = plain(&format!(
        "headstock {}, up {}, journal {} at entry {}, {} in memory{web}",
        system.version,
        duration(system.uptime_s as f64),
        system.journal,
        count(system.entry),
        bytes(system.rss_bytes),
    ));
    text.push_str("\n\n");
    text.push_str(&self::machines::list(machines));
    let open: Vec<_> = jobs.iter().filter(|view| !view.job.state.over()).collect();
    if !open.is_empty() {
        text.push('\n');
    }
    for view in open {
        text.push_str(&self::jobs::progress(view, width));
        text.push('\n');
    }
    text
}

/// What a software stop is not, below every list of what came of one.
const NOT_AN_EMERGENCY_STOP: &str =
    "This was a software stop. If a person is in danger press the red button.";

/// What came of a stop, one row per machine, and what it is not.
pub fn stops(reports: &[StopReport]) -> String {
    let rows: Vec<_> = reports.iter().map(stop).collect();
    let table = table(["MACHINE", "KIND", "STOP", "STATE", "WHAT WAS DONE"], &rows);
    let silent: String = reports.iter().filter_map(why).map(|it| plain(&it) + "\n").collect();
    let powers: String = reports.iter().filter_map(power).map(|it| plain(&it) + "\n").collect();
    format!("{table}{silent}{powers}\n{NOT_AN_EMERGENCY_STOP}\n")
}

fn stop(report: &StopReport) -> [String; 5] {
    let came = match (report.sent, report.confirmed) {
        (_, true) => match report.ms {
            Some(ms) => format!("{}, confirmed in {} ms", rest(report), count(ms)),
            None => format!("{}, confirmed", rest(report)),
        },
        (true, false) => "sent, NOT CONFIRMED".to_owned(),
        (false, false) => "NOT SENT".to_owned(),
    };
    [
        report.machine.clone(),
        report.class.clone(),
        came,
        report.state.word().to_owned(),
        report.did.clone(),
    ]
}

/// What is confirmed: its own rest, or that it has no power.
pub(super) fn rest(report: &StopReport) -> &'static str {
    let off = report.power.as_ref().is_some_and(|it| it.confirmed);
    if off && report.state == Mode::Offline { "power off" } else { "at rest" }
}

/// What became of its power, in a line of its own.
fn power(report: &StopReport) -> Option<String> {
    let it = report.power.as_ref()?;
    let came = match (it.confirmed, it.ms) {
        (true, Some(ms)) => format!("power off, read back in {} ms", count(ms)),
        (true, None) => "power off, read back".to_owned(),
        (false, _) => "power NOT CONFIRMED OFF".to_owned(),
    };
    Some(format!("{}: {came} ({}): {}", report.machine, it.relay, it.text))
}

/// Why nothing was confirmed, in a line of its own.
fn why(report: &StopReport) -> Option<String> {
    report.text.as_ref().map(|text| format!("{}: {text}", report.machine))
}

#[cfg(test)]
mod tests {
    use headstock_config::api::PowerReport;
    use headstock_config::job::JobState;

    use super::*;
    use crate::view::samples;

    #[test]
    fn the_status_shows_machines_and_the_jobs_that_are_not_over() {
        let mut done = samples::job("j11");
        done.job.state = JobState::Completed;
        let jobs = [samples::job("j12"), done];
        let expected = "\
headstock 0.1.0, up 1 h 02 min, journal ok at entry 1,204, 12.3 MB in memory, web on 127.0.0.1:7878

MACHINE  STATE    JOB  WAITING  POSITION    PORT          NOTE
mill     running  j12  1        X1.5 Y2 Z0  /dev/ttyUSB0

j12 running [#####--------]  42 %  1,852 of 4,410 lines, 3 min 20 s left
";
        let machines = [samples::machine("mill")];
        assert_eq!(status(&samples::system(), &machines, &jobs, 72), expected);
    }

    #[test]
    fn a_stop_that_nobody_confirmed_is_shouted() {
        let report = |machine: &str, class: &str, sent, confirmed| StopReport {
            machine: machine.into(),
            class: class.into(),
            did: if sent { "feed hold, rest, then reset" } else { "nothing" }.into(),
            sent,
            confirmed,
            ms: confirmed.then_some(312),
            state: if confirmed { Mode::Idle } else { Mode::Offline },
            text: (!confirmed).then(|| "the port is gone".into()),
            power: None,
        };
        let reports = [report("mill", "mill", true, true), report("cutter", "laser", false, false)];
        let expected = "\
MACHINE  KIND   STOP                          STATE    WHAT WAS DONE
mill     mill   at rest, confirmed in 312 ms  idle     feed hold, rest, then reset
cutter   laser  NOT SENT                      offline  nothing
cutter: the port is gone

This was a software stop. If a person is in danger press the red button.
";
        assert_eq!(stops(&reports), expected);

        let mut cut = report("prusa", "printer", true, true);
        cut.state = Mode::Offline;
        let text = "it stays off until somebody says `headstock point relays.prusa --set on`";
        let relay = "relays.prusa".to_owned();
        cut.power = Some(PowerReport { relay, confirmed: true, ms: Some(14), text: text.into() });
        let expected = "prusa: power off, read back in 14 ms (relays.prusa): it stays off until \
            somebody says `headstock point relays.prusa --set on`\n";
        let said = stops(&[cut]);
        for part in ["power off, confirmed in 312 ms", expected] {
            assert!(said.contains(part), "{said}");
        }
    }
}
