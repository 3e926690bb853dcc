//! The one writer: append everything that waits, commit once, answer everyone.
//!
//! ```text
//!            append …, commit                disk refuses something
//!  open() ---------> writing --+--------------------------------------> failed (for good)
//!                     ^        | segment full: sync, seal, next one
//!                     +--------+
//! ```
//!
//! It has no thread of its own: whoever owns it may block.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::journal::disk::{Disk, DiskFile, Folder};
use crate::journal::error::{Damage, DiskError, OpenError, WriteError, Wrong};
use crate::journal::reader::Reader;
use crate::journal::record::{Chain, MAX_BODY, Record};
use crate::journal::segment::{self, FOOTER, FORMAT, Footer, HEADER, Header, Made, Records};
use crate::journal::space::Space;
use crate::journal::{lock, recover};

/// How a journal is kept. The defaults suit a box with an SD card.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of a new segment. Larger ones mean fewer files and a longer pause at each change.
    pub segment_bytes: usize,
    /// Bytes set aside for the end of a running job on a full disk; 0 for none.
    pub reserve_bytes: u64,
    /// Bytes of sealed segments that are read in full when the journal is opened.
    pub check_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * 1024,
            reserve_bytes: 16 * 1024 * 1024,
            check_bytes: 8 * 1024 * 1024,
        }
    }
}

/// What was found when a journal was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The number of the last entry; 0 if there is none.
    pub last_number: u64,
    /// The hash over everything before.
    pub chain: Chain,
    /// How often the journal has been opened, with this time.
    pub boot: u32,
    /// Bytes of a write that was cut short and that nobody had been told was stored; 0 after an
    /// end in order.
    pub truncated_bytes: usize,
}

/// The one writer.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    options: Options,
    space: Arc<Space>,
    header: Header,
    file: Box<dyn DiskFile>,
    /// Where `waiting` goes.
    at: usize,
    /// Encoded, not yet written.
    waiting: Vec<u8>,
    next: u64,
    chain: Chain,
    boot: u32,
    opened: Instant,
    durable: Arc<AtomicU64>,
    /// Something waits for a sync.
    unsynced: bool,
    failed: Option<WriteError>,
    _lock: Option<lock::Lock>,
}

impl Journal {
    /// Opens the journal in this folder, making it if it is not there.
    pub fn open(folder: &Path, options: Options) -> Result<(Self, Opened), OpenError> {
        let disk = Folder::make(folder).map_err(DiskError::of("make", "."))?;
        let lock = lock::take(folder)?;
        let (mut journal, opened) = Self::open_on(Arc::new(disk), options)?;
        journal._lock = Some(lock);
        Ok((journal, opened))
    }

