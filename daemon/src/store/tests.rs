//! The view against the journal it is folded from.

use std::path::Path;

use headstock_config::alarm::AlarmEvent;
use headstock_config::event::Event;
use headstock_config::job::{Checkpoint, Decision, Interruption, Job, JobEvent, JobState};
use headstock_config::ledger::{Changed, Entry, Fact, State, Token};
use headstock_config::machine::Mode;
use headstock_config::people::Role;
use headstock_config::rule::{Because, ChainEvent, RuleEvent};

use super::fold::self_test;
use super::*;
use crate::journal::{Journal, Options};

fn journal(folder: &Path) -> Journal {
    let options = Options { reserve_bytes: 0, segment_bytes: 64 * 1024, ..Options::default() };
    Journal::open(&folder.join("journal"), options).unwrap().0
}

fn job(number: u64) -> Box<Job> {
    Box::new(Job {
        id: format!("j{number}"),
        machine: format!("mill{}", number % 3),
        file: "0123456789abcdef".to_owned(),
        file_name: "part.nc".to_owned(),
        by: "anna".to_owned(),
        from_line: 1,
        lines: 100,
        estimate_s: 12.5,
        queued_ms: number,
        ..Job::default()
    })
}

/// What happens to one job, from its queueing to one of several ends.
fn life(number: u64) -> Vec<Fact> {
    let of = |happened| Fact::Job { job: format!("j{number}"), happened };
    let checkpoint = Checkpoint { sent: 9, acked: 7, ..Checkpoint::default() };
    let mut facts = vec![of(JobEvent::Queued { job: job(number) })];
    if number.is_multiple_of(11) {
        return facts;
    }
    facts.push(of(JobEvent::Started { position: None, work_offset: Some([0.1, 0.2, 0.3]) }));
    facts.push(of(JobEvent::Checkpoint(checkpoint)));
    if number.is_multiple_of(4) {
        facts.push(of(JobEvent::Interrupted(Interruption {
            reason: "cable".to_owned(),
            line_min: 7,
            line_max: 9,
            position: None,
            work_offset: None,
            position_kept: false,
            lines_acked: 7,
        })));
        if number.is_multiple_of(8) {
            facts.push(of(JobEvent::Decided {
                by: "anna".to_owned(),
                decision: Decision::Scrap,
                reason: "spoiled".to_owned(),
                next: None,
            }));
        }
    } else {
        facts.push(of(JobEvent::Completed { lines_acked: 100, refused_lines: 0 }));
    }
    facts.push(Fact::Machine {
        machine: format!("mill{}", number % 3),
        said: Event::Mode { mode: Mode::Idle },
    });
    facts
}

/// A book of several hundred jobs, with remarks on jobs long gone.
fn book() -> Vec<Fact> {
    let mut facts = vec![Fact::HouseOpened { version: "0".to_owned(), clean: true }];
    for number in 1..=900 {
        facts.extend(life(number));
        if number % 50 == 0 {
            let text = "found in a drawer".to_owned();
            let happened = JobEvent::Note { by: "bert".to_owned(), text };
            facts.push(Fact::Job { job: format!("j{}", number / 50), happened });
        }
    }
    let (name, by, digest) = ("tablet".to_owned(), "anna".to_owned(), "00".to_owned());
    let token = Token { name: name.clone(), role: Role::Viewer, digest, made_ms: 1, by };
    facts.extend([Fact::TokenMade { token }, Fact::TokenRevoked { name }]);
    facts.extend(alarms());
    facts.push(Fact::HouseClosed);
    facts
}

