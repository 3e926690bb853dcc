//! How much may be written now, so that a realtime byte never waits behind much of ours.
//!
//! The kernel takes bytes far faster than the wire carries them: 4 KiB of lines in its queue are
//! 356 ms at 115200 baud, and a feed hold written behind them comes that much too late. So at most
//! [`ALLOWANCE`] bytes of ours (5.6 ms at 115200) are handed over before the wire has carried them.
//!
//! The clock of the wire is a model: `free_at` is when the last byte written will have left. Two
//! observations correct it. The kernel's own count can only show that more is waiting (chips and
//! pseudo terminals hide bytes). An answer can only show that less is waiting: the device has read
//! what it answers. A device that keeps answering bytes which by the model cannot have arrived is
//! on a wire faster than declared (USB devices without a UART ignore the baud rate), and the model
//! learns it.
//!
//! Pure: time comes in as an argument. Not here: the port, and who waits for room.

use std::time::{Duration, Instant};

/// Bytes of ours that may be untransmitted; on fast wires what they carry in 2 ms.
pub const ALLOWANCE: usize = 64;
/// See [`ALLOWANCE`]: timers have a grain of 1 ms, less than two of them would starve a fast wire.
const FAST_SPAN: Duration = Duration::from_millis(2);
/// What should still be on its way when a refill is begun, so that a timer (a grain of 1 ms) and
/// a busy box may be late.
const RESERVE: Duration = Duration::from_millis(4);
/// Answers for bytes that cannot have arrived, before the wire is believed to be faster.
const EVIDENCE: u32 = 8;
/// They have to come within this time: a reset now and then empties the count as well.
const SOON: Duration = Duration::from_secs(1);
/// An answer counts as evidence only if it is ahead of the model by this many bytes.
const CLEARLY: usize = 16;
/// No wire of ours carries a byte faster: 4 MB/s.
const FASTEST: Duration = Duration::from_nanos(250);

/// The wire as we believe it to be.
#[derive(Clone, Debug)]
pub struct Pace {
    byte_time: Duration,
    /// The most that is ever left untransmitted, realtime bytes aside.
    allowance: usize,
    chunk: usize,
    free_at: Instant,
    evidence: u32,
    evidence_since: Instant,
}

impl Pace {
    /// A silent wire at this many bits per second; a byte is ten of them (8N1).
    pub fn new(now: Instant, baud: u32) -> Self {
        let byte_time = Duration::from_nanos(10_000_000_000 / u64::from(baud.max(1)));
        let mut pace = Self {
            byte_time,
            allowance: 0,
            chunk: 0,
            free_at: now,
            evidence: 0,
            evidence_since: now,
        };
        pace.set_byte_time(byte_time);
        pace
    }

    fn set_byte_time(&mut self, byte_time: Duration) {
        self.byte_time = byte_time.max(FASTEST);
        self.allowance = ALLOWANCE.max(self.bytes_in(FAST_SPAN));
        let spare = self.allowance.saturating_sub(self.bytes_in(RESERVE));
        self.chunk = spare.clamp(self.allowance / 4, self.allowance / 2);
    }

    fn bytes_in(&self, span: Duration) -> usize {
        let bytes = span.as_nanos() / self.byte_time.as_nanos();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.byte_time.saturating_mul(bytes)
    }

