//! Traces of links, for whoever wants to know what a controller really said.

use std::path::Path;
use std::time::{Duration, Instant};

use headstock_config::event::Event;
use headstock_config::load;
use headstock_drivers::link::trace::{self, Direction, Step, Unreadable};
use headstock_drivers::{Driver, Outbox, registry};
use headstock_tui::view::entries;
use headstock_tui::words::plain;
use serde::Serialize;

use super::args::TraceVerb;
use super::exit::Exit;
use super::say;
use super::trouble::Trouble;

/// Ticks that a driver gets between two steps: an hour of silence at five a second. A trace with
/// times of its own invention must not keep us busy for ever.
const TICKS: usize = 18_000;

pub(super) fn trace(what: &TraceVerb, json: bool) -> Result<Exit, Trouble> {
    match what {
        TraceVerb::Show { file } => show(file, json)?,
        TraceVerb::Replay { file, driver } => {
            let (_, steps) = read(file)?;
            replay(&steps, &mut *fresh(driver), |at, said| tell(at, said, json));
        }
    }
    Ok(Exit::Done)
}

/// The file's text and what it tells.
fn read(file: &Path) -> Result<(String, Vec<Step>), Trouble> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| Trouble::file("read", file, &error))?;
    let steps = trace::read(&text).map_err(|error| no_trace(file, &error))?;
    Ok((text, steps))
}

/// `trace show --json`: one of these a line.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Note { note: &'a str },
    Step { at_us: u64, direction: &'static str, text: String },
}

fn show(file: &Path, json: bool) -> Result<(), Trouble> {
    let (text, steps) = read(file)?;
    let mut steps = steps.iter();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let note = line.strip_prefix('#').map(|note| Shown::Note { note: note.trim() });
        let step = || steps.next().map(shown);
        // Every line that is no note is a step: the trace has been read.
        let Some(shown) = note.or_else(step) else { continue };
        if json { say::json(&shown) } else { say::text(&shown.told()) }
    }
    Ok(())
}

fn shown(step: &Step) -> Shown<'static> {
    let direction = match step.direction {
        Direction::Out => "sent",
        Direction::Urgent => "urgent",
        Direction::In => "heard",
    };
    Shown::Step { at_us: micros(step.at), direction, text: trace::text(&step.bytes) }
}

impl Shown<'_> {
    fn told(&self) -> String {
        match self {
            Self::Note { note } => plain(&format!("# {note}")),
            Self::Step { at_us, direction, text } => {
                format!("{:>12}  {direction:<6}  {text}", seconds(*at_us))
            }
        }
    }
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(at_us: u64) -> String {
    format!("{}.{:06}", at_us / 1_000_000, at_us % 1_000_000)
}

/// A driver as for a machine of which nothing is declared.
fn fresh(driver: &str) -> Box<dyn Driver> {
    let text =
        format!("[[machine]]\nid = \"trace\"\ndriver = {driver:?}\nport = \"sim:{driver}\"\n");
    let settings = load::parse(&text, "trace", &registry::names()).expect("the words are ours");
    let kind = registry::find(driver);
    let built = kind.and_then(|kind| kind.driver(&settings.machines[0]));
    built.expect("only names of drivers that speak bytes are accepted")
}

/// Lets a driver hear what the device said, by a clock made of the times in the trace. What it
/// would send is dropped: the device has said its part already.
fn replay(steps: &[Step], driver: &mut dyn Driver, mut tell: impl FnMut(Duration, &Event)) {
    let (began, mut out) = (Instant::now(), Outbox::default());
    let mut pass_on = |now: Instant, out: &mut Outbox| {
        out.bytes.clear();
        out.urgent.clear();
        for said in out.events.drain(..) {
            tell(now.saturating_duration_since(began), &said);
        }
    };
    driver.greet(began, &mut out);
    for step in steps {
        let now = began + step.at;
        for _ in 0..TICKS {
            let Some(due) = driver.deadline().filter(|due| *due <= now) else { break };
            driver.tick(due.max(began), &mut out);
            pass_on(due, &mut out);
        }
        if step.direction == Direction::In {
            driver.hear(now, &step.bytes, &mut out);
        }
        pass_on(now, &mut out);
    }
}

/// `trace replay --json`: one of these a line.
#[derive(Serialize)]
struct Replayed<'a> {
    at_us: u64,
    #[serde(flatten)]
    said: &'a Event,
}

fn tell(at: Duration, said: &Event, json: bool) {
    let at_us = micros(at);
    if json {
        say::json(&Replayed { at_us, said });
    } else {
        say::text(&plain(&format!("{:>12}  {}", seconds(at_us), entries::event(said))));
    }
}

fn no_trace(file: &Path, error: &Unreadable) -> Trouble {
    Trouble::new(
        Exit::WrongWords,
        "trace.unreadable",
        format!("{}: {error}", file.display()),
        "nothing was replayed",
        "name a file that `headstock daemon --trace DIR` has written",
    )
}

#[cfg(test)]
mod tests {
    use headstock_config::settings::Settings;

    use super::*;
    use crate::house::{Ground, House};

    /// A house with a pretend mill, open until the mill has introduced itself.
    async fn record(folder: &Path) -> String {
        let text = "[web]\nlisten = \"127.0.0.1:0\"\n[[machine]]\nid = \"mill\"\n\
                    driver = \"grbl\"\nport = \"sim:grbl\"\n";
        let settings: Settings = load::parse(text, "t.toml", &registry::names()).unwrap();
        let ground = Ground { settings, state_dir: folder.join("state"), socket: folder.join("s") };
        let house = House::open_recorded(ground, Some(folder.join("traces"))).await.unwrap();
        let known = || house.desk.one_equipment("mill").unwrap().controller.is_some();
        let ((), mut entries) = house.desk.ledger().follow(|_| ());
        while !known() {
            entries.recv().await.unwrap();
        }
        house.close().await;
        let mut traces = std::fs::read_dir(folder.join("traces")).unwrap();
        let trace = traces.next().expect("a trace").unwrap();
        assert!(trace.file_name().to_str().unwrap().starts_with("mill-"));
        std::fs::read_to_string(trace.path()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_recorded_link_can_be_looked_at_and_heard_again() {
        let folder = tempfile::tempdir().unwrap();
        let text = record(folder.path()).await;
        assert!(text.starts_with("# headstock "), "{text}");
        let steps = trace::read(&text).unwrap();
        let told: Vec<String> = steps.iter().map(|step| shown(step).told()).collect();
        assert!(told.iter().any(|line| line.contains("  sent    $I\\n")), "{told:#?}");
        assert!(told.iter().any(|line| line.contains("  heard   ") && line.contains("ok")));

        let mut said = Vec::new();
        replay(&steps, &mut *fresh("grbl"), |_, event| said.push(event.clone()));
        let met = said.iter().find_map(|event| match event {
            Event::Connected { controller } => Some(controller.version.clone()),
            _ => None,
        });
        assert!(met.is_some_and(|version| version.starts_with("1.1h")), "{said:#?}");
    }

    #[test]
    fn a_trace_with_odd_times_ends() {
        let text = format!("0 < ok\\r\\n\n{0} < ok\\r\\n\n5 < Grbl 1.1h\\r\\n\n", u64::MAX);
        let steps = trace::read(&text).unwrap();
        replay(&steps, &mut *fresh("grbl"), |_, _| ());
        assert_eq!(seconds(1_204_518), "1.204518");
    }
}
