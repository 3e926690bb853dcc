//! One record: an entry as it lies in a segment.
//!
//! ```text
//!  0 length u32 | 4 crc32c u32 | 8 version u8, zero x3 | 12 batch u32 | 16 number u64
//! 24 at_ms u64  | 32 boot u32  | 36 mono_ms u32        | 40 body …    | chain, 32 bytes
//! ```
//!
//! Little-endian. `length` counts the body alone; the checksum covers everything but itself and
//! the chain. `chain` = blake3(chain before, blake3(all bytes of this record before it)): a hash
//! of a hash, so that a body may one day be dropped for its hash without breaking the chain.
//! `batch` counts the records since the last one that was known to be durable when this one was
//! encoded: it tells a torn last write from damage (see `segment`).
//!
//! Invariant: no bytes make [`decode`] panic or allocate.

use blake3::Hasher;

/// Bytes before the body.
pub(super) const HEAD: usize = 40;
/// Largest body. Whatever is larger belongs into a file whose hash is written here.
pub const MAX_BODY: usize = 256 * 1024;

const VERSION: u8 = 1;
const CHAIN: usize = 32;

/// The hash over everything written so far.
pub type Chain = [u8; CHAIN];

/// A record whose body still lies in the segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Counts up by one for ever.
    pub number: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Which opening of the journal wrote it, from 1.
    pub boot: u32,
    /// Milliseconds since that opening; wraps after 49 days.
    pub mono_ms: u32,
    /// Records since the last one known to be durable.
    pub batch: u32,
    /// The entry: JSON, but nothing in the journal depends on that.
    pub body: &'a [u8],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// Shorter than they say, longer than allowed, or not of this format.
    #[error("no record begins here")]
    Shape,
    /// Some bit is not as it was written.
    #[error("checksum mismatch")]
    Checksum,
    /// It belongs elsewhere.
    #[error("entry {found} where {expected} should be")]
    Number {
        /// The one that comes next.
        expected: u64,
        /// The one that is here.
        found: u64,
    },
    /// It, or one before it, was replaced.
    #[error("hash chain broken")]
    Chain,
}

impl Record<'_> {
    /// Bytes that it takes in a segment.
    pub fn size(&self) -> usize {
        HEAD + self.body.len() + CHAIN
    }

    /// The first number of its batch: everything before that was durable already.
    pub fn batch_first(&self) -> u64 {
        self.number.saturating_sub(u64::from(self.batch))
    }

    /// Appends the record's bytes and moves the chain on.
    pub fn encode(&self, out: &mut Vec<u8>, chain: &mut Chain) {
        let start = out.len();
        let length = u32::try_from(self.body.len()).expect("the journal refuses longer bodies");
        out.extend(length.to_le_bytes());
        out.extend([0; 4]);
        out.extend([VERSION, 0, 0, 0]);
        out.extend(self.batch.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        out.extend(self.at_ms.to_le_bytes());
        out.extend(self.boot.to_le_bytes());
        out.extend(self.mono_ms.to_le_bytes());
        out.extend(self.body);
        let sum = checksum(&out[start..]);
        out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        *chain = link(chain, &out[start..]);
        out.extend(*chain);
    }
}

/// The record at the beginning of `bytes`, its checksum verified.
pub(super) fn decode(bytes: &[u8]) -> Result<Record<'_>, Flaw> {
    let head = bytes.first_chunk::<HEAD>().ok_or(Flaw::Shape)?;
    let length = u32_at(head, 0) as usize;
    if head[8..12] != [VERSION, 0, 0, 0] || length > MAX_BODY {
        return Err(Flaw::Shape);
    }
    let body = bytes.get(HEAD..HEAD + length).ok_or(Flaw::Shape)?;
    let record = Record {
        number: u64_at(head, 16),
        at_ms: u64_at(head, 24),
        boot: u32_at(head, 32),
        mono_ms: u32_at(head, 36),
        batch: u32_at(head, 12),
        body,
    };
    if bytes.len() < record.size() {
        return Err(Flaw::Shape);
    }
    if checksum(&bytes[..HEAD + length]) != u32_at(head, 4) {
        return Err(Flaw::Checksum);
    }
    Ok(record)
}

/// The record at the beginning of `bytes`, as the successor of what came before.
pub(super) fn follow<'a>(
    bytes: &'a [u8],
    number: u64,
    chain: &mut Chain,
) -> Result<Record<'a>, Flaw> {
    let record = decode(bytes)?;
    if record.number != number {
        return Err(Flaw::Number { expected: number, found: record.number });
    }
    let (covered, written) = bytes[..record.size()].split_at(HEAD + record.body.len());
    let expected = link(chain, covered);
    if expected != written {
        return Err(Flaw::Chain);
    }
    *chain = expected;
    Ok(record)
}

fn link(before: &Chain, bytes: &[u8]) -> Chain {
    let record = blake3::hash(bytes);
    *Hasher::new().update(before).update(record.as_bytes()).finalize().as_bytes()
}

fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[8..])
}

/// Four bytes at `at`, which must lie inside.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller gave a whole head"))
}

/// Eight bytes at `at`, which must lie inside.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller gave a whole head"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(number: u64, body: &[u8]) -> Record<'_> {
        Record { number, at_ms: 1_700_000_000_000, boot: 3, mono_ms: 9, batch: 2, body }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            number in 1u64.., body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let written = record(number, &body);
            let (mut bytes, mut chain) = (Vec::new(), [7; 32]);
            written.encode(&mut bytes, &mut chain);
            prop_assert_eq!(bytes.len(), written.size());
            bytes.extend([0; 9]);
            let mut followed = [7; 32];
            prop_assert_eq!(follow(&bytes, number, &mut followed), Ok(written));
            prop_assert_eq!(chain, followed);
        }

        #[test]
        fn one_changed_bit_is_noticed(bit in 0usize..(HEAD + 20 + CHAIN) * 8) {
            let (mut bytes, mut chain) = (Vec::new(), [7; 32]);
            record(5, &[b'x'; 20]).encode(&mut bytes, &mut chain);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(follow(&bytes, 5, &mut [7; 32]).is_err());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(&bytes).ok();
        }
    }
}
