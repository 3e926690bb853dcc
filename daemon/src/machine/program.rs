//! A program on its way from the disk to a machine.
//!
//! The disk may take its time, so a thread of its own reads ahead: the machine's task only ever
//! takes lines that are already in memory. What waits is bounded by [`AHEAD`] chunks.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use headstock_drivers::gcode::lines::Lines;
use headstock_drivers::gcode::modal::Modal;
use headstock_drivers::gcode::{BadLine, ProgramLine, Reader};
use tokio::sync::mpsc;

/// Lines in one chunk: at 500 lines a second a quarter of a second.
const CHUNK: usize = 128;
/// Chunks that may wait: two seconds of a fast link, which covers a slow SD card.
const AHEAD: usize = 8;

/// What to read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The stored file.
    pub path: PathBuf,
    /// Longest line that the controller takes.
    pub line_max: usize,
    /// Lines of ours that come first: the preamble of a job that goes on from a line.
    pub preamble: Vec<String>,
    /// File line to begin with, from 1.
    pub from_line: u64,
    /// The controller is in laser mode: S may change in motion without a wait.
    pub laser: bool,
}

/// Lines that are ready, in order.
pub struct Program {
    chunks: mpsc::Receiver<Result<Vec<ProgramLine>, String>>,
}

impl Program {
    /// Starts reading.
    pub fn open(source: Source) -> io::Result<Self> {
        let file = File::open(&source.path)?;
        let (ready, chunks) = mpsc::channel(AHEAD);
        std::thread::Builder::new().name("program".into()).spawn(move || {
            let mut sink = Sink { ready, chunk: Vec::with_capacity(CHUNK), over: None };
            if let Err(reason) = read(&source, file, &mut sink) {
                // The machine may have stopped listening; then nobody needs the reason.
                sink.ready.blocking_send(Err(reason)).ok();
            }
        })?;
        Ok(Self { chunks })
    }

    /// The next lines; `None` after the last. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<ProgramLine>, String>> {
        self.chunks.recv().await
    }
}

struct Sink {
    ready: mpsc::Sender<Result<Vec<ProgramLine>, String>>,
    chunk: Vec<ProgramLine>,
    /// Nobody listens any more, or a line could not be sent: the rest is not read.
    over: Option<Result<(), String>>,
}

impl Sink {
    fn take(&mut self, line: Result<Option<ProgramLine>, BadLine>, wanted: bool) {
        match line {
            Ok(Some(line)) if wanted => self.push(line),
            Ok(_) => (),
            Err(bad) => self.over = Some(Err(bad.to_string())),
        }
    }

    fn push(&mut self, line: ProgramLine) {
        self.chunk.push(line);
        if CHUNK <= self.chunk.len() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        if !chunk.is_empty() && self.ready.blocking_send(Ok(chunk)).is_err() {
            self.over = Some(Ok(()));
        }
    }
}

fn read(source: &Source, mut file: File, sink: &mut Sink) -> Result<(), String> {
    let mut preamble = Reader::new(source.line_max);
    for line in &source.preamble {
        sink.take(preamble.read(0, line.as_bytes()), true);
    }
    let start = Modal::default();
    let mut reader = Reader::new(source.line_max).beginning(start, [None; 3], source.laser);
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // Lines before the first one are read as well, so that the modal state is right.
        let mut each = |number, raw: &[u8]| {
            if sink.over.is_none() {
                sink.take(reader.read(number, raw), source.from_line <= number);
            }
        };
        let length = file.read(&mut buffer).map_err(|error| unread(source, &error))?;
        if length == 0 {
            lines.end(each);
            sink.flush();
            return sink.over.take().unwrap_or(Ok(()));
        }
        lines.push(&buffer[..length], &mut each);
        if let Some(over) = sink.over.take() {
            sink.flush();
            return over;
        }
    }
}

fn unread(source: &Source, error: &io::Error) -> String {
    let name = source.path.file_name().map(Path::new).unwrap_or(&source.path);
    format!("the program `{}` cannot be read: {error}", name.display())
}
