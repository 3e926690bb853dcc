//! What can be wrong with a pretend chip, by name.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not answer.
    Nack,
    /// It says that it is another chip.
    WrongId,
    /// A checksum is wrong.
    BadCrc,
    /// A measurement does not end.
    Slow,
}

impl Fault {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "nack" => Self::Nack,
            "wrong-id" => Self::WrongId,
            "bad-crc" => Self::BadCrc,
            "slow" => Self::Slow,
            _ => return None,
        })
    }
}

/// The faults that a chip has now.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// Each with the transfers that it is still for; `None`: until somebody ends it.
    now: Vec<(Fault, Option<u32>)>,
}

impl Faults {
    pub(super) fn begin(&mut self, fault: Fault, transfers: Option<u32>) {
        self.now.retain(|(it, _)| *it != fault);
        // The transfer that is to come is the first of them.
        self.now.push((fault, transfers.map(|it| it.saturating_add(1))));
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.now.iter().any(|(it, _)| *it == fault)
    }

    pub(super) fn next_transfer(&mut self) {
        for (_, left) in &mut self.now {
            *left = left.map(|it| it.saturating_sub(1));
        }
        self.now.retain(|(_, left)| *left != Some(0));
    }
}
