//! What can be wrong with a journal, told to the person at the box.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use headstock_config::explain::Explain;

use crate::journal::record::{Flaw, MAX_BODY};
use crate::journal::segment::FORMAT;

/// The disk refused something.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {doing} `{name}` of the journal")]
pub struct DiskError {
    /// A verb: `write`, `sync`.
    pub doing: &'static str,
    /// The file, or `.` for the folder.
    pub name: String,
    /// What the system says.
    #[source]
    pub source: Arc<io::Error>,
}

impl DiskError {
    /// For `map_err`.
    pub(super) fn of(doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { doing, name: name.to_owned(), source: Arc::new(source) }
    }

    /// Nothing fits on the disk any more.
    pub fn full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// A place where the journal does not hold what was once stored there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("journal segment `{segment}` is damaged at byte {offset}, at entry {entry}: {wrong}")]
pub struct Damage {
    /// The file.
    pub segment: String,
    /// Where in it.
    pub offset: usize,
    /// The first entry that cannot be read.
    pub entry: u64,
    /// What is wrong, for people.
    pub wrong: String,
}

impl Damage {
    pub(super) fn at(segment: &str, offset: usize, entry: u64, wrong: &Wrong) -> Self {
        Self { segment: segment.to_owned(), offset, entry, wrong: wrong.to_string() }
    }
}

/// The kinds of damage.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error(transparent)]
    Record(Flaw),
    #[error("the record is gone, but later ones are there")]
    Gone,
    #[error("the segment's head cannot be read")]
    Header,
    #[error("its format is {0}, which this version does not know")]
    Format(u32),
    #[error("the file is {found} bytes long instead of {expected}")]
    Size { expected: usize, found: u64 },
    #[error("the segment is not sealed, but a later one exists")]
    Footer,
    #[error("the segment ends with entry {0}, but its seal says otherwise")]
    Seal(u64),
    #[error("bytes outside the records are not as they were sealed")]
    Hash,
    #[error("the entries before {0} are missing")]
    Missing(u64),
    #[error("the hash chain does not go on from the segment before")]
    Chain,
}

/// Why a journal cannot be opened for writing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused something.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process has it open.
    #[error("`{0}` is in use by another headstock")]
    InUse(PathBuf),
    /// A later version of the program wrote it.
    #[error("journal segment `{segment}` has format {format}; this version knows {FORMAT}")]
    Newer {
        /// The file.
        segment: String,
        /// The format it says it has.
        format: u32,
    },
    /// Something that was stored is not there any more.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl Explain for OpenError {
    fn code(&self) -> &'static str {
        match self {
            Self::Disk(error) if error.full() => "journal.open.full",
            Self::Disk(_) => "journal.open.disk",
            Self::InUse(_) => "journal.open.in_use",
            Self::Newer { .. } => "journal.open.newer",
            Self::Damaged(_) => "journal.open.damaged",
        }
    }

    fn means(&self) -> String {
        match self {
            Self::Disk(_) => "nothing can be written down, so nothing is started".to_owned(),
            Self::InUse(_) => "one daemon at a time may write this journal; this one stops".into(),
            Self::Newer { .. } => {
                "this version would misread the history, so it leaves it alone".to_owned()
            }
            Self::Damaged(damage) => format!(
                "entries from {} on cannot be trusted; nothing is repaired, skipped or started",
                damage.entry
            ),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Disk(error) if error.full() => "free some space, then start again".to_owned(),
            Self::Disk(_) => "look at the disk, its mount and who owns the folder".to_owned(),
            Self::InUse(_) => "stop the other daemon, or give this one another `state_dir`".into(),
            Self::Newer { .. } => "start the version that wrote it, or a later one".to_owned(),
            Self::Damaged(_) => {
                "keep a copy of the state folder; `headstock journal verify` lists \
                 every damaged place; bring the journal back from a backup, or move it aside to \
                 begin a new one"
                    .to_owned()
            }
        }
    }
}

/// Why nothing more can be written. Once said, it is said for good.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk refused something. What it holds of the last entries is not known.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The disk gave back other bytes than were written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The entry is larger than a record may be. Nothing was written; the journal goes on.
    #[error("an entry of {0} bytes is too large for the journal, which takes {MAX_BODY}")]
    TooLong(usize),
    /// The numbers of entries have a gap. Nothing was written; the journal goes on.
    #[error("entry {found} was to be written where {expected} comes next")]
    OutOfOrder {
        /// The number that comes next.
        expected: u64,
        /// The number that was given.
        found: u64,
    },
}

impl WriteError {
    /// Nothing more can be written after this one.
    pub fn fatal(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Damaged(_))
    }
}

impl Explain for WriteError {
    fn code(&self) -> &'static str {
        match self {
            Self::Disk(error) if error.full() => "journal.write.full",
            Self::Disk(_) => "journal.write.disk",
            Self::Damaged(_) => "journal.write.damaged",
            Self::TooLong(_) => "journal.write.too_long",
            Self::OutOfOrder { .. } => "journal.write.out_of_order",
        }
    }

    fn means(&self) -> String {
        if self.fatal() {
            "nothing more is accepted and machines are held: what happens now could not be \
             written down"
                .to_owned()
        } else {
            "this entry was not written down; everything else goes on".to_owned()
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Disk(error) if error.full() => {
                "free some space, then restart the service".to_owned()
            }
            Self::Disk(_) | Self::Damaged(_) => {
                "look at the disk (`dmesg`), then restart the service".to_owned()
            }
            Self::TooLong(_) | Self::OutOfOrder { .. } => {
                "please report this: it is a mistake in headstock".to_owned()
            }
        }
    }
}

/// Why entries cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused something.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something that was stored is not there any more.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl Explain for ReadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Disk(_) => "journal.read.disk",
            Self::Damaged(_) => "journal.read.damaged",
        }
    }

    fn means(&self) -> String {
        "history cannot be read from here on; nothing is skipped over".to_owned()
    }

    fn remedy(&self) -> String {
        "`headstock journal verify` lists every damaged place".to_owned()
    }
}

/// What a reader and an opener have in common.
impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Disk(error) => Self::Disk(error),
            ReadError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}
