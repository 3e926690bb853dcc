//! The door of a pretend board: a socket, a thread for each visitor, one line at a time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::lines::Lines;

/// Visitors at a time: the house has two, and some people and tests look on.
const VISITORS: usize = 32;
/// Longest line of words.
const WORDS_MAX: u64 = 256;
/// Changes that may wait for a slow watcher, as a kernel keeps some; more are lost.
const WAITING: usize = 256;
/// Longest that anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn listen(path: &Path, lines: &Arc<Lines>) -> io::Result<()> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let settles = Arc::clone(lines);
    thread::Builder::new().name("pretend pins settle".into()).spawn(move || settles.settle())?;
    let lines = Arc::clone(lines);
    thread::Builder::new().name("pretend pins".into()).spawn(move || {
        let visitors = Arc::new(AtomicUsize::new(0));
        for (number, visitor) in (0..).zip(listener.incoming()) {
            if lines.is_off() {
                return;
            }
            let Ok(visitor) = visitor else { continue };
            if VISITORS <= visitors.fetch_add(1, Ordering::SeqCst) {
                visitors.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let (lines, here) = (Arc::clone(&lines), Arc::clone(&visitors));
            let serve = move || {
                // A visitor who hangs up is nothing to report.
                visit(&visitor, &lines, number).ok();
                lines.leave(number);
                here.fetch_sub(1, Ordering::SeqCst);
            };
            if thread::Builder::new().name("pretend pins visitor".into()).spawn(serve).is_err() {
                visitors.fetch_sub(1, Ordering::SeqCst);
            }
        }
    })?;
    Ok(())
}

fn visit(stream: &UnixStream, lines: &Lines, number: u64) -> io::Result<()> {
    let mut from = BufReader::new(stream);
    let mut to = stream;
    loop {
        let mut said = String::new();
        if from.by_ref().take(WORDS_MAX).read_line(&mut said)? == 0 || lines.is_off() {
            return Ok(());
        }
        let words: Vec<&str> = said.split_whitespace().collect();
        match words[..] {
            ["watch"] | ["edges"] => return watch(stream, lines, words[0] == "edges"),
            _ => {
                let answer = match lines.answer(number, &words) {
                    Ok(said) if said.is_empty() => "ok\n".to_owned(),
                    Ok(said) => format!("ok {said}\n"),
                    Err(why) => format!("error {why}\n"),
                };
                to.write_all(answer.as_bytes())?;
            }
        }
    }
}

fn watch(mut to: &UnixStream, lines: &Lines, edges: bool) -> io::Result<()> {
    let (news, comes) = sync_channel(WAITING);
    lines.watch(news, edges);
    to.write_all(b"ok\n")?;
    for it in comes {
        to.write_all(format!("{it}\n").as_bytes())?;
    }
    Ok(())
}

pub(super) fn say(path: &Path, words: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{words}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match answer.trim_end().strip_prefix("ok") {
        Some(said) => Ok(said.trim().to_owned()),
        None => Err(io::Error::other(answer.trim_end().to_owned())),
    }
}
