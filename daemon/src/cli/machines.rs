//! Machines: looking at them, telling them something, stopping them.

use std::time::{Duration, Instant};

use headstock_config::api::{Bus, Equipment, Frames, StopReport, StopScope};
use headstock_config::command::{Command, Stop};
use headstock_config::machine::Setting;
use headstock_tui::view;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::client::encoded;
use super::exit::Exit;
use super::signals::Ended;
use super::trouble::Trouble;
use super::{Call, say};

/// All machines, or one in detail.
pub(super) fn list(call: &Call, machine: Option<&str>) -> Result<Exit, Trouble> {
    match machine {
        None => {
            let machines: Vec<Equipment> = call.client.get("equipment")?;
            call.show(&machines[..], view::machines::list);
        }
        Some(id) => {
            let machine: Equipment = call.client.get(&format!("equipment/{}", encoded(id)))?;
            call.show(&machine, view::machines::show);
        }
    }
    Ok(Exit::Done)
}

/// The buses, or the frames on the bus of a machine.
pub(super) fn buses(call: &Call, frames: Option<&str>) -> Result<Exit, Trouble> {
    match frames {
        None => {
            let buses: Vec<Bus> = call.client.get("buses")?;
            call.show(&buses[..], view::buses::list);
        }
        Some(machine) => {
            let path = format!("equipment/{}/frames", encoded(machine));
            let frames: Frames = call.client.get(&path)?;
            call.show(&frames, |it| it.frames.join("\n"));
        }
    }
    Ok(Exit::Done)
}

/// The settings that a controller has told.
pub(super) fn settings(call: &Call, machine: &str) -> Result<Exit, Trouble> {
    let path = format!("equipment/{}/settings", encoded(machine));
    let settings: Vec<Setting> = call.client.get(&path)?;
    call.show(&settings[..], view::machines::settings);
    Ok(Exit::Done)
}

/// What `hold`, `home` and the like answer with `--json`.
#[derive(Serialize)]
struct Told<'a> {
    machine: &'a str,
    #[serde(flatten)]
    command: &'a Command,
}

/// Passes a command on to a machine.
pub(super) fn tell(call: &Call, machine: &str, command: &Command) -> Result<Exit, Trouble> {
    let path = format!("equipment/{}/commands", encoded(machine));
    let _: IgnoredAny = call.client.post(&path, command)?;
    call.show(&Told { machine, command }, |_| format!("passed on to {machine}"));
    Ok(Exit::Done)
}

/// How often it is said that a jog goes on: several times within its lease.
const SIGN: Duration = Duration::from_millis(40);
/// Longest that one command jogs: nobody holds a key for longer.
const LONGEST: f64 = 60.0;

/// Jogs for as long as this runs, at most for so many seconds. What ends this program, or keeps it
/// from asking, ends the jog within its lease.
pub(super) fn hold_jog(
    call: &Call,
    machine: &str,
    command: &Command,
    seconds: f64,
) -> Result<Exit, Trouble> {
    if !(0.0..=LONGEST).contains(&seconds) {
        let text = format!("`{seconds}` is no time to jog for");
        return Err(Trouble::words(text, "give seconds, 60 at most: --for 2"));
    }
    let (path, ended) = (format!("equipment/{}/commands", encoded(machine)), Ended::listen());
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let _: IgnoredAny = call.client.post(&path, command)?;
    while !ended.so() && Instant::now() < until {
        std::thread::sleep(SIGN);
        let _: IgnoredAny = call.client.post(&path, command)?;
    }
    let _: IgnoredAny = call.client.post(&path, &Command::JogEnd)?;
    call.show(&Told { machine, command }, |_| format!("{machine} was jogged"));
    Ok(Exit::Done)
}

/// Stops one machine or all of them, and says which have confirmed it.
pub(super) fn stop(call: &Call, machine: Option<&str>, how: Option<Stop>) -> Result<Exit, Trouble> {
    let scope = StopScope { scope: machine.unwrap_or("all").to_owned(), how };
    let reports: Vec<StopReport> = call.client.post("stop", &scope)?;
    call.show(&reports[..], view::house::stops);
    if reports.iter().all(|report| report.confirmed) {
        return Ok(Exit::Done);
    }
    say::aside("not every machine has confirmed that it rests: go and look");
    Ok(Exit::NotStopped)
}
