//! Numbered lines on their way: which are sent, which are taken, and which are asked for again.
//!
//! ```text
//!               Resend k                     all answered, or silence
//!  Flowing ------------------> Draining ---------------------------------> Flowing
//!     ^                          | another Resend: only the number counts     | from line k,
//!     +--------------------------+                                            | one at a time
//! ```
//!
//! A firmware carries line `n` out only if it has carried out `n - 1`, so exactly-once follows from
//! three rules: a number stands for one text for ever (until all are begun anew); whatever is asked
//! for is sent again from what was kept; numbers are begun anew only when nothing is in flight. All
//! else here is about speed, and may guess: an answer that was counted wrongly is put right by the
//! next line, which the firmware does not take.
//!
//! One bad line among several in flight makes the firmware ask once for each of them. They are
//! waited for together, answered once, and for some lines only one is in flight.
//! Source: Marlin `src/gcode/queue.cpp`; what forks do otherwise is tolerated, not expected.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::line;

/// Lines kept beyond those that are believed to be taken: more than answers can be wrong by.
const KEPT: usize = 256;
/// Without a word about lines for this long, no more answers to a bad line are to come.
const QUIET: Duration = Duration::from_millis(300);
/// Lines that go one by one after a bad one.
const CAREFUL: u32 = 5;
/// Lines taken before a window is opened.
const TRUSTED: u32 = 20;
/// Bytes in flight: the receive buffer of an AVR board (`RX_BUFFER_SIZE`) less one.
const WINDOW_BYTES: usize = 127;
/// A number that is asked for, further back than answers can have been counted wrongly: the
/// firmware counts from something else than we do.
const IMPLAUSIBLE: i64 = 8;
/// See [`Stream::advanced`].
const SURE: u32 = 4;
/// The same line asked for so often within [`STORM`] will not get through.
const ASKED_MAX: u32 = 10;
const STORM: Duration = Duration::from_secs(30);

/// What a line is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// Begins the numbers anew.
    Renumber,
    /// A line of the program.
    Program(ProgramSent),
    /// Something of ours.
    Errand(super::errand::Why),
}

/// What is to be known of a program line when it has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProgramSent {
    /// Line of the file.
    pub(super) number: u64,
    /// It is the so-many-th of the program.
    pub(super) count: u64,
    /// The axes that it homes.
    pub(super) homes: [bool; 3],
}

#[derive(Debug)]
struct Line {
    wire: String,
    what: What,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Stream {
    /// Lines `first..`, the newest at the back; a few of them perhaps not (or not again) sent.
    lines: VecDeque<Line>,
    first: i64,
    /// The last line that is believed to be taken.
    taken: i64,
    /// The last one whose end has been told: once, however often it has to be sent.
    told: i64,
    /// The next one to go over the wire.
    cursor: i64,
    state: State,
    /// Lines that may be in flight, if the firmware tells of its buffer; otherwise one.
    window: Option<usize>,
    /// Lines in a row that were taken at once.
    clean: u32,
    /// How sure it is that an `ok` carries its line's number: numbered answers less those without,
    /// at most [`SURE`]. One damaged answer must not decide it.
    advanced: u32,
    last_sent: Option<Instant>,
    last_heard: Option<Instant>,
    /// What the latest `Last Line:` said should follow; to compare with the `Resend:` behind it.
    named: Option<i64>,
    implausible: u32,
    asked: Option<(i64, Instant, u32)>,
    /// Times that a line was asked for again, and lines sent, for the quality of the link.
    pub(super) resends: u64,
    pub(super) sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Flowing,
    /// Waits for `due` answers; then goes on with `from`.
    Draining {
        from: i64,
        due: usize,
        since: Instant,
    },
}

/// What a report of a bad line has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It will be sent again.
    None,
    /// The firmware counts from something else.
    OutOfStep,
    /// The same line does not get through.
    Hopeless,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            first: 0,
            taken: -1,
            told: -1,
            cursor: 0,
            state: State::Flowing,
            window: None,
            clean: 0,
            advanced: 0,
            last_sent: None,
            last_heard: None,
            named: None,
            implausible: 0,
            asked: None,
            resends: 0,
            sent: 0,
        }
    }
}

impl Stream {
    /// Begins the numbers anew; what was in flight counts for nothing any more.
    pub(super) fn renumber(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.forget();
        let wire = line::renumbering(0);
        self.lines.push_back(Line { wire, what: What::Renumber });
        self.pump(now, out);
    }

    fn next(&self) -> i64 {
        self.first + self.lines.len() as i64
    }

    /// Lines in flight.
    pub(super) fn in_flight(&self) -> usize {
        usize::try_from(self.cursor - 1 - self.taken).unwrap_or(0)
    }

    /// Bytes in flight.
    pub(super) fn bytes(&self) -> usize {
        (self.taken + 1..self.cursor).filter_map(|it| self.line(it)).map(|it| it.wire.len()).sum()
    }

