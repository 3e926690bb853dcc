//! Reads a journal from its first byte to its last, without changing anything, whether or not a
//! daemon is writing to it.

use std::path::Path;

use serde::Serialize;

use crate::journal::disk::{Disk, Folder};
use crate::journal::error::{Damage, DiskError, ReadError, Wrong};
use crate::journal::reader::{load, segments};
use crate::journal::record::Chain;
use crate::journal::recover::{self, Walked};
use crate::journal::segment::{self, FOOTER, FORMAT, Footer, Header, Records};

/// A segment that is being written may look damaged if it is read at the wrong moment.
const LOOKS: usize = 3;

/// What a journal holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files.
    pub segments: usize,
    /// Entries that can be read and are as they were written.
    pub entries: u64,
    /// The number of the last of them; 0 if there is none.
    pub last: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The hash over everything, hexadecimal: write it down elsewhere, and nobody can change
    /// what is before it unseen.
    pub chain: String,
    /// Bytes at the end of a write that was cut short; the next start removes them.
    pub torn_bytes: usize,
    /// The first damaged place of every segment that has one.
    pub damage: Vec<Damage>,
}

/// Verifies the journal in this folder.
pub fn verify(folder: &Path) -> Result<Report, DiskError> {
    let disk = Folder::existing(folder).map_err(DiskError::of("open", "."))?;
    verify_on(&disk)
}

/// Verifies the journal on this disk.
pub fn verify_on(disk: &dyn Disk) -> Result<Report, DiskError> {
    let firsts = segments(disk)?;
    let mut report = Report { segments: firsts.len(), ..Report::default() };
    // What the next segment must begin with; unknown after a damaged one.
    let mut expected = Some((1, Chain::default()));
    for (index, first) in firsts.iter().enumerate() {
        let seen = look(disk, *first, expected, index + 1 == firsts.len())?;
        let Walked { next, chain, .. } = seen.walked;
        report.bytes += seen.bytes;
        report.entries += next - first;
        // A name can claim a number that no entry has.
        report.last = next.saturating_sub(1);
        report.torn_bytes = seen.torn;
        report.chain = blake3::Hash::from_bytes(chain).to_hex().to_string();
        expected = seen.damage.is_none().then_some((next, chain));
        report.damage.extend(seen.damage);
    }
    Ok(report)
}

/// What one segment turned out to be.
struct Seen {
    bytes: u64,
    walked: Walked,
    torn: usize,
    damage: Option<Damage>,
}

fn look(
    disk: &dyn Disk,
    first: u64,
    expected: Option<(u64, Chain)>,
    last: bool,
) -> Result<Seen, DiskError> {
    let mut seen = look_once(disk, first, expected, last)?;
    for _ in 1..LOOKS {
        if !last || seen.damage.is_none() {
            break;
        }
        seen = look_once(disk, first, expected, last)?;
    }
    Ok(seen)
}

fn look_once(
    disk: &dyn Disk,
    first: u64,
    expected: Option<(u64, Chain)>,
    last: bool,
) -> Result<Seen, DiskError> {
    let (header, bytes) = match load(disk, first, first) {
        Ok(loaded) => loaded,
        Err(ReadError::Disk(error)) => return Err(error),
        Err(ReadError::Damaged(damage)) => {
            let walked = Walked { at: 0, next: first, chain: Chain::default(), boot: None };
            return Ok(Seen { bytes: 0, walked, torn: 0, damage: Some(damage) });
        }
    };
    let outcome = begins(&header, expected).and_then(|()| walk(&header, &bytes, last));
    let (walked, damage) = match outcome {
        Ok(walked) => (walked, None),
        Err(damage) => (readable(&header, &bytes), Some(damage)),
    };
    let torn = if damage.is_none() && last && sealed(&bytes).is_none() {
        bytes[walked.at..].iter().filter(|it| **it != 0).count()
    } else {
        0
    };
    Ok(Seen { bytes: bytes.len() as u64, walked, torn, damage })
}

/// That a segment goes on where the one before it ended.
fn begins(header: &Header, expected: Option<(u64, Chain)>) -> Result<(), Damage> {
    let Header { format, first, .. } = *header;
    let (next, wrong) = match expected {
        _ if format != FORMAT => (first, Wrong::Format(format)),
        Some((next, _)) if next != first => (next, Wrong::Missing(first)),
        Some((_, chain)) if chain != header.chain => (first, Wrong::Chain),
        _ => return Ok(()),
    };
    Err(Damage::at(&segment::name(first), 0, next, &wrong))
}

