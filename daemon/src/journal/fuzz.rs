//! Any bytes at all, read as everything that lies on disk. For tests and fuzzing: nothing may
//! panic, hang or ask for memory that the bytes do not justify.

use crate::journal::record::{self, Chain, HEAD, Record, u32_at, u64_at};
use crate::journal::recover::{walk, walk_sealed};
use crate::journal::segment::{FOOTER, FORMAT, Footer, Header, Records};

/// Reads the bytes as a segment, with its own header if it has one, and as a lone record. Returns
/// how many records were found.
pub fn read_anything(bytes: &[u8]) -> usize {
    let own = Header::read(bytes).filter(|it| it.size <= bytes.len());
    let size = bytes.len().clamp(Header::SMALLEST, Header::LARGEST);
    let assumed = Header { format: FORMAT, size, first: 1, chain: Chain::default() };
    let mut found = usize::from(record::decode(bytes).is_ok());
    for header in own.into_iter().chain([assumed]) {
        let records = Records::of(bytes, &header);
        found += records.take_while(Result::is_ok).count();
        walk(&header, bytes).ok();
        let footer = bytes.last_chunk::<FOOTER>().and_then(|it| Footer::read(it));
        if let Some(footer) = footer.filter(|_| header.size == bytes.len()) {
            walk_sealed(&header, bytes, &footer).ok();
        }
    }
    found
}

/// The same bytes as a segment whose checksums, chain and hash are right, whatever its numbers
/// say: behind those a search that changes bytes by chance would never get.
pub fn repaired(bytes: &[u8]) -> Vec<u8> {
    if !(Header::SMALLEST..=Header::LARGEST).contains(&bytes.len()) {
        return bytes.to_vec();
    }
    let (body, footer) = bytes.split_at(bytes.len() - FOOTER);
    let mut chain: Chain = *body[24..].first_chunk().expect("a header is longer");
    let (format, first) = (u32_at(body, 8), u64_at(body, 16));
    let mut right = Header { format, size: bytes.len(), first, chain }.bytes().to_vec();
    while let Some(record) = shaped(&body[right.len()..]) {
        record.encode(&mut right, &mut chain);
    }
    right.extend(&body[right.len()..]);
    let sealed = footer[0] != 0;
    let hash = *blake3::hash(&right).as_bytes();
    let seal = Footer { last: u64_at(footer, 8), chain, hash }.bytes();
    right.extend(if sealed { &seal } else { footer });
    right
}

/// What stands here, if it were a record.
fn shaped(bytes: &[u8]) -> Option<Record<'_>> {
    let head = bytes.first_chunk::<HEAD>().filter(|it| it.iter().any(|byte| *byte != 0))?;
    let record = Record {
        number: u64_at(head, 16),
        at_ms: u64_at(head, 24),
        boot: u32_at(head, 32),
        mono_ms: u32_at(head, 36),
        batch: u32_at(head, 12),
        body: bytes.get(HEAD..HEAD + u32_at(head, 0) as usize)?,
    };
    (record.size() <= bytes.len()).then_some(record)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use proptest::prelude::*;

    use super::*;
    use crate::journal::disk::Disk;
    use crate::journal::record::Record;
    use crate::journal::simulated::Simulated;
    use crate::journal::{Journal, Options};

    /// A sealed segment and an open one.
    static REAL: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
        let disk = Simulated::default();
        let options = Options { segment_bytes: 2048, reserve_bytes: 0, ..Options::default() };
        let (mut journal, _) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
        for number in 1..=30 {
            let body = vec![b'e'; number as usize * 3];
            journal.append(number, 1, &body).unwrap();
            journal.commit().unwrap();
        }
        let mut names = disk.list().unwrap();
        names.sort();
        [names.first(), names.last()].map(|it| disk.read(it.unwrap(), 0, 2048).unwrap())
    });

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        ) {
            read_anything(&bytes);
        }

        #[test]
        fn changed_segments_are_read_without_panic(
            which in 0usize..2,
            changes in proptest::collection::vec((0usize..2048, any::<u8>()), 0..8),
            length in 0usize..=2048,
        ) {
            let mut bytes = REAL[which].clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(length);
            read_anything(&bytes);
        }

        /// Checksums right, everything else as it comes.
        #[test]
        fn well_formed_nonsense_is_read_without_panic(
            first: u64,
            last: u64,
            sound: bool,
            records in proptest::collection::vec((any::<u64>(), any::<u32>(), 0usize..60), 0..12),
        ) {
            let (mut bytes, mut chain) = (Vec::new(), [0; 32]);
            let first = if sound { first % 1000 + 1 } else { first };
            bytes.extend(Header { format: FORMAT, size: 4096, first, chain }.bytes());
            for (index, (number, batch, length)) in records.into_iter().enumerate() {
                let number = if sound { first + index as u64 } else { number };
                let body = &vec![1; length];
                let record = Record { number, at_ms: 0, boot: batch, mono_ms: 0, batch, body };
                record.encode(&mut bytes, &mut chain);
            }
            bytes.resize(4096 - FOOTER, 0);
            let hash = *blake3::hash(&bytes).as_bytes();
            bytes.extend(Footer { last, chain, hash }.bytes());
            read_anything(&bytes);
        }
    }

    #[test]
    fn real_segments_are_read_to_their_end() {
        assert!(REAL.iter().all(|it| read_anything(it) > 0));
    }

    #[test]
    fn repairing_changes_nothing_where_nothing_is_wrong_and_undoes_a_change() {
        for real in &*REAL {
            assert_eq!(&repaired(real), real);
            let mut changed = real.clone();
            changed[HEAD + 140] ^= 1;
            assert!(read_anything(&changed) < read_anything(&repaired(&changed)));
        }
    }
}
