//! Character counting: what has been sent and not been answered yet.
//!
//! The controller reads lines from a ring of `window` bytes and answers each with one `ok` or
//! `error:N`, in order. Invariant: the bytes of all unanswered lines never exceed the window, so
//! the ring cannot overflow and a realtime byte never waits behind more than that. Realtime bytes
//! are no part of the count. Line numbers and what a line means to us are the business of others.

use std::collections::VecDeque;
use std::time::Instant;

use super::errand::Errand;
use super::window::Point;

/// A line that waits for its answer.
#[derive(Debug)]
pub(super) struct Sent {
    /// Its bytes, line end included.
    bytes: usize,
    /// What it is to us.
    pub(super) what: What,
}

/// What a sent line is to us.
#[derive(Debug)]
pub(super) enum What {
    /// A line of the running program.
    Program(ProgramSent),
    /// A line of a program that has been given up meanwhile; its answer says nothing any more.
    Stale,
    /// A command or a question of ours.
    Errand(Errand),
    /// A jog.
    Jog(String),
}

/// A program line that waits for its answer.
#[derive(Debug)]
pub(super) struct ProgramSent {
    /// The line's text.
    pub(super) text: String,
    /// Where it leads, for the checks.
    pub(super) point: Point,
    /// It must stay alone until it is answered.
    pub(super) alone: bool,
    /// It waits for all motion before it is answered.
    pub(super) drains: bool,
    /// It moves.
    pub(super) moves: bool,
}

/// The unanswered lines, oldest first.
#[derive(Debug, Default)]
pub(super) struct Stream {
    lines: VecDeque<Sent>,
    bytes: usize,
    last_traffic: Option<Instant>,
}

impl Stream {
    /// Whether a line of this length would fit now.
    pub(super) fn fits(&self, length: usize, window: usize) -> bool {
        self.bytes + length <= window && !self.lines.back().is_some_and(Sent::stays_alone)
    }

    /// Sends a line.
    pub(super) fn send(&mut self, now: Instant, text: &str, what: What, out: &mut Vec<u8>) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
        let bytes = text.len() + 1;
        self.bytes += bytes;
        self.lines.push_back(Sent { bytes, what });
        self.last_traffic = Some(now);
    }

    /// An answer came: the line it belongs to, if one was waiting.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Sent> {
        self.last_traffic = Some(now);
        let sent = self.lines.pop_front()?;
        self.bytes -= sent.bytes;
        Some(sent)
    }

    /// The controller has forgotten everything.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.bytes = 0;
    }

    /// The program has been given up; its lines are still to be answered.
    pub(super) fn disown_program(&mut self) {
        for sent in &mut self.lines {
            if matches!(sent.what, What::Program(_)) {
                sent.what = What::Stale;
            }
        }
    }

    /// Forgets jogs that a cancel has thrown out of the controller unanswered.
    pub(super) fn forget_jogs(&mut self) {
        self.lines.retain(|sent| !matches!(sent.what, What::Jog(_)));
        self.bytes = self.lines.iter().map(|sent| sent.bytes).sum();
    }

    /// Nothing is unanswered.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Lines unanswered.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Bytes unanswered.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the line the controller works on.
    pub(super) fn head_bytes(&self) -> usize {
        self.lines.front().map_or(0, |sent| sent.bytes)
    }

    /// The unanswered lines, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &What> {
        self.lines.iter().map(|sent| &sent.what)
    }

    /// The errand that is being answered, if the controller works on one.
    pub(super) fn errand(&self) -> Option<&Errand> {
        match self.iter().next()? {
            What::Errand(errand) => Some(errand),
            _ => None,
        }
    }

    /// A jog is unanswered.
    pub(super) fn has_jog(&self) -> bool {
        self.iter().any(|what| matches!(what, What::Jog(_)))
    }

    /// When a line was last sent or answered.
    pub(super) fn last_traffic(&self) -> Option<Instant> {
        self.last_traffic
    }
}

impl Sent {
    fn stays_alone(&self) -> bool {
        match &self.what {
            What::Program(line) => line.alone,
            What::Errand(_) => true,
            What::Stale | What::Jog(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(length: usize, alone: bool) -> (String, What) {
        let text = "X".repeat(length - 1);
        let sent = ProgramSent {
            text: text.clone(),
            point: Point::default(),
            alone,
            drains: false,
            moves: true,
        };
        (text, What::Program(sent))
    }

    fn send(stream: &mut Stream, length: usize, alone: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let (text, what) = line(length, alone);
        stream.send(Instant::now(), &text, what, &mut out);
        out
    }

    #[test]
    fn a_line_fits_up_to_the_last_byte_of_the_window() {
        let mut stream = Stream::default();
        send(&mut stream, 100, false);
        assert!(stream.fits(28, 128) && !stream.fits(29, 128));
        stream.answered(Instant::now());
        assert!(stream.fits(128, 128) && !stream.fits(129, 128) && stream.is_empty());
    }

    #[test]
    fn nothing_follows_a_line_that_must_stay_alone() {
        let mut stream = Stream::default();
        send(&mut stream, 10, true);
        assert!(!stream.fits(1, 128));
    }

    #[test]
    fn a_line_is_sent_with_one_line_end() {
        assert_eq!(send(&mut Stream::default(), 3, false), b"XX\n");
    }

    #[test]
    fn flushed_jogs_leave_the_count() {
        let mut stream = Stream::default();
        send(&mut stream, 10, false);
        stream.send(Instant::now(), "$J=X1F1", What::Jog("$J=X1F1".into()), &mut Vec::new());
        stream.forget_jogs();
        assert_eq!((stream.bytes(), stream.len()), (10, 1));
    }
}
