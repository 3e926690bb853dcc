//! What was on when the house met a machine: heat or a spindle that nobody has asked this house for.
//!
//! ```text
//!  away --it answers--> new --something is on, no job--> left on --off, or a job--> known
//!                         \--it tells that nothing is, or nothing for a while, or a job--> known
//! ```
//!
//! After a crash in the middle of a job the machine stays hot or goes on turning: nothing is switched
//! by itself, so somebody has to be called.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headstock_config::machine::{Live, Mode};

/// A controller tells of its spindle within so long after it has answered.
const NEW: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Met {
    New(Instant),
    /// What of it is on.
    LeftOn(String),
    Known,
}

/// The machines that are not away.
#[derive(Debug, Default)]
pub(super) struct LeftOn(BTreeMap<String, Met>);

impl LeftOn {
    /// How a machine is now; `works`: a job is under way on it.
    pub(super) fn look(&mut self, now: Instant, machine: &str, live: &Live, works: bool) {
        if matches!(live.mode, Mode::Offline | Mode::Connecting) {
            self.0.remove(machine);
            return;
        }
        let met = self.0.entry(machine.to_owned()).or_insert(Met::New(now));
        *met = match (&*met, what_is_on(live)) {
            _ if works => Met::Known,
            (Met::New(_) | Met::LeftOn(_), Some(on)) => Met::LeftOn(on),
            // It has told of its heaters, and none of them was on.
            (Met::New(_), None) if !live.temperatures.is_empty() => Met::Known,
            (Met::New(since), None) if now.saturating_duration_since(*since) < NEW => {
                Met::New(*since)
            }
            _ => Met::Known,
        };
    }

    /// What it was met with that still is on, for people.
    pub(super) fn of(&self, machine: &str) -> Option<&str> {
        match self.0.get(machine)? {
            Met::LeftOn(on) => Some(on),
            Met::New(_) | Met::Known => None,
        }
    }
}

/// What of a machine is on, for people; `None`: nothing.
fn what_is_on(live: &Live) -> Option<String> {
    let heaters = live.temperatures.iter().filter_map(|it| {
        let target = it.target.filter(|target| 0.0 < *target)?;
        Some(format!("{} is kept at {target:.0} °C", it.name))
    });
    let turns = live.accessory.contains(['S', 'C']);
    let spindle = turns.then(|| format!("the spindle turns, {:.0} rev/min", live.spindle));
    let coolant = live.accessory.contains(['F', 'M']).then(|| "coolant runs".to_owned());
    let all: Vec<String> = heaters.chain(spindle).chain(coolant).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use headstock_config::machine::Temperature;

    use super::*;

    fn printer(mode: Mode, target: f64) -> Live {
        let bed = Temperature {
            name: "bed".into(),
            celsius: 40.0,
            target: Some(target),
            ..Temperature::default()
        };
        Live { mode, temperatures: vec![bed], ..Live::default() }
    }

    #[test]
    fn what_is_on_when_a_machine_is_met_is_left_on_until_it_is_off() {
        let (mut left, now) = (LeftOn::default(), Instant::now());
        let mut look = |s: u64, mode, target, works| {
            left.look(now + Duration::from_secs(s), "ender", &printer(mode, target), works);
            left.of("ender").is_some()
        };
        assert!(!look(0, Mode::Connecting, 60.0, false));
        assert!(look(3, Mode::Idle, 60.0, false));
        assert!(look(900, Mode::Idle, 60.0, false));
        assert!(!look(901, Mode::Idle, 0.0, false));
        assert!(!look(902, Mode::Idle, 60.0, false), "somebody preheats");
        assert!(!look(903, Mode::Offline, 0.0, false));
        assert!(look(904, Mode::Idle, 60.0, false), "it was met anew");
        assert!(!look(905, Mode::Running, 60.0, true), "a job heats");
        assert!(!look(906, Mode::Idle, 60.0, false));
        assert!(!look(907, Mode::Offline, 0.0, false));
        assert!(!look(908, Mode::Idle, 0.0, false), "it tells that it is off");
        assert!(!look(909, Mode::Idle, 60.0, false), "somebody preheats at once");
    }

    #[test]
    fn a_mill_takes_a_moment_to_tell_of_its_spindle() {
        let (mut left, now) = (LeftOn::default(), Instant::now());
        let mut look = |s: u64, accessory: &str| {
            let live = Live { mode: Mode::Idle, accessory: accessory.into(), ..Live::default() };
            left.look(now + Duration::from_secs(s), "mill", &live, false);
            left.of("mill").is_some()
        };
        assert!(!look(0, "") && look(2, "S") && !look(60, "") && !look(61, "S"));
    }

    #[test]
    fn what_is_on_is_said_in_words() {
        assert_eq!(what_is_on(&Live::default()), None);
        assert_eq!(what_is_on(&printer(Mode::Idle, 60.0)).unwrap(), "bed is kept at 60 °C");
        let mill = Live { accessory: "SF".into(), spindle: 12_000.0, ..Live::default() };
        let said = "the spindle turns, 12000 rev/min; coolant runs";
        assert_eq!(what_is_on(&mill).as_deref(), Some(said));
    }
}
