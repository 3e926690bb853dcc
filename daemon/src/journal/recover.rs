//! What happens before the first entry can be written: find the end, or say what is wrong.
//!
//! ```text
//!  no segment ----------------------------------------> make the first one
//!  last segment open, zeros or a torn write at its end -> wipe the torn part, go on there
//!  last segment sealed --------------------------------> make the next one
//!  anything else --------------------------------------> Damaged: nothing is written at all
//! ```
//!
//! Every sealed segment has its head and its seal compared with its neighbours'. The newest ones,
//! up to `check_bytes`, are read in full; older ones when somebody reads or verifies them.
//!
//! Invariant: what an earlier run may have written without syncing is synced, or wiped and that
//! synced, before anyone is told that it is there.

use std::sync::Arc;

use crate::journal::disk::{Disk, DiskFile, write_zeros};
use crate::journal::error::{Damage, DiskError, OpenError, ReadError, Wrong};
use crate::journal::reader::{header, load, segments};
use crate::journal::record::Chain;
use crate::journal::segment::{self, FOOTER, FORMAT, Footer, Header, Made, Records};

/// Where writing goes on.
#[derive(Debug)]
pub(super) struct End {
    pub header: Header,
    pub file: Box<dyn DiskFile>,
    /// Where the next record goes.
    pub at: usize,
    pub next: u64,
    pub chain: Chain,
    /// The boot of the last record; 0 if there is none.
    pub boot: u32,
    /// Bytes of a torn write that were wiped.
    pub wiped: usize,
}

/// A segment that was read in full.
pub(super) struct Walked {
    pub at: usize,
    pub next: u64,
    pub chain: Chain,
    pub boot: Option<u32>,
}

/// Finds the end of the journal and makes it ready for the next record.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    check_bytes: usize,
    make: &mut dyn FnMut(u64, Chain) -> Result<Made, DiskError>,
) -> Result<End, OpenError> {
    remove_unfinished(&**disk)?;
    let firsts = segments(&**disk)?;
    let Some((last, sealed)) = firsts.split_last() else {
        let (header, file) = make(1, Chain::default())?;
        return Ok(fresh(header, file, 0));
    };
    let boot = check_sealed(&**disk, sealed, *last, check_bytes)?;
    let (header, bytes) = load_known(&**disk, *last)?;
    let name = segment::name(*last);
    let file = disk.open(&name).map_err(DiskError::of("open", &name))?;
    if let Some(footer) = Footer::read(&bytes[bytes.len() - FOOTER..]) {
        let walked = walk_sealed(&header, &bytes, &footer)?;
        // The run that sealed it may have been killed before it could sync the seal.
        file.sync().map_err(DiskError::of("sync", &name))?;
        let (header, file) = make(footer.last + 1, footer.chain)?;
        return Ok(fresh(header, file, walked.boot.or(boot).unwrap_or(0)));
    }
    let walked = walk(&header, &bytes)?;
    let wiped = wipe(&*file, &bytes, walked.at).map_err(DiskError::of("write", &name))?;
    file.sync().map_err(DiskError::of("sync", &name))?;
    let Walked { at, next, chain, .. } = walked;
    Ok(End { header, file, at, next, chain, boot: walked.boot.or(boot).unwrap_or(0), wiped })
}

fn fresh(header: Header, file: Box<dyn DiskFile>, boot: u32) -> End {
    let Header { first, chain, .. } = header;
    End { header, file, at: segment::HEADER, next: first, chain, boot, wiped: 0 }
}

/// Segments that never got their name, and the names of those that did.
fn remove_unfinished(disk: &dyn Disk) -> Result<(), DiskError> {
    let names = disk.list().map_err(DiskError::of("list", "."))?;
    for name in names.iter().filter(|it| it.ends_with(segment::UNFINISHED)) {
        disk.remove(name).map_err(DiskError::of("remove", name))?;
    }
    disk.sync().map_err(DiskError::of("sync", "."))
}

fn load_known(disk: &dyn Disk, first: u64) -> Result<(Header, Vec<u8>), OpenError> {
    let header = header(disk, first, first)?;
    if header.format != FORMAT {
        return Err(newer(first, &header));
    }
    Ok(load(disk, first, first)?)
}