    /// Opens the journal on this disk, which nobody else may write to.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Opened), OpenError> {
        let space = Space::new(Arc::clone(&disk), options.reserve_bytes);
        let mut make = |first, chain| make(&*disk, &space, options.segment_bytes, first, chain);
        let end = recover::recover(&disk, options.check_bytes, &mut make)?;
        space.fill();
        let boot = end.boot.wrapping_add(1);
        let opened = Opened {
            last_number: end.next - 1,
            chain: end.chain,
            boot,
            truncated_bytes: end.wiped,
        };
        let journal = Self {
            disk,
            options,
            space,
            header: end.header,
            file: end.file,
            at: end.at,
            waiting: Vec::new(),
            next: end.next,
            chain: end.chain,
            boot,
            opened: Instant::now(),
            durable: Arc::new((end.next - 1).into()),
            unsynced: false,
            failed: None,
            _lock: None,
        };
        Ok((journal, opened))
    }

    /// Reads what is durable, from any thread, now and later.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.disk), Arc::clone(&self.durable))
    }

    /// Whether there is room.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// The number that the next entry must have.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Takes an entry. It is stored once a `commit` returns its number or a higher one.
    pub fn append(&mut self, number: u64, at_ms: u64, body: &[u8]) -> Result<(), WriteError> {
        self.still_well()?;
        if body.len() > MAX_BODY {
            return Err(WriteError::TooLong(body.len()));
        }
        if number != self.next {
            return Err(WriteError::OutOfOrder { expected: self.next, found: number });
        }
        let mono_ms = self.opened.elapsed().as_millis() as u32;
        let boot = self.boot;
        let mut record = Record { number, at_ms, boot, mono_ms, batch: 0, body };
        if self.at + self.waiting.len() + record.size() > self.header.size - FOOTER {
            let turned = self.turn(record.size());
            self.lasting(turned)?;
        }
        let durable = self.durable.load(Ordering::Relaxed);
        record.batch = u32::try_from(number - durable - 1).unwrap_or(u32::MAX);
        record.encode(&mut self.waiting, &mut self.chain);
        self.next += 1;
        self.unsynced = true;
        Ok(())
    }

    /// Makes what was appended durable. Returns the number of the last durable entry.
    pub fn commit(&mut self) -> Result<u64, WriteError> {
        self.still_well()?;
        if self.unsynced {
            let done = self.write().and_then(|()| self.sync());
            self.lasting(done)?;
        }
        Ok(self.durable.load(Ordering::Relaxed))
    }

    fn still_well(&self) -> Result<(), WriteError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn lasting(&mut self, result: Result<(), WriteError>) -> Result<(), WriteError> {
        self.failed = result.as_ref().err().cloned();
        result
    }

    fn write(&mut self) -> Result<(), WriteError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let name = segment::name(self.header.first);
        let (file, at, bytes) = (&*self.file, self.at as u64, &self.waiting);
        let write = || file.write_at(at, bytes).map_err(DiskError::of("write", &name));
        with_reserve(&self.space, write)?;
        self.at += self.waiting.len();
        self.waiting.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        self.file.sync().map_err(DiskError::of("sync", &segment::name(self.header.first)))?;
        self.durable.store(self.next - 1, Ordering::Release);
        self.unsynced = false;
        Ok(())
    }

    /// Seals the segment and begins the next, in which a record of `size` bytes has room.
    fn turn(&mut self, size: usize) -> Result<(), WriteError> {
        self.write()?;
        self.sync()?;
        self.seal()?;
        let bytes = self.options.segment_bytes.max(Header::SMALLEST + size);
        let (header, file) = make(&*self.disk, &self.space, bytes, self.next, self.chain)?;
        (self.header, self.file, self.at) = (header, file, HEADER);
        Ok(())
    }

    /// Reads the segment back, since this is the last time that anyone has the means to notice a
    /// disk that does not keep what it was given, and seals it.
    fn seal(&mut self) -> Result<(), WriteError> {
        let (name, end) = (segment::name(self.header.first), self.header.size - FOOTER);
        let bytes = self.disk.read(&name, 0, end).map_err(DiskError::of("read", &name))?;
        let mut records = Records::of(&bytes, &self.header);
        let flaw = records.find_map(Result::err);
        if flaw.is_some() || records.next != self.next || records.chain != self.chain {
            let wrong = flaw.map_or(Wrong::Gone, Wrong::Record);
            return Err(Damage::at(&name, records.at, records.next, &wrong).into());
        }
        let hash = *blake3::hash(&bytes).as_bytes();
        let footer = Footer { last: self.next - 1, chain: self.chain, hash };
        let write = || self.file.write_at(end as u64, &footer.bytes());
        with_reserve(&self.space, || write().map_err(DiskError::of("write", &name)))?;
        self.file.sync().map_err(DiskError::of("sync", &name))?;
        Ok(())
    }
}

/// Makes the segment that begins with `first`.
fn make(
    disk: &dyn Disk,
    space: &Space,
    size: usize,
    first: u64,
    chain: Chain,
) -> Result<Made, DiskError> {
    let header = Header { format: FORMAT, size, first, chain };
    let file = with_reserve(space, || {
        segment::make(disk, &header).inspect_err(|_| segment::unmake(disk, first))
    })?;
    Ok((header, file))
}

/// Does something that needs room; once more with the reserve's, if there is none left. Safe to
/// repeat because nothing of it was synced, and only a full disk is a reason to.
fn with_reserve<T>(
    space: &Space,
    mut act: impl FnMut() -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    match act() {
        Err(error) if error.full() && space.release() => act(),
        other => other,
    }
}
