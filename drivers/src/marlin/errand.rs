//! Lines of ours among those of programs: questions, moves by hand, what a hold or a stop needs.
//!
//! They are numbered like all lines and go before the program's. Each knows why it was sent, so
//! that its answer reaches whoever waits for it.

use std::time::Instant;

use super::Marlin;
use super::modal::Modal;
use super::stream::What;
use crate::Outbox;
use crate::gcode::print;

/// A line of ours.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Errand {
    pub(super) text: String,
    pub(super) why: Why,
}

/// Why it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// M115: who are you?
    Who,
    /// M105: how warm?
    Temperatures,
    /// M114: where?
    Place,
    /// A setting of what is reported, or of how lines are read.
    Reporting,
    /// A person's line.
    Person(String),
    /// G28 of these axes.
    Home([bool; 3]),
    /// A step of a longer affair; the last one is a `Rest`.
    Step,
    /// A step of a move by hand: a hold drops it if it moves anything.
    Hand,
    /// A piece of a jog that somebody holds.
    Segment,
    /// Whether anything of that is unfinished.
    Unfinished,
    /// A step of the way back from a park: a hold keeps it for later.
    Back,
    /// M400: all motion is over. By hand, the M114 behind it.
    Rest(Rest),
    /// M114 before so much filament is moved by hand, in mm and mm/min: its count is put back.
    Extrude(f64, f64),
    /// An M105 that comes last: its answer proves that all before it were taken.
    Proof(Proof),
}

/// Of what it is proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// All of a program.
    End,
    /// Heaters and motors are off.
    Stop,
}

/// What all motion was to be over for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// A move by hand.
    Hand,
    /// Homing.
    Home,
    /// A hold.
    Hold,
    /// Parked.
    Park,
    /// The end of a program.
    End,
}

impl Errand {
    /// What a hold drops of what people have asked for by hand.
    pub(super) fn moves_by_hand(&self) -> bool {
        matches!(self.why, Why::Home(_) | Why::Extrude(..))
            || self.why == Why::Hand && moves(&self.text)
    }

    pub(super) fn new(text: impl Into<String>, why: Why) -> Self {
        Self { text: text.into(), why }
    }
}

/// A linear move of any axis; one that only sets a feed is none.
fn moves(text: &str) -> bool {
    let mut words = print::words(text);
    matches!(words.next(), Some((b'G', Some(0.0 | 1.0)))) && words.any(|it| b"XYZE".contains(&it.0))
}

impl Marlin {
    /// Sends the errands that have room, before any line of a program.
    pub(super) fn send_errands(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(errand) = self.errands.front() {
            if !self.stream.has_room(errand.text.len()) {
                return;
            }
            let Errand { text, why } = self.errands.pop_front().expect("it was looked at above");
            self.modal.follow(&text);
            self.reach_follow(&text);
            if why == Why::Place && self.hold.locates() || matches!(why, Why::Extrude(..)) {
                // An answer that was counted wrongly shall not pass for where it is now.
                self.place = None;
            }
            self.stream.push(now, &text, What::Errand(why), &mut out.bytes);
        }
    }

    /// What follows is read as by a firmware that has just started.
    pub(super) fn plain_modes(&mut self) {
        let lines = Modal::default().restore();
        self.errands.extend(lines.into_iter().map(|line| Errand::new(line, Why::Reporting)));
    }

    /// An errand of this kind waits or is in flight.
    pub(super) fn is_out(&self, wanted: impl Fn(&Why) -> bool) -> bool {
        let open = self.stream.open().filter_map(|what| match what {
            What::Errand(why) => Some(why),
            _ => None,
        });
        self.errands.iter().map(|errand| &errand.why).chain(open).any(wanted)
    }
}
