//! Bringing overrides to a percentage.
//!
//! There is no byte for "set to N": it is reached in steps of ten and one, from whatever `Ov` last
//! reported. The controller keeps one flag per byte, so two equal bytes in one of its loops count
//! once. Hence one step is under way at a time, until `Ov` shows it or 300 ms have passed.

use std::time::{Duration, Instant};

use headstock_config::command::Override;
use headstock_config::event::Event;

use super::Grbl;
use crate::{Outbox, Refusal};

const CONFIRMED_WITHIN: Duration = Duration::from_millis(300);
/// Steps without any effect before giving up.
const TRIES: u8 = 10;

/// Where the overrides are to go.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    wanted: [Option<u16>; 3],
    step: Option<Step>,
    tries: u8,
}

#[derive(Debug)]
struct Step {
    which: usize,
    from: u16,
    at: Instant,
}

impl Overrides {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn busy(&self) -> bool {
        self.wanted.iter().any(Option::is_some)
    }

    /// Takes a wish.
    pub(super) fn want(&mut self, which: Override, percent: u16) -> Result<(), Refusal> {
        let index = index(which).ok_or(Refusal::Unsupported("push filament out"))?;
        let possible = match which {
            Override::Rapid => matches!(percent, 25 | 50 | 100),
            _ => (10..=200).contains(&percent),
        };
        if !possible {
            let range = if which == Override::Rapid { "25, 50 or 100" } else { "10 to 200" };
            return Err(Refusal::BadCommand(format!("{percent} is not {range} per cent")));
        }
        self.wanted[index] = Some(percent);
        self.tries = 0;
        Ok(())
    }
}

fn index(which: Override) -> Option<usize> {
    match which {
        Override::Feed => Some(0),
        Override::Rapid => Some(1),
        Override::Spindle => Some(2),
        Override::Flow => None,
    }
}

/// The byte that brings override `which` from `is` nearer to `wanted`.
fn step_byte(which: usize, is: u16, wanted: u16) -> u8 {
    if which == 1 {
        return match wanted {
            100 => 0x95,
            50 => 0x96,
            _ => 0x97,
        };
    }
    let base = if which == 0 { 0x90 } else { 0x99 };
    match i32::from(wanted) - i32::from(is) {
        _ if wanted == 100 => base,
        10.. => base + 1,
        1..=9 => base + 3,
        ..=-10 => base + 2,
        _ => base + 4,
    }
}

impl Grbl {
    /// Sends the next step if the last one has shown.
    pub(super) fn step_overrides(&mut self, now: Instant, out: &mut Outbox) {
        if !self.overrides.busy() || !self.sight.overrides_known {
            return;
        }
        let are = self.sight.live.overrides;
        if let Some(step) = &self.overrides.step {
            if are[step.which] != step.from {
                self.overrides.tries = 0;
            } else if now < step.at + CONFIRMED_WITHIN {
                return;
            }
            self.overrides.step = None;
        }
        let Some((which, wanted)) = self.next_override(&are) else { return };
        self.overrides.tries += 1;
        if TRIES < self.overrides.tries {
            self.overrides.clear();
            let text = format!("an override stays at {} per cent", are[which]);
            return out.events.push_back(Event::Remark { text });
        }
        out.urgent.push(step_byte(which, are[which], wanted));
        self.overrides.step = Some(Step { which, from: are[which], at: now });
    }

    /// The first override that is not where it should be; those that are, are done.
    fn next_override(&mut self, are: &[u16; 3]) -> Option<(usize, u16)> {
        for (which, wanted) in self.overrides.wanted.iter_mut().enumerate() {
            match *wanted {
                Some(percent) if percent == are[which] => *wanted = None,
                Some(percent) => return Some((which, percent)),
                None => (),
            }
        }
        None
    }

    /// When an unconfirmed step is repeated.
    pub(super) fn override_deadline(&self) -> Option<Instant> {
        let step = self.overrides.step.as_ref().filter(|_| self.overrides.busy());
        step.map(|step| step.at + CONFIRMED_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_reached_by_tens_then_units() {
        let rows = [(0, 100, 125, 0x91), (0, 120, 125, 0x93), (0, 130, 125, 0x94)];
        for (which, is, wanted, byte) in rows {
            assert_eq!(step_byte(which, is, wanted), byte, "{is} to {wanted}");
        }
        assert_eq!((step_byte(0, 37, 100), step_byte(2, 37, 100)), (0x90, 0x99));
        assert_eq!((step_byte(2, 100, 80), step_byte(2, 82, 81)), (0x9B, 0x9D));
        assert_eq!(step_byte(1, 100, 25), 0x97);
    }

    #[test]
    fn impossible_percentages_are_refused() {
        let mut it = Overrides::default();
        assert!(it.want(Override::Feed, 201).is_err() && it.want(Override::Rapid, 60).is_err());
        assert!(matches!(it.want(Override::Flow, 100), Err(Refusal::Unsupported(_))));
        assert!(it.want(Override::Spindle, 10).is_ok() && it.busy());
    }
}
