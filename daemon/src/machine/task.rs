//! The life of one machine.
//!
//! ```text
//!   apart --open--> together --lost--> apart ... until the house closes
//! ```
//!
//! Together, every wait is in one biased `select!` in order of urgency, and every branch can be
//! dropped halfway. Facts for the ledger are handed over without waiting; those that do not fit
//! stay here, and a machine whose facts pile up is held rather than run unrecorded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headstock_config::command::{Command, Stop};
use headstock_config::explain;
use headstock_config::ledger::Fact;
use headstock_config::machine::{Controller, Live, Machine};
use headstock_drivers::link::retry::Retry;
use headstock_drivers::link::{Link, LostError};
use headstock_drivers::{Driver, Outbox, Program as Head, Refusal};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::lane::{Exit, StopNow};
use super::power;
use super::program::Place;
use super::traces::Traces;
use super::work::{Ended, Work};
use super::{Ask, Error, Start, What, in_motion};
use crate::clock::now_ms;
use crate::ledger;

/// How often listeners hear of a position; a change of mode, spindle or inputs is told at once.
const LIVE: Duration = Duration::from_millis(100);
/// How often a running job's place is written down.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// Facts that may wait here for room in the ledger before the machine is held.
const UNRECORDED: usize = 256;
/// How often it goes round at least while its power is off.
const ROUND: Duration = Duration::from_secs(1);
/// How long a closing house waits for a moving machine to come to rest.
const FAREWELL: Duration = Duration::from_secs(5);

/// The task's ends of everything that it is reached by.
pub(super) struct Ends {
    pub(super) stops: Exit,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) live: watch::Sender<Live>,
    /// Whether its power is off.
    pub(super) dark: watch::Receiver<Vec<bool>>,
    /// When it last went round.
    pub(super) round: Arc<Mutex<Instant>>,
    pub(super) closing: CancellationToken,
}

pub(super) struct Task {
    declared: Arc<Machine>,
    driver: Box<dyn Driver>,
    ledger: ledger::Handle,
    ends: Ends,
    traces: Traces,
    out: Outbox,
    work: Option<Work>,
    unrecorded: VecDeque<Fact>,
    /// It was held because these do not become fewer.
    stuck: bool,
    told: Instant,
    /// Who gave the latest command: the one who resumed, say.
    by: String,
    /// Why a connection that failed was last reported, so that each reason is told once.
    reported: Option<String>,
}

/// Why the machine and its device are apart again.
enum Parted {
    Lost(LostError),
    /// Its power has been cut.
    Dark,
    Closing,
}

impl Task {
    pub(super) fn new(
        declared: Arc<Machine>,
        driver: Box<dyn Driver>,
        ledger: ledger::Handle,
        ends: Ends,
        traces: Traces,
    ) -> Self {
        Self {
            declared,
            driver,
            ledger,
            ends,
            traces,
            out: Outbox::default(),
            work: None,
            unrecorded: VecDeque::new(),
            stuck: false,
            told: Instant::now(),
            by: String::new(),
            reported: None,
        }
    }

    pub(super) async fn live(mut self) {
        let mut retry = Retry::default();
        let mut known = None;
        while !self.ends.closing.is_cancelled() {
            if self.dark() {
                // Nobody is there to be talked to; when the power returns this is told at once.
                self.part_dark();
                self.apart(Instant::now() + ROUND).await;
                continue;
            }
            match Link::open(&self.declared, known.as_ref()) {
                Ok(link) => {
                    retry.worked();
                    self.reported = None;
                    known = link.identity().cloned().or(known);
                    let link = self.traces.record(link, &self.declared);
                    match self.together(&link).await {
                        Parted::Lost(error) => {
                            drop(link);
                            self.report(&error);
                        }
                        Parted::Dark => {
                            self.part_dark();
                            continue;
                        }
                        Parted::Closing => (),
                    }
                }
                Err(error) => self.report(&error),
            }
            self.apart(Instant::now() + retry.failed()).await;
        }
        self.part("the house is closing");
        self.traces.finish();
        while !self.unrecorded.is_empty() {
            self.hand_over();
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.ledger.health().borrow().eq(&ledger::Health::Failed) {
                break;
            }
        }
    }

