//! A journal folder with anything in it.
//!
//! The bytes are read as one segment, as they are and once more with their checksums and hashes
//! made right, since no search finds a hash by chance. Then they lie on a disk as one or two
//! segments, which is read from end to end. Promises: damage is reported and nothing panics; no
//! entry is counted that cannot be read.

use std::io;

use headstock_daemon::journal::disk::{Disk, DiskFile};
use headstock_daemon::journal::{read_anything, repaired, verify_on};

/// Reads the bytes as a journal.
pub fn journal(bytes: &[u8]) {
    read_anything(bytes);
    let right = repaired(bytes);
    read_anything(&right);
    for bytes in [bytes, &right] {
        look_at(Shelf(vec![(1, bytes.to_vec())]));
    }
    let (front, back) = right.split_at(right.len() / 2);
    let (front, back) = (repaired(front), repaired(back));
    let first = back.get(16..24).and_then(|it| it.try_into().ok()).map_or(2, u64::from_le_bytes);
    look_at(Shelf(vec![(1, front), (first, back)]));
}

fn look_at(shelf: Shelf) {
    let report = verify_on(&shelf).expect("the shelf never fails");
    assert_eq!(report.segments, shelf.0.len());
    serde_json::to_string(&report).expect("a report can be told");
}

/// Segments by the number of their first entry, for reading only.
#[derive(Debug)]
struct Shelf(Vec<(u64, Vec<u8>)>);

impl Shelf {
    fn find(&self, name: &str) -> io::Result<&[u8]> {
        let named = self.0.iter().find(|(first, _)| Self::name(*first) == name);
        named.map(|(_, bytes)| bytes.as_slice()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn name(first: u64) -> String {
        format!("{first:020}.journal")
    }
}

impl Disk for Shelf {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.iter().map(|(first, _)| Self::name(*first)).collect())
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(self.find(name)?.len() as u64)
    }

    fn read(&self, name: &str, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.find(name)?.iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
        Ok(bytes.take(length).copied().collect())
    }

    fn open(&self, _: &str) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