    /// Everything that was pushed is believed to be taken.
    pub(super) fn is_idle(&self) -> bool {
        self.taken + 1 == self.next() && self.state == State::Flowing
    }

    pub(super) fn is_draining(&self) -> bool {
        self.state != State::Flowing
    }

    fn line(&self, number: i64) -> Option<&Line> {
        self.lines.get(usize::try_from(number - self.first).ok()?)
    }

    fn limit(&self) -> usize {
        match self.window {
            Some(window) if TRUSTED <= self.clean => window,
            _ => 1,
        }
    }

    /// The firmware counts as we do.
    pub(super) fn is_numbered(&self) -> bool {
        0 <= self.taken
    }

    /// The oldest line in flight, as it went over the wire.
    pub(super) fn oldest(&self) -> Option<&str> {
        (self.taken + 1 < self.cursor)
            .then(|| self.line(self.taken + 1))?
            .map(|it| it.wire.as_str())
    }

    /// A new line of this length may be pushed and would go out at once.
    pub(super) fn has_room(&self, length: usize) -> bool {
        let flight = self.in_flight();
        self.state == State::Flowing
            && self.is_numbered()
            && self.cursor == self.next()
            && flight < self.limit()
            && (flight == 0 || self.bytes() + length + 16 <= WINDOW_BYTES)
    }

    /// Numbers a new line and sends it.
    pub(super) fn push(&mut self, now: Instant, text: &str, what: What, out: &mut Vec<u8>) {
        let wire = line::numbered(self.next(), text);
        self.lines.push_back(Line { wire, what });
        while KEPT < self.lines.len() && self.first < self.taken {
            self.lines.pop_front();
            self.first += 1;
        }
        self.pump(now, out);
    }

