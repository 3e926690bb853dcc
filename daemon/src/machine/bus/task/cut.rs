//! Powers on a bus: tags of its boards that cut the power of machines elsewhere, and machines on it
//! whose own power has been cut.

use std::time::Instant;

use headstock_config::event::Event;
use headstock_drivers::bus::schedule::Outcome;
use headstock_drivers::bus::{Dialect, Place};

use super::Bus;
use crate::machine::lane::CutNow;
use crate::machine::{Cut, Error, power};

impl<D: Dialect> Bus<D> {
    /// One tag cuts the power of a machine elsewhere.
    pub(super) fn cut(&mut self, now: Instant, seat: usize, cut: CutNow) {
        let place = Place { machine: seat, tag: cut.tag };
        let (by, tag) = (cut.by.clone(), self.tag_name(place));
        tracing::info!(machine = %self.seats[seat].declared.id, %tag, %by, "a power is cut");
        let begun = self.schedule.cut(now, place, &cut.value);
        let cuts = &mut self.seats[seat].cuts;
        match cuts.iter_mut().find(|it| it.tag == cut.tag) {
            Some(waits) => waits.join(cut),
            None => cuts.push(cut),
        }
        if let Err(refusal) = begun {
            self.tell_cut(place, &Err(refusal.into()));
        }
        self.tell();
    }

    /// What has come of a cut: the book says if it is not known to be done.
    pub(super) fn cut_over(&mut self, place: Place, outcome: Outcome) {
        let told = match outcome {
            Outcome::Verified => Ok(Instant::now()),
            outcome => Err(Error::Unverified(outcome.to_string())),
        };
        if let Err(why) = &told {
            let (machine, tag) = (&self.seats[place.machine].declared.id, self.tag_name(place));
            tracing::error!(%machine, %tag, %why, "that a power is cut is not confirmed");
            let text = format!("that `{tag}` has cut the power is not confirmed: {why}");
            self.note(place.machine, Event::Message { text });
        }
        self.tell_cut(place, &told);
    }

    fn tell_cut(&mut self, place: Place, told: &Cut) {
        let cuts = &mut self.seats[place.machine].cuts;
        if let Some(index) = cuts.iter().position(|it| it.tag == place.tag) {
            cuts.swap_remove(index).tell(told);
        }
    }

    fn tag_name(&self, place: Place) -> String {
        self.seats[place.machine].declared.tags[place.tag].name.clone()
    }

    /// Machines whose power is off are left alone, and taken up again when it is back.
    pub(super) fn supply(&mut self, now: Instant) {
        let dark = self.ends.dark.borrow_and_update().clone();
        for (seat, off) in dark.into_iter().enumerate() {
            let why = power::dark(self.seats[seat].declared.power.as_ref());
            self.schedule.power(now, seat, off, &why);
        }
        self.tell();
    }
}