/// One alarm that is shelved, and one that is not declared any more.
fn alarms() -> Vec<Fact> {
    let of = |alarm: &str, happened| Fact::Alarm { alarm: alarm.to_owned(), happened };
    let raised = || AlarmEvent::Raised {
        text: "out of reach".to_owned(),
        value: None,
        latch: false,
        first_out: true,
    };
    let (by, reason) = ("anna".to_owned(), "new cable".to_owned());
    let shelved = AlarmEvent::Shelved { by, reason, until_ms: 9 };
    let because = Because::default();
    let tripped = |rule: &str| {
        let (because, did) = (Because::default(), "hold mill1".to_owned());
        let happened = RuleEvent::Tripped { because, did, times: 1, latch: true, counted: false };
        Fact::Rule { rule: rule.to_owned(), happened }
    };
    let machines = vec!["mill1".to_owned()];
    vec![
        of("mill1.offline", raised()),
        of("mill1.offline", shelved),
        of("gone", raised()),
        of("gone", AlarmEvent::Forgotten),
        tripped("door"),
        tripped("lid"),
        of("lid", AlarmEvent::Reset { by: "anna".to_owned() }),
        Fact::StopChain { happened: ChainEvent::Opened { because, machines } },
    ]
}

/// Writes facts to the journal as the ledger would and returns the entries.
fn write(journal: &mut Journal, facts: &[Fact]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for fact in facts {
        let number = journal.next_number();
        let entry = Entry { number, at_ms: 1000 + number, fact: fact.clone() };
        let bytes = serde_json::to_vec(&entry).unwrap();
        journal.append(number, entry.at_ms, &bytes).unwrap();
        entries.push(entry);
    }
    journal.commit().unwrap();
    entries
}

fn fold_all(entries: &[Entry]) -> State {
    let mut state = State::default();
    for entry in entries {
        state.apply(entry);
    }
    state
}

#[test]
fn what_is_loaded_is_what_the_journal_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = journal(folder.path());
    let facts = book();
    let (early, late) = facts.split_at(facts.len() / 2);
    let mut entries = write(&mut journal, early);
    let (mut store, mut state) = Store::open(&folder.path().join("state"));
    assert_eq!(store.catch_up(&mut state, &journal.reader()).unwrap(), entries.len() as u64);
    for entry in write(&mut journal, late) {
        let changed = store.fold(&mut state, &entry);
        store.save(&state, &changed);
        store.trim(&mut state);
        entries.push(entry);
    }
    let whole = fold_all(&entries);
    for (number, job) in &whole.jobs {
        assert_eq!(store.history().job(*number).as_ref(), Some(job));
    }
    let mut trimmed = whole.clone();
    trim(&mut trimmed);
    assert!(trimmed.jobs.len() < whole.jobs.len());
    assert_eq!(state, trimmed);
    store.close();
    let (mut store, mut loaded) = Store::open(&folder.path().join("state"));
    assert_eq!(loaded, trimmed);
    assert_eq!(store.catch_up(&mut loaded, &journal.reader()).unwrap(), 0);
    assert!(self_test(&loaded, &journal.reader()).unwrap());
    loaded.next_job += 1;
    assert!(!self_test(&loaded, &journal.reader()).unwrap());
}

#[test]
fn history_is_listed_newest_first_across_memory_and_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = journal(folder.path());
    let whole = fold_all(&write(&mut journal, &book()));
    let (mut store, mut state) = Store::open(&folder.path().join("state"));
    store.catch_up(&mut state, &journal.reader()).unwrap();
    let list = |wanted: &dyn Fn(&Job) -> bool| {
        let (mut before, mut listed) = (None, Vec::new());
        loop {
            let page = Page::of(&state, before, 64, wanted).with(&store.history(), wanted).jobs();
            let Some(last) = page.last() else { break };
            before = headstock_config::ledger::job_number(&last.id);
            listed.extend(page);
        }
        listed.reverse();
        listed
    };
    let all: Vec<Job> = whole.jobs.into_values().collect();
    assert_eq!(list(&|_| true), all);
    let of_one = |job: &Job| job.machine == "mill1" && job.state == JobState::Completed;
    assert_eq!(list(&of_one), all.into_iter().filter(of_one).collect::<Vec<_>>());
}

