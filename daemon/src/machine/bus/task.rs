//! The life of one bus.
//!
//! ```text
//!   apart --open--> together --lost--> apart ... until the house closes
//! ```
//!
//! Together, one request is under way at a time; stops and wishes are taken in while it is. When
//! something of a stop is to be sent it is called back: the carrier gives it up as soon as that is
//! right. Whether rules still permit a value is asked at the moment at which it would leave: until then
//! it may have waited here, and for the line. Facts for the ledger are handed over without
//! waiting; those that do not fit stay here, and when too many pile up the least of them go.

mod cut;

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::explain::{self, Explain};
use headstock_config::ledger::Fact;
use headstock_config::machine::{Controller, Live, Machine, Mode};
use headstock_config::point::Value;
use headstock_drivers::Refusal;
use headstock_drivers::bus::schedule::{Look, Next, Outcome, Said, Schedule, Stopped, Ticket};
use headstock_drivers::bus::{Carrier, Dialect, Errand, Fault, Haste, Place, Reading};
use headstock_drivers::link::OpenError;
use headstock_drivers::link::retry::Retry;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep_until;

use super::Surroundings;
use super::judge::{Asker, Judge};
use crate::clock::now_ms;
use crate::ledger;
use crate::machine::lane::{self, CutNow, Exit, StopNow, Urgent};
use crate::machine::{Ask, Error, Sent, What};
use crate::points::{News, PointId};

/// How often the task goes round at least, and tells how its bus is.
const ROUND: Duration = Duration::from_secs(1);
/// Facts that may wait here for room in the ledger before changes of mode are left out.
const UNRECORDED: usize = 256;
/// How long a closing house waits for outputs to take their safe states.
const FAREWELL: Duration = Duration::from_secs(5);

/// The task's ends of everything that its machines are reached by.
pub(super) struct Ends {
    pub(super) exits: Vec<Exit>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) look: watch::Sender<Option<Look>>,
    /// Whether the power of each machine is off.
    pub(super) dark: watch::Receiver<Vec<bool>>,
    /// When it last went round.
    pub(super) round: Arc<Mutex<Instant>>,
}

/// One machine on the bus.
pub(super) struct Seat {
    declared: Arc<Machine>,
    live: watch::Sender<Live>,
    points: Vec<Option<PointId>>,
    /// Those who wait to hear that a stop was sent.
    stops: Vec<StopNow>,
    /// Those who wait to hear that a tag has cut a power: one for each tag.
    cuts: Vec<CutNow>,
}

impl Seat {
    pub(super) fn new(
        declared: Arc<Machine>,
        live: watch::Sender<Live>,
        points: Vec<Option<PointId>>,
    ) -> Self {
        Self { declared, live, points, stops: Vec::new(), cuts: Vec::new() }
    }
}

/// A bus and everything about it but its carrier.
pub(super) struct Bus<D: Dialect> {
    schedule: Schedule<D>,
    seats: Vec<Seat>,
    ends: Ends,
    around: Surroundings,
    /// Who waits for a write.
    askers: BTreeMap<Ticket, Asker>,
    tickets: Ticket,
    unrecorded: VecDeque<Fact>,
    /// When the bus is to be left whatever has been said by then.
    leave_at: Option<Instant>,
    looked: Instant,
    /// Why opening failed last, so that each reason is told once.
    reported: Option<String>,
}

/// Somebody wants something.
enum Call {
    Stop(usize, StopNow),
    Cut(usize, CutNow),
    /// The power of a machine has been cut, or is there again.
    Supply,
    Ask(Ask),
    Closing,
}

impl<D: Dialect> Bus<D> {
    pub(super) fn new(
        schedule: Schedule<D>,
        seats: Vec<Seat>,
        ends: Ends,
        around: Surroundings,
    ) -> Self {
        Self {
            schedule,
            seats,
            ends,
            around,
            askers: BTreeMap::new(),
            tickets: 0,
            unrecorded: VecDeque::new(),
            leave_at: None,
            looked: Instant::now(),
            reported: None,
        }
    }

