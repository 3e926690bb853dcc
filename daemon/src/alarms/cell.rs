//! Whether one alarm's condition is there: what is seen, with delays and a guard against chatter.
//!
//! ```text
//!           seen for delay_on                    3 comings in 60 s
//!  away ------------------------> there -----------------------------> chattering
//!    ^        (a coming)            |                                       |
//!    +------- gone for delay_off ---+        quiet for 60 s: told as it is  |
//!    +----------------------------------------------------------------------+
//! ```
//!
//! Pure: moments come in as an argument. While it chatters it counts as there, and nobody is told
//! of single comings; they are counted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use headstock_config::rule::{Compare, Reading, Unknown};

use super::definition::Limit;

/// So many comings…
const COMINGS: usize = 3;
/// … within so long are chatter, and so long without one is quiet.
const CHATTER: Duration = Duration::from_secs(60);

/// What one look says about an alarm's condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// It is there; `None`: nobody can tell, and it stays as it was.
    pub there: Option<bool>,
    /// What happened, for people.
    pub text: String,
    /// The value, as people write it.
    pub value: Option<String>,
}

/// What people are told of an alarm's condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Came(Seen),
    Went(Seen),
    Chatters,
    Quiet { times: u64 },
}

/// One alarm's condition.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// As it was last seen.
    seen: bool,
    /// Since when it has been seen otherwise than it counts.
    turning: Option<Instant>,
    /// As it counts, delays considered.
    there: bool,
    /// What people have been told.
    told: bool,
    comings: VecDeque<Instant>,
    chatters: bool,
    /// When it last came or went, while it chatters.
    moved: Option<Instant>,
    untold: u64,
}

impl Cell {
    /// As the book has it. A house that opens begins to count chatter anew.
    pub(super) fn known(there: bool) -> Self {
        Self { seen: there, there, told: there, ..Self::default() }
    }

    /// What people have been told: the condition is there.
    pub(super) fn told(&self) -> bool {
        self.told
    }

    /// Whether it was seen when one last looked.
    pub(super) fn seen(&self) -> bool {
        self.seen
    }

    /// Takes in what is seen at this moment.
    pub(super) fn look(
        &mut self,
        now: Instant,
        seen: &Seen,
        (delay_on, delay_off): (Duration, Duration),
    ) -> Vec<Told> {
        self.seen = seen.there.unwrap_or(self.seen);
        let mut told = Vec::new();
        if self.seen == self.there {
            self.turning = None;
        } else {
            let since = *self.turning.get_or_insert(now);
            let delay = if self.seen { delay_on } else { delay_off };
            if delay <= now.saturating_duration_since(since) {
                self.turning = None;
                self.turn(now, seen, &mut told);
            }
        }
        self.calm_down(now, seen, &mut told);
        told
    }

    fn turn(&mut self, now: Instant, seen: &Seen, told: &mut Vec<Told>) {
        self.there = self.seen;
        self.moved = Some(now);
        if self.there {
            self.comings.push_back(now);
            let recent = |at: &Instant| now.saturating_duration_since(*at) < CHATTER;
            while self.comings.front().is_some_and(|at| !recent(at)) || COMINGS < self.comings.len()
            {
                self.comings.pop_front();
            }
        }
        if self.chatters {
            self.untold += u64::from(self.there);
            return;
        }
        self.told = self.there;
        if !self.there {
            told.push(Told::Went(seen.clone()));
            return;
        }
        told.push(Told::Came(seen.clone()));
        if COMINGS <= self.comings.len() {
            self.chatters = true;
            told.push(Told::Chatters);
        }
    }

    fn calm_down(&mut self, now: Instant, seen: &Seen, told: &mut Vec<Told>) {
        let quiet = self.moved.is_some_and(|at| CHATTER <= now.saturating_duration_since(at));
        if !(self.chatters && quiet) {
            return;
        }
        self.chatters = false;
        self.comings.clear();
        told.push(Told::Quiet { times: std::mem::take(&mut self.untold) });
        if !self.there {
            self.told = false;
            told.push(Told::Went(seen.clone()));
        }
    }
}

