//! Figures in the text format of Prometheus (version 0.0.4).

use std::fmt::Write;
use std::sync::PoisonError;

use headstock_config::alarm::{AlarmState, Priority};
use headstock_config::api::{Bus, Equipment};
use headstock_config::job::JobState;
use headstock_config::ledger::State;
use headstock_config::machine::Mode;
use headstock_config::point::Value;
use warp::http::StatusCode;
use warp::reply::Response;

use super::ask::{Asked, typed};
use super::error::Failure;
use super::hall::Hall;
use super::process;
use crate::desk::Desk;
use crate::histogram::Histogram;
use crate::ledger::Health;
use crate::points::Points;

/// Points on the page, the first by name: a page is read every few seconds by somebody who keeps
/// every line of it for ever.
const POINTS: usize = 5_000;

const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

const MODES: [Mode; 12] = [
    Mode::Offline,
    Mode::Connecting,
    Mode::Idle,
    Mode::Running,
    Mode::Holding,
    Mode::Held,
    Mode::Jogging,
    Mode::Homing,
    Mode::Checking,
    Mode::Door,
    Mode::Alarm,
    Mode::Sleeping,
];

const JOB_STATES: [JobState; 7] = [
    JobState::Queued,
    JobState::Running,
    JobState::Held,
    JobState::Interrupted,
    JobState::Completed,
    JobState::Failed,
    JobState::Cancelled,
];

pub(super) async fn metrics(ask: Asked) -> Result<Response, Failure> {
    let text = text(&ask.hall);
    Ok(typed(StatusCode::OK, CONTENT, text.into_bytes()))
}

fn text(hall: &Hall) -> String {
    let mut page = Page::default();
    house(&mut page, hall);
    let equipment = hall.door.desk.equipment();
    machines(&mut page, &equipment);
    buses(&mut page, &hall.door.desk.buses());
    let state = hall.door.desk.ledger().state();
    let lines = hall.lines.lock().unwrap_or_else(PoisonError::into_inner).lines(&state, &equipment);
    work(&mut page, &state, lines);
    drop(state);
    alarms(&mut page, &hall.door.desk);
    points(&mut page, hall.door.desk.points());
    page.histogram(
        "headstock_stop_seconds",
        "From the arrival of a hold, stop or abort, of the hold or cancel of a job, or of a stop of all, at a door until its byte had been handed to the port of a machine; one for each machine.",
        hall.door.desk.stop_times(),
    );
    page.text
}

