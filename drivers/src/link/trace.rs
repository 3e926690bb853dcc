//! Records what goes over a link, and reads it back for replay.
//!
//! One line for each read and each write, in order:
//!
//! ```text
//! # anything
//! 1204518 > G1X10F600\n
//! 1206110 ! ?
//! 1209733 < ok\r\n
//! ```
//!
//! Microseconds since the first line; `>` written, `!` written ahead of what waited, `<` read; then
//! the bytes, printable ones as they are, `\n`, `\r`, `\\` and `\xHH` for the others. Reading it
//! back gives the same bytes in the same pieces, so a driver can be led through the conversation
//! again with a clock made of the times.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Pieces that may wait for the disk: some ten seconds of a program at 115200 baud.
const WAITING: usize = 4096;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the device, in order.
    Out,
    /// To the device, ahead of what waited.
    Urgent,
    /// From the device.
    In,
}

impl Direction {
    fn sign(self) -> char {
        match self {
            Self::Out => '>',
            Self::Urgent => '!',
            Self::In => '<',
        }
    }
}

/// Bytes that went over a link in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Since the trace began.
    pub at: Duration,
    /// Which way.
    pub direction: Direction,
    /// What. Never empty.
    pub bytes: Vec<u8>,
}

/// A line that is not one of a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the trace cannot be read: `{text}`")]
pub struct Unreadable {
    /// From 1.
    pub line: usize,
    /// The line, shortened.
    pub text: String,
}

/// Writes down what goes over a link, without ever keeping the link waiting: a thread of its own
/// writes, and what it cannot take in time is left out and counted in the trace. Failing to write
/// never disturbs the link: the trace ends and the log says so once.
#[derive(Debug)]
pub struct Recorder {
    pieces: SyncSender<Step>,
    left_out: Arc<AtomicU64>,
    start: Option<Instant>,
}

impl Recorder {
    /// Begins a new file, in which `about` is the first line; one that is there is replaced.
    /// Returns at once. The thread ends when the recorder is dropped and everything is written.
    pub fn start(path: PathBuf, about: String) -> (Self, JoinHandle<()>) {
        Self::onto(move || File::create(path), about)
    }

    fn onto<W: Write>(
        open: impl FnOnce() -> io::Result<W> + Send + 'static,
        about: String,
    ) -> (Self, JoinHandle<()>) {
        let (pieces, waiting) = sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        let writer = thread::spawn(move || {
            let written = open().and_then(|to| write_down(to, &about, &waiting, &counted));
            if let Err(error) = written {
                tracing::warn!(%error, "the trace of a link ends here");
            }
        });
        (Self { pieces, left_out, start: None }, writer)
    }

    /// Writes one piece down. Never waits.
    pub fn note(&mut self, now: Instant, direction: Direction, bytes: &[u8]) {
        let at = now.saturating_duration_since(*self.start.get_or_insert(now));
        let step = Step { at, direction, bytes: bytes.to_vec() };
        if self.pieces.try_send(step).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_down(
    to: impl Write,
    about: &str,
    waiting: &Receiver<Step>,
    left_out: &AtomicU64,
) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    writeln!(to, "# {}", about.replace(['\n', '\r'], " "))?;
    loop {
        let step = match waiting.try_recv() {
            Err(TryRecvError::Empty) => {
                to.flush()?;
                waiting.recv().ok()
            }
            step => step.ok(),
        };
        match left_out.swap(0, Ordering::Relaxed) {
            0 => (),
            count => writeln!(to, "# {count} pieces are missing hereabouts: the disk was slow")?,
        }
        match step {
            Some(step) => writeln!(to, "{}", line(&step))?,
            None => return to.flush(),
        }
    }
}

/// A step as a line, without terminator.
pub fn line(step: &Step) -> String {
    format!("{} {} {}", step.at.as_micros(), step.direction.sign(), text(&step.bytes))
}

/// Bytes as a trace shows them.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(byte.into()),
            _ => write!(text, "\\x{byte:02x}").expect("writing to a String cannot fail"),
        }
    }
    text
}

/// Reads a whole trace. Blank lines and lines that begin with `#` are left out.
pub fn read(text: &str) -> Result<Vec<Step>, Unreadable> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let text = || line.chars().take(60).collect();
            parse(line).ok_or_else(|| Unreadable { line: at + 1, text: text() })
        })
        .collect()
}

fn parse(line: &str) -> Option<Step> {
    let (at, rest) = line.split_once(' ')?;
    let (sign, bytes) = rest.split_once(' ')?;
    let direction = match sign {
        ">" => Direction::Out,
        "!" => Direction::Urgent,
        "<" => Direction::In,
        _ => return None,
    };
    let bytes = unescape(bytes)?;
    let at = Duration::from_micros(at.parse().ok()?);
    (!bytes.is_empty()).then_some(Step { at, direction, bytes })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first()?;
        rest = after;
        bytes.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b'\\' => b'\\',
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_trace_can_be_read_by_people() {
        let step = |at, direction, bytes: &[u8]| {
            line(&Step { at: Duration::from_micros(at), direction, bytes: bytes.to_vec() })
        };
        assert_eq!(step(1, Direction::Out, b"G1 X1\n"), "1 > G1 X1\\n");
        assert_eq!(step(20, Direction::Urgent, &[b'!', 0x85]), "20 ! !\\x85");
        assert_eq!(step(300, Direction::In, b"a\\b\r\n"), "300 < a\\\\b\\r\\n");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        assert_eq!(read("# head\n\n0 > ?\n"), Ok(vec![parse("0 > ?").unwrap()]));
        for wrong in ["x > ?", "0 ? a", "0 >", "0 > ", "0 > \\", "0 > \\q", "0 > \\x1"] {
            let error = read(&format!("0 > ?\n{wrong}\n")).unwrap_err();
            assert_eq!((error.line, error.text.as_str()), (2, wrong));
        }
    }

    #[test]
    fn a_recorder_writes_what_can_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mill.trace");
        let (mut recorder, writer) = Recorder::start(path.clone(), "mill\n0 > ?".into());
        let now = Instant::now();
        recorder.note(now, Direction::Out, b"$I\n");
        recorder.note(now + Duration::from_millis(2), Direction::In, b"ok\r\n");
        drop(recorder);
        writer.join().unwrap();
        let steps = read(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(steps[1].at, Duration::from_millis(2));
        assert_eq!(steps[1].bytes, b"ok\r\n");
    }

    /// A file that everybody sees.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_is_slow_keeps_no_link_waiting_and_what_is_missing_is_counted() {
        let (page, (go, slow)) = (Page::default(), sync_channel(0));
        let file = page.clone();
        let open = move || {
            slow.recv().unwrap();
            Ok(file)
        };
        let (mut recorder, writer) = Recorder::onto(open, "mill".into());
        let now = Instant::now();
        for _ in 0..WAITING + 7 {
            recorder.note(now, Direction::In, b"ok\r\n");
        }
        go.send(()).unwrap();
        drop(recorder);
        writer.join().unwrap();
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("# mill\n# 7 pieces are missing"), "{}", &text[..60]);
        assert_eq!(read(&text).unwrap().len(), WAITING);
    }

    proptest! {
        #[test]
        fn reading_gives_back_what_was_written(
            at in 0..u64::MAX / 2,
            bytes in proptest::collection::vec(any::<u8>(), 1..100),
        ) {
            let step = Step { at: Duration::from_micros(at), direction: Direction::In, bytes };
            prop_assert_eq!(read(&line(&step)), Ok(vec![step]));
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,200}") {
            read(&text).ok();
        }
    }
}