#[test]
fn the_disk_is_asked_only_for_what_may_be_there() {
    let over = |number| Job { state: JobState::Completed, ..*job(number) };
    let jobs = (1..=400).map(|number| (number, over(number))).collect();
    let mut state = State { jobs, ..State::default() };
    assert!(Page::of(&state, None, 1000, |_| true).whole(), "nothing has been let go");
    state.jobs = (1000..1600).map(|number| (number, over(number))).collect();
    state.jobs.insert(7, *job(7));
    trim(&mut state);
    assert!(Page::of(&state, None, 100, |_| true).whole(), "newer ones are enough");
    assert!(!Page::of(&state, None, 1000, |_| true).whole());
    assert!(!Page::of(&state, Some(1100), 1, |_| true).whole(), "one between 7 and 1100");
    assert!(!Page::of(&state, None, 1, |job| !job.state.over()).whole(), "and below 7");
}

#[test]
fn a_view_that_lies_is_set_aside_and_folded_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut journal) = (folder.path().join("state"), journal(folder.path()));
    write(&mut journal, &book());
    let (mut store, mut state) = Store::open(&path);
    store.catch_up(&mut state, &journal.reader()).unwrap();
    store.close();
    let forge: [fn(&sled::Db); 3] = [
        |db| drop(db.remove("machine/mill1").unwrap()),
        |db| drop(db.insert("machine/mill1", "{}").unwrap()),
        |db| drop(db.insert("meta/house", "not json").unwrap()),
    ];
    for (turn, forge) in forge.iter().enumerate() {
        let db = sled::open(&path).unwrap();
        forge(&db);
        drop(db);
        let (mut store, mut again) = Store::open(&path);
        assert_eq!(again, State::default(), "forgery {turn}");
        store.catch_up(&mut again, &journal.reader()).unwrap();
        assert_eq!(again, state);
        store.close();
        let aside = std::fs::read_dir(folder.path()).unwrap().flatten();
        let aside = aside.filter(|it| it.file_name().to_string_lossy().starts_with("state.bad."));
        assert_eq!(aside.count(), 1);
    }
}

#[test]
fn a_view_that_is_garbage_does_not_keep_the_house_from_opening() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut journal) = (folder.path().join("state"), journal(folder.path()));
    write(&mut journal, &book());
    let (mut store, mut state) = Store::open(&path);
    store.catch_up(&mut state, &journal.reader()).unwrap();
    store.close();
    for file in ["conf", "db"] {
        let length = std::fs::metadata(path.join(file)).unwrap().len() as usize;
        std::fs::write(path.join(file), vec![0xa5; length]).unwrap();
        let (mut store, mut again) = Store::open(&path);
        store.catch_up(&mut again, &journal.reader()).unwrap();
        assert_eq!(again, state, "{file}");
        store.close();
    }
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, "a file where the folder should be").unwrap();
    let (mut store, mut again) = Store::open(&path);
    store.catch_up(&mut again, &journal.reader()).unwrap();
    assert_eq!(again, state);
}

#[test]
fn a_view_ahead_of_the_journal_is_folded_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut long = journal(&folder.path().join("long"));
    write(&mut long, &book());
    let mut short = journal(&folder.path().join("short"));
    let entries = write(&mut short, &book()[..40]);
    let (mut store, mut state) = Store::open(&folder.path().join("state"));
    store.catch_up(&mut state, &long.reader()).unwrap();
    assert_eq!(store.catch_up(&mut state, &short.reader()).unwrap(), 40);
    assert_eq!(state, fold_all(&entries));
    store.close();
    let (_, loaded) = Store::open(&folder.path().join("state"));
    assert_eq!(loaded, state);
}

#[test]
fn an_unknown_entry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = journal(folder.path());
    write(&mut journal, &book()[..3]);
    let body = br#"{"number":4,"at_ms":1,"fact":"from_the_future"}"#;
    journal.append(4, 1, body).unwrap();
    journal.commit().unwrap();
    let (mut store, mut state) = Store::open(&folder.path().join("state"));
    let failed = store.catch_up(&mut state, &journal.reader());
    assert!(matches!(failed, Err(FoldError::Entry { number: 4, .. })), "{failed:?}");
}

#[test]
fn saving_nothing_but_progress_moves_the_view_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut state) = Store::open(&folder.path().join("state"));
    state.applied = 7;
    store.save(&state, &[Changed::House]);
    store.close();
    assert_eq!(Store::open(&folder.path().join("state")).1.applied, 7);
}
