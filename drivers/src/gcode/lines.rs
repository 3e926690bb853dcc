//! Cuts a stream of bytes into numbered lines, with memory that does not grow.
//!
//! A line ends at LF, CR LF or a lone CR. Upload analysis and the streamer's feeder use the same
//! cutter, so that a line number means the same line everywhere.
//!
//! Invariant: at most `RAW_MAX + 1` bytes are kept of any line; a longer one is handed on cut off
//! at that length, which `clean` refuses.

use super::clean::RAW_MAX;

/// Cuts bytes into lines.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    kept: Vec<u8>,
    /// Bytes of the present line seen so far, kept or not.
    begun: bool,
    after_cr: bool,
    number: u64,
}

impl Lines {
    /// Lines handed on so far.
    pub fn count(&self) -> u64 {
        self.number
    }

    /// Takes more bytes and calls `each` with number (from 1) and bytes of every line that ended.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(u64, &[u8])) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|&it| it == b'\n' || it == b'\r');
            let Some(end) = end else { return self.keep(bytes) };
            self.after_cr = bytes[end] == b'\r';
            if self.begun {
                self.keep(&bytes[..end]);
                self.hand_on(&mut each);
            } else {
                self.number += 1;
                each(self.number, &bytes[..end.min(RAW_MAX + 1)]);
            }
            bytes = &bytes[end + 1..];
        }
    }

    /// There are no more bytes: hands on a last line without line end, if there is one.
    pub fn end(&mut self, mut each: impl FnMut(u64, &[u8])) {
        if self.begun {
            self.hand_on(&mut each);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.begun |= !bytes.is_empty();
        let room = (RAW_MAX + 1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn hand_on(&mut self, each: &mut impl FnMut(u64, &[u8])) {
        self.number += 1;
        each(self.number, &self.kept);
        self.kept.clear();
        self.begun = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for piece in pieces {
            lines.push(piece, |number, line| out.push((number, line.to_vec())));
        }
        lines.end(|number, line| out.push((number, line.to_vec())));
        out
    }

    #[test]
    fn every_kind_of_line_end_ends_one_line() {
        let out = cut(&[b"a\nb\r\nc\rd\n\ne"]);
        let texts: Vec<_> = out.iter().map(|(_, it)| String::from_utf8_lossy(it)).collect();
        assert_eq!(texts, ["a", "b", "c", "d", "", "e"]);
        assert_eq!(out.last().map(|it| it.0), Some(6));
    }

    #[test]
    fn an_endless_line_is_cut_off() {
        let out = cut(&[&[b'X'; 5000], &[b'X'; 5000], b"\nG0"]);
        assert_eq!(out[0].1.len(), RAW_MAX + 1);
        assert_eq!(out[1], (2, b"G0".to_vec()));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a')], 0..60),
            at in 0usize..60,
        ) {
            let at = at.min(bytes.len());
            prop_assert_eq!(cut(&[&bytes]), cut(&[&bytes[..at], &bytes[at..]]));
        }
    }
}
