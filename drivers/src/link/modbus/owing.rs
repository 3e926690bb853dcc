//! Which answers may still come on a line, and what clears them away.
//!
//! On a line an answer does not say which request it is to. After one that was given up, an answer to
//! another request of the same function to the same device may be the old one. So there is a wait,
//! which helps against whoever is not later than that, and then a proof: devices answer in order, so
//! one that has answered a loop-back test (function 8, with a number of its own) has nothing older
//! left to say. One that does not know the function says so, which proves the same. Only where a
//! device keeps silent about it the wait has to do.
//!
//! ```text
//!  given up -> [ owing ] --same function asks next--> [ probe ] --answer or exception--> clear
//!                 |                                      | silence, three times: it answers no probes
//!                 | another function answered            v
//!                 +--> clear               wait, then ask without proof
//! ```
//!
//! A stop waits for none of this. Its answer is believed at once where it bears everything that was
//! asked for; otherwise each answer is taken for the one to the oldest request, and the stop is sent
//! again until there is none left that it could be to.
//!
//! Invariant: a device that has ever answered a probe is asked nothing that its old answers could be
//! taken for before it has answered another one, or before [`LONG`] has passed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::modbus::pdu::Ask;

/// An answer that is later than this does not come any more, from whatever device.
const LONG: Duration = Duration::from_secs(5);
/// A device is believed to keep silent about probes when it has done so that often in a row: one
/// that was merely not heard must not be misread for ever after.
const PROBES: u8 = 3;
/// As many different requests are remembered; more, and anything may come.
const ASKS_MAX: usize = 16;

/// What has to be done before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing that may come could be taken for its answer.
    Nothing,
    /// A probe has to be answered, not before this moment.
    Probe(Instant),
    /// This moment has to be waited for.
    Wait(Instant),
}

/// What all devices of a line owe.
#[derive(Debug, Default)]
pub(super) struct Owing {
    units: BTreeMap<u8, Unit>,
}

#[derive(Debug, Default)]
struct Unit {
    /// Requests whose answers may come.
    asks: Vec<Ask>,
    /// Until when that is to be feared of a device without proof.
    until: Option<Instant>,
    /// When the last of them was sent.
    sent: Option<Instant>,
    /// Whether it answers probes; `None`: not known.
    answers: Option<bool>,
    /// Probes in a row that were met with silence.
    in_vain: u8,
}

impl Unit {
    /// Whether an answer to one of the requests could be taken for one to this. An old answer to
    /// the same request is one to this as well.
    fn confuses(&self, ask: &Ask) -> bool {
        let like = |it: &Ask| it.function() == ask.function() && it != ask;
        ASKS_MAX <= self.asks.len() || self.asks.iter().any(like)
    }

    fn clear(&mut self) {
        self.asks.clear();
        self.until = None;
        self.in_vain = 0;
    }
}

impl Owing {
    /// What has to be done before this is asked. `probes`: the device may be probed.
    pub(super) fn before(&self, now: Instant, number: u8, ask: &Ask, probes: bool) -> Before {
        let Some(unit) = self.units.get(&number).filter(|it| it.confuses(ask)) else {
            return Before::Nothing;
        };
        let long_ago = unit.sent.is_none_or(|sent| sent + LONG < now);
        match unit.answers {
            _ if long_ago => Before::Nothing,
            // Waiting would prove nothing that the probe does not prove.
            Some(true) => Before::Probe(now),
            None if probes && unit.in_vain < PROBES => Before::Probe(unit.until.unwrap_or(now)),
            _ => unit.until.map_or(Before::Nothing, Before::Wait),
        }
    }

    /// This is about to be asked; without proof, an answer is to be feared until then.
    pub(super) fn asked(&mut self, now: Instant, number: u8, ask: &Ask, until: Instant) {
        let unit = self.units.entry(number).or_default();
        (unit.sent, unit.until) = (Some(now), Some(until));
        if unit.asks.len() < ASKS_MAX {
            unit.asks.push(ask.clone());
        }
    }

    /// It was answered, and so was everything before it. Of a request that had been made before
    /// in vain, one answer may still come.
    pub(super) fn answered(&mut self, number: u8, ask: &Ask) {
        let Some(unit) = self.units.get_mut(&number) else { return };
        if PROBES <= unit.in_vain && unit.answers.is_none() {
            // It is there, and has kept silent about the probes.
            unit.answers = Some(false);
        }
        let again = 1 < unit.asks.iter().filter(|it| *it == ask).count();
        if again {
            unit.asks.retain(|it| it == ask);
            unit.asks.truncate(1);
        } else {
            unit.clear();
        }
    }