    /// Bytes written that have not left yet, by the model.
    pub fn untransmitted(&self, now: Instant) -> usize {
        let waiting = self.free_at.saturating_duration_since(now);
        let bytes = waiting.as_nanos().div_ceil(self.byte_time.as_nanos());
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Ordinary bytes that may be written now.
    pub fn room(&self, now: Instant) -> usize {
        self.allowance.saturating_sub(self.untransmitted(now))
    }

    /// When a refill is worth a write; `None`: it is already.
    pub fn room_at(&self, now: Instant) -> Option<Instant> {
        let left = self.time_of(self.allowance - self.chunk);
        let at = self.free_at.checked_sub(left)?;
        (at > now).then_some(at)
    }

    /// This many bytes have just been handed over.
    pub fn wrote(&mut self, now: Instant, bytes: usize) {
        self.free_at = self.free_at.max(now) + self.time_of(bytes);
    }

    /// The kernel says that this many bytes wait; it never knows of fewer than there are.
    pub fn queued(&mut self, now: Instant, bytes: usize) {
        self.free_at = self.free_at.max(now + self.time_of(bytes));
    }

    /// The device has answered everything but this many of the bytes ever written.
    pub fn answered(&mut self, now: Instant, unanswered: usize) {
        let waiting = self.untransmitted(now);
        if unanswered >= waiting {
            return;
        }
        if waiting - unanswered >= CLEARLY {
            self.learn(now);
        }
        self.free_at = now + self.time_of(unanswered);
    }

    fn learn(&mut self, now: Instant) {
        if self.evidence == 0 || now.saturating_duration_since(self.evidence_since) > SOON {
            (self.evidence, self.evidence_since) = (0, now);
        }
        self.evidence += 1;
        if self.evidence >= EVIDENCE {
            self.evidence = 0;
            self.set_byte_time(self.byte_time / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_silent_wire_takes_64_bytes_and_then_as_many_as_leave() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 115_200);
        assert_eq!(pace.room(start), 64);
        pace.wrote(start, 64);
        assert_eq!(pace.room(start), 0);
        assert_eq!(pace.room(start + us(868)), 9);
        assert_eq!(pace.room(start + us(5_556)), 64);
    }

    #[test]
    fn a_timer_that_is_2_ms_late_leaves_the_wire_saturated() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now, 115_200);
        let (start, mut sent) = (now, 0);
        while now < start + Duration::from_secs(1) {
            let room = pace.room(now);
            assert!(pace.untransmitted(now) > 0 || sent == 0, "the wire fell silent");
            pace.wrote(now, room);
            sent += room;
            now = pace.room_at(now).unwrap() + us(2_000);
        }
        assert!((11_500..11_700).contains(&sent), "{sent} bytes in a second");
    }

    #[test]
    fn a_refill_waits_until_it_is_worth_a_write() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 115_200);
        assert_eq!(pace.room_at(start), None);
        pace.wrote(start, 64);
        let refill = pace.room_at(start).unwrap();
        assert_eq!(pace.room(refill), 18);
    }

    #[test]
    fn a_fast_wire_is_allowed_what_it_carries_in_2_ms() {
        let start = Instant::now();
        assert_eq!(Pace::new(start, 1_000_000).allowance, 200);
        assert_eq!(Pace::new(start, 9_600).allowance, 64);
    }

    #[test]
    fn the_kernels_count_can_only_raise_the_model() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 115_200);
        pace.wrote(start, 10);
        pace.queued(start, 60);
        assert_eq!(pace.room(start), 4);
        pace.queued(start, 0);
        assert_eq!(pace.room(start), 4);
    }

    #[test]
    fn an_answer_can_only_lower_the_model() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 115_200);
        pace.wrote(start, 50);
        pace.answered(start, 20);
        assert_eq!(pace.room(start), 44);
        pace.answered(start, 120);
        assert_eq!(pace.room(start), 44);
    }

    #[test]
    fn a_wire_that_proves_faster_than_declared_is_believed() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now, 115_200);
        let mut sent = 0;
        for _ in 0..500 {
            let room = pace.room(now).min(100);
            pace.wrote(now, room);
            sent += room;
            now += us(100);
            pace.answered(now, 0);
        }
        assert!(sent > 40_000, "{sent} bytes in 50 ms");
    }

    #[test]
    fn one_reset_that_empties_the_count_is_no_proof() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 115_200);
        pace.wrote(start, 64);
        pace.answered(start, 0);
        pace.wrote(start, 64);
        assert_eq!(pace.room(start + us(868)), 9);
    }

    #[test]
    fn answers_at_the_pace_of_the_wire_teach_nothing() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now, 115_200);
        // Lines of 20 bytes, each answered 500 us after its last byte has left.
        for _ in 0..200 {
            pace.wrote(now, 20);
            now += us(1_737 + 500);
            pace.answered(now, 0);
        }
        assert_eq!(pace.allowance, 64);
        pace.wrote(now, 64);
        assert_eq!(pace.room(now + us(868)), 9);
    }
}
