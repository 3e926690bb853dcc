//! How one device is.
//!
//! ```text
//!             answer                    2 silences            1 more
//!  Unknown ------------> Online ---------------------> Suspect -----> Offline
//!     |                   ^  ^                            |              |
//!     | 2 silences        |  +--------- answer -----------+              |
//!     +-----> Offline     +---------------- answer to a probe -----------+
//! ```
//!
//! A suspect is asked for one thing only; a device that is offline is probed after 1, 2, 4 … 60 s.

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::machine::Mode;
use headstock_config::point::Value;

use super::beats::Beat;
use super::job::same;
use super::load::Times;
use crate::bus::Fault;

/// Silences in a row after which a device is suspect.
const SUSPECT: u32 = 2;
/// When a suspect is asked again.
const AGAIN: Duration = Duration::from_millis(250);
/// Longest that a device which is offline is left alone.
const LONGEST: Duration = Duration::from_secs(60);
/// The same for one that has not heard of a stop yet.
const LONGEST_STOPPING: Duration = Duration::from_secs(5);

/// How a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// The bus has just been opened.
    #[default]
    Unknown,
    /// It answers.
    Online,
    /// It has not answered the last times.
    Suspect,
    /// It is given up, and asked now and then.
    Offline,
}

impl Health {
    /// The word used in every interface.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "connecting",
            Self::Online => "online",
            Self::Suspect => "suspect",
            Self::Offline => "offline",
        }
    }
}

/// What has come of the requests to one device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests made.
    pub requests: u64,
    /// Good answers.
    pub answers: u64,
    /// Requests without an answer.
    pub silences: u64,
    /// Answers that were none.
    pub garbled: u64,
    /// Requests that it refused.
    pub refused: u64,
    /// How long answers took.
    pub times: Times,
}

/// A tag that tells whether the machine rests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) tag: usize,
    /// It rests while the value is below this.
    pub(super) below: f64,
    /// What it was last, and when; `None`: there is no telling.
    pub(super) last: Option<(f64, Instant)>,
}

impl Rest {
    fn turns(&self) -> bool {
        self.last.is_some_and(|(last, _)| self.below <= last.abs())
    }
}

/// A stop that has not been confirmed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    pub(super) how: Stop,
    /// Since when everything has been written and read back.
    pub(super) written: Option<Instant>,
}

/// One device as the schedule sees it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) health: Health,
    silences: u32,
    /// Its latest request was given up for a stop before it had answered.
    pub(super) given_up: bool,
    probes: u32,
    /// When a suspect or lost device is asked again.
    pub(super) probe_at: Instant,
    /// Every safe state has been brought about since the house opened.
    pub(super) met: bool,
    /// One of them has not, this time.
    pub(super) missed: bool,
    pub(super) stopping: Option<Stopping>,
    /// Its own power is off, as far as the house knows.
    pub(super) dark: bool,
    /// It has been stopped and nothing has been heard or asked since that would undo it: what is
    /// read back for as long as that is so, by tag.
    pub(super) stopped: Option<Vec<(usize, Value)>>,
    pub(super) rests: Vec<Rest>,
    /// Its signs of life, if it wants them.
    pub(super) beat: Option<Beat>,
    pub(super) counts: Counts,
    /// The last fault.
    pub(super) why: String,
}

impl Unit {
    pub(super) fn new(now: Instant, rests: Vec<Rest>, beat: Option<Beat>) -> Self {
        Self {
            health: Health::Offline,
            silences: 0,
            given_up: false,
            probes: 0,
            probe_at: now,
            met: false,
            missed: false,
            stopping: None,
            dark: false,
            stopped: None,
            rests,
            beat,
            counts: Counts::default(),
            why: "the bus is not open".into(),
        }
    }

    /// The bus has been opened.
    pub(super) fn opened(&mut self) {
        self.health = if self.dark { Health::Offline } else { Health::Unknown };
        self.silences = 0;
        self.given_up = false;
        self.probes = 0;
    }

    /// It has answered. Whether that is news.
    pub(super) fn answered(&mut self) -> bool {
        self.silences = 0;
        self.given_up = false;
        self.probes = 0;
        let news = matches!(self.health, Health::Unknown | Health::Offline);
        self.health = Health::Online;
        news
    }

