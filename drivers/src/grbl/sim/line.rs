//! Bytes of the RX ring to a line, as GRBL's main loop gathers them.

/// Longest line that is taken, without terminator and after stripping.
const LONGEST: usize = 79;

#[derive(Debug, Default, PartialEq)]
enum Comment {
    #[default]
    None,
    Bracket,
    ToEnd,
}

/// A line in the making.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    text: String,
    comment: Comment,
    too_long: bool,
}

impl LineBuffer {
    /// Takes a byte; gives the stripped line when it was a terminator. `Err` is GRBL's number.
    pub(super) fn take(&mut self, byte: u8) -> Option<Result<String, u8>> {
        match byte {
            b'\n' | b'\r' => {
                let line = std::mem::take(self);
                return Some(if line.too_long { Err(11) } else { Ok(line.text) });
            }
            b')' if self.comment == Comment::Bracket => self.comment = Comment::None,
            _ if self.comment != Comment::None => (),
            0..=b' ' | b'/' | 0x80.. => (),
            b'(' => self.comment = Comment::Bracket,
            b';' => self.comment = Comment::ToEnd,
            b'%' => (),
            _ if self.text.len() >= LONGEST => self.too_long = true,
            _ => self.text.push(byte.to_ascii_uppercase().into()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Result<String, u8>> {
        let mut buffer = LineBuffer::default();
        bytes.iter().filter_map(|&byte| buffer.take(byte)).collect()
    }

    #[test]
    fn comments_spaces_and_case_are_gone_and_every_terminator_ends_a_line() {
        let got = lines(b"g1 x1 (a ; b) Y2 ; rest\r\n(only)\n/N1\n%\n");
        let want = ["G1X1Y2", "", "", "N1", ""].map(|line| Ok(line.to_owned()));
        assert_eq!(got, want);
    }

    #[test]
    fn a_line_of_80_is_refused_as_a_whole_and_the_next_is_taken() {
        let long = [b"X".repeat(80).as_slice(), b"\n", &b"Y".repeat(79), b"\n"].concat();
        assert_eq!(lines(&long), [Err(11), Ok("Y".repeat(79))]);
    }
}