    pub(super) async fn live(mut self, mut carrier: impl Carrier<D>) {
        let mut retry = Retry::default();
        while self.leave_at.is_none() {
            match self.open(&mut carrier).await {
                Some(Ok(())) => {
                    retry.worked();
                    self.reported = None;
                    if let Some(why) = self.together(&mut carrier).await {
                        self.part(&why);
                    }
                }
                Some(Err(error)) => self.report(&error),
                None => break,
            }
            self.apart(Instant::now() + retry.failed()).await;
        }
        if tokio::time::timeout(FAREWELL, carrier.close()).await.is_err() {
            tracing::warn!(bus = %self.name(), "the bus could not be left in time");
        }
        self.part("the house is closing");
        self.finish().await;
    }

    fn name(&self) -> &str {
        self.seats.first().map_or("", |seat| seat.declared.id.as_str())
    }

    /// Opens the bus; `None`: the house is closing.
    async fn open(&mut self, carrier: &mut impl Carrier<D>) -> Option<Result<(), OpenError>> {
        let mut opening = pin!(carrier.open());
        loop {
            self.tell();
            tokio::select! {
                biased;
                call = self.called() => self.take(call),
                opened = &mut opening => return Some(opened),
                () = tokio::time::sleep(ROUND) => (),
            }
            if self.leave_at.is_some() {
                return None;
            }
        }
    }

    /// Answers whoever calls until it is time to try again.
    async fn apart(&mut self, until: Instant) {
        while self.leave_at.is_none() && Instant::now() < until {
            self.tell();
            tokio::select! {
                biased;
                call = self.called() => self.take(call),
                () = sleep_until(until.min(Instant::now() + ROUND).into()) => (),
            }
        }
    }

    /// Until the link is lost (and why), or the house closes.
    async fn together(&mut self, carrier: &mut impl Carrier<D>) -> Option<String> {
        self.schedule.opened(Instant::now());
        loop {
            self.tell();
            let now = Instant::now();
            if self.leave_at.is_some_and(|at| at <= now || self.schedule.idle()) {
                return None;
            }
            self.schedule.house_is_alive(!self.around.heart.stopped(now));
            let lost = match self.schedule.next(now) {
                Next::Do { machine, request, haste, tickets, begun } => {
                    let declared = self.seats[machine].declared.clone();
                    let judge = Judge::new(declared, &self.askers, &tickets, begun);
                    self.perform(carrier, machine, &request, haste, judge).await
                }
                Next::Wait(until) => self.wait(carrier, until).await,
            };
            if lost.is_some() {
                return lost;
            }
        }
    }

    /// One request, while calls are taken in. Why the link is lost, if it is.
    async fn perform(
        &mut self,
        carrier: &mut impl Carrier<D>,
        machine: usize,
        request: &D::Request,
        haste: Haste,
        judge: Judge,
    ) -> Option<String> {
        // Those who come later wait for a request of their own.
        let earlier = std::mem::take(&mut self.seats[machine].stops);
        let result = {
            let called_back = Notify::new();
            let mut recall = pin!(called_back.notified());
            let may = || judge.permits();
            let errand = Errand { haste, recall: Some(recall.as_mut()), may: Some(&may) };
            let mut performing = pin!(carrier.perform(machine, request, errand));
            let mut calls_back = true;
            loop {
                let mut pressed = self.schedule.pressed_at().filter(|_| calls_back);
                // A timer may take a millisecond more, in which what was overtaken could leave.
                if pressed.is_some_and(|at| at <= Instant::now()) {
                    (calls_back, pressed) = (false, None);
                    called_back.notify_one();
                }
                let round = Instant::now() + ROUND;
                tokio::select! {
                    biased;
                    call = self.called() => self.take(call),
                    () = sleep_until(pressed.unwrap_or(round).into()), if pressed.is_some() => {
                        calls_back = false;
                        called_back.notify_one();
                    }
                    result = &mut performing => break result,
                    // A device may take its time: the task lives nevertheless.
                    () = sleep_until(round.into()) => self.go_round(),
                }
            }
        };
        judge.refuse(&mut self.askers);
        let now = Instant::now();
        let told = haste != Haste::Turn && heard_of(&result, carrier.sent());
        let lost = match &result {
            Err(Fault::Lost(why)) => Some(why.clone()),
            _ => None,
        };
        self.schedule.done(now, result);
        let waiting = if told { earlier.len() } else { 0 };
        self.seats[machine].stops.splice(0..0, earlier);
        // Whoever waits for rest must not be shown how things were before.
        self.tell();
        let stops = &mut self.seats[machine].stops;
        let waiting = waiting.min(stops.len());
        stops.drain(..waiting).for_each(|stop| stop.tell(&Ok(now)));
        lost
    }

