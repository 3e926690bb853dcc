//! Reads entries while the writer goes on.
//!
//! A reader sees what is durable and nothing else, so that no client can have seen an entry that
//! a power cut takes back. It holds one segment in memory at a time.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::disk::{Disk, Folder};
use crate::journal::error::{Damage, DiskError, ReadError, Wrong};
use crate::journal::record::Record;
use crate::journal::segment::{self, FORMAT, HEADER, Header, Records};

/// A page ends once it holds this many bytes.
const PAGE_BYTES: usize = 1024 * 1024;

/// An entry as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub number: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What was given to `append`.
    pub body: Vec<u8>,
}

/// Cheap to clone; keeps nothing open.
#[derive(Clone, Debug)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    durable: Arc<AtomicU64>,
}

impl Reader {
    pub(super) fn new(disk: Arc<dyn Disk>, durable: Arc<AtomicU64>) -> Self {
        Self { disk, durable }
    }

    /// Reads a journal that this process does not write. It ends where the journal ends now; the
    /// last few entries may not be durable yet if a daemon is writing.
    pub fn aside(folder: &Path) -> Result<Self, ReadError> {
        let disk = Folder::existing(folder).map_err(DiskError::of("open", "."))?;
        let mut last = 0;
        if let Some(first) = segments(&disk)?.last() {
            let (header, bytes) = load(&disk, *first, *first)?;
            let mut records = Records::of(&bytes, &header);
            while let Some(Ok(_)) = records.next() {}
            last = records.next - 1;
        }
        Ok(Self::new(Arc::new(disk), Arc::new(last.into())))
    }

    /// The number of the last durable entry; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Up to `limit` entries from number `from` on, and no more than about a mebibyte of them.
    /// Empty only if there is none yet. Entries begin with 1.
    pub fn read_from(&self, from: u64, limit: usize) -> Result<Vec<Stored>, ReadError> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        if limit > 0 {
            self.each(from, |record| {
                let Record { number, at_ms, body, .. } = *record;
                page.push(Stored { number, at_ms, body: body.to_vec() });
                bytes += body.len();
                if page.len() == limit || bytes >= PAGE_BYTES {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(page)
    }

    /// Calls `visit` with every durable entry from number `from` on, in order, until it breaks.
    pub fn each(
        &self,
        from: u64,
        mut visit: impl FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let (last, mut next) = (self.last(), from.max(1));
        if next > last {
            return Ok(());
        }
        let firsts = segments(&*self.disk)?;
        let start = firsts.partition_point(|first| *first <= next).saturating_sub(1);
        for first in &firsts[start..] {
            let (header, bytes) = load(&*self.disk, *first, next)?;
            let mut records = Records::of(&bytes, &header);
            while next <= last {
                let Some(record) = records.next() else { break };
                let record = record.map_err(|flaw| {
                    Damage::at(
                        &segment::name(*first),
                        records.at,
                        records.next,
                        &Wrong::Record(flaw),
                    )
                })?;
                if record.number < next {
                    continue;
                }
                next = record.number + 1;
                if visit(&record).is_break() {
                    return Ok(());
                }
            }
            if next > last {
                return Ok(());
            }
            expect_next(&firsts, *first, records.at, records.next)?;
        }
        Err(Damage::at("", 0, next, &Wrong::Missing(last + 1)).into())
    }
}

/// That the segment after `first` goes on where that one ended.
fn expect_next(firsts: &[u64], first: u64, at: usize, next: u64) -> Result<(), Damage> {
    let following = firsts.iter().find(|it| **it > first);
    if following == Some(&next) {
        return Ok(());
    }
    Err(Damage::at(&segment::name(first), at, next, &Wrong::Gone))
}

/// The first numbers of all segments, ascending.
pub(super) fn segments(disk: &dyn Disk) -> Result<Vec<u64>, DiskError> {
    let names = disk.list().map_err(DiskError::of("list", "."))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|it| segment::first_of(it)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// A segment's header and all its bytes.
pub(super) fn load(
    disk: &dyn Disk,
    first: u64,
    entry: u64,
) -> Result<(Header, Vec<u8>), ReadError> {
    let name = segment::name(first);
    let header = header(disk, first, entry)?;
    let bytes = disk.read(&name, 0, header.size).map_err(DiskError::of("read", &name))?;
    if bytes.len() != header.size {
        let wrong = Wrong::Size { expected: header.size, found: bytes.len() as u64 };
        return Err(Damage::at(&name, 0, entry, &wrong).into());
    }
    Ok((header, bytes))
}

/// A segment's header, which must be the one of this segment.
pub(super) fn header(disk: &dyn Disk, first: u64, entry: u64) -> Result<Header, ReadError> {
    let name = segment::name(first);
    let size = disk.size(&name).map_err(DiskError::of("read", &name))?;
    let head = disk.read(&name, 0, HEADER).map_err(DiskError::of("read", &name))?;
    let header = Header::read(&head)
        .filter(|it| it.first == first)
        .ok_or_else(|| Damage::at(&name, 0, entry, &Wrong::Header))?;
    if header.format == FORMAT && size != header.size as u64 {
        let wrong = Wrong::Size { expected: header.size, found: size };
        return Err(Damage::at(&name, 0, entry, &wrong).into());
    }
    Ok(header)
}
