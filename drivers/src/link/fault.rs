//! What can be made to go wrong with a pretend device, by name.
//!
//! `NAME[@WHEN][+HOW_LONG]`, where `WHEN` is a number of lines (`@100`) or a time since the start
//! (`@2s`), at once without it; and `HOW_LONG` a time (`+1.5s`), 1 s without it.

use std::str::FromStr;
use std::time::Duration;

/// A year: beyond some billions of those no clock can count.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Something going wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault<W> {
    /// What.
    pub what: W,
    /// When.
    pub when: When,
    /// For how long; a reset takes no time.
    pub lasts: Duration,
}

/// The things that can go wrong with one kind of device.
pub trait Named: Copy + PartialEq + std::fmt::Debug + Send + 'static {
    /// All of them, with their names.
    const NAMES: &'static [(&'static str, Self)];

    /// What happens to its cable meanwhile.
    fn cable(self) -> Cable;
}

/// What happens to a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    /// Nothing.
    Whole,
    /// It is out, and plugged in again when the fault is over.
    Out,
    /// Nothing that the device says arrives.
    Mute,
    /// Random bytes come among what it says.
    Garbage,
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
    "`{text}` is no fault; write {names}, then perhaps `@100` (lines) or `@2s`, then perhaps `+1s`; \
     no time is longer than a year"
)]
pub struct NoFault {
    text: String,
    names: String,
}

impl NoFault {
    fn of<W: Named>(text: &str) -> Self {
        let names: Vec<_> = W::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
        let (last, others) = names.split_last().map_or(("", &[][..]), |(it, all)| (it, all));
        Self { text: text.to_owned(), names: format!("{} or {last}", others.join(", ")) }
    }
}

impl<W> Fault<W> {
    /// At once, for a second.
    pub fn now(what: W) -> Self {
        Self { what, when: When::Now, lasts: Duration::from_secs(1) }
    }

    /// The same for this long.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
    }
}

impl<W: Named> FromStr for Fault<W> {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        parse(text).ok_or_else(|| NoFault::of::<W>(text))
    }
}

fn parse<W: Named>(text: &str) -> Option<Fault<W>> {
    let (rest, lasts) = match text.split_once('+') {
        Some((rest, lasts)) => (rest, seconds(lasts)?),
        None => (text, Duration::from_secs(1)),
    };
    let (name, when) = match rest.split_once('@') {
        Some((name, when)) => (name, moment(when)?),
        None => (rest, When::Now),
    };
    let what = W::NAMES.iter().find(|(known, _)| *known == name)?.1;
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

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum What {
        Reset,
        Unplug,
    }

    impl Named for What {
        const NAMES: &'static [(&'static str, Self)] =
            &[("reset", Self::Reset), ("unplug", Self::Unplug)];

        fn cable(self) -> Cable {
            Cable::Whole
        }
    }

    #[test]
    fn faults_are_written_as_name_moment_and_duration() {
        let second = Duration::from_secs(1);
        for (text, what, when, lasts) in [
            ("reset", What::Reset, When::Now, second),
            ("unplug@100", What::Unplug, When::Lines(100), second),
            ("reset@2.5s+3s", What::Reset, When::After(second * 5 / 2), second * 3),
            ("unplug+0.5s", What::Unplug, When::Now, second / 2),
        ] {
            assert_eq!(text.parse(), Ok(Fault { what, when, lasts }));
        }
        for text in [
            "melt",
            "reset@",
            "reset+1",
            "unplug+-1s",
            "",
            "unplug+1e300s",
            "reset@1e19s",
            "reset+4e7s",
        ] {
            let wrong = text.parse::<Fault<What>>().expect_err(text);
            assert!(wrong.to_string().contains("`reset` or `unplug`"), "{wrong}");
        }
    }
}