fn newer(first: u64, header: &Header) -> OpenError {
    OpenError::Newer { segment: segment::name(first), format: header.format }
}

/// Compares the sealed segments with each other and with the last one; reads the newest in full.
/// Returns the boot of the last record among those that were read.
fn check_sealed(
    disk: &dyn Disk,
    sealed: &[u64],
    last: u64,
    check_bytes: usize,
) -> Result<Option<u32>, OpenError> {
    let (mut boot, mut read) = (None, 0);
    let mut after: Option<(u64, Chain)> = None;
    for first in [last].iter().chain(sealed.iter().rev()) {
        let header = header(disk, *first, *first)?;
        if header.format != FORMAT {
            return Err(newer(*first, &header));
        }
        if let Some((next, chain)) = after {
            let footer = footer(disk, &header)?;
            expect(&header, &footer, next, &chain)?;
            if read == 0 || read + header.size <= check_bytes {
                let (header, bytes) = load(disk, *first, *first)?;
                boot = boot.or(walk_sealed(&header, &bytes, &footer)?.boot);
                read += header.size;
            }
        }
        after = Some((*first, header.chain));
    }
    match after {
        Some((first, _)) if first != 1 => {
            Err(Damage::at(&segment::name(first), 0, 1, &Wrong::Missing(first)).into())
        }
        _ => Ok(boot),
    }
}

/// A segment's seal.
pub(super) fn footer(disk: &dyn Disk, header: &Header) -> Result<Footer, ReadError> {
    let (name, at) = (segment::name(header.first), header.size - FOOTER);
    let bytes = disk.read(&name, at as u64, FOOTER).map_err(DiskError::of("read", &name))?;
    Footer::read(&bytes).ok_or_else(|| Damage::at(&name, at, header.first, &Wrong::Footer).into())
}

/// That the segment beginning with `next` goes on where this one ended.
pub(super) fn expect(
    header: &Header,
    footer: &Footer,
    next: u64,
    chain: &Chain,
) -> Result<(), Damage> {
    let wrong = if footer.last + 1 != next {
        Wrong::Missing(next)
    } else if footer.chain != *chain {
        Wrong::Chain
    } else {
        return Ok(());
    };
    let name = segment::name(header.first);
    Err(Damage::at(&name, header.size - FOOTER, footer.last + 1, &wrong))
}

/// Reads the records of an open segment up to its end or a torn write.
pub(super) fn walk(header: &Header, bytes: &[u8]) -> Result<Walked, Damage> {
    let mut records = Records::of(bytes, header);
    let mut boot = None;
    let flaw = records.by_ref().find_map(|it| it.map(|it| boot = Some(it.boot)).err());
    if records.damaged() {
        let wrong = flaw.map_or(Wrong::Gone, Wrong::Record);
        return Err(Damage::at(&segment::name(header.first), records.at, records.next, &wrong));
    }
    Ok(Walked { at: records.at, next: records.next, chain: records.chain, boot })
}

/// Reads a sealed segment, where nothing may be amiss.
pub(super) fn walk_sealed(
    header: &Header,
    bytes: &[u8],
    footer: &Footer,
) -> Result<Walked, Damage> {
    let mut records = Records::of(bytes, header);
    let mut boot = None;
    let flaw = records.by_ref().find_map(|it| it.map(|it| boot = Some(it.boot)).err());
    let wrong = if let Some(flaw) = flaw {
        Wrong::Record(flaw)
    } else if records.next != footer.last + 1 || records.chain != footer.chain {
        Wrong::Seal(records.next - 1)
    } else if blake3::hash(&bytes[..header.size - FOOTER]) != footer.hash {
        Wrong::Hash
    } else {
        let Records { at, next, chain, .. } = records;
        return Ok(Walked { at, next, chain, boot });
    };
    Err(Damage::at(&segment::name(header.first), records.at, records.next, &wrong))
}

/// Overwrites whatever lies behind the last good record.
fn wipe(file: &dyn DiskFile, bytes: &[u8], at: usize) -> std::io::Result<usize> {
    let tail = &bytes[at..];
    let Some(last) = tail.iter().rposition(|it| *it != 0) else { return Ok(0) };
    write_zeros(file, at as u64, last as u64 + 1)?;
    Ok(tail[..=last].iter().filter(|it| **it != 0).count())
}
