//! One segment: a file of fixed size, zero-filled before use.
//!
//! ```text
//!  0            128                                      size-128      size
//!  | header     | record | record | … | zeros …          | footer      |
//! ```
//!
//! ```text
//!  header: magic | format u32 | size u32 | first u64 | chain 32 | … | crc32c u32
//!  footer: magic | last u64 | chain 32 | blake3 of everything before it, 32 | … | crc32c u32
//! ```
//!
//! The space is written and synced before the first record, so that making a record durable never
//! has to change a size or an extent. A segment is **open** while its footer is zeros; it is
//! **sealed** once every record has been synced and the footer too. The next segment gets its name
//! only after that, so only the last one can be open.
//!
//! What a bad record in an open segment means: everything before a batch had been synced when the
//! batch was written. If a whole record of a *later* batch lies behind the bad one, the bad one
//! was durable once: **damage**. If not, the last write was cut short, perhaps with its sectors out
//! of order: **torn**, and nobody was ever told that it was stored.

use std::ops::Range;

use crate::journal::disk::{Disk, DiskFile, write_zeros};
use crate::journal::error::DiskError;
use crate::journal::record::{self, Chain, Flaw, HEAD, Record, u32_at, u64_at};

/// Bytes of the header.
pub(super) const HEADER: usize = 128;
/// Bytes of the footer.
pub(super) const FOOTER: usize = 128;
/// The only format so far.
pub(super) const FORMAT: u32 = 1;

/// Numbers of entries; the end is only there so that one can be added without a thought.
const NUMBERS: Range<u64> = 1..1 << 62;
const MAGIC: &[u8; 8] = b"HSTKJRNL";
const SEAL: &[u8; 8] = b"HSTKSEAL";
const SUFFIX: &str = ".journal";
/// How the name of a segment ends while it is being made.
pub(super) const UNFINISHED: &str = ".new";

/// How a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The format that follows.
    pub format: u32,
    /// Bytes of the whole file.
    pub size: usize,
    /// The number of its first record.
    pub first: u64,
    /// The chain before its first record.
    pub chain: Chain,
}

/// How a sealed segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// The number of its last record; `first - 1` if there is none.
    pub last: u64,
    /// The chain after it.
    pub chain: Chain,
    /// blake3 of everything before the footer.
    pub hash: [u8; 32],
}

/// A segment that is ready for its first record.
pub(super) type Made = (Header, Box<dyn DiskFile>);

/// The name of the segment that begins with this record.
pub(super) fn name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first record's number, from a segment's name.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20 && digits.bytes().all(|it| it.is_ascii_digit())).then_some(())?;
    digits.parse().ok()
}

/// Makes a segment ready for its first record. It gets its name last.
pub(super) fn make(disk: &dyn Disk, header: &Header) -> Result<Box<dyn DiskFile>, DiskError> {
    let (unfinished, name) = (format!("{:020}{UNFINISHED}", header.first), name(header.first));
    let file = disk.open(&unfinished).map_err(DiskError::of("create", &name))?;
    write_zeros(&*file, 0, header.size as u64).map_err(DiskError::of("fill", &name))?;
    file.write_at(0, &header.bytes()).map_err(DiskError::of("write", &name))?;
    file.sync().map_err(DiskError::of("sync", &name))?;
    disk.rename(&unfinished, &name).map_err(DiskError::of("rename", &name))?;
    disk.sync().map_err(DiskError::of("sync", "."))?;
    Ok(file)
}

/// Takes back what a failed [`make`] has left.
pub(super) fn unmake(disk: &dyn Disk, first: u64) {
    disk.remove(&format!("{first:020}{UNFINISHED}")).ok();
}

impl Header {
    /// Bytes of the smallest segment: one without records.
    pub(super) const SMALLEST: usize = HEADER + FOOTER;
    /// Bytes of the largest that is believed, whatever a header says.
    pub(super) const LARGEST: usize = 64 * 1024 * 1024;

    /// As it lies on disk.
    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.format.to_le_bytes());
        let size = u32::try_from(self.size).expect("no segment is larger than LARGEST");
        bytes[12..16].copy_from_slice(&size.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.chain);
        sign(&mut bytes);
        bytes
    }

    /// Reads one; `None` if this is no header. An unknown format is the caller's to refuse.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = signed(bytes, MAGIC)?;
        let (size, first) = (u32_at(bytes, 12) as usize, u64_at(bytes, 16));
        let sound = (Self::SMALLEST..=Self::LARGEST).contains(&size) && NUMBERS.contains(&first);
        sound.then(|| Self { format: u32_at(bytes, 8), size, first, chain: chain_at(bytes, 24) })
    }
}

impl Footer {
    /// As it lies on disk.
    pub(super) fn bytes(&self) -> [u8; FOOTER] {
        let mut bytes = [0; FOOTER];
        bytes[..8].copy_from_slice(SEAL);
        bytes[8..16].copy_from_slice(&self.last.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.chain);
        bytes[48..80].copy_from_slice(&self.hash);
        sign(&mut bytes);
        bytes
    }

    /// Reads one; `None` if this is no footer.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = signed(bytes, SEAL)?;
        let (last, chain, hash) = (u64_at(bytes, 8), chain_at(bytes, 16), chain_at(bytes, 48));
        (last < NUMBERS.end).then_some(Self { last, chain, hash })
    }
}

