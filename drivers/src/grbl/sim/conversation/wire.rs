//! One direction of a serial line: bytes take their time, and some of them suffer.

use std::collections::VecDeque;

/// What happens to a byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Drop,
    Double,
    /// This bit is changed.
    Flip(u8),
}

/// A byte, counted from when the fault was added, and what happens to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
}

/// Bytes on their way.
#[derive(Debug)]
pub(crate) struct Wire {
    byte_s: f64,
    free_at: f64,
    bytes: VecDeque<(f64, u8)>,
    faults: Vec<Fault>,
}

impl Wire {
    pub(crate) fn new(baud: u32) -> Self {
        Self {
            byte_s: 10.0 / f64::from(baud),
            free_at: 0.0,
            bytes: VecDeque::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn send(&mut self, now: f64, bytes: &[u8]) {
        for &byte in bytes {
            self.free_at = self.free_at.max(now) + self.byte_s;
            for byte in self.suffer(byte).into_iter().flatten() {
                self.bytes.push_back((self.free_at, byte));
            }
        }
    }

    fn suffer(&mut self, byte: u8) -> [Option<u8>; 2] {
        let mut arrives = [Some(byte), None];
        for fault in &mut self.faults {
            if fault.at == 0 {
                arrives = match fault.kind {
                    Kind::Drop => [None, None],
                    Kind::Double => [Some(byte), Some(byte)],
                    Kind::Flip(bit) => [Some(byte ^ (1 << bit)), None],
                };
            }
            fault.at = fault.at.wrapping_sub(1);
        }
        arrives
    }

    /// When the next byte arrives.
    pub(crate) fn next(&self) -> Option<f64> {
        self.bytes.front().map(|(at, _)| *at)
    }

    /// A byte that has arrived.
    pub(crate) fn take(&mut self, now: f64) -> Option<(f64, u8)> {
        self.bytes.pop_front_if(|(at, _)| *at <= now)
    }
}