    /// It was answered, and there is no telling whether that was the answer to what was asked first.
    pub(super) fn perhaps_answered(&mut self, number: u8) {
        if let Some(unit) = self.units.get_mut(&number).filter(|it| !it.asks.is_empty()) {
            unit.asks.remove(0);
        }
    }

    /// A probe was answered.
    pub(super) fn proved(&mut self, number: u8) {
        let unit = self.units.entry(number).or_default();
        unit.answers = Some(true);
        unit.clear();
    }

    /// A probe was met with silence.
    pub(super) fn in_vain(&mut self, number: u8) {
        let unit = self.units.entry(number).or_default();
        unit.in_vain = unit.in_vain.saturating_add(1);
    }

    /// It was waited for.
    pub(super) fn waited(&mut self, number: u8) {
        if let Some(unit) = self.units.get_mut(&number) {
            // Whether the probe was in vain shows when the device answers, or does not.
            unit.asks.clear();
        }
    }

    /// It was not answered, without a probe before it: the next time it is probed again.
    pub(super) fn silent(&mut self, number: u8) {
        if let Some(unit) = self.units.get_mut(&number) {
            unit.in_vain = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: u16) -> Ask {
        Ask::ReadHolding { address, count: 1 }
    }

    struct Stage {
        owing: Owing,
        now: Instant,
    }

    impl Stage {
        fn new() -> Self {
            Self { owing: Owing::default(), now: Instant::now() }
        }

        fn guard(&self) -> Instant {
            self.now + Duration::from_millis(40)
        }

        fn ask(&mut self, ask: &Ask) {
            let until = self.guard();
            self.owing.asked(self.now, 1, ask, until);
        }

        fn before(&self, ask: &Ask) -> Before {
            self.owing.before(self.now, 1, ask, true)
        }
    }

    #[test]
    fn only_what_could_be_taken_for_the_old_answer_is_kept_waiting() {
        let mut stage = Stage::new();
        assert_eq!(stage.before(&read(1)), Before::Nothing);
        stage.ask(&read(1));
        assert_eq!(stage.before(&read(2)), Before::Probe(stage.guard()));
        assert_eq!(stage.before(&read(1)), Before::Nothing, "the same is the same");
        let other = Ask::ReadInput { address: 1, count: 1 };
        assert_eq!(stage.before(&other), Before::Nothing);
        assert_eq!(stage.owing.before(stage.now, 2, &read(2), true), Before::Nothing);
        stage.ask(&other);
        stage.owing.answered(1, &other);
        assert_eq!(stage.before(&read(2)), Before::Nothing, "devices answer in order");
    }

    #[test]
    fn an_answer_to_a_request_that_was_made_twice_may_be_the_first_one() {
        let mut stage = Stage::new();
        stage.ask(&read(1));
        stage.ask(&read(1));
        stage.owing.answered(1, &read(1));
        assert_eq!(
            stage.before(&read(2)),
            Before::Probe(stage.guard()),
            "the second may still come"
        );
        stage.owing.proved(1);
        assert_eq!(stage.before(&read(2)), Before::Nothing);
    }

    #[test]
    fn a_device_that_keeps_silent_about_probes_is_waited_for() {
        let mut stage = Stage::new();
        stage.ask(&read(1));
        for _ in 0..PROBES {
            assert_eq!(stage.before(&read(2)), Before::Probe(stage.guard()), "once may be chance");
            stage.owing.in_vain(1);
        }
        assert_eq!(stage.before(&read(2)), Before::Wait(stage.guard()));
        stage.owing.waited(1);
        stage.ask(&read(2));
        stage.owing.answered(1, &read(2));
        stage.ask(&read(1));
        assert_eq!(stage.before(&read(2)), Before::Wait(stage.guard()), "that is known now");
    }

    #[test]
    fn a_device_that_was_away_is_probed_again() {
        let mut stage = Stage::new();
        stage.ask(&read(1));
        (0..PROBES).for_each(|_| stage.owing.in_vain(1));
        stage.owing.waited(1);
        stage.ask(&read(2));
        stage.owing.silent(1);
        assert_eq!(stage.before(&read(1)), Before::Probe(stage.guard()));
    }

    #[test]
    fn a_device_that_answers_probes_is_asked_nothing_without_one() {
        let mut stage = Stage::new();
        stage.owing.proved(1);
        stage.ask(&read(1));
        for _ in 0..3 {
            stage.owing.in_vain(1);
            assert_eq!(stage.before(&read(2)), Before::Probe(stage.now));
        }
        stage.now += LONG + Duration::from_millis(1);
        assert_eq!(stage.before(&read(2)), Before::Nothing, "nothing is that late");
        for address in 0..40 {
            stage.ask(&read(address));
        }
        assert_eq!(stage.before(&read(3)), Before::Probe(stage.now), "too many to tell them apart");
    }
}