fn house(page: &mut Page, hall: &Hall) {
    let ledger = hall.door.desk.ledger();
    let (entry, health) = (ledger.state().applied, *ledger.health().borrow());
    let uptime = hall.door.opened.elapsed().as_secs_f64();
    page.head("headstock_build_info", "gauge", "The daemon's version.");
    page.line("headstock_build_info", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
    page.one("headstock_uptime_seconds", "gauge", "Since the house opened.", uptime);
    page.one("headstock_ledger_entry", "counter", "Number of the last entry of the book.", entry);
    page.head("headstock_journal_health", "gauge", "1 for the state that the journal is in.");
    for state in [Health::Ok, Health::LowSpace, Health::Failed] {
        let label = format!("state=\"{}\"", state.word());
        page.line("headstock_journal_health", &label, u8::from(state == health));
    }
    page.head("headstock_connections", "gauge", "Open connections, and feeds among them.");
    for (door, seats) in [("tcp", &hall.tcp), ("socket", &hall.socket), ("feed", &hall.feeds)] {
        page.line("headstock_connections", &format!("door=\"{door}\""), seats.taken());
    }
    let (rss, cpu) = (process::rss_bytes(), process::cpu_s());
    page.one("process_resident_memory_bytes", "gauge", "Resident memory.", rss);
    page.one("process_cpu_seconds_total", "counter", "Processor time used.", cpu);
}

fn machines(page: &mut Page, equipment: &[Equipment]) {
    page.head("headstock_machine_state", "gauge", "1 for the state that a machine is in.");
    for machine in equipment {
        for mode in MODES {
            let label = format!("machine=\"{}\",state=\"{}\"", machine.id, mode.word());
            page.line("headstock_machine_state", &label, u8::from(mode == machine.state));
        }
    }
    page.head("headstock_starved", "gauge", "Times that the planner ran empty in this program.");
    for machine in equipment {
        let starved = machine.live.progress.map_or(0, |it| it.starved);
        page.line("headstock_starved", &format!("machine=\"{}\"", machine.id), starved);
    }
}

fn buses(page: &mut Page, buses: &[Bus]) {
    page.head(
        "headstock_bus_utilisation",
        "gauge",
        "Share of the last ten seconds in which the bus of this machine, its first, was busy.",
    );
    for bus in buses {
        let first = bus.devices.first().map_or("", |device| device.machine.as_str());
        let label = format!("machine=\"{first}\"");
        page.line("headstock_bus_utilisation", &label, bus.utilisation);
    }
    page.head(
        "headstock_bus_requests_total",
        "counter",
        "Requests to a device, by what came of them.",
    );
    for device in buses.iter().flat_map(|bus| &bus.devices) {
        let outcomes = [
            ("answer", device.answers),
            ("silence", device.silences),
            ("garbled", device.garbled),
            ("refused", device.refused),
        ];
        for (outcome, count) in outcomes {
            let label = format!("machine=\"{}\",outcome=\"{outcome}\"", device.machine);
            page.line("headstock_bus_requests_total", &label, count);
        }
    }
    page.head(
        "headstock_bus_overruns_total",
        "counter",
        "Polls of a device that were left out because they were late.",
    );
    for device in buses.iter().flat_map(|bus| &bus.devices) {
        let label = format!("machine=\"{}\"", device.machine);
        page.line("headstock_bus_overruns_total", &label, device.overruns);
    }
}

fn work(page: &mut Page, state: &State, lines: Vec<(String, u64)>) {
    page.head("headstock_jobs", "gauge", "Jobs that are remembered, by state.");
    for wanted in JOB_STATES {
        let count = state.jobs.values().filter(|job| job.state == wanted).count();
        page.line("headstock_jobs", &format!("state=\"{}\"", wanted.word()), count);
    }
    page.head(
        "headstock_lines_acked_total",
        "counter",
        "Program lines answered since the house opened.",
    );
    for (machine, lines) in lines {
        page.line("headstock_lines_acked_total", &format!("machine=\"{machine}\""), lines);
    }
}

/// Alarms that are declared, by state and priority, and interlocks.
fn alarms(page: &mut Page, desk: &Desk) {
    let alarms = desk.alarms(true);
    page.head("headstock_alarms", "gauge", "Alarms, by state and priority.");
    for state in AlarmState::ALL {
        for priority in [Priority::Critical, Priority::High, Priority::Low] {
            let here = alarms.iter().filter(|it| it.state == state && it.priority == priority);
            let label = format!("priority=\"{}\",state=\"{}\"", priority.word(), state.word());
            page.line("headstock_alarms", &label, here.count());
        }
    }
    page.head("headstock_alarms_raised_total", "counter", "How often each alarm has come.");
    for alarm in &alarms {
        let label = format!("alarm=\"{}\"", alarm.id);
        page.line("headstock_alarms_raised_total", &label, alarm.count);
    }
    page.head(
        "headstock_interlock_trips_total",
        "counter",
        "How often each interlock has tripped since the house opened.",
    );
    for (rule, trips) in desk.rules().trip_counts() {
        page.line("headstock_interlock_trips_total", &format!("rule=\"{rule}\""), trips);
    }
    page.histogram(
        "headstock_interlock_seconds",
        "From the moment at which a device said what tripped a rule until the byte of the stop had been handed to the machine's port.",
        desk.rules().times(),
    );
}

fn points(page: &mut Page, points: &Points) {
    let mut shown = points.all();
    shown.truncate(POINTS);
    page.head("headstock_point", "gauge", "The number that a point is, while it can be believed.");
    for point in shown.iter().filter(|it| it.quality.believable()) {
        if let Some(number) = point.value.as_ref().and_then(Value::number) {
            let label = format!("name=\"{}\",unit=\"{}\"", point.name, escaped(&point.unit));
            page.line("headstock_point", &label, number);
        }
    }
    let help = "How far a point can be believed: 0 good, 1 uncertain, 2 stale, 3 bad.";
    page.head("headstock_point_quality", "gauge", help);
    for point in &shown {
        let label = format!("name=\"{}\"", point.name);
        page.line("headstock_point_quality", &label, point.quality as u8);
    }
    let tally = points.tally();
    let help = "Changes of points that were told and kept.";
    page.one("headstock_point_changes_total", "counter", help, tally.changes);
    let help = "Minutes of points for the history on disk.";
    page.head("headstock_point_minutes_total", "counter", help);
    for (fate, count) in [("written", tally.minutes_written), ("lost", tally.minutes_lost)] {
        page.line("headstock_point_minutes_total", &format!("fate=\"{fate}\""), count);
    }
}

/// A label that people wrote, as the text format has it.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The page as it grows. Labels hold ids and words of the house: nothing to be escaped but units.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        self.write(format_args!("{name}{{{labels}}} {value}\n"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        self.write(format_args!("{name} {value}\n"));
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let (mut below, bucket) = (0, format!("{name}_bucket"));
        for (bound_us, count) in histogram.up_to() {
            below = count;
            self.line(&bucket, &format!("le=\"{}\"", bound_us as f64 / 1e6), count);
        }
        let count = histogram.count().max(below);
        self.line(&bucket, "le=\"+Inf\"", count);
        let sum_s = histogram.sum_s();
        self.write(format_args!("{name}_sum {sum_s}\n{name}_count {count}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_people_wrote_breaks_no_line() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn buckets_count_everything_up_to_their_bound() {
        let histogram = Histogram::default();
        for us in [90, 100, 101, 4_000, 5_000_000] {
            histogram.note(Duration::from_micros(us));
        }
        let mut page = Page::default();
        page.histogram("t", "Help.", &histogram);
        for line in [
            "# TYPE t histogram",
            "t_bucket{le=\"0.0001\"} 2",
            "t_bucket{le=\"0.00025\"} 3",
            "t_bucket{le=\"0.005\"} 4",
            "t_bucket{le=\"1\"} 4",
            "t_bucket{le=\"+Inf\"} 5",
            "t_count 5",
        ] {
            assert!(page.text.lines().any(|it| it == line), "{line} in {}", page.text);
        }
    }
}
