//! What can be made to go wrong with the pretend printer, by name.
//!
//! `NAME[@WHEN][+HOW_LONG]`, where `WHEN` is a number of lines (`@100`) or a time since the start
//! (`@2s`), at once without it; and `HOW_LONG` a time (`+1.5s`), 1 s without it.

use std::str::FromStr;
use std::time::Duration;

/// A year: beyond some billions of those no clock can count.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Something going wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub what: What,
    /// When.
    pub when: When,
    /// For how long; a reset takes no time.
    pub lasts: Duration,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The cable comes out and is plugged in again; the printer goes on.
    Unplug,
    /// As unplug, and the firmware loses its power with the cable.
    Power,
    /// Random bytes among what the firmware says.
    Garbage,
    /// The firmware restarts by itself.
    Reset,
    /// The firmware hears and obeys, and nothing that it says arrives.
    Mute,
    /// The nozzle's heater falls off: some seconds later the firmware halts.
    Runaway,
    /// The filament sensor finds none.
    Runout,
    /// The firmware halts itself.
    Kill,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// At once.
    Now,
    /// When this many lines have been read.
    Lines(u64),
    /// This long after the start.
    After(Duration),
}

/// Words that name no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no fault; write `unplug`, `power`, `garbage`, `reset`, `mute`, `runaway`, `runout` or \
     `kill`, then perhaps `@100` (lines) or `@2s`, then perhaps `+1s`; no time is longer than a year"
)]
pub struct NoFault(String);

impl Fault {
    /// At once, for a second.
    pub fn now(what: What) -> Self {
        Self { what, when: When::Now, lasts: Duration::from_secs(1) }
    }

    /// The same for this long.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
    }
}

impl FromStr for Fault {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        parse(text).ok_or_else(|| NoFault(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (rest, lasts) = match text.split_once('+') {
        Some((rest, lasts)) => (rest, seconds(lasts)?),
        None => (text, Duration::from_secs(1)),
    };
    let (name, when) = match rest.split_once('@') {
        Some((name, when)) => (name, moment(when)?),
        None => (rest, When::Now),
    };
    let what = match name {
        "unplug" => What::Unplug,
        "power" => What::Power,
        "garbage" => What::Garbage,
        "reset" => What::Reset,
        "mute" => What::Mute,
        "runaway" => What::Runaway,
        "runout" => What::Runout,
        "kill" => What::Kill,
        _ => return None,
    };
    Some(Fault { what, when, lasts })
}

fn moment(text: &str) -> Option<When> {
    match text.parse() {
        Ok(lines) => Some(When::Lines(lines)),
        Err(_) => seconds(text).map(When::After),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_as_name_moment_and_duration() {
        let second = Duration::from_secs(1);
        for (text, what, when, lasts) in [
            ("reset", What::Reset, When::Now, second),
            ("unplug@100", What::Unplug, When::Lines(100), second),
            ("mute@2.5s+3s", What::Mute, When::After(second * 5 / 2), second * 3),
            ("runout+0.5s", What::Runout, When::Now, second / 2),
        ] {
            assert_eq!(text.parse(), Ok(Fault { what, when, lasts }));
        }
        for text in
            ["melt", "reset@", "mute+1", "kill+-1s", "", "kill+1e300s", "mute@1e19s", "mute+4e7s"]
        {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
