//! The journal on the disk, read without the daemon, and beside one that is writing it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use headstock_config::explain::{Explain, sentence};
use headstock_config::places::{Places, SYSTEM_FILE, Surroundings};
use headstock_config::settings::Settings;
use headstock_tui::words::{bytes, count, plain};

use super::args::{Common, JournalVerb};
use super::exit::Exit;
use super::trouble::Trouble;
use super::{config, say};
use crate::journal::{self, DiskError, ExportError, Report};

/// Below the state folder.
const FOLDER: &str = "journal";

pub(super) fn journal(what: JournalVerb, common: &Common) -> Result<Exit, Trouble> {
    match what {
        JournalVerb::Verify { state_dir } => verify(&folder(state_dir, common)?, common.json),
        JournalVerb::Export { state_dir, from, output } => {
            export(&folder(state_dir, common)?, from, output.as_deref())
        }
    }
}

/// The journal's folder: below the state folder that was named, or that the configuration means,
/// or beside the socket that was named, if there is one.
fn folder(state_dir: Option<PathBuf>, common: &Common) -> Result<PathBuf, Trouble> {
    let beside = common.socket.as_deref().and_then(Path::parent).map(|it| it.join(FOLDER));
    match (state_dir, &common.config, beside) {
        (Some(named), _, _) => Ok(named.join(FOLDER)),
        (None, None, Some(beside)) if beside.is_dir() => Ok(beside),
        (None, named, _) => configured(named.as_deref()),
    }
}

fn configured(named: Option<&Path>) -> Result<PathBuf, Trouble> {
    let around = Surroundings::of_this_process();
    let system = Some(Path::new(SYSTEM_FILE)).filter(|it| it.exists());
    let settings = match named.or(system) {
        Some(file) => config::read(file)?,
        None => Settings::default(),
    };
    let places = Places::find(&settings.daemon, None, &around);
    Ok(places.map_err(|problem| config::no_place(&problem))?.state_dir.join(FOLDER))
}

/// Reads all of it; exit code 1 if anything is damaged. A write that was cut short is no damage:
/// nobody had been told that it was stored.
fn verify(folder: &Path, json: bool) -> Result<Exit, Trouble> {
    let report = journal::verify(folder).map_err(|error| unopened(folder, &error))?;
    if json {
        say::json(&report);
    } else {
        say::text(&told(folder, &report));
    }
    Ok(if report.damage.is_empty() { Exit::Done } else { Exit::Failed })
}

fn told(folder: &Path, report: &Report) -> String {
    let mut text = format!(
        "{}: {} entries in {} segments, {}\nchain  {}\n",
        folder.display(),
        count(report.entries),
        report.segments,
        bytes(report.bytes),
        report.chain,
    );
    if report.torn_bytes > 0 {
        let torn = bytes(report.torn_bytes as u64);
        text.push_str(&format!(
            "{torn} of a write that was cut short; the next start removes it\n"
        ));
    }
    for damage in &report.damage {
        text.push_str(&format!("DAMAGED: {}\n", plain(&damage.to_string())));
    }
    text.push_str(if report.damage.is_empty() {
        "nothing is damaged"
    } else {
        "keep a copy of the folder before anything else; entries before the damage are whole"
    });
    text
}

/// Writes the entries as lines of JSON, to stdout or into a new file.
fn export(folder: &Path, from: u64, output: Option<&Path>) -> Result<Exit, Trouble> {
    let written = match output {
        None => say::through(|out| journal::export(folder, from, out)),
        Some(path) => {
            let file = std::fs::File::create_new(path);
            let file = file.map_err(|error| Trouble::file("create", path, &error))?;
            let mut out = io::BufWriter::new(&file);
            let written = journal::export(folder, from, &mut out);
            written.and_then(|count| {
                out.flush().and_then(|()| file.sync_all()).map_err(ExportError::Write)?;
                Ok(count)
            })
        }
    };
    match written {
        Ok(count) => {
            say::aside(&format!("{} entries", self::count(count)));
            Ok(Exit::Done)
        }
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Exit::Unheard)
        }
        Err(error) => Err(unreadable(folder, &error)),
    }
}

fn unopened(folder: &Path, error: &DiskError) -> Trouble {
    Trouble::new(
        Exit::Failed,
        "journal.disk",
        format!("{}: {}", folder.display(), sentence(error)),
        "the journal could not be read to its end; it was not changed",
        "name the daemon's state folder with --state-dir, and read it as its owner or as root",
    )
}

fn unreadable(folder: &Path, error: &impl Explain) -> Trouble {
    let message = format!("{}: {}", folder.display(), sentence(error));
    Trouble::new(Exit::Failed, error.code(), message, &error.means(), &error.remedy())
}