impl Limit {
    /// What a point says about the limit. `was`: whether it counted as passed before.
    pub fn look(&self, was: bool, reading: &Reading) -> Seen {
        let believed = reading.believed();
        let beyond = believed.and_then(|value| self.widened(was).holds(value));
        let unknown = self.if_unknown.map(|side| side == Unknown::Trip);
        Seen {
            there: beyond.or(unknown),
            text: format!("`{}` is {}, the limit is {}", self.point, reading.words(), self.compare),
            value: believed.map(ToString::to_string),
        }
    }

    /// Once passed, the limit is left only by as much as is declared.
    fn widened(&self, was: bool) -> Compare {
        match self.compare {
            Compare::Above(limit) if was => Compare::Above(limit - self.hysteresis),
            Compare::Below(limit) if was => Compare::Below(limit + self.hysteresis),
            ref other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use headstock_config::point::{Quality, Value};

    use super::*;

    const NONE: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

    fn seen(there: bool) -> Seen {
        Seen { there: Some(there), ..Seen::default() }
    }

    #[test]
    fn a_delay_must_pass_without_a_break() {
        let (began, mut cell) = (Instant::now(), Cell::default());
        let delays = (Duration::from_secs(2), Duration::from_secs(5));
        let mut at = |s: f64, there: Option<bool>| {
            let seen = Seen { there, ..Seen::default() };
            cell.look(began + Duration::from_secs_f64(s), &seen, delays)
        };
        assert_eq!(at(0.0, Some(true)), []);
        assert_eq!(at(1.9, Some(false)), []);
        assert_eq!(at(2.0, Some(true)), []);
        // Nobody can tell: it stays as it was seen.
        assert_eq!(at(3.9, None), []);
        assert!(matches!(at(4.0, None)[..], [Told::Came(_)]));
        assert_eq!(at(5.0, Some(false)), []);
        assert_eq!(at(9.9, Some(false)), []);
        assert!(matches!(at(10.0, Some(false))[..], [Told::Went(_)]));
    }

    #[test]
    fn what_comes_and_goes_is_told_as_chatter_and_counted() {
        let (began, mut cell) = (Instant::now(), Cell::default());
        let mut told = Vec::new();
        for turn in 0..40 {
            let at = began + Duration::from_millis(500 * turn);
            told.extend(cell.look(at, &seen(turn % 2 == 0), NONE));
        }
        let [
            Told::Came(_),
            Told::Went(_),
            Told::Came(_),
            Told::Went(_),
            Told::Came(_),
            Told::Chatters,
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert!(cell.told());
        let quiet = began + Duration::from_secs(90);
        let told = cell.look(quiet, &seen(false), NONE);
        assert!(matches!(told[..], [Told::Quiet { times: 17 }, Told::Went(_)]), "{told:?}");
        assert!(!cell.told());
        // It begins anew.
        assert!(matches!(cell.look(quiet, &seen(true), NONE)[..], [Told::Came(_)]));
    }

    #[test]
    fn a_limit_is_left_only_by_its_hysteresis() {
        let limit = |compare, if_unknown| Limit {
            point: "kiln.temperature".into(),
            compare,
            hysteresis: 10.0,
            if_unknown,
        };
        let reading = |value, quality| Reading { value: Some(Value::Number(value)), quality };
        let good = |value| reading(value, Quality::Good);
        let above = limit(Compare::Above(100.0), None);
        let below = limit(Compare::Below(5.0), None);
        for (limit, was, value, there) in [
            (&above, false, 100.0, false),
            (&above, false, 100.1, true),
            (&above, true, 90.1, true),
            (&above, true, 90.0, false),
            (&below, false, 4.9, true),
            (&below, true, 14.9, true),
            (&below, true, 15.0, false),
        ] {
            assert_eq!(limit.look(was, &good(value)).there, Some(there), "{was} {value}");
        }
        let stale = reading(500.0, Quality::Stale);
        assert_eq!(above.look(false, &stale).there, None);
        let trips = limit(Compare::Above(100.0), Some(Unknown::Trip));
        assert_eq!(trips.look(false, &stale).there, Some(true));
        assert_eq!(
            trips.look(false, &stale).text,
            "`kiln.temperature` is stale, the limit is above 100"
        );
    }
}