    /// Those who wait for a stop hear what has come of it.
    fn tell_stops(&mut self, seat: usize, sent: &Sent) {
        for stop in std::mem::take(&mut self.seats[seat].stops) {
            stop.tell(sent);
        }
    }

    /// Nothing is to be sent before this time, unless somebody calls or a device says something.
    async fn wait(
        &mut self,
        carrier: &mut impl Carrier<D>,
        until: Option<Instant>,
    ) -> Option<String> {
        let round = Instant::now() + ROUND;
        let until = until.map_or(round, |until| until.min(round));
        tokio::select! {
            biased;
            call = self.called() => self.take(call),
            unasked = carrier.unasked() => match unasked {
                Ok(readings) => self.heard(readings),
                Err(Fault::Lost(why)) => return Some(why),
                Err(fault) => tracing::warn!(bus = %self.name(), %fault, "unasked"),
            },
            () = sleep_until(until.into()) => (),
        }
        None
    }

    fn heard(&mut self, readings: Vec<Reading>) {
        self.schedule.heard(Instant::now(), readings);
    }

    /// The next one who calls. Safe to drop while it waits.
    async fn called(&mut self) -> Call {
        tokio::select! {
            biased;
            (seat, urgent) = lane::next_of(&mut self.ends.exits) => match urgent {
                Urgent::Stop(stop) => Call::Stop(seat, stop),
                Urgent::Cut(cut) => Call::Cut(seat, cut),
            },
            Ok(()) = self.ends.dark.changed() => Call::Supply,
            () = self.around.closing.cancelled(), if self.leave_at.is_none() => Call::Closing,
            Some(ask) = self.ends.asks.recv() => Call::Ask(ask),
        }
    }

    fn take(&mut self, call: Call) {
        let now = Instant::now();
        match call {
            Call::Stop(seat, stop) => self.stop(now, seat, stop),
            Call::Cut(seat, cut) => self.cut(now, seat, cut),
            Call::Supply => self.supply(now),
            Call::Ask(ask) => self.answer(now, ask),
            Call::Closing => {
                self.schedule.close(now);
                self.leave_at = Some(now + FAREWELL);
            }
        }
    }

    fn stop(&mut self, now: Instant, seat: usize, stop: StopNow) {
        let stopped = self.schedule.stop(now, seat, stop.how);
        self.tell();
        match stopped {
            Stopped::AtOnce => stop.tell(&Ok(now)),
            Stopped::UnderWay => self.seats[seat].stops.push(stop),
            Stopped::Offline => stop.tell(&Err(Refusal::NotOnline.into())),
        }
    }

