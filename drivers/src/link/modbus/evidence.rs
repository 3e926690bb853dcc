//! What went over a bus lately, kept for the one who has to find out why.
//!
//! ```text
//!      0.000000 > 01 03 00 6B 00 03 74 17
//!      0.031250 < 01 03 06 02 2B 00 00 00 64 05 7A
//!      0.031262 = ok
//! ```
//!
//! Seconds since the bus was first opened; `>` sent, `<` received, `=` what was made of it. The
//! oldest go first.

use std::collections::VecDeque;
use std::fmt::{Display, Formatter, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many lines are kept.
pub const KEPT: usize = 1_000;
/// Bytes kept of what was received in one piece: a frame, and what shows that it is none.
const PIECE_MAX: usize = 300;
/// Bytes kept of a verdict.
const VERDICT_MAX: usize = 200;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Since the bus was first opened.
    pub at: Duration,
    /// What happened.
    pub what: What,
}

/// What can happen on a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These bytes were sent.
    Sent(Vec<u8>),
    /// These bytes came.
    Received(Vec<u8>),
    /// What was made of the exchange.
    Verdict(String),
}

impl Display for Line {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:>13.6} ", self.at.as_secs_f64())?;
        match &self.what {
            What::Sent(bytes) => write!(out, "> {}", hex(bytes)),
            What::Received(bytes) => write!(out, "< {}", hex(bytes)),
            What::Verdict(text) => write!(out, "= {text}"),
        }
    }
}

/// Bytes as people write them: `01 03 00 6B`.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let gap = if index == 0 { "" } else { " " };
        // Writing to a string cannot fail.
        write!(text, "{gap}{byte:02X}").ok();
    }
    text
}

/// The lines of one bus. Cheap to clone; all clones are of the same bus.
#[derive(Clone, Debug)]
pub struct Evidence {
    began: Instant,
    // Held for a few instructions, never across an await.
    lines: Arc<Mutex<VecDeque<Line>>>,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { began: Instant::now(), lines: Arc::default() }
    }
}

impl Evidence {
    fn lines_now(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, what: What) {
        let at = self.began.elapsed();
        let mut lines = self.lines_now();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(Line { at, what });
    }

    /// These bytes are being sent.
    pub(super) fn sent(&self, bytes: &[u8]) {
        self.keep(What::Sent(bytes.to_vec()));
    }

    /// These bytes have come. Pieces that follow each other are one line, of the time of the first.
    pub(super) fn received(&self, bytes: &[u8]) {
        if let Some(Line { what: What::Received(before), .. }) = self.lines_now().back_mut() {
            let room = PIECE_MAX - before.len().min(PIECE_MAX);
            before.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        self.keep(What::Received(bytes[..bytes.len().min(PIECE_MAX)].to_vec()));
    }

    /// This was made of it.
    pub(super) fn verdict(&self, verdict: impl Into<String>) {
        let mut verdict: String = verdict.into();
        verdict.truncate(verdict.floor_char_boundary(VERDICT_MAX));
        self.keep(What::Verdict(verdict));
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> Vec<Line> {
        self.lines_now().iter().cloned().collect()
    }

    /// The lines as text.
    pub fn text(&self) -> String {
        let lines = self.lines();
        lines.iter().fold(String::new(), |mut text, line| {
            // Writing to a string cannot fail.
            writeln!(text, "{line}").ok();
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lines_are_kept_and_can_be_read() {
        let evidence = Evidence::default();
        for _ in 0..KEPT {
            evidence.sent(&[0xFF]);
        }
        evidence.clone().received(&[1, 0x8A]);
        evidence.verdict("no answer");
        let text = evidence.text();
        assert_eq!(text.lines().count(), KEPT);
        let mut last = text.lines().rev();
        assert!(last.next().unwrap().ends_with("= no answer"));
        assert!(last.next().unwrap().ends_with("< 01 8A"));
    }
}
