//! The few things that the journal asks of a disk, so that a simulated one can take its place.
//!
//! A [`Disk`] is one folder without subfolders. What a power cut may take back: everything
//! written to a file since its last [`DiskFile::sync`], in any order and any part; every name
//! created, changed or removed since the last [`Disk::sync`].

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// One folder.
pub trait Disk: Debug + Send + Sync {
    /// The names of its files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Bytes in a file.
    fn size(&self, name: &str) -> io::Result<u64>;
    /// Up to `length` bytes from `from`; fewer only at the end of the file.
    fn read(&self, name: &str, from: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Opens a file for writing; an absent one is made, empty.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Renames within the folder, replacing what bears the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    fn sync(&self) -> io::Result<()>;
}

/// One file that is being written.
pub trait DiskFile: Debug + Send {
    /// Writes all of `bytes`; the file grows as needed.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content durable, with the size but without times (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the operating system.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder, making it and its parents if need be.
    pub fn make(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let missing: Vec<&Path> = path.ancestors().take_while(|it| !it.exists()).collect();
        fs::create_dir_all(&path)?;
        for parent in missing.iter().filter_map(|made| made.parent()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { path })
    }

    /// A folder that is there already and will only be read.
    pub fn existing(path: &Path) -> io::Result<Self> {
        fs::read_dir(path)?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|it| Ok(it?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read(&self, name: &str, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut bytes[filled..], from + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(self.path.join(name))?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Fills `length` bytes from `at` with zeros.
pub fn write_zeros(file: &dyn DiskFile, at: u64, length: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut done = 0;
    while done < length {
        let step = (length - done).min(ZEROS.len() as u64);
        file.write_at(at + done, &ZEROS[..usize::try_from(step).expect("at most 64 KiB")])?;
        done += step;
    }
    Ok(())
}
