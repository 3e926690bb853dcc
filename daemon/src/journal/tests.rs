//! What the journal promises, tried on a real folder and on a simulated disk.

use std::path::Path;
use std::sync::Arc;

use super::simulated::Simulated;
use super::*;
use crate::journal::disk::Disk;
use crate::small_disk;

fn small() -> Options {
    Options { segment_bytes: 2048, reserve_bytes: 0, ..Options::default() }
}

fn body(number: u64) -> Vec<u8> {
    format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(number as usize % 90)).into()
}

fn write(journal: &mut Journal, count: u64) {
    for _ in 0..count {
        let number = journal.next_number();
        journal.append(number, 1000 + number, &body(number)).unwrap();
    }
    assert_eq!(journal.commit().unwrap(), journal.next_number() - 1);
}

fn assert_reads(reader: &Reader, last: u64) {
    assert_eq!(reader.last(), last);
    let mut next = 1;
    while next <= last {
        let page = reader.read_from(next, 7).unwrap();
        for stored in page {
            let (number, at_ms) = (next, 1000 + next);
            assert_eq!(stored, Stored { number, at_ms, body: body(next) });
            next += 1;
        }
    }
    assert_eq!(reader.read_from(next, 7).unwrap(), []);
}

#[test]
fn what_was_committed_is_read_back_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for boot in 1..5 {
        let (mut journal, opened) = Journal::open(folder.path(), small()).unwrap();
        assert_eq!((opened.last_number, opened.boot), (last, boot));
        assert_eq!(opened.truncated_bytes, 0);
        write(&mut journal, 1);
        write(&mut journal, 40);
        last += 41;
        assert_reads(&journal.reader(), last);
    }
}

#[test]
fn readers_do_not_see_what_is_not_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), small()).unwrap();
    let reader = journal.reader();
    write(&mut journal, 3);
    journal.append(4, 1004, &body(4)).unwrap();
    assert_reads(&reader, 3);
    assert_eq!(journal.commit().unwrap(), 4);
    assert_reads(&reader, 4);
}

#[test]
fn a_second_daemon_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Journal::open(folder.path(), small()).unwrap();
    let second = Journal::open(folder.path(), small());
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    drop(first);
    Journal::open(folder.path(), small()).unwrap();
}

#[test]
fn entries_out_of_order_or_too_long_are_refused_and_nothing_else_happens() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path(), small()).unwrap();
    let refused = journal.append(2, 0, b"{}");
    assert!(matches!(refused, Err(WriteError::OutOfOrder { expected: 1, found: 2 })));
    let refused = journal.append(1, 0, &vec![b' '; MAX_BODY + 1]);
    assert!(matches!(refused, Err(WriteError::TooLong(_))));
    journal.append(1, 0, &vec![b' '; MAX_BODY]).unwrap();
    assert_eq!(journal.commit().unwrap(), 1);
    assert_eq!(journal.reader().read_from(1, 9).unwrap()[0].body.len(), MAX_BODY);
}

/// A disk with sealed segments and an open one, and the number of the last entry.
fn filled() -> (Simulated, u64) {
    let disk = Simulated::default();
    let (mut journal, _) = Journal::open_on(Arc::new(disk.clone()), small()).unwrap();
    for _ in 0..40 {
        write(&mut journal, 2);
    }
    (disk, 80)
}

fn segments(disk: &Simulated) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|it| it.ends_with(".journal"));
    names.sort();
    names
}

