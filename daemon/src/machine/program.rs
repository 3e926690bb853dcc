//! A program on its way from the disk to a machine.
//!
//! The disk may take its time, so a thread of its own reads ahead: the machine's task only ever
//! takes lines that are already in memory. What waits is bounded by [`AHEAD`] chunks.
//!
//! It begins to read when the driver takes lines: then the controller is in the modes in which
//! the program was judged, and where it stands is what a program may leave unsaid.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use headstock_config::machine::{Units, Xyz};
use headstock_drivers::gcode::lines::Lines;
use headstock_drivers::gcode::modal::Modal;
use headstock_drivers::gcode::{BadLine, Known, Language, ProgramLine, Reader};
use tokio::sync::{mpsc, oneshot};

/// Lines in one chunk: at 500 lines a second a quarter of a second.
const CHUNK: usize = 128;
/// Chunks that may wait: two seconds of a fast link, which covers a slow SD card.
const AHEAD: usize = 8;

/// What to read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The stored file.
    pub path: PathBuf,
    /// The language that it is written in.
    pub language: Language,
    /// Longest line that the controller takes.
    pub line_max: usize,
    /// Lines of ours that come first: the preamble of a job that goes on from a line.
    pub preamble: Vec<String>,
    /// File line to begin with, from 1.
    pub from_line: u64,
    /// The controller is in laser mode: S may change in motion without a wait.
    pub laser: bool,
    /// Units that the program counts in until it says G20 or G21.
    pub units: Units,
}

/// Where a machine stands when the first line of a program goes out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Work coordinates, as reported.
    pub(super) position: Option<Xyz>,
    /// The work coordinate system that they are in: 1 for G54; absent if nobody knows.
    pub(super) system: Option<u8>,
}

/// Lines that are ready, in order.
pub struct Program {
    chunks: mpsc::Receiver<Result<Vec<ProgramLine>, String>>,
    /// To the thread, which waits to be told.
    begins: Option<oneshot::Sender<Place>>,
}

impl Program {
    /// Opens the file. It is read once it is known where the machine begins.
    pub fn open(source: Source) -> io::Result<Self> {
        let file = File::open(&source.path)?;
        let (ready, chunks) = mpsc::channel(AHEAD);
        let (begins, place) = oneshot::channel();
        std::thread::Builder::new().name("program".into()).spawn(move || {
            let Ok(place) = place.blocking_recv() else { return };
            let mut sink = Sink { ready, chunk: Vec::with_capacity(CHUNK), over: None };
            if let Err(reason) = read(&source, file, place, &mut sink) {
                // The machine may have stopped listening; then nobody needs the reason.
                sink.ready.blocking_send(Err(reason)).ok();
            }
        })?;
        Ok(Self { chunks, begins: Some(begins) })
    }

    /// One without lines.
    #[cfg(test)]
    pub(super) fn empty() -> Self {
        Self { chunks: mpsc::channel(1).1, begins: None }
    }

    /// It waits to be told where it begins.
    pub(super) fn unopened(&self) -> bool {
        self.begins.is_some()
    }

    /// Starts reading.
    pub(super) fn begin_at(&mut self, place: Place) {
        if let Some(begins) = self.begins.take() {
            // A thread that has died says so by its silence.
            begins.send(place).ok();
        }
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

fn read(source: &Source, mut file: File, place: Place, sink: &mut Sink) -> Result<(), String> {
    let mut preamble = Reader::new(source.line_max).speaking(source.language);
    for line in &source.preamble {
        sink.take(preamble.read(0, line.as_bytes()), true);
    }
    let (start, position) = beginning(source, place);
    let mut reader = Reader::new(source.line_max).speaking(source.language).beginning(
        start,
        position,
        source.laser,
    );
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

/// Modes and work position before the first line of the file. A program that is gone on with in
/// the middle is read from its start, which is not where the machine stands.
fn beginning(source: &Source, place: Place) -> (Modal, Known) {
    let fresh = source.from_line <= 1 && source.preamble.is_empty();
    let place = if fresh { place } else { Place::default() };
    let system = place.system.unwrap_or(Modal::UNKNOWN_SYSTEM);
    let modal = Modal { units: source.units, system, ..Modal::default() };
    (modal, place.position.map_or([None; 3], |at| at.map(Some)))
}

fn unread(source: &Source, error: &io::Error) -> String {
    let name = source.path.file_name().map(Path::new).unwrap_or(&source.path);
    format!("the program `{}` cannot be read: {error}", name.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a program's lines end in a machine that counts in inches and stands at 1, 2, 3.
    async fn ends(program: &str, from_line: u64, system: Option<u8>) -> Vec<Known> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.nc");
        std::fs::write(&path, program).unwrap();
        let (preamble, units) = (Vec::new(), Units::Inch);
        let language = Language::Mill;
        let source =
            Source { path, language, line_max: 79, preamble, from_line, laser: false, units };
        let mut program = Program::open(source).unwrap();
        program.begin_at(Place { position: Some([1.0, 2.0, 3.0]), system });
        let lines = program.next().await.unwrap().unwrap();
        lines.into_iter().map(|line| line.end).collect()
    }

    #[tokio::test]
    async fn a_program_begins_where_the_machine_stands_and_in_its_units() {
        let (x, at) = (Some(25.4), |z| [Some(25.4), Some(2.0), z]);
        let program = "G0X1\nG91\nG21\nG0Z1\n";
        let stays = at(Some(3.0));
        assert_eq!(ends(program, 1, Some(1)).await, [stays, stays, stays, at(Some(4.0))]);
        assert_eq!(ends(program, 4, Some(1)).await, [[x, None, None]], "not where it stands");
    }

    #[tokio::test]
    async fn a_position_is_forgotten_where_the_system_may_change() {
        let here = [Some(1.0), Some(2.0), Some(3.0)];
        for program in ["G54\n", "G10L20P1X0Y0Z0\n", "M30\n"] {
            assert_eq!(ends(program, 1, None).await, [[None; 3]], "{program}");
        }
        assert_eq!(ends("G54\n", 1, Some(1)).await, [here]);
        assert_eq!(ends("G54\n", 1, Some(2)).await, [[None; 3]]);
        assert_eq!(ends("G10L20P1X0Y0Z0\n", 1, Some(2)).await, [here]);
    }
}
