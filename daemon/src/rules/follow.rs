//! One follow rule: when its tag goes on and off.
//!
//! ```text
//!            first look: it does not hold            holds for delay_on: write ON
//!  UNSEEN ----------------------------------> OFF ------------------------------> ON --+
//!     |                                        ^ ^                                |    | pulse over,
//!     | first look: it holds                   | +--- gone for delay_off: write OFF    | write OFF
//!     |                                        |                                       |
//!     +-----------------------> SPENT ---------+ gone      <---------------------------+
//!                                 ^
//!                                 +--- a person has set the tag of an optional rule, or the machine
//!                                      was held, stopped or kept from it before ON had reached it
//! ```
//!
//! Pure. Invariant: it writes only after a change of its condition that it has seen; what it finds
//! when the house opens moves nothing. See `docs/decisions/2026-11-29-rules-after-a-restart.md`.

use std::time::{Duration, Instant};

use headstock_config::rule::{Follow, Verdict};

/// Where a follow rule is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Phase {
    /// Nobody has known its condition since the house opened.
    #[default]
    Unseen,
    /// The tag is off, as far as this rule goes.
    Off,
    /// The tag was put on, at this moment.
    On(Instant),
    /// The condition holds and the rule has no more to do until it does not.
    Spent,
}

/// A follow rule at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Following {
    phase: Phase,
    /// Since when the condition has been otherwise than the phase.
    turning: Option<Instant>,
}

impl Following {
    /// Where it is.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Looks at the condition. `Some`: the tag is to be put on or off.
    pub(super) fn look(&mut self, now: Instant, rule: &Follow, verdict: &Verdict) -> Option<bool> {
        let waited = |since: Option<Instant>, delay_s: f64| {
            let since = since.unwrap_or(now);
            Duration::from_secs_f64(delay_s) <= now.saturating_duration_since(since)
        };
        match (self.phase, verdict.holds) {
            // What nobody knows is no first look, whatever side it counts for.
            (Phase::Unseen, _) if !verdict.known => None,
            (Phase::Unseen, holds) => {
                self.phase = if holds { Phase::Spent } else { Phase::Off };
                None
            }
            (Phase::Off, true) => {
                self.turning.get_or_insert(now);
                if !waited(self.turning, rule.delay_on_s) {
                    return None;
                }
                (self.phase, self.turning) = (Phase::On(now), None);
                Some(true)
            }
            (Phase::On(_), false) => {
                self.turning.get_or_insert(now);
                if !waited(self.turning, rule.delay_off_s) {
                    return None;
                }
                (self.phase, self.turning) = (Phase::Off, None);
                Some(false)
            }
            (Phase::On(since), true) => {
                self.turning = None;
                let over = rule.pulse_s.is_some_and(|pulse| waited(Some(since), pulse));
                if !over {
                    return None;
                }
                self.phase = Phase::Spent;
                Some(false)
            }
            (Phase::Spent, false) => {
                self.phase = Phase::Off;
                None
            }
            (Phase::Off, false) | (Phase::Spent, true) => {
                self.turning = None;
                None
            }
        }
    }

    /// A person has set the tag: the rule stands back until its condition comes to hold anew. Whether
    /// it would have done anything before.
    pub(super) fn set_aside(&mut self) -> bool {
        let at_work = matches!(self.phase, Phase::On(_)) || self.turning.is_some();
        if self.phase != Phase::Unseen {
            // Where the condition does not hold, the next look makes this `Off`.
            (self.phase, self.turning) = (Phase::Spent, None);
        }
        at_work
    }

    /// Its machine is held: what has not gone on yet does not before the condition comes to hold anew.
    /// What is on goes off in its time: held, it would be on for ever. Whether it was on its way.
    pub(super) fn hold_back(&mut self) -> bool {
        let coming = self.phase == Phase::Off && self.turning.is_some();
        if coming {
            (self.phase, self.turning) = (Phase::Spent, None);
        }
        coming
    }

    /// Its tag was not put on.
    pub(super) fn give_up(&mut self) {
        if matches!(self.phase, Phase::On(_)) {
            self.set_aside();
        }
    }

    /// When it wants to be looked at again although no point has changed.
    pub(super) fn deadline(&self, rule: &Follow) -> Option<Instant> {
        let after = |since: Instant, s: f64| since.checked_add(Duration::from_secs_f64(s));
        match self.phase {
            Phase::Off => after(self.turning?, rule.delay_on_s),
            Phase::On(since) => {
                let off = self.turning.and_then(|it| after(it, rule.delay_off_s));
                let pulse = rule.pulse_s.and_then(|pulse| after(since, pulse));
                [off, pulse].into_iter().flatten().min()
            }
            Phase::Unseen | Phase::Spent => None,
        }
    }
}
