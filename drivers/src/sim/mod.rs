//! The door of a pretend device that is reached by words: a socket, a thread for each visitor, one
//! line there and one line back.
//!
//! An answer begins with `ok` or `error`. Who says `watch` or `edges` is told of what happens from
//! then on, and says nothing more.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Visitors at a time: the house has two, and some people and tests look on.
const VISITORS: usize = 32;
/// Longest line of words.
const WORDS_MAX: u64 = 256;
/// Changes that may wait for a slow watcher, as a kernel keeps some; more are lost.
const WAITING: usize = 256;
/// Longest that anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is behind the door.
pub(crate) trait Device: Send + Sync + 'static {
    /// The answer to one line of words.
    fn answer(&self, visitor: u64, words: &[&str]) -> Result<String, String>;

    /// The visitor has gone.
    fn leave(&self, visitor: u64) {
        tracing::trace!(visitor, "has left a pretend device");
    }

    /// Somebody wants to be told: as people are, or of `edges` as a kernel tells them.
    fn watch(&self, to: SyncSender<String>, edges: bool) {
        drop((to, edges));
    }
}

/// An open door; it closes when this is dropped.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Door {
    /// Opens it at this path; a socket that was left there is replaced.
    pub(crate) fn open<D: Device>(path: &Path, device: &Arc<D>) -> io::Result<Self> {
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let closed = Arc::new(AtomicBool::new(false));
        let door = Self { path: path.to_owned(), closed: Arc::clone(&closed) };
        let device = Arc::clone(device);
        let serves = move || serve(&listener, &device, &closed);
        thread::Builder::new().name("pretend door".into()).spawn(serves)?;
        Ok(door)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // The thread at the door is woken by a last visitor, and sees that it is over.
        drop(UnixStream::connect(&self.path));
        std::fs::remove_file(&self.path).ok();
    }
}

fn serve<D: Device>(listener: &UnixListener, device: &Arc<D>, closed: &Arc<AtomicBool>) {
    let visitors = Arc::new(AtomicUsize::new(0));
    for (number, visitor) in (0..).zip(listener.incoming()) {
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(visitor) = visitor else { continue };
        if VISITORS <= visitors.fetch_add(1, Ordering::SeqCst) {
            visitors.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (device, here, closed) =
            (Arc::clone(device), Arc::clone(&visitors), Arc::clone(closed));
        let serve = move || {
            // A visitor who hangs up is nothing to report.
            visit(&visitor, device.as_ref(), number, &closed).ok();
            device.leave(number);
            here.fetch_sub(1, Ordering::SeqCst);
        };
        if thread::Builder::new().name("pretend visitor".into()).spawn(serve).is_err() {
            visitors.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn visit(
    stream: &UnixStream,
    device: &impl Device,
    number: u64,
    closed: &AtomicBool,
) -> io::Result<()> {
    let mut from = BufReader::new(stream);
    let mut to = stream;
    loop {
        let mut said = String::new();
        if from.by_ref().take(WORDS_MAX).read_line(&mut said)? == 0 || closed.load(Ordering::SeqCst)
        {
            return Ok(());
        }
        let words: Vec<&str> = said.split_whitespace().collect();
        match words[..] {
            ["watch"] | ["edges"] => return watch(stream, device, words[0] == "edges"),
            _ => {
                let answer = match device.answer(number, &words) {
                    Ok(said) if said.is_empty() => "ok\n".to_owned(),
                    Ok(said) => format!("ok {said}\n"),
                    Err(why) => format!("error {why}\n"),
                };
                to.write_all(answer.as_bytes())?;
            }
        }
    }
}

fn watch(mut to: &UnixStream, device: &impl Device, edges: bool) -> io::Result<()> {
    let (news, comes) = sync_channel(WAITING);
    device.watch(news, edges);
    to.write_all(b"ok\n")?;
    for it in comes {
        to.write_all(format!("{it}\n").as_bytes())?;
    }
    Ok(())
}

/// A visitor of such a door.
#[derive(Debug)]
pub struct Visit {
    from: BufReader<UnixStream>,
    to: UnixStream,
}

impl Visit {
    /// Knocks.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let to = UnixStream::connect(path)?;
        to.set_read_timeout(Some(PATIENCE))?;
        to.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { from: BufReader::new(to.try_clone()?), to })
    }

    /// Says one thing, and gives back what is answered, without the `ok`.
    pub fn say(&mut self, words: &str) -> io::Result<String> {
        self.to.write_all(format!("{words}\n").as_bytes())?;
        let answer = self.hear()?;
        match answer.strip_prefix("ok") {
            Some(said) => Ok(said.trim().to_owned()),
            None => Err(io::Error::other(answer)),
        }
    }

    /// The next line that comes.
    pub fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the device has vanished"));
        }
        Ok(line.trim_end().to_owned())
    }

    /// As long as it takes, instead of some seconds.
    pub fn be_patient(&self) -> io::Result<()> {
        self.to.set_read_timeout(None)
    }

    /// The bare connection, for who waits in another way.
    pub(crate) fn into_stream(self) -> UnixStream {
        self.to
    }
}

/// Says one thing to a pretend device and gives back what it answers, without the `ok`.
pub fn say(path: &Path, words: &str) -> io::Result<String> {
    Visit::begin(path)?.say(words)
}
