//! What is known of every line that is used: levels, counts, shares.
//!
//! It is told of edges, of looks and of the time, and says what there is to tell. Edges of a
//! contact are told at once, with the moment that the kernel saw them; counts and frequencies when
//! they are asked for, since there may be thousands.

use std::time::{Duration, Instant};

use headstock_config::machine::Machine;
use headstock_config::tag::PinMode;

use super::contact::{Contact, News};
use super::counter::Counter;
use super::{Gpio, Seen, Use, uses};
use crate::bus::{Place, Reading};

/// An edge of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index into [`Board::uses`].
    pub line: usize,
    /// The line went high.
    pub rising: bool,
    /// When: by the kernel's clock.
    pub at: Instant,
    /// Counts the edges of this line, with those that the kernel had no room for.
    pub number: Option<u32>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Board {
    dialect: Gpio,
    uses: Vec<Use>,
    lines: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    contact: Contact,
    counter: Counter,
    /// The last edge's number.
    number: Option<u32>,
    /// Edges that the kernel had no room for.
    lost: u64,
    /// What an output is driven at.
    share: f64,
}

impl Board {
    /// For the pins of these machines.
    pub fn new(machines: &[Machine]) -> Self {
        let uses = uses(machines);
        let lines = uses.iter().map(|it| Known::new(it.safe)).collect();
        Self { dialect: Gpio::new(machines), uses, lines }
    }

    /// The lines, in a fixed order.
    pub fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// The index of a tag's line.
    pub fn line(&self, place: Place) -> Option<usize> {
        self.uses.iter().position(|it| it.place == place)
    }

    /// Everything is forgotten but counts: the lines have been opened anew. `filtered` says of
    /// which the kernel keeps bounces away.
    pub fn opened(&mut self, filtered: &[bool]) {
        for ((line, it), filtered) in self.lines.iter_mut().zip(&self.uses).zip(filtered) {
            let still = if *filtered { 0 } else { it.pin.debounce_ms };
            line.contact = Contact::new(Duration::from_millis(still.into()));
            line.number = None;
            line.counter.opened();
            line.share = it.safe;
        }
    }

    /// An edge has come. Whether some before it were lost, so that the line should be looked at.
    pub fn edge(&mut self, edge: Edge, out: &mut Vec<Reading>) -> bool {
        let (Some(line), Some(it)) = (self.lines.get_mut(edge.line), self.uses.get(edge.line))
        else {
            return false;
        };
        match it.pin.mode {
            PinMode::In => {
                let lost = line.lost_before(edge.number);
                line.lost += u64::from(lost);
                let news = line.contact.edge(edge.rising, edge.at);
                self.tell(edge.line, news, edge.at, out);
                0 < lost
            }
            PinMode::Count | PinMode::Frequency => {
                if it.level(true) == edge.rising {
                    line.lost += u64::from(line.counter.edge(edge.at, edge.number));
                }
                false
            }
            PinMode::Out | PinMode::Pwm => false,
        }
    }

    /// A line was looked at: it is high or low. What that means for its tag.
    pub fn look(&mut self, line: usize, high: bool, now: Instant) -> Seen {
        let (Some(known), Some(it)) = (self.lines.get_mut(line), self.uses.get(line)) else {
            return Seen::bad("there is no such line");
        };
        match it.pin.mode {
            PinMode::In => {
                known.contact.look(high, now);
                self.contact(line)
            }
            PinMode::Count => Seen::good(known.counter.count() as f64),
            PinMode::Frequency => Seen::good(known.counter.hertz(now)),
            PinMode::Out => Seen::good(f64::from(u8::from(it.level(true) == high))),
            PinMode::Pwm => Seen::good(known.share),
        }
    }

    /// An output is driven like this from now on.
    pub fn driven(&mut self, line: usize, share: f64) {
        if let Some(known) = self.lines.get_mut(line) {
            known.share = share;
        }
    }

    /// What a line is driven at, the share of the time.
    pub fn share(&self, line: usize) -> f64 {
        self.lines.get(line).map_or(0.0, |it| it.share)
    }

    /// Edges of all lines that the kernel had no room for.
    pub fn lost(&self) -> u64 {
        self.lines.iter().map(|it| it.lost).sum()
    }

    /// When [`Self::tick`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.lines.iter().filter_map(|it| it.contact.deadline()).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Reading>) {
        for line in 0..self.lines.len() {
            let news = self.lines[line].contact.tick(now);
            self.tell(line, news, now, out);
        }
    }

    /// A reading of an output that has changed by itself: the end of a pulse.
    pub fn told(&self, line: usize, at: Instant, seen: &Seen) -> Option<Reading> {
        self.dialect.told(self.uses.get(line)?.place, at, seen)
    }

    fn tell(&self, line: usize, news: News, now: Instant, out: &mut Vec<Reading>) {
        let at = match news {
            News::None => return,
            News::Level(_, at) => at,
            News::Chatter => now,
        };
        out.extend(self.told(line, at, &self.contact(line)));
    }

    fn contact(&self, line: usize) -> Seen {
        let (known, it) = (&self.lines[line], &self.uses[line]);
        if known.contact.chatters() {
            return Seen::bad("the contact chatters: look at the switch and its wires");
        }
        match known.contact.high() {
            Some(high) => Seen::good(f64::from(u8::from(it.level(true) == high))),
            None => Seen::bad("not looked at yet"),
        }
    }
}

impl Known {
    fn new(share: f64) -> Self {
        Self {
            contact: Contact::new(Duration::ZERO),
            counter: Counter::default(),
            number: None,
            lost: 0,
            share,
        }
    }

    fn lost_before(&mut self, number: Option<u32>) -> u32 {
        let before = std::mem::replace(&mut self.number, number);
        match (before, number) {
            (Some(before), Some(now)) => now.wrapping_sub(before).saturating_sub(1),
            _ => 0,
        }
    }
}
