//! Faults of a pretend bus, by name.
//!
//! `late@0.01`: one answer in a hundred. `dead:7@2s+5s`: unit 7 is dead from the second second on
//! for five. Without a moment it begins at once, without a duration it lasts; without a share it
//! befalls every answer.

use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

/// Longer than this nobody waits.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// No answer.
    Silence,
    /// The answer comes when nobody waits for it any more, or nearly so.
    Late,
    /// The answer has another unit's number.
    WrongUnit,
    /// A bit of the answer is flipped. Over TCP, where there is no checksum: the wrong transaction.
    Corrupt,
    /// The answer ends early.
    Short,
    /// The device answers that it is busy.
    Busy,
    /// The device answers that it has failed.
    Failing,
    /// The device knows none of the functions that came late to the standard: 22 and 23.
    Old,
    /// The unit is switched off.
    Dead,
    /// The cable is out.
    Cut,
}

const WORDS: [(&str, What); 10] = [
    ("silence", What::Silence),
    ("late", What::Late),
    ("wrong-unit", What::WrongUnit),
    ("corrupt", What::Corrupt),
    ("short", What::Short),
    ("busy", What::Busy),
    ("failing", What::Failing),
    ("old", What::Old),
    ("dead", What::Dead),
    ("cut", What::Cut),
];

/// A fault: what, whom it befalls, how often and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub what: What,
    /// With this unit only.
    pub unit: Option<u8>,
    /// Share of the answers that it befalls, 0 to 1.
    pub share: f64,
    /// Begins so long after the bus was switched on.
    pub after: Duration,
    /// Ends after this; `None`: never.
    pub lasts: Option<Duration>,
}

impl Fault {
    /// From now on, with everybody, always.
    pub fn new(what: What) -> Self {
        Self { what, unit: None, share: 1.0, after: Duration::ZERO, lasts: None }
    }

    /// The same, with one unit only.
    #[must_use]
    pub fn of(self, unit: u8) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// The same, for this share of the answers.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// Whether it is so now, with this unit.
    pub(super) fn holds(&self, now: Duration, unit: u8) -> bool {
        let over = self.lasts.and_then(|lasts| self.after.checked_add(lasts));
        self.unit.is_none_or(|it| it == unit)
            && self.after <= now
            && over.is_none_or(|over| now < over)
    }
}

impl Display for Fault {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let word = WORDS.iter().find(|(_, what)| *what == self.what).map_or("", |it| it.0);
        write!(out, "{word}")?;
        if let Some(unit) = self.unit {
            write!(out, ":{unit}")?;
        }
        Ok(())
    }
}

/// A text that names no fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no fault; write `silence`, `late`, `wrong-unit`, `corrupt`, `short`, `busy`, `failing`, \
     `old`, `dead` or `cut`, then perhaps `:7` (a unit), then perhaps `@0.01` (a share) or `@2s`, then \
     perhaps `+5s`"
)]
pub struct NoFault(String);

impl FromStr for Fault {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        parse(text).ok_or_else(|| NoFault(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (rest, lasts) = match text.split_once('+') {
        Some((rest, lasts)) => (rest, Some(seconds(lasts)?)),
        None => (text, None),
    };
    let (rest, when) = match rest.split_once('@') {
        Some((rest, when)) => (rest, Some(when)),
        None => (rest, None),
    };
    let (name, unit) = match rest.split_once(':') {
        Some((name, unit)) => (name, Some(unit.parse().ok()?)),
        None => (rest, None),
    };
    let what = WORDS.iter().find(|(word, _)| *word == name)?.1;
    let fault = Fault { what, unit, lasts, ..Fault::new(what) };
    Some(match when {
        None => fault,
        Some(when) if when.ends_with('s') => Fault { after: seconds(when)?, ..fault },
        Some(share) => {
            let share: f64 = share.parse().ok().filter(|it| (0.0..=1.0).contains(it))?;
            Fault { share, ..fault }
        }
    })
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_as_name_unit_share_or_moment_and_duration() {
        let second = Duration::from_secs(1);
        let late = Fault::new(What::Late);
        for (text, fault) in [
            ("late", late),
            ("late@0.25", late.share(0.25)),
            (
                "dead:7@2s+5s",
                Fault {
                    after: second * 2,
                    lasts: Some(second * 5),
                    ..Fault::new(What::Dead).of(7)
                },
            ),
            ("wrong-unit+0.5s", Fault { lasts: Some(second / 2), ..Fault::new(What::WrongUnit) }),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
        for text in ["", "melt", "late@2", "late@-1", "dead:300", "cut+1e300s", "cut@", "late:"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
        let dead: Fault = "dead:7@2s+5s".parse().unwrap();
        assert!(dead.holds(second * 3, 7) && !dead.holds(second * 3, 8));
        assert!(!dead.holds(second, 7) && !dead.holds(second * 7, 7));
    }
}
