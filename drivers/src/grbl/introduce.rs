//! Getting to know the controller at the other end, without moving, resetting or unlocking it.
//!
//! ```text
//!              report: at rest, nothing under way          `$G` answered
//!  Listening ---------------------------------> Asking -------------------> Done
//!      ^   only `?` goes out                       |  $ $I $$ $# $G, one by one
//!      +------------------- banner ----------------+
//! ```
//!
//! A controller that has just restarted greets with a banner and has an empty line buffer. One
//! that kept running while the house was away may hold half a line of an earlier program and may
//! still be moving: while it moves or is held, it is only watched. Before anything else is asked,
//! `$` and a line end turn a half line into nonsense, which the controller refuses (or into the
//! help text): both are harmless, and the answer is not looked at.

use std::time::{Duration, Instant};

use headstock_config::event::Event;

use super::Grbl;
use super::errand::{Errand, Wanted, Why};
use super::protocol::State;
use crate::Outbox;

/// Silence after which a person is told.
const TELL: Duration = Duration::from_secs(5);
/// Times that answers may belong to others before a controller is taken as one that does not
/// tell its modes.
const MISHEARD: u8 = 8;
/// Rest between two attempts.
const RETRY: Duration = Duration::from_secs(2);

/// Free receive bytes below which lines must be waiting: all of GRBL's builds have more.
const UNREAD: usize = 100;
/// A controller whose buffer is that small after all is asked in the end.
const UNREAD_FOR: Duration = Duration::from_secs(30);

/// How far the introduction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a report that shows it at rest.
    #[default]
    Listening,
    /// The questions are on their way.
    Asking,
    /// It is known.
    Done,
}

/// Progress of the introduction.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    pub(super) phase: Phase,
    /// A banner came since the link opened: no half line can be left over.
    pub(super) clean: bool,
    /// `$I` was refused (as in check mode); it is asked again when the machine is idle.
    pub(super) lacking: bool,
    /// Reports at the time of the latest start.
    pub(super) reports_before: u64,
    opened: Option<Instant>,
    latest: Option<Instant>,
    not_before: Option<Instant>,
    told: bool,
    /// Times that `$G` was answered without its text.
    misheard: u8,
}

impl Introduction {
    pub(super) fn begin(now: Instant) -> Self {
        Self { opened: Some(now), latest: Some(now), ..Self::default() }
    }

    /// The first seconds, in which a starting board may miss what it is asked, are over.
    pub(super) fn has_waited_long(&self) -> bool {
        self.opened
            .zip(self.latest)
            .is_some_and(|(opened, latest)| SILENCE_IS_LONG < latest - opened)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.phase == Phase::Listening)
    }
}

const SILENCE_IS_LONG: Duration = Duration::from_secs(3);

impl Grbl {
    /// Starts from the beginning, after a banner or a lost answer.
    pub(super) fn introduce_again(&mut self, clean: bool, not_before: Option<Instant>) {
        self.errands.clear();
        self.intro.phase = Phase::Listening;
        self.intro.clean = clean;
        self.intro.reports_before = self.sight.reports;
        self.intro.not_before = not_before;
    }

    /// Asks the questions when the machine is at rest and nothing else is going on.
    pub(super) fn introduce(&mut self, now: Instant) {
        self.intro.latest = Some(now);
        let idle = self.sight.state == State::Idle && self.program.is_none();
        let again = self.intro.lacking && idle && self.errands.is_empty();
        if self.intro.phase == Phase::Done && again {
            self.intro.phase = Phase::Listening;
        }
        let seen = self.intro.reports_before < self.sight.reports;
        let rests = matches!(self.sight.state, State::Idle | State::Alarm | State::Check);
        self.intro.not_before = self.intro.not_before.filter(|&then| now < then);
        let early = self.intro.not_before.is_some();
        // A dwell is reported as idle while lines of an earlier run still wait behind it.
        let unread = self.sight.live.buffer.is_some_and(|[_, free]| free < UNREAD)
            && self.intro.opened.is_some_and(|opened| now < opened + UNREAD_FOR);
        let early = early || unread;
        let free = self.stream.is_empty() && self.stopping.is_none() && !self.locked_silent;
        if self.intro.phase != Phase::Listening || !seen || !rests || early || !free {
            return;
        }
        self.intro.phase = Phase::Asking;
        let guard = (!self.intro.clean).then(|| Errand::new("$", Why::Guard));
        self.errands.extend(guard);
        self.errands.extend([
            Errand::new("$I", Why::Info),
            Errand::new("$$", Why::Settings),
            Errand::new("$#", Why::Offsets),
            Errand::modal(Wanted::Introduction),
        ]);
    }

    /// One question was answered; the next follows by itself.
    pub(super) fn introduction_went_on(&mut self) {
        self.intro.clean = true;
    }

    /// An answer of the introduction got lost: begins again a little later.
    pub(super) fn introduction_stuck(&mut self, now: Instant) {
        self.introduce_again(false, Some(now + RETRY));
    }

    /// The last question was answered; with its own text, if `heard`. Without, an answer to a
    /// line of an earlier run came first, and every question got the answer of the one before.
    pub(super) fn introduced(&mut self, now: Instant, heard: bool, out: &mut Outbox) {
        if !heard && self.intro.phase == Phase::Asking && self.intro.misheard < MISHEARD {
            self.intro.misheard += 1;
            return self.introduction_stuck(now);
        }
        if self.intro.phase == Phase::Asking {
            self.intro.phase = Phase::Done;
        }
        let controller = self.it.controller.clone();
        out.events.push_back(Event::Connected { controller });
    }

    /// Whether lines may be sent at all.
    pub(super) fn is_known(&self) -> bool {
        self.open && self.intro.phase == Phase::Done && !self.silent
    }

    /// Nothing has answered for a while: says what that may be, once.
    pub(super) fn tell_of_silence(&mut self, now: Instant, out: &mut Outbox) {
        let long = self.intro.opened.is_some_and(|opened| TELL <= now - opened);
        if self.sight.reports == 0 && long && !self.intro.told {
            self.intro.told = true;
            let text = "the controller does not answer: it may be switched off, run at another \
                        baud rate, or wait for a reset after a limit alarm";
            out.events.push_back(Event::Remark { text: text.into() });
        }
    }
}
