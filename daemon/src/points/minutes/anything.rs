//! Any bytes at all, read as a file of minutes. For tests and fuzzing: nothing may panic, hang or
//! ask for memory that the bytes do not justify.

use super::record::{self, HEADER, Item, walk};

/// Reads the bytes as a file of minutes. Returns how many minutes were found, and how many bytes
/// are as they were written.
pub fn read_anything(bytes: &[u8]) -> (usize, usize) {
    let mut found = 0;
    let good = walk(bytes, |item| {
        if let Item::Minute(_, _, rest) = item {
            let sum = rest.sum();
            let finite = sum.figures.is_none_or(|it| it.min.is_finite() && it.mean.is_finite());
            assert!(finite, "a figure is not a number");
            found += 1;
        }
    });
    record::read_end(1, bytes);
    (found, good)
}

/// The same bytes as a file whose checksums are right, of the same version if it is a known one, whatever its numbers say: behind those a
/// search that changes bytes by chance would never get.
pub fn repaired(bytes: &[u8]) -> Vec<u8> {
    let old = bytes.get(8..12).is_some_and(|it| it == record::COUNTED.to_le_bytes());
    let mut right = record::header_of(if old { record::COUNTED } else { record::VERSION }, 1);
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    while let Some((frame, behind)) = record::framed(rest) {
        record::seal(1, frame, &mut right);
        rest = behind;
    }
    right.extend(rest);
    right
}