    fn answer(&mut self, now: Instant, ask: Ask) {
        // Judged once more: it may have waited.
        let permitted = ask.permitted(&self.seats[ask.seat].declared);
        let Ask { seat, what, stops, permit, answer, .. } = ask;
        let tag = match &what {
            What::Obey(Command::Write { tag, .. }) => self.place_of(seat, tag),
            _ => None,
        };
        let overtaken = self.ends.exits[seat].overtook(stops, tag);
        let begun = permitted.and_then(|()| match what {
            _ if overtaken => Err(Error::Overtaken),
            What::Obey(Command::Write { tag, value }) => {
                let ticket = self.write(now, seat, &tag, &value)?;
                Ok((ticket, Command::Write { tag, value }))
            }
            What::Obey(_) => Err(Refusal::Unsupported("do that; it takes values for tags").into()),
            What::Start(_) => Err(Refusal::Unsupported("run programs").into()),
        });
        match begun {
            Ok((ticket, command)) => {
                self.askers.insert(ticket, Asker { permit, command, answer });
            }
            // The asker may have gone.
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    fn place_of(&self, seat: usize, tag: &str) -> Option<usize> {
        self.seats[seat].declared.tags.iter().position(|it| it.name == tag)
    }

    fn write(
        &mut self,
        now: Instant,
        seat: usize,
        name: &str,
        value: &Value,
    ) -> Result<Ticket, Error> {
        let refuse = |why: String| Error::Refused(Refusal::BadCommand(why));
        let tags = &self.seats[seat].declared.tags;
        let found = tags.iter().enumerate().find(|(_, tag)| tag.name == name);
        let (tag, declared) = found.ok_or_else(|| refuse(format!("it has no tag `{name}`")))?;
        if !declared.write {
            return Err(refuse(format!("tag `{name}` is not declared with `write = true`")));
        }
        self.tickets += 1;
        let place = Place { machine: seat, tag };
        self.schedule.write(now, place, value, self.tickets)?;
        Ok(self.tickets)
    }

    fn go_round(&mut self) {
        let now = Instant::now();
        *self.ends.round.lock().unwrap_or_else(PoisonError::into_inner) = now;
        if ROUND <= now.saturating_duration_since(self.looked) {
            self.looked = now;
            self.ends.look.send_replace(Some(self.schedule.look(now)));
        }
        self.hand_over();
    }

    /// Passes on what there is to be told.
    fn tell(&mut self) {
        let said = self.schedule.take();
        let (mut news, mut answers, mut cuts) = (Vec::new(), Vec::new(), Vec::new());
        for said in said {
            match said {
                Said::Reading(reading) => news.extend(self.news(reading)),
                Said::Answer(ticket, outcome) => answers.push((ticket, outcome)),
                Said::Cut(place, outcome) => cuts.push((place, outcome)),
                said => self.fact(said),
            }
        }
        if !news.is_empty() {
            self.around.points.report(news);
        }
        for (place, outcome) in cuts {
            self.cut_over(place, outcome);
        }
        // Whoever asked finds what was read back in the points.
        for (ticket, outcome) in answers {
            if let Some(asker) = self.askers.remove(&ticket) {
                // The asker may have gone; the value stands either way.
                asker.answer.send(result(outcome)).ok();
            }
        }
        for seat in 0..self.seats.len() {
            self.tell_mode(seat);
            // It may have been confirmed by what the device has said by itself.
            if !self.schedule.stop_waits(seat) {
                self.tell_stops(seat, &Ok(Instant::now()));
            }
        }
        self.go_round();
    }

    fn news(&self, reading: Reading) -> Option<News> {
        let Reading { place, value, quality, at, why } = reading;
        let id = *self.seats.get(place.machine)?.points.get(place.tag)?;
        Some(News { id: id?, value, quality, at, why })
    }

    fn fact(&mut self, said: Said) {
        match said {
            Said::Came(machine) => {
                let dialect = self.seats[machine].declared.driver.clone();
                let controller = Controller { dialect, ..Controller::default() };
                self.note(machine, Event::Connected { controller });
            }
            Said::Went(machine, reason) => {
                let machine_id = &self.seats[machine].declared.id;
                tracing::warn!(machine = %machine_id, %reason, "offline");
                self.note(machine, Event::Disconnected { reason });
                self.seats[machine].live.send_replace(Live { at_ms: now_ms(), ..Live::default() });
                self.tell_stops(machine, &Err(Refusal::NotOnline.into()));
            }
            Said::AtRest(machine, Stop::Stop | Stop::Abort) => {
                self.note(machine, Event::AtRest { position: None, position_kept: true });
            }
            Said::NotStopped(machine, why) => {
                let machine_id = &self.seats[machine].declared.id;
                tracing::error!(machine = %machine_id, %why, "a stop is not confirmed");
                let text = format!("a stop is not confirmed: {why}");
                self.tell_stops(machine, &Err(Error::NotSent(text.clone())));
                self.note(machine, Event::Message { text });
            }
            Said::NotSafe(machine, why) => {
                let machine_id = &self.seats[machine].declared.id;
                tracing::error!(machine = %machine_id, %why, "an output may not be in its safe state");
                let text = format!("an output may not be in its safe state: {why}");
                self.note(machine, Event::Message { text });
            }
            Said::NotWatched(machine, why) => {
                let machine_id = &self.seats[machine].declared.id;
                tracing::error!(machine = %machine_id, %why, "it takes no signs of life");
                let text = format!(
                    "it takes no signs of life ({why}) and will not stop when this box falls \
                     silent: compare `watchdog` with its manual"
                );
                self.note(machine, Event::Message { text });
            }
            Said::AtRest(..) | Said::Reading(_) | Said::Answer(..) | Said::Cut(..) => (),
        }
    }

    /// What a machine shows as, where that has changed.
    fn tell_mode(&mut self, seat: usize) {
        let mode = self.schedule.mode(seat);
        let before = self.seats[seat].live.borrow().mode;
        if mode == before {
            return;
        }
        let live = Live { mode, said: mode.word().into(), at_ms: now_ms(), ..Live::default() };
        self.seats[seat].live.send_replace(live);
        // That it is offline, and why, has been said already.
        if mode != Mode::Offline {
            self.note(seat, Event::Mode { mode });
        }
    }

    fn note(&mut self, seat: usize, said: Event) {
        let least = matches!(said, Event::Mode { .. });
        if least && UNRECORDED <= self.unrecorded.len() {
            return;
        }
        let machine = self.seats[seat].declared.id.clone();
        tracing::debug!(%machine, ?said);
        self.unrecorded.push_back(Fact::Machine { machine, said });
        // More than that many devices cannot come and go while a disk is stuck and be kept apart.
        self.unrecorded.truncate(4 * UNRECORDED);
    }

    fn hand_over(&mut self) {
        while let Some(fact) = self.unrecorded.pop_front() {
            if let Err((_, fact)) = self.around.ledger.note(fact) {
                self.unrecorded.push_front(*fact);
                break;
            }
        }
    }

    fn report(&mut self, error: &(impl Explain + 'static)) {
        let reason = explain::sentence(error);
        if self.reported.as_ref() != Some(&reason) {
            tracing::warn!(bus = %self.name(), "{}", explain::render(error));
            self.part(&reason);
            self.reported = Some(reason);
        }
    }

    /// Tells everybody that the bus is out of reach.
    fn part(&mut self, reason: &str) {
        self.schedule.lost(Instant::now(), reason);
        self.tell();
    }

    /// What has not been written down yet is, if the ledger still takes anything.
    async fn finish(mut self) {
        while !self.unrecorded.is_empty() {
            self.hand_over();
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.around.ledger.health().borrow().eq(&ledger::Health::Failed) {
                break;
            }
        }
    }
}

/// Whether a device can have heard of a request: it has answered, or has been waited for in vain
/// once that was `sent`.
fn heard_of<A>(result: &Result<A, Fault>, sent: bool) -> bool {
    match result {
        Ok(_) | Err(Fault::Refused { .. }) => true,
        Err(Fault::Silence(_) | Fault::Garbled(_) | Fault::Away(_) | Fault::GaveWay { .. }) => sent,
        Err(Fault::Absent(_) | Fault::Unlike(_) | Fault::Lost(_) | Fault::Forbidden) => false,
    }
}

/// What whoever asked for a value is told.
fn result(outcome: Outcome) -> Result<(), Error> {
    let said = outcome.to_string();
    match outcome {
        Outcome::Verified | Outcome::Sent => Ok(()),
        Outcome::Rejected(_) => Err(Error::Rejected(said)),
        Outcome::NoAnswer(_)
        | Outcome::Unread(_)
        | Outcome::Mismatch { .. }
        | Outcome::Forbidden { begun: true }
        | Outcome::Offline { begun: true, .. } => Err(Error::Unverified(said)),
        Outcome::Expired
        | Outcome::Superseded
        | Outcome::Forbidden { .. }
        | Outcome::Offline { .. } => Err(Error::NotSent(said)),
        Outcome::Overtaken => Err(Error::Overtaken),
    }
}
