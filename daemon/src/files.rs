//! Program files, stored by content.
//!
//! ```text
//!  begin -> write* -> finish:  hash, analyse, fsync, rename to its hash, fsync the folder
//! ```
//!
//! Invariants: a file below its own name is whole and durable; memory does not grow with it; the
//! content never changes after `finish`.

use std::collections::BTreeSet;
use std::fs::{self, File as Handle, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use headstock_config::explain::Explain;
use headstock_config::file::{Analysis, File};
use headstock_drivers::gcode::{Analyzer, Limits};

use crate::clock::now_ms;

/// The folder of programs.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
    /// Largest upload, bytes.
    pub max_bytes: u64,
}

/// A file on its way in. Dropped before `finish`: it is removed.
pub struct Incoming {
    files: Files,
    part: Part,
    out: Handle,
    hasher: blake3::Hasher,
    analyzer: Analyzer,
    bytes: u64,
}

/// Why a file was not stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than the configured bound.
    #[error("the file is larger than {0} bytes")]
    TooBig(u64),
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// A name that would not be a file name.
    #[error("`{0}` is not a file name")]
    BadName(String),
    /// The disk.
    #[error("the file cannot be stored")]
    Disk(#[from] io::Error),
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::TooBig(_) => "file.too_big",
            Self::Empty => "file.empty",
            Self::BadName(_) => "file.bad_name",
            Self::Disk(_) => "file.disk",
        }
    }

    fn means(&self) -> String {
        "nothing was stored".into()
    }

    fn remedy(&self) -> String {
        match self {
            Self::TooBig(_) => "raise `max_upload_bytes` in `[web]`, or split the program".into(),
            Self::Empty => "look at the file that was sent".into(),
            Self::BadName(_) => {
                "give a name without `/` and control characters, up to 200 bytes".into()
            }
            Self::Disk(_) => "look at free space and the health of the disk".into(),
        }
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Files {
    /// Opens the folder; what an earlier run left half-written is removed.
    pub fn open(dir: PathBuf, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { dir, max_bytes })
    }

    /// Removes content of which the book knows nothing: a box that is switched off between the
    /// storing of a program and its record leaves some. `known`: the hashes in the book. A book
    /// without any may be a new one beside old programs; then nothing is removed.
    pub fn sweep(&self, known: &BTreeSet<&str>) -> io::Result<()> {
        if known.is_empty() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let hash = name.to_str().filter(|name| blake3::Hash::from_hex(name).is_ok());
            if hash.is_some_and(|hash| !known.contains(hash)) {
                tracing::info!(content = hash, "removed a program that was never written down");
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Where the content of a file is.
    pub fn path(&self, file: &File) -> PathBuf {
        self.dir.join(&file.blake3)
    }

    /// Analyses a stored file once more, for a certain machine. Takes its time: 40 ms for
    /// 100,000 lines.
    pub fn analyse(&self, file: &File, mut analyzer: Analyzer) -> io::Result<Analysis> {
        let mut content = Handle::open(self.path(file))?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(analyzer.finish().0),
                length => analyzer.push(&buffer[..length]),
            }
        }
    }

    /// A new file begins.
    pub fn begin(&self) -> Result<Incoming, Error> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let part = Part(self.dir.join(format!("{}-{number}.part", std::process::id())));
        let out = OpenOptions::new().write(true).create_new(true).open(&part.0)?;
        Ok(Incoming {
            files: self.clone(),
            part,
            out,
            hasher: blake3::Hasher::new(),
            analyzer: Analyzer::new(Limits::default()),
            bytes: 0,
        })
    }

    /// Removes the content, unless it is gone already.
    pub fn remove(&self, file: &File) -> io::Result<()> {
        match fs::remove_file(self.path(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl Incoming {
    /// The next bytes of the file.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        if self.files.max_bytes < self.bytes {
            return Err(Error::TooBig(self.files.max_bytes));
        }
        self.analyzer.push(bytes);
        self.hasher.update(bytes);
        self.out.write_all(bytes)?;
        Ok(())
    }

    /// The file is whole: it is made durable under its hash and described.
    pub fn finish(self, name: &str, by: &str) -> Result<File, Error> {
        check_name(name)?;
        if self.bytes == 0 {
            return Err(Error::Empty);
        }
        let (analysis, lines) = self.analyzer.finish();
        let blake3 = self.hasher.finalize().to_hex().to_string();
        self.out.sync_all()?;
        fs::rename(&self.part.0, self.files.dir.join(&blake3))?;
        sync_dir(&self.files.dir)?;
        Ok(File {
            id: blake3[..16].to_owned(),
            name: name.to_owned(),
            bytes: self.bytes,
            lines,
            blake3,
            uploaded_ms: now_ms(),
            by: by.to_owned(),
            analysis,
        })
    }
}

/// A file that is not whole: gone when it is dropped, unless it has been given its own name.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let good = !name.is_empty()
        && name.len() <= 200
        && !matches!(name, "." | "..")
        && !name.chars().any(|it| it.is_control() || it == '/');
    if good { Ok(()) } else { Err(Error::BadName(name.to_owned())) }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    Handle::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(files: &Files, name: &str, content: &[u8]) -> Result<File, Error> {
        let mut incoming = files.begin()?;
        for piece in content.chunks(7) {
            incoming.write(piece)?;
        }
        incoming.finish(name, "ada")
    }

    #[test]
    fn a_file_is_kept_under_its_hash_and_described() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path().join("files"), 1000).unwrap();

        let file = store(&files, "a.nc", b"G21\nG1 X1 F100\n\nM30").unwrap();

        assert_eq!((file.lines, file.bytes), (4, 19));
        assert_eq!(fs::read(files.path(&file)).unwrap(), b"G21\nG1 X1 F100\n\nM30");
        assert_eq!(file.id, file.blake3[..16]);
    }

    #[test]
    fn content_that_no_book_knows_of_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path().join("files"), 1000).unwrap();
        let (kept, lost) = (store(&files, "a.nc", b"G0").unwrap(), store(&files, "b.nc", b"G1"));
        let (lost, other) = (lost.unwrap(), dir.path().join("files/README"));
        fs::write(&other, "of somebody else").unwrap();

        files.sweep(&BTreeSet::new()).unwrap();
        assert!(files.path(&lost).exists(), "the book may be a new one");
        files.sweep(&BTreeSet::from([kept.blake3.as_str()])).unwrap();

        assert!(files.path(&kept).exists() && other.exists());
        assert!(!files.path(&lost).exists());
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path().join("files"), 100_000).unwrap();
        assert!(matches!(store(&files, "a.nc", &[b'\n'; 100_001]), Err(Error::TooBig(100_000))));
        assert!(matches!(store(&files, "a.nc", b""), Err(Error::Empty)));
        for name in ["", "..", "a/b", "a\nb"] {
            assert!(matches!(store(&files, name, b"G0"), Err(Error::BadName(_))), "{name:?}");
        }
        assert_eq!(fs::read_dir(dir.path().join("files")).unwrap().count(), 0);
    }
}