fn sign(bytes: &mut [u8; HEADER]) {
    let sum = crc32c::crc32c(&bytes[..HEADER - 4]);
    bytes[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
}

fn signed<'a>(bytes: &'a [u8], magic: &[u8; 8]) -> Option<&'a [u8]> {
    let bytes = bytes.get(..HEADER)?;
    let sum = crc32c::crc32c(&bytes[..HEADER - 4]);
    (bytes.starts_with(magic) && sum == u32_at(bytes, HEADER - 4)).then_some(bytes)
}

fn chain_at(bytes: &[u8], at: usize) -> Chain {
    *bytes[at..].first_chunk().expect("the caller gave a whole head")
}

/// The records of one segment, in order, each checked against the one before it.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    body: &'a [u8],
    /// Where the next record begins, from the start of the segment.
    pub at: usize,
    /// The number that it must have.
    pub next: u64,
    /// The chain before it.
    pub chain: Chain,
}

impl<'a> Records<'a> {
    /// Of a whole segment, or as much as there is of one.
    pub(super) fn of(segment: &'a [u8], header: &Header) -> Self {
        let end = segment.len().min(header.size - FOOTER);
        Self { body: &segment[..end], at: HEADER, next: header.first, chain: header.chain }
    }

    /// What lies behind the last good record.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// Whether what lies behind the last good record proves that the next one was durable once.
    pub(super) fn damaged(&self) -> bool {
        later_batch(self.rest(), self.next)
    }

    fn at_end(&self) -> bool {
        let rest = self.rest();
        rest[..rest.len().min(HEAD)].iter().all(|it| *it == 0)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Flaw>;

    /// `None` where zeros begin. A flaw leaves everything as it was, so it is said again.
    fn next(&mut self) -> Option<Self::Item> {
        if self.at_end() {
            return None;
        }
        let record = record::follow(self.rest(), self.next, &mut self.chain);
        if let Ok(record) = &record {
            self.at += record.size();
            self.next += 1;
        }
        Some(record)
    }
}

/// Looks for a record that was written when entry `next` had already been synced.
fn later_batch(bytes: &[u8], next: u64) -> bool {
    let farthest = next.saturating_add(bytes.len() as u64);
    let mut heads = bytes.windows(HEAD).enumerate().filter(|(_, head)| {
        head[9..12] == [0, 0, 0] && (next..=farthest).contains(&u64_at(head, 16))
    });
    heads.any(|(at, _)| record::decode(&bytes[at..]).is_ok_and(|it| it.batch_first() > next))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"an\":\"entry\"}";

    fn header() -> Header {
        Header { format: FORMAT, size: 4096, first: 41, chain: [9; 32] }
    }

    /// A segment of batches of the given lengths.
    fn segment(batches: &[u32]) -> Vec<u8> {
        let (mut out, mut chain, mut number) = (header().bytes().to_vec(), [9; 32], 41);
        for batch in batches.iter().flat_map(|length| 0..*length) {
            let (boot, mono_ms) = (1, 2);
            Record { number, at_ms: 7, boot, mono_ms, batch, body: BODY }
                .encode(&mut out, &mut chain);
            number += 1;
        }
        out.resize(4096, 0);
        out
    }

    fn walk(segment: &[u8]) -> (Option<Flaw>, u64, bool) {
        let mut records = Records::of(segment, &header());
        let flaw = records.find_map(Result::err);
        (flaw, records.next - 41, records.damaged())
    }

    const SIZE: usize = HEAD + BODY.len() + 32;

    #[test]
    fn headers_and_footers_come_back_as_they_were() {
        assert_eq!(Header::read(&header().bytes()), Some(header()));
        let footer = Footer { last: 99, chain: [1; 32], hash: [2; 32] };
        assert_eq!(Footer::read(&footer.bytes()), Some(footer));
        assert_eq!(Footer::read(&[0; FOOTER]), None);
        let beyond = Footer { last: u64::MAX, ..footer };
        assert_eq!(Footer::read(&beyond.bytes()), None, "no entry has this number");
        assert_eq!(first_of(&name(77)), Some(77));
        assert_eq!(first_of("reserve"), None);
    }

    #[test]
    fn a_whole_segment_is_read_to_its_zeros() {
        assert_eq!(walk(&segment(&[1, 3, 2])), (None, 6, false));
    }

    #[test]
    fn a_last_batch_with_its_middle_missing_is_torn() {
        let mut bytes = segment(&[1, 3]);
        bytes[HEADER + 2 * SIZE..][..SIZE].fill(0);
        assert_eq!(walk(&bytes), (None, 2, false));
        let mut bytes = segment(&[1, 3]);
        bytes[HEADER + 2 * SIZE + 50] ^= 1;
        assert_eq!(walk(&bytes), (Some(Flaw::Checksum), 2, false));
    }

    #[test]
    fn a_bad_record_before_a_later_batch_is_damage() {
        for wiped in [0, 1, 2] {
            let mut bytes = segment(&[1, 2, 1]);
            bytes[HEADER + wiped * SIZE..][..SIZE].fill(0);
            assert_eq!(walk(&bytes), (None, wiped as u64, true), "record {wiped}");
        }
    }

    #[test]
    fn a_replaced_record_breaks_the_chain() {
        let mut bytes = segment(&[1, 1, 1]);
        let mut forged = Vec::new();
        let body = b"{\"AN\":\"entry\"}";
        Record { number: 42, at_ms: 7, boot: 1, mono_ms: 2, batch: 0, body }
            .encode(&mut forged, &mut [0; 32]);
        bytes[HEADER + SIZE..][..SIZE].copy_from_slice(&forged);
        assert_eq!(walk(&bytes), (Some(Flaw::Chain), 1, true));
    }
}
