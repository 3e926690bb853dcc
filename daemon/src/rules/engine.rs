//! What the guard decides: from what points say to what is to be done about it.
//!
//! ```text
//!  interlock:   RELEASED --condition holds--> TRIPPED --gone--> RELEASED     (latched: see `judge`)
//!  stop chain:  UNKNOWN --closed--> CLOSED <--closed-- OPEN
//!                  +-- open, or not known for a while --^
//!  button:      UNKNOWN --off--> UP --on--> DOWN (pressed) --off--> UP
//! ```
//!
//! Pure: points and moments come in, deeds come out, in the order of their urgency. While an
//! interlock is tripped or the chain open, a machine that moves all the same is stopped again.
//!
//! Invariant: an input that has not been read since the house opened trips nothing for [`GRACE`];
//! until then it only refuses (see `judge`).

use std::time::{Duration, Instant};

use headstock_config::command::Stop;
use headstock_config::rule::{Because, Does, Kind, Output, Reading, Verdict};
use headstock_config::tag::Role;

use super::declared::Declared;
use super::follow::{Following, Phase};

/// How long after the house has opened an input may be unknown before that counts as lost.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How often a machine that moves against a rule is stopped: longer than it takes to report that it
/// slows down.
const STOP_AGAIN: Duration = Duration::from_millis(300);
/// How often a tag that is otherwise than an interlock has it is written.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// How often the guard looks although no point has changed: what is stale has said nothing.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    /// The hardware stop chain is open: these machines are to be stopped.
    Opened { because: Because },
    /// It is closed again.
    Closed,
    /// An interlock has tripped.
    Tripped { rule: usize, because: Because },
    /// A machine is to be stopped.
    Stop { by: By, machine: String, how: Stop },
    /// A tag is to be set.
    Write { by: By, output: Output },
    /// An interlock is not tripped any more.
    Released { rule: usize },
    /// A button was pressed.
    Pressed { point: String, role: Role },
}

/// On whose account. Numbers are places in the declared lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// The hardware stop chain.
    Chain,
    /// An interlock.
    Interlock(usize),
    /// A follow rule.
    Follow(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Chain {
    #[default]
    Unknown,
    Closed,
    Open,
}

#[derive(Clone, Debug, Default)]
struct Lock {
    tripped: Option<Because>,
    /// The condition has been known since the house opened.
    known: bool,
    acted: Option<Instant>,
}

/// Everything that the guard keeps in mind.
pub(super) struct Engine {
    declared: Declared,
    opened: Instant,
    chain: Chain,
    chain_acted: Option<Instant>,
    locks: Vec<Lock>,
    follows: Vec<Following>,
    /// Whether each button is down; `None`: not known since the house opened.
    buttons: Vec<Option<bool>>,
}

/// What the guard sees at one moment.
pub(super) struct Sight<'s> {
    /// What a point says.
    pub(super) read: &'s dyn Fn(&str) -> Reading,
    /// Whether a machine moves.
    pub(super) moves: &'s dyn Fn(&str) -> bool,
}

impl Engine {
    /// At the moment at which the house opens.
    pub(super) fn new(declared: Declared, opened: Instant) -> Self {
        let locks = vec![Lock::default(); declared.rules.interlocks.len()];
        let follows = vec![Following::default(); declared.rules.follows.len()];
        let buttons = vec![None; declared.buttons.len()];
        let (chain, chain_acted) = (Chain::default(), None);
        Self { declared, opened, chain, chain_acted, locks, follows, buttons }
    }

    /// What is to be done now. The most urgent comes first.
    pub(super) fn look(&mut self, now: Instant, sight: &Sight<'_>) -> Vec<Deed> {
        let mut deeds = Vec::new();
        self.look_at_chain(now, sight, &mut deeds);
        for rule in 0..self.locks.len() {
            self.look_at_interlock(now, rule, sight, &mut deeds);
        }
        self.look_at_buttons(sight, &mut deeds);
        for (rule, following) in self.follows.iter_mut().enumerate() {
            let declared = &self.declared.rules.follows[rule];
            let verdict = declared.when.judge(Kind::Follow, sight.read);
            if let Some(on) = following.look(now, declared, &verdict) {
                let value = if on { &declared.on } else { &declared.off }.clone();
                let (machine, tag) = (declared.machine.clone(), declared.tag.clone());
                let output = Output { machine, tag, value };
                deeds.push(Deed::Write { by: By::Follow(rule), output });
            }
        }
        deeds
    }

    fn look_at_chain(&mut self, now: Instant, sight: &Sight<'_>, deeds: &mut Vec<Deed>) {
        let Some(because) = open(&self.declared.chain, sight.read) else {
            if self.chain == Chain::Open {
                deeds.push(Deed::Closed);
            }
            if !self.declared.chain.is_empty() {
                self.chain = Chain::Closed;
            }
            return;
        };
        let (because, known) = because;
        let unread = self.chain == Chain::Unknown && !known;
        if unread && now < self.opened + GRACE {
            return;
        }
        let first = std::mem::replace(&mut self.chain, Chain::Open) != Chain::Open;
        if first {
            deeds.push(Deed::Opened { because });
        }
        let again = now.saturating_duration_since(self.chain_acted.unwrap_or(now)) >= STOP_AGAIN;
        if !(first || again) {
            return;
        }
        for machine in &self.declared.movers {
            if first || (sight.moves)(machine) {
                self.chain_acted = Some(now);
                deeds.push(Deed::Stop { by: By::Chain, machine: machine.clone(), how: Stop::Stop });
            }
        }
    }