    fn report(&mut self, error: &(impl explain::Explain + 'static)) {
        let reason = explain::sentence(error);
        if self.reported.as_ref() != Some(&reason) {
            tracing::warn!(machine = %self.declared.id, "{}", explain::render(error));
        }
        self.parted(&reason);
    }

    /// Tells a reason once for as long as it stays so.
    fn parted(&mut self, reason: &str) {
        if self.reported.as_deref() != Some(reason) {
            self.part(reason);
            self.reported = Some(reason.to_owned());
        }
    }

    fn part_dark(&mut self) {
        self.parted(&power::dark(self.declared.power.as_ref()));
    }

    fn dark(&self) -> bool {
        self.ends.dark.borrow().contains(&true)
    }

    /// Tells everybody that the device is out of reach.
    fn part(&mut self, reason: &str) {
        self.out.bytes.clear();
        self.out.urgent.clear();
        self.driver.cut(Instant::now(), reason, &mut self.out);
        self.pass_on();
        self.tell_live(true);
    }

    fn go_round(&self) {
        *self.ends.round.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Answers requests until it is time to try again.
    async fn apart(&mut self, until: Instant) {
        loop {
            self.go_round();
            self.hand_over();
            tokio::select! {
                biased;
                () = self.ends.closing.cancelled() => return,
                stop = self.ends.stops.next() => stop.tell(&Err(Refusal::NotOnline.into())),
                Some(ask) = self.ends.asks.recv() => {
                    ask.answer.send(Err(Error::Refused(Refusal::NotOnline))).ok();
                }
                Ok(()) = self.ends.dark.changed() => return,
                () = sleep_until(until.into()) => return,
            }
        }
    }

    async fn together(&mut self, link: &Link) -> Parted {
        self.driver.greet(Instant::now(), &mut self.out);
        let mut buffer = [0; 4096];
        let mut checkpoint = Instant::now() + CHECKPOINT;
        let mut leave_at: Option<Instant> = None;
        loop {
            self.go_round();
            self.feed();
            if let Err(error) = self.write(link) {
                return Parted::Lost(link.lost(error));
            }
            self.pass_on();
            self.tell_live(false);
            let now = Instant::now();
            if leave_at.is_some_and(|at| at <= now || self.resting()) {
                self.lament();
                return Parted::Closing;
            }
            let waiting = !(self.out.bytes.is_empty() && self.out.urgent.is_empty());
            let tick = self.driver.deadline();
            let hungry = self.work.as_ref().is_some_and(Work::reads) && 0 < self.driver.appetite();
            if hungry {
                self.open_program();
            }
            tokio::select! {
                biased;
                stop = self.ends.stops.next() => {
                    if let Err(error) = self.stop(link, stop) {
                        return Parted::Lost(link.lost(error));
                    }
                }
                () = cut(&mut self.ends.dark) => return Parted::Dark,
                () = self.ends.closing.cancelled(), if leave_at.is_none() => {
                    self.driver.farewell(Instant::now(), &mut self.out);
                    leave_at = Some(Instant::now() + FAREWELL);
                }
                Some(ask) = self.ends.asks.recv() => self.answer(ask),
                () = link.room_comes(), if waiting => (),
                read = link.readable_read(&mut buffer) => match read {
                    Ok(length) => {
                        self.hear(link, &buffer[..length]);
                    }
                    Err(error) => return Parted::Lost(link.lost(error)),
                },
                chunk = async { self.work.as_mut().expect("guarded").read().await }, if hungry => {
                    self.take(chunk);
                }
                () = until(tick), if tick.is_some() => {
                    self.driver.tick(Instant::now(), &mut self.out);
                }
                () = sleep_until(checkpoint.into()) => {
                    checkpoint = Instant::now() + CHECKPOINT;
                    let fact = self.work.as_mut().and_then(|work| work.checkpoint(self.driver.as_ref()));
                    self.unrecorded.extend(fact);
                }
            }
        }
    }

    fn hear(&mut self, link: &Link, bytes: &[u8]) {
        let now = Instant::now();
        self.driver.hear(now, bytes, &mut self.out);
        // The driver counts what stands in the outbox as sent; the link has not seen it yet.
        let written = self.driver.unanswered_bytes().saturating_sub(self.out.bytes.len());
        link.answered(now, written);
    }

    /// A stop goes out before anything else is looked at, and before anything is written down.
    fn stop(&mut self, link: &Link, stop: StopNow) -> std::io::Result<()> {
        self.driver.stop(Instant::now(), stop.how, &mut self.out);
        let written = self.write(link);
        let sent = written.as_ref().map(|()| Instant::now());
        if let Some(work) = self.work.as_mut().filter(|_| stop.how != Stop::Hold) {
            work.cancelled_by(&stop.by);
        }
        self.by.clone_from(&stop.by);
        // Whoever waits for rest must not be shown how things were before.
        self.tell_live(true);
        stop.tell(&sent.map_err(|_| Refusal::NotOnline.into()));
        written
    }

    fn answer(&mut self, ask: Ask) {
        if ask.what.acts() {
            // Before it is judged: whoever stops the machine at this moment either sees that it is
            // busy, or has been counted before and is seen below.
            self.ends.live.send_modify(|live| live.busy = true);
        }
        let permitted = ask.permitted(&self.declared);
        let Ask { what, by, stops, answer, .. } = ask;
        let now = Instant::now();
        let result = match what {
            // Judged once more: it may have waited.
            _ if permitted.is_err() => permitted,
            _ if stops < self.ends.stops.asked() && !what.calms() => Err(Error::Overtaken),
            What::Obey(command) => {
                if let (Command::Reset, Some(work)) = (&command, &mut self.work) {
                    work.cancelled_by(&by);
                }
                self.driver.obey(now, command, &mut self.out).map_err(Error::Refused)
            }
            What::Start(start) => self.begin(now, *start),
        };
        self.by = by;
        // Whoever has asked shall not find it as it was before.
        self.tell_live(false);
        // The asker may have gone; what was begun stands either way.
        answer.send(result).ok();
    }

    fn begin(&mut self, now: Instant, start: Start) -> Result<(), Error> {
        if let Some(work) = &self.work {
            return Err(Error::AtWork(work.job().to_owned()));
        }
        let head = Head { dry_run: start.dry_run, layers: start.layers };
        self.driver.begin(now, head, &mut self.out).map_err(Error::Refused)?;
        self.work = Some(Work::new(start, self.controller().as_ref()));
        Ok(())
    }

    /// The driver takes lines: the machine is where the program begins, and in its modes.
    fn open_program(&mut self) {
        if !self.work.as_ref().is_some_and(Work::unopened) {
            return;
        }
        let live = self.driver.live();
        let controller = self.controller();
        let offsets = controller.as_ref().and_then(|it| it.work_offsets.as_ref());
        let place = Place {
            position: live.work_position,
            system: offsets.zip(live.work_offset).and_then(|(it, offset)| it.selected(offset)),
        };
        if let Some(work) = &mut self.work {
            work.open(place);
        }
    }

    fn controller(&self) -> Option<Controller> {
        self.ledger.state().machines.get(&self.declared.id)?.controller.clone()
    }

    fn take(&mut self, chunk: Option<Result<Vec<headstock_drivers::gcode::ProgramLine>, String>>) {
        let now = Instant::now();
        match (&mut self.work, chunk) {
            (Some(work), Some(Ok(lines))) => work.buffer(lines),
            (Some(work), Some(Err(reason))) => {
                // The rest of the program is not to be had: stop as if a line had been refused.
                work.broken(reason);
                self.driver.stop(now, Stop::Stop, &mut self.out);
            }
            (Some(work), None) => work.read_to_the_end(),
            (None, _) => (),
        }
    }

    /// Gives the driver the lines it would take, and says when there are no more.
    fn feed(&mut self) {
        let Some(work) = &mut self.work else { return };
        let now = Instant::now();
        for _ in 0..self.driver.appetite() {
            let Some(line) = work.next_line() else { break };
            self.driver.feed(now, line, &mut self.out);
        }
        if work.finishes_now() {
            self.driver.finish(now, &mut self.out);
        }
    }

    fn write(&mut self, link: &Link) -> std::io::Result<()> {
        let now = Instant::now();
        if !self.out.urgent.is_empty() {
            let written = link.try_write_urgent(now, &self.out.urgent)?;
            self.out.urgent.drain(..written);
        }
        if !self.out.bytes.is_empty() {
            let written = link.try_write(now, &self.out.bytes)?;
            self.out.bytes.drain(..written);
        }
        Ok(())
    }

    /// Turns news into facts.
    fn pass_on(&mut self) {
        while let Some(said) = self.out.events.pop_front() {
            let id = self.declared.id.clone();
            tracing::debug!(machine = %id, ?said);
            let ended = match &mut self.work {
                Some(work) => {
                    work.hear(&said, self.driver.as_ref(), &self.by, &mut self.unrecorded)
                }
                None => Ended::No,
            };
            self.unrecorded.push_back(Fact::Machine { machine: id, said });
            if let Ended::With(fact) = ended {
                self.unrecorded.push_back(*fact);
                self.work = None;
                self.ends.stops.job_ends();
            }
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        while let Some(fact) = self.unrecorded.pop_front() {
            if let Err((_, fact)) = self.ledger.note(fact) {
                self.unrecorded.push_front(*fact);
                break;
            }
        }
        let stuck = UNRECORDED < self.unrecorded.len() && self.work.is_some();
        if stuck && !std::mem::replace(&mut self.stuck, stuck) {
            tracing::error!(machine = %self.declared.id, "the ledger is stuck; holding");
            self.driver.stop(Instant::now(), Stop::Hold, &mut self.out);
        }
        self.stuck = stuck;
    }

    fn tell_live(&mut self, now: bool) {
        let live = self.driver.live();
        // What rules go by is told at once.
        let told = |told: &Live| {
            (told.mode, told.busy, told.work_offset, told.spindle)
                == (live.mode, live.busy, live.work_offset, live.spindle)
                && (&told.pins, &told.accessory) == (&live.pins, &live.accessory)
        };
        let changed = !told(&self.ends.live.borrow());
        if now || changed || LIVE <= self.told.elapsed() {
            self.told = Instant::now();
            let mut live = live.clone();
            live.progress = self.driver.progress();
            live.at_ms = now_ms();
            self.ends.live.send_replace(live);
        }
    }

    /// The house closes; if the machine does not rest, somebody has to look after it.
    fn lament(&self) {
        if !self.resting() {
            let seconds = FAREWELL.as_secs();
            tracing::error!(
                machine = %self.declared.id,
                "the machine has not come to rest within {seconds} seconds and the house closes: \
                 it may still move, and its heaters may still be on; look at it",
            );
        }
    }

    fn resting(&self) -> bool {
        self.out.urgent.is_empty() && !in_motion(self.driver.live().mode)
    }
}

/// Comes when the power is off. Safe to drop while it waits.
async fn cut(dark: &mut watch::Receiver<Vec<bool>>) {
    if dark.wait_for(|dark| dark.contains(&true)).await.is_err() {
        // Nobody is left who would know.
        std::future::pending::<()>().await;
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