fn walk(header: &Header, bytes: &[u8], last: bool) -> Result<Walked, Damage> {
    match sealed(bytes) {
        Some(footer) => recover::walk_sealed(header, bytes, &footer),
        None if last => recover::walk(header, bytes),
        None => {
            let (name, at) = (segment::name(header.first), header.size - FOOTER);
            Err(Damage::at(&name, at, header.first, &Wrong::Footer))
        }
    }
}

fn sealed(bytes: &[u8]) -> Option<Footer> {
    Footer::read(bytes.last_chunk::<FOOTER>()?)
}

/// How far a damaged segment can be read.
fn readable(header: &Header, bytes: &[u8]) -> Walked {
    let mut records = Records::of(bytes, header);
    while let Some(Ok(_)) = records.next() {}
    Walked { at: records.at, next: records.next, chain: records.chain, boot: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::journal::simulated::Simulated;
    use crate::journal::{Journal, Options};

    fn filled(entries: u64) -> Simulated {
        let disk = Simulated::default();
        let options = Options { segment_bytes: 2048, reserve_bytes: 0, ..Options::default() };
        let (mut journal, _) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
        for number in 1..=entries {
            journal.append(number, 1, br#"{"some":"entry"}"#).unwrap();
            journal.commit().unwrap();
        }
        disk
    }

    #[test]
    fn a_whole_journal_is_counted() {
        let report = verify_on(&filled(200)).unwrap();
        assert_eq!((report.entries, report.last, &*report.damage), (200, 200, &[][..]));
        assert!(report.segments > 5 && report.bytes == report.segments as u64 * 2048);
        assert_ne!(report.chain, verify_on(&filled(199)).unwrap().chain);
        assert_eq!(verify_on(&Simulated::default()).unwrap(), Report::default());
    }

    #[test]
    fn every_damaged_segment_is_named_and_the_others_are_still_read() {
        let disk = filled(200);
        let firsts = segments(&disk).unwrap();
        disk.flip(&segment::name(firsts[1]), 700, 4);
        disk.flip(&segment::name(firsts[3]), 20, 4);
        disk.flip(&segment::name(firsts[4]), 2040, 4);
        disk.flip(&segment::name(*firsts.last().unwrap()), 200, 4);
        let report = verify_on(&disk).unwrap();
        let damaged: Vec<&str> = report.damage.iter().map(|it| &*it.segment).collect();
        let expected = [1, 3, 4, firsts.len() - 1].map(|it| segment::name(firsts[it]));
        assert_eq!(damaged, expected);
        assert!((130..190).contains(&report.entries), "{report:?}");
    }

    #[test]
    fn a_missing_segment_is_named_once() {
        let disk = filled(200);
        let firsts = segments(&disk).unwrap();
        disk.remove(&segment::name(firsts[2])).unwrap();
        let report = verify_on(&disk).unwrap();
        assert_eq!(report.damage.len(), 1, "{:?}", report.damage);
        assert_eq!(report.damage[0].entry, firsts[2]);
        assert_eq!((report.entries, report.last), (200 - (firsts[3] - firsts[2]), 200));
    }

    #[test]
    fn a_segment_with_a_number_that_no_entry_has_is_named() {
        for first in [0, u64::MAX] {
            let disk = filled(0);
            let name = segment::name(first);
            disk.open(&name).unwrap().write_at(0, &[7; 2048]).unwrap();
            let report = verify_on(&disk).unwrap();
            assert!(report.damage.iter().any(|it| it.segment == name), "{report:?}");
        }
    }

    #[test]
    fn a_journal_in_use_is_whole_at_every_moment() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes: 8192, reserve_bytes: 0, ..Options::default() };
        let (mut journal, _) = Journal::open(folder.path(), options).unwrap();
        let writer = std::thread::spawn(move || {
            for number in 1..=3000 {
                journal.append(number, 1, &[b'z'; 300]).unwrap();
                if number % 7 == 0 {
                    journal.commit().unwrap();
                }
            }
            journal.commit().unwrap();
        });
        while !writer.is_finished() {
            assert_eq!(verify(folder.path()).unwrap().damage, []);
        }
        writer.join().unwrap();
        assert_eq!(verify(folder.path()).unwrap().entries, 3000);
    }
}
