//! Where the traces of a machine's links go, if somebody wants them.
//!
//! One file for each time that the link is opened: `<machine>-<milliseconds since 1970>.trace`.
//! Not here: the format and the writing, which are `headstock_drivers::link::trace`.

use std::path::PathBuf;
use std::thread::JoinHandle;

use headstock_config::machine::Machine;
use headstock_drivers::link::Link;
use headstock_drivers::link::trace::Recorder;

use crate::clock::now_ms;

/// The traces of one machine.
pub(super) struct Traces {
    folder: Option<PathBuf>,
    writer: Option<JoinHandle<()>>,
}

impl Traces {
    /// No folder: nothing is recorded.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, writer: None }
    }

    /// The link, recorded from now on if that is wanted.
    pub(super) fn record(&mut self, link: Link, machine: &Machine) -> Link {
        let Some(folder) = &self.folder else { return link };
        let path = folder.join(format!("{}-{}.trace", machine.id, now_ms()));
        let about = format!(
            "headstock {}, machine {}, driver {}, {} at {} baud",
            env!("CARGO_PKG_VERSION"),
            machine.id,
            machine.driver,
            link.path().display(),
            machine.baud,
        );
        tracing::info!(machine = %machine.id, trace = %path.display(), "the link is recorded");
        let (recorder, writer) = Recorder::start(path, about);
        self.writer = Some(writer);
        link.recorded(recorder)
    }

    /// Waits until the last trace is written. The link must have been dropped.
    pub(super) fn finish(&mut self) {
        // A writer that has failed has said so.
        self.writer.take().map(JoinHandle::join);
    }
}