    /// It has not answered. Whether it has just been given up; `chance` is any number that differs
    /// from device to device.
    pub(super) fn silent(&mut self, now: Instant, fault: &Fault, chance: u64) -> bool {
        self.silences = self.silences.saturating_add(1);
        self.given_up = false;
        self.why = fault.to_string();
        let before = self.health;
        self.health = match before {
            Health::Unknown if SUSPECT <= self.silences => Health::Offline,
            Health::Online if SUSPECT <= self.silences => Health::Suspect,
            Health::Suspect => Health::Offline,
            health => health,
        };
        match self.health {
            Health::Suspect => self.probe_at = now + AGAIN,
            Health::Offline => self.probe_at = now + self.wait(chance),
            _ => (),
        }
        self.health == Health::Offline && before != Health::Offline
    }

    /// 1, 2, 4 … 60 s, a fifth more or less so that dead devices do not keep step.
    fn wait(&mut self, chance: u64) -> Duration {
        let wait = Duration::from_secs(1 << self.probes.min(6)).min(LONGEST);
        self.probes = self.probes.saturating_add(1);
        let mixed = (chance + u64::from(self.probes)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let share = 0.8 + 0.4 * (mixed as f64 / f64::from(u32::MAX));
        let longest = if self.stopping.is_some() { LONGEST_STOPPING } else { LONGEST };
        wait.mul_f64(share).min(longest)
    }

    /// The link is gone. Whether that is news of this device.
    pub(super) fn lost(&mut self, why: &str) -> bool {
        let news = self.health != Health::Offline;
        self.health = Health::Offline;
        self.why = why.to_owned();
        for rest in &mut self.rests {
            rest.last = None;
        }
        news
    }

    /// It has answered the last time.
    pub(super) fn answers(&self) -> bool {
        self.health == Health::Online && self.silences == 0 && !self.given_up
    }

    /// It may be asked for this and that.
    pub(super) fn reachable(&self) -> bool {
        matches!(self.health, Health::Online | Health::Unknown)
    }

    /// What one of its tags says; `None`: nothing that can be believed.
    pub(super) fn told(&mut self, tag: usize, believed: Option<&Value>, at: Instant) {
        let mut set_off = false;
        for rest in self.rests.iter_mut().filter(|rest| rest.tag == tag) {
            let before = rest.turns();
            rest.last = believed.and_then(|value| Some((value.number()?, at)));
            set_off |= !before && rest.turns();
        }
        let undone = |(of, expected): &(usize, Value)| {
            *of == tag && believed.is_some_and(|found| !same(expected, found))
        };
        if set_off || self.stopped.iter().flatten().any(undone) {
            self.stopped = None;
        }
    }

    /// What it shows as.
    pub(super) fn mode(&self) -> Mode {
        match self.health {
            Health::Unknown => Mode::Connecting,
            Health::Offline => Mode::Offline,
            _ if self.stopping.is_some() => Mode::Holding,
            _ if self.rests.iter().any(Rest::turns) => Mode::Running,
            _ => Mode::Idle,
        }
    }

    /// Whether it has been seen to rest since this moment.
    pub(super) fn rests_since(&self, since: Instant) -> bool {
        self.rests.iter().all(|rest| {
            rest.last.is_some_and(|(last, seen)| since <= seen && last.abs() < rest.below)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_device_is_asked_less_and_less() {
        let start = Instant::now();
        let mut unit = Unit::new(start, Vec::new(), None);
        unit.opened();
        assert!(unit.answered());
        let silence = Fault::Silence(500);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..12 {
            unit.silent(now, &silence, 7);
            if unit.health == Health::Offline {
                waits.push((unit.probe_at - now).as_secs_f64());
                now = unit.probe_at;
            }
        }
        assert_eq!(waits.len(), 10, "after three silences");
        for (wait, plain) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
            assert!((0.8 * plain..=1.2 * plain).contains(wait), "{waits:?}");
        }
        assert!(unit.answered());
        assert!(!unit.silent(now, &silence, 7));
        assert_eq!(unit.mode(), Mode::Idle, "one silence is nothing yet");
    }

    #[test]
    fn a_device_shows_what_its_tags_say() {
        let now = Instant::now();
        let rest = Rest { tag: 0, below: 10.0, last: None };
        let mut unit = Unit::new(now, vec![rest], None);
        assert_eq!(unit.mode(), Mode::Offline);
        unit.opened();
        assert_eq!(unit.mode(), Mode::Connecting);
        unit.answered();
        unit.rests[0].last = Some((-200.0, now));
        assert_eq!(unit.mode(), Mode::Running, "backwards is running as well");
        assert!(!unit.rests_since(now));
        unit.rests[0].last = Some((9.0, now));
        assert_eq!(unit.mode(), Mode::Idle);
        assert!(unit.rests_since(now) && !unit.rests_since(now + AGAIN));
    }
}