    fn look_at_interlock(
        &mut self,
        now: Instant,
        rule: usize,
        sight: &Sight<'_>,
        deeds: &mut Vec<Deed>,
    ) {
        let declared = &self.declared.rules.interlocks[rule];
        let Verdict { holds, known, because } = declared.when.judge(Kind::Interlock, sight.read);
        let lock = &mut self.locks[rule];
        lock.known |= known;
        if !holds {
            if lock.tripped.take().is_some() {
                deeds.push(Deed::Released { rule });
            }
            return;
        }
        if !lock.known && now < self.opened + GRACE {
            return;
        }
        let first = lock.tripped.is_none();
        if first {
            lock.tripped = Some(because.clone());
            deeds.push(Deed::Tripped { rule, because });
        }
        let pause = match declared.does {
            Does::Stop { .. } => STOP_AGAIN,
            Does::Write(_) => WRITE_AGAIN,
        };
        let again = lock.acted.is_none_or(|at| pause <= now.saturating_duration_since(at));
        if !(first || again) {
            return;
        }
        match &declared.does {
            Does::Stop { machine, how } if first || (sight.moves)(machine) => {
                lock.acted = Some(now);
                let (by, machine, how) = (By::Interlock(rule), machine.clone(), *how);
                deeds.push(Deed::Stop { by, machine, how });
            }
            Does::Write(output) if first || !is_so(&self.declared, output, sight.read) => {
                lock.acted = Some(now);
                deeds.push(Deed::Write { by: By::Interlock(rule), output: output.clone() });
            }
            _ => (),
        }
    }

    fn look_at_buttons(&mut self, sight: &Sight<'_>, deeds: &mut Vec<Deed>) {
        for ((point, role), down) in self.declared.buttons.iter().zip(&mut self.buttons) {
            let reading = (sight.read)(point);
            let Some(value) = reading.believed() else { continue };
            let was = down.replace(value.is_on());
            // One that is found down may be stuck, or leant on.
            if was == Some(false) && value.is_on() {
                deeds.push(Deed::Pressed { point: point.clone(), role: *role });
            }
        }
    }

    /// A stop was not sent, since the machine was at rest: it is, as soon as it moves.
    pub(super) fn not_sent(&mut self, by: By) {
        if let By::Interlock(rule) = by
            && let Some(lock) = self.locks.get_mut(rule)
        {
            lock.acted = None;
        }
    }

    /// A person has set a tag: the follow rules of it stand back. Which, and whether that makes a
    /// difference.
    pub(super) fn set_aside(&mut self, point: &str) -> Vec<(usize, bool)> {
        let of_tag = self.following(point);
        of_tag.map(|(number, following)| (number, following.set_aside())).collect()
    }

    /// A tag's machine is held. Which follow rules of it have put off going on.
    pub(super) fn hold_back(&mut self, point: &str) -> Vec<usize> {
        let of_tag = self.following(point);
        of_tag.filter_map(|(number, following)| following.hold_back().then_some(number)).collect()
    }

    fn following(&mut self, point: &str) -> impl Iterator<Item = (usize, &mut Following)> {
        let rules = self.declared.rules.follows.iter().zip(&mut self.follows).enumerate();
        let of_tag = rules.filter(move |(_, (rule, _))| rule.point() == point);
        of_tag.map(|(number, (_, following))| (number, following))
    }

    /// What a follow rule wished to put on did not come through: it has no more to do until its
    /// condition comes to hold anew.
    pub(super) fn give_up(&mut self, rule: usize) {
        if let Some(following) = self.follows.get_mut(rule) {
            following.give_up();
        }
    }

    /// Why each interlock is tripped, if it is.
    pub(super) fn tripped(&self) -> impl Iterator<Item = Option<&Because>> {
        self.locks.iter().map(|it| it.tripped.as_ref())
    }

    /// Whether the hardware stop chain counts as open: machines were stopped.
    pub(super) fn chain_open(&self) -> bool {
        self.chain == Chain::Open
    }

    /// Where each follow rule is.
    pub(super) fn phases(&self) -> impl Iterator<Item = Phase> {
        self.follows.iter().map(Following::phase)
    }

    /// When it wants to look again although no point has changed.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        let rules = self.declared.rules.follows.iter().zip(&self.follows);
        let wanted = rules.filter_map(|(rule, following)| following.deadline(rule));
        wanted.min().unwrap_or(now + LOOK).min(now + LOOK)
    }
}

/// Why the chain is not closed, and whether that is known; `None`: every input of it is closed.
pub(super) fn open(chain: &[String], read: &dyn Fn(&str) -> Reading) -> Option<(Because, bool)> {
    let mut unknown = None;
    for point in chain {
        let reading = read(point);
        let because =
            || Because { point: point.clone(), is: reading.words(), against: "on".into() };
        match reading.believed() {
            Some(value) if value.is_on() => (),
            Some(_) => return Some((because(), true)),
            None => unknown = unknown.or_else(|| Some((because(), false))),
        }
    }
    unknown
}

fn is_so(declared: &Declared, output: &Output, read: &dyn Fn(&str) -> Reading) -> bool {
    let point = output.point();
    let reading = read(&point);
    reading.believed().is_some_and(|is| declared.is_as_written(&point, &output.value, is))
}
