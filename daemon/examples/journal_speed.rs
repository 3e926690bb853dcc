//! Measures the journal and the store on the disk that the given folder is on.
//!
//! `cargo run --release -p headstock-daemon --example journal_speed -- FOLDER`

#![allow(clippy::print_stdout)] // A measuring program prints.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use headstock_config::job::{Checkpoint, Job, JobEvent};
use headstock_config::ledger::{Entry, Fact, State};
use headstock_daemon::journal::{Journal, Options, verify};
use headstock_daemon::store::Store;

const COMMITS: u64 = 2_000;
const ENTRIES: u64 = 200_000;

fn main() -> anyhow::Result<()> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent)?;
    commits(&folder.path().join("commits"))?;
    let long = folder.path().join("long");
    fill(&long)?;
    read(&long, &folder.path().join("state"))
}

fn entry(number: u64) -> Entry {
    let checkpoint = Checkpoint {
        sent: number,
        acked: number,
        line: number,
        line_min: number,
        sent_line: number,
        position: Some([12.345, 67.89, -1.5]),
        work_offset: Some([-120.0, -80.0, -30.0]),
        elapsed_ms: number * 1000,
    };
    let happened = match number {
        1 => JobEvent::Queued { job: Box::new(job()) },
        2 => JobEvent::Started { position: None, work_offset: None },
        _ => JobEvent::Checkpoint(checkpoint),
    };
    let at_ms = 1_760_000_000_000 + number * 1000;
    Entry { number, at_ms, fact: Fact::Job { job: "j1".to_owned(), happened } }
}

fn job() -> Job {
    Job {
        id: "j1".to_owned(),
        machine: "mill".to_owned(),
        file: "0123456789abcdef".to_owned(),
        file_name: "part.nc".to_owned(),
        by: "anna".to_owned(),
        from_line: 1,
        lines: ENTRIES,
        estimate_s: 1.0,
        ..Job::default()
    }
}

fn append(journal: &mut Journal, number: u64) -> anyhow::Result<()> {
    let entry = entry(number);
    Ok(journal.append(number, entry.at_ms, &serde_json::to_vec(&entry)?)?)
}

/// One entry a commit, as when one person presses one key.
fn commits(folder: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (mut journal, _) = Journal::open(folder, Options::default())?;
    say("first start", begun.elapsed());
    let mut times = Vec::new();
    for number in 1..=COMMITS {
        let begun = Instant::now();
        append(&mut journal, number)?;
        journal.commit()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        let at = (times.len() as f64 * share) as usize;
        say(&format!("one durable commit, {name}"), times[at.min(times.len() - 1)]);
    }
    Ok(())
}

/// A long history, in groups of 64.
fn fill(folder: &Path) -> anyhow::Result<()> {
    let (mut journal, _) = Journal::open(folder, Options::default())?;
    let begun = Instant::now();
    for number in 1..=ENTRIES {
        append(&mut journal, number)?;
        if number.is_multiple_of(64) {
            journal.commit()?;
        }
    }
    journal.commit()?;
    rate("appended in groups of 64", begun.elapsed());
    Ok(())
}

fn read(folder: &Path, state: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (journal, _) = Journal::open(folder, Options::default())?;
    say(&format!("opened with {ENTRIES} entries"), begun.elapsed());
    let begun = Instant::now();
    let report = verify(folder)?;
    rate("verified", begun.elapsed());
    anyhow::ensure!(report.damage.is_empty() && report.entries == ENTRIES);
    println!("{:42} {:>10.1} bytes an entry", "journal", report.bytes as f64 / ENTRIES as f64);
    let (mut store, mut view) = Store::open(state);
    let begun = Instant::now();
    store.catch_up(&mut view, &journal.reader())?;
    rate("folded again from nothing", begun.elapsed());
    overwrite(&mut store, &mut view);
    store.close();
    println!("{:42} {:>10} KiB", "view after as many checkpoints of one job", size(state)? / 1024);
    let begun = Instant::now();
    let (_store, _) = Store::open(state);
    say("view opened", begun.elapsed());
    Ok(())
}

/// What a job of many hours does to the view.
fn overwrite(store: &mut Store, view: &mut State) {
    let mut times = Vec::new();
    for number in ENTRIES + 1..=2 * ENTRIES {
        let begun = Instant::now();
        let changed = store.fold(view, &entry(number));
        store.save(view, &changed);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    say("view saved, p50", times[times.len() / 2]);
    say("view saved, p99.9", times[times.len() * 999 / 1000]);
}

fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        total += if meta.is_dir() { size(&entry.path())? } else { meta.len() };
    }
    Ok(total)
}

fn say(what: &str, took: Duration) {
    println!("{what:42} {:>10.3} ms", took.as_secs_f64() * 1000.0);
}

fn rate(what: &str, took: Duration) {
    let per_second = ENTRIES as f64 / took.as_secs_f64();
    println!("{what:42} {per_second:>10.0} entries/s");
}