    /// Sends what may be sent.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Vec<u8>) {
        while self.state == State::Flowing && self.cursor < self.next() {
            let flight = self.in_flight();
            let bytes = self.bytes();
            let limit = self.limit();
            let Some(line) = self.line(self.cursor) else { return };
            if limit <= flight || 0 < flight && WINDOW_BYTES < bytes + line.wire.len() {
                return;
            }
            out.extend_from_slice(line.wire.as_bytes());
            self.cursor += 1;
            self.sent += 1;
            self.last_sent = Some(now);
        }
    }

    /// An `ok`, with what it told.
    pub(super) fn ok(&mut self, now: Instant, number: Option<i64>, queue: Option<usize>) {
        self.last_heard = Some(now);
        let sent = self.cursor - 1;
        if let Some(number) = number.filter(|it| (self.taken..=sent).contains(it)) {
            self.advanced = (self.advanced + 1).min(SURE);
            if let Some(free) = queue.filter(|_| self.is_advanced_now()) {
                // While a line is answered its place is still taken, so the most that is ever
                // told is what may safely be in flight.
                self.window = Some(self.window.unwrap_or(1).max(free.clamp(1, 32)));
            }
            if self.taken < number {
                self.take(number);
            }
        } else if number.is_none() && self.state == State::Flowing && 0 < self.in_flight() {
            if !self.is_advanced_now() {
                self.take(self.taken + 1);
            }
            self.advanced = self.advanced.saturating_sub(1);
        }
        self.count_answer();
    }

    /// The answer to an M105, which tells no number: whatever came before one in flight is taken.
    pub(super) fn ok_to(&mut self, now: Instant, is_it: impl Fn(&What) -> bool) {
        self.last_heard = Some(now);
        let open = (self.taken + 1)..self.cursor;
        let found =
            open.into_iter().find(|&it| self.line(it).is_some_and(|line| is_it(&line.what)));
        match found {
            _ if self.is_draining() => (),
            Some(number) => self.take(number),
            None if 0 < self.in_flight() => self.take(self.taken + 1),
            None => (),
        }
        self.count_answer();
    }

    /// A numbered line is answered with its number, so an answer without one is another's. What
    /// begins the numbers, and a firmware that has not shown yet that it tells them, are not.
    fn is_advanced_now(&self) -> bool {
        1 < self.advanced && 0 < self.taken
    }

    fn take(&mut self, number: i64) {
        let lines = u32::try_from(number - self.taken).unwrap_or(1);
        self.taken = number;
        self.clean = self.clean.saturating_add(lines);
        self.implausible = 0;
    }

    fn count_answer(&mut self) {
        if let State::Draining { due, .. } = &mut self.state {
            *due = due.saturating_sub(1);
        }
    }

    /// The lines that have come to their end since this was asked last, in order.
    pub(super) fn ended(&mut self) -> Vec<What> {
        let fresh = self.told.max(self.first - 1) + 1..=self.taken;
        self.told = self.told.max(self.taken);
        fresh.filter_map(|it| self.line(it)).map(|line| line.what.clone()).collect()
    }

    /// The firmware has not taken a line: it has taken `last`.
    pub(super) fn bad_line(&mut self, now: Instant, last: i64) -> Trouble {
        self.named = last.checked_add(1);
        self.ask_again(now, last.saturating_add(1), false)
    }

    /// It asks for this line.
    pub(super) fn resend(&mut self, now: Instant, number: i64) -> Trouble {
        let agree = self.named.take() == Some(number);
        self.ask_again(now, number, agree)
    }

    fn ask_again(&mut self, now: Instant, number: i64, certain: bool) -> Trouble {
        self.last_heard = Some(now);
        let due = self.in_flight().max(1);
        if !self.is_numbered() {
            // It has not understood that the numbers begin anew; nothing else is in flight.
            self.drain(now, 0, due);
            return Trouble::None;
        }
        let oldest = (self.taken + 1 - IMPLAUSIBLE).max(self.first);
        if !(oldest..=self.next()).contains(&number) {
            // A changed digit, or a firmware that counts from something else: what we believe is
            // sent again, and the answer to that decides.
            self.implausible += u32::from(certain);
            return match self.implausible {
                2.. if self.next() < number && self.first == 0 => self.begin_again(now, due),
                2.. => Trouble::OutOfStep,
                _ => {
                    self.drain(now, self.taken + 1, due);
                    Trouble::None
                }
            };
        }
        // What it names it has not taken, whatever answers have been counted.
        self.taken = number - 1;
        self.clean = TRUSTED - CAREFUL;
        let new = !self.is_draining();
        self.drain(now, number, due);
        if new { self.note_asked(now, number) } else { Trouble::None }
    }

    /// It has taken more lines than we have ever numbered: the numbers were never begun anew, and
    /// so nothing of what is kept has been carried out.
    fn begin_again(&mut self, now: Instant, due: usize) -> Trouble {
        self.taken = -1;
        self.implausible = 0;
        self.drain(now, 0, due);
        self.note_asked(now, 0)
    }

    fn drain(&mut self, now: Instant, from: i64, due: usize) {
        match &mut self.state {
            // More of the same: only the number may be a better one.
            State::Draining { from: old, since, .. } => (*old, *since) = (from, now),
            State::Flowing => self.state = State::Draining { from, due, since: now },
        }
    }

    fn note_asked(&mut self, now: Instant, number: i64) -> Trouble {
        self.resends += 1;
        match &mut self.asked {
            Some((asked, since, times)) if *asked == number && now - *since < STORM => {
                *times += 1;
                if ASKED_MAX < *times { Trouble::Hopeless } else { Trouble::None }
            }
            asked => {
                *asked = Some((number, now, 1));
                Trouble::None
            }
        }
    }

    /// `wait`: it has nothing to do. If something is in flight, that or its answer got lost. One
    /// that was written a moment ago may still be on its way.
    pub(super) fn idle_said(&mut self, now: Instant) {
        let quiet = self.last_sent.is_some_and(|sent| sent + QUIET <= now);
        if quiet && 0 < self.in_flight() && self.state == State::Flowing {
            self.state = State::Draining { from: self.taken + 1, due: 0, since: now };
        }
    }

    /// Something else was said that shows that it is at work: answers may still come.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = Some(now);
        if let State::Draining { since, .. } = &mut self.state {
            *since = now;
        }
    }

    /// When waiting for answers to a bad line ends, or a silence has become suspicious.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Instant> {
        match self.state {
            State::Draining { since, due, .. } => {
                Some(if due == 0 { since } else { since + QUIET })
            }
            State::Flowing if 0 < self.in_flight() => {
                let last = self.last_sent.max(self.last_heard)?;
                Some(last + patience)
            }
            State::Flowing => None,
        }
    }

    /// Lets time pass. A line without an answer is sent once more: if it had been taken, the
    /// firmware says so and carries nothing out twice. Gives whether that was done.
    pub(super) fn tick(&mut self, now: Instant, patience: Duration, out: &mut Vec<u8>) -> bool {
        let due = self.deadline(patience).is_some_and(|due| due <= now);
        let mut nudged = false;
        match self.state {
            State::Draining { from, due: answers, .. } if due || answers == 0 => {
                self.state = State::Flowing;
                self.cursor = from;
                self.taken = self.taken.min(from - 1);
            }
            State::Flowing if due => {
                self.cursor = self.taken + 1;
                self.clean = TRUSTED - CAREFUL;
                nudged = true;
            }
            _ => (),
        }
        self.pump(now, out);
        nudged
    }

    /// Nothing more of what has been pushed and not sent goes out.
    pub(super) fn abandon(&mut self) {
        let keep = usize::try_from(self.cursor - self.first).unwrap_or(0);
        self.lines.truncate(keep);
        self.state = State::Flowing;
    }

    /// Nothing is in flight any more, whatever becomes of it: no line of before is sent again.
    pub(super) fn forget(&mut self) {
        *self = Self {
            advanced: self.advanced,
            window: self.window,
            resends: self.resends,
            sent: self.sent,
            ..Self::default()
        };
    }

    /// The lines that have no end yet, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = &What> {
        (self.told + 1..self.next()).filter_map(|it| self.line(it)).map(|line| &line.what)
    }
}
