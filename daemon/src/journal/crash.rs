//! Power cuts and kills at every single disk operation of a journal's life.
//!
//! For every operation of a scripted life the power is cut there; for every cut many of the disks
//! that it may leave are opened, read, written to and opened again; some of these second lives
//! are cut or killed as well. What must hold each time: the journal opens; every entry that a
//! commit had answered for is there, byte for byte; what else is there was really appended, with
//! nothing left out; and it can be written on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::journal::simulated::{Dice, Simulated};
use crate::journal::{Journal, Opened, Options};

/// What must be true of a disk.
#[derive(Clone, Debug, Default)]
struct Truth {
    /// Everything appended, by number from 1.
    book: Vec<Vec<u8>>,
    /// How many of it were answered for.
    acknowledged: u64,
}

#[derive(Debug, Default)]
struct Count {
    /// Disks opened after a cut or a kill.
    states: usize,
    /// Different ones among those that one cut may leave, over all cuts.
    distinct: usize,
    /// Lives that were cut a second time, from the recovery on.
    twice: usize,
    /// Openings that had a torn write to wipe.
    wiped: usize,
    /// Openings that found fewer entries than had been appended.
    shortened: usize,
}

fn options() -> Options {
    Options { segment_bytes: 6 * 1024, reserve_bytes: 0, check_bytes: usize::MAX }
}

/// Opens the disk and holds what it says against the truth.
fn open(disk: &Simulated, truth: &mut Truth, case: &str) -> Option<(Journal, Opened)> {
    let opened = Journal::open_on(Arc::new(disk.clone()), options());
    let (journal, opened) = match opened {
        Ok(opened) => opened,
        Err(error) if error.to_string().contains("damaged") => panic!("{case}: {error}"),
        Err(_) => return None,
    };
    let last = opened.last_number;
    assert!(last >= truth.acknowledged, "{case}: {last} of {} are there", truth.acknowledged);
    let mut found = Vec::new();
    while found.len() < last as usize {
        let page = journal.reader().read_from(found.len() as u64 + 1, usize::MAX).unwrap();
        assert!(!page.is_empty(), "{case}: nothing after {}", found.len());
        found.extend(page.into_iter().map(|it| it.body));
    }
    assert!(truth.book.starts_with(&found), "{case}: other entries than were appended");
    truth.book = found;
    truth.acknowledged = last;
    Some((journal, opened))
}

/// Appends and commits until done or until the power fails.
fn live(journal: &mut Journal, truth: &mut Truth, commits: usize, dice: &mut Dice) {
    for _ in 0..commits {
        for _ in 0..=dice.roll(9) {
            let number = journal.next_number();
            let length = if dice.roll(4) == 0 { dice.roll(1400) } else { dice.roll(200) };
            let body = format!("{{\"{}\":\"{}\"}}", dice.roll(9999), "y".repeat(length));
            truth.book.push(body.clone().into());
            if journal.append(number, 5, body.as_bytes()).is_err() {
                return;
            }
        }
        match journal.commit() {
            Ok(durable) => truth.acknowledged = durable,
            Err(_) => return,
        }
    }
}

/// A life from an empty disk that ends at the given operation.
fn first_life(seed: u64, operations: u32) -> (Simulated, Truth) {
    let (disk, mut truth, mut dice) = (Simulated::default(), Truth::default(), Dice(seed));
    disk.cut_after(operations);
    for _ in 0..3 {
        let Some((mut journal, _)) = open(&disk, &mut truth, "first life") else { break };
        live(&mut journal, &mut truth, 8, &mut dice);
    }
    (disk, truth)
}

/// What a cut leaves is opened; it lives on, is cut or killed and opened again.
fn check(disk: &Simulated, mut truth: Truth, dice: &mut Dice, count: &mut Count, case: &str) {
    count.states += 2;
    let appended = truth.book.len();
    let second = match dice.roll(3) {
        0 => None,
        1 => Some(dice.roll(6) as u32),
        _ => Some(dice.roll(40) as u32),
    };
    if let Some(operations) = second {
        disk.cut_after(operations);
    }
    if let Some((mut journal, opened)) = open(disk, &mut truth, case) {
        count.wiped += usize::from(opened.truncated_bytes > 0);
        count.shortened += usize::from(truth.book.len() < appended);
        live(&mut journal, &mut truth, 2, dice);
    }
    let again = match dice.roll(2) {
        0 => disk.killed(),
        _ => disk.after_cut(dice),
    };
    count.twice += usize::from(second.is_some());
    let case = format!("{case}, then {second:?}");
    let (mut journal, _) = open(&again, &mut truth, &case).expect("nothing else is wrong");
    live(&mut journal, &mut truth, 1, dice);
    open(&again.killed(), &mut truth, &case).expect("nothing else is wrong");
}

#[test]
fn no_power_cut_loses_what_was_acknowledged_or_leaves_a_journal_that_does_not_open() {
    let (begun, mut count) = (Instant::now(), Count::default());
    for seed in 0..9 {
        let whole = first_life(seed, u32::MAX - 1).0.operations();
        for operations in 0..whole {
            let (disk, truth) = first_life(seed, operations);
            let mut seen = HashSet::new();
            for image in 0..60 {
                let case = format!("seed {seed}, operation {operations}, image {image}");
                let mut dice = Dice(seed ^ (u64::from(operations) << 16) ^ (image << 40));
                let left = if image == 0 { disk.killed() } else { disk.after_cut(&mut dice) };
                if seen.insert(left.fingerprint()) {
                    check(&left, truth.clone(), &mut dice, &mut count, &case);
                }
            }
            count.distinct += seen.len();
        }
    }
    let took = begun.elapsed().as_secs_f32();
    println!("{count:?}: 0 acknowledged records lost, 0 that do not open; {took:.1} s");
    assert!(count.distinct >= 10_000);
}