#[test]
fn every_changed_byte_of_a_sealed_segment_is_named() {
    let (disk, _) = filled();
    let names = segments(&disk);
    assert!(names.len() > 4, "{names:?}");
    let options = Options { check_bytes: usize::MAX, ..small() };
    for name in &names[..names.len() - 1] {
        for at in (0..2048).step_by(11) {
            let disk = disk.killed();
            disk.flip(name, at, 0x10);
            match Journal::open_on(Arc::new(disk), options) {
                Err(OpenError::Damaged(damage)) => assert_eq!(&damage.segment, name),
                other => panic!("{name} at {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn damage_that_was_not_looked_for_stops_the_reader() {
    let (disk, last) = filled();
    disk.flip(&segments(&disk)[0], 300, 1);
    let options = Options { check_bytes: 0, ..small() };
    let (journal, opened) = Journal::open_on(Arc::new(disk), options).unwrap();
    assert_eq!(opened.last_number, last);
    assert_eq!(journal.reader().read_from(last, 5).unwrap().len(), 1);
    let read = journal.reader().read_from(1, 1000);
    assert!(matches!(read, Err(ReadError::Damaged(_))), "{read:?}");
}

#[test]
fn a_missing_segment_is_named() {
    for missing in 0..4 {
        let (disk, _) = filled();
        let name = &segments(&disk)[missing];
        disk.remove(name).unwrap();
        let opened = Journal::open_on(Arc::new(disk), small());
        assert!(matches!(opened, Err(OpenError::Damaged(_))), "{name}: {opened:?}");
    }
}

#[test]
fn after_a_failed_sync_nothing_is_accepted_even_if_the_disk_recovers() {
    let disk = Simulated::default();
    let (mut journal, _) = Journal::open_on(Arc::new(disk.clone()), small()).unwrap();
    write(&mut journal, 3);
    disk.fail_syncs(true);
    journal.append(4, 1004, &body(4)).unwrap();
    assert!(journal.commit().unwrap_err().fatal());
    disk.fail_syncs(false);
    assert!(journal.commit().unwrap_err().fatal());
    assert!(journal.append(5, 1005, &body(5)).unwrap_err().fatal());
    assert_eq!(journal.reader().last(), 3);
}

/// Writes until the disk is full twice over: once for the reserve, once for good.
fn fill(journal: &mut Journal) -> (u64, u64, WriteError) {
    let (mut low_at, mut answered) = (0, 0);
    loop {
        let number = journal.next_number();
        let appended = journal.append(number, 1000 + number, &body(number));
        match appended.and_then(|()| journal.commit()) {
            Ok(durable) => answered = durable,
            Err(error) => return (low_at, answered, error),
        }
        if low_at == 0 && journal.space().low() {
            low_at = answered;
        }
    }
}

/// Waits until the reserve has been laid in the background.
fn await_reserve(disk: &dyn Disk) {
    while !disk.list().unwrap().iter().any(|it| it == "reserve") {
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_gives_up_its_reserve_first_and_loses_nothing() {
    let disk = Simulated::default();
    disk.set_capacity(64 * 1024);
    let options = Options { reserve_bytes: 16 * 1024, ..small() };
    let (mut journal, _) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
    await_reserve(&disk);
    let (low_at, answered, error) = fill(&mut journal);
    assert!(low_at > 300 && answered > low_at + 90, "{low_at} {answered}");
    assert!(error.fatal(), "{error}");
    disk.set_capacity(256 * 1024);
    let (mut journal, opened) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
    assert_eq!(opened.last_number, answered);
    await_reserve(&disk);
    write(&mut journal, 5);
    assert_reads(&journal.reader(), answered + 5);
}

/// The same on a real file system of 3 MiB.
#[test]
fn a_really_full_disk_gives_up_its_reserve_first_and_loses_nothing() {
    let test = "journal::tests::a_really_full_disk_gives_up_its_reserve_first_and_loses_nothing";
    small_disk::run("3m", test, on_a_small_disk);
}

fn on_a_small_disk(folder: &Path) {
    let options =
        Options { segment_bytes: 64 * 1024, reserve_bytes: 1024 * 1024, ..Options::default() };
    let (mut journal, _) = Journal::open(folder, options).unwrap();
    await_reserve(&disk::Folder::existing(folder).unwrap());
    let (low_at, answered, error) = fill(&mut journal);
    println!("full at entry {low_at}, ended at {answered}: {error}");
    assert!(low_at > 1000 && answered > low_at + low_at / 3, "{low_at} {answered}");
    drop(journal);
    let names = std::fs::read_dir(folder).unwrap().count();
    assert!(!folder.join("reserve").exists() && names > 20);
    let full = Journal::open(folder, options);
    let last = full.as_ref().ok().map(|(_, opened)| opened.last_number);
    assert!(last.is_none_or(|it| it == answered), "{last:?} {answered}");
}
