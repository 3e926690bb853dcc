//! Minutes that are written, damaged, and read again.

use std::sync::LazyLock;

use headstock_config::point::{Quality, Value};
use proptest::prelude::*;

use super::*;
use crate::journal::simulated::Simulated;
use crate::points::sum::Figures;
use crate::points::under_way::MINUTE;

const BUDGET: u64 = 1 << 20;

fn sum(values: &[f64]) -> Sum {
    let mut sum = Sum::default();
    for value in values {
        sum.add(Some(Value::Number(*value)), Quality::Good);
        sum.hold(&Value::Number(*value), Quality::Good, 900);
    }
    sum
}

fn shelf(disk: &Simulated, budget: u64) -> Shelf {
    Shelf::open(Arc::new(disk.clone()), budget).unwrap()
}

fn write(shelf: &Shelf, minutes: Vec<Minute>) -> Result<usize, Unwritten> {
    let names = ["mill.x", "mill.y", "mill.mode"];
    shelf.write(|number| names[number as usize], || minutes)
}

fn read(shelf: &Shelf, name: &str, from: u64, to: u64) -> Vec<(u64, Sum)> {
    let mut found = Vec::new();
    shelf.look(|| ()).0.read(name, from, to, |minute, sum| found.push((minute, sum)));
    found
}

#[test]
fn what_is_written_is_read_by_name_and_time() {
    let disk = Simulated::default();
    let first = shelf(&disk, BUDGET);
    let mut text = Sum::default();
    text.add(Some(Value::Flag(true)), Quality::Good);
    text.add(Some(Value::Text("running".into())), Quality::Uncertain);
    text.add(None, Quality::Bad);
    let mode = text.clone();
    write(&first, vec![(0, 7, sum(&[1.0, -2.5, 4.0])), (2, 7, text)]).unwrap();
    write(&first, vec![(0, 8, sum(&[5.0])), (1, 8, Sum::default())]).unwrap();
    assert_eq!(read(&first, "mill.x", 0, 99), [(7, sum(&[1.0, -2.5, 4.0])), (8, sum(&[5.0]))]);
    assert_eq!(read(&first, "mill.mode", 7, 8), [(7, mode)]);
    assert_eq!(read(&first, "mill.x", 8, 9).len(), 1);
    assert_eq!(read(&first, "mill", 0, 99), []);
    // Another run, other numbers, a clock that was put back.
    first.close();
    let second = shelf(&disk, BUDGET);
    second.write(|_| "mill.x", || vec![(1, 7, sum(&[9.0]))]).unwrap();
    let minutes: Vec<u64> = read(&second, "mill.x", 0, 99).iter().map(|(it, _)| *it).collect();
    assert_eq!(minutes, [7, 8, 7]);
}

#[test]
fn the_oldest_files_go_when_the_budget_is_spent() {
    let (disk, budget) = (Simulated::default(), 16 << 10);
    let shelf = shelf(&disk, budget);
    for minute in 0..2000 {
        write(&shelf, vec![(0, minute, sum(&[0.5, minute as f64]))]).unwrap();
        assert!(shelf.bytes() <= budget);
    }
    let kept = read(&shelf, "mill.x", 0, 5000);
    assert_eq!(kept.last().unwrap().0, 1999);
    let expected = (2000 - kept.len() as u64..2000).collect::<Vec<_>>();
    assert_eq!(kept.iter().map(|(minute, _)| *minute).collect::<Vec<_>>(), expected);
    assert!(100 < kept.len() && disk.list().unwrap().len() <= 6);
}

#[test]
fn a_full_disk_costs_minutes_and_nothing_else() {
    let disk = Simulated::default();
    let shelf = shelf(&disk, BUDGET);
    write(&shelf, vec![(0, 1, sum(&[1.0]))]).unwrap();
    disk.set_capacity(0);
    let lost = write(&shelf, vec![(0, 2, sum(&[2.0])), (1, 2, sum(&[2.0]))]).unwrap_err();
    assert_eq!((lost.minutes, lost.error.kind()), (2, io::ErrorKind::StorageFull));
    disk.set_capacity(1 << 20);
    write(&shelf, vec![(1, 3, sum(&[3.0]))]).unwrap();
    assert_eq!(read(&shelf, "mill.x", 0, 9).len(), 1);
    assert_eq!(
        read(&shelf, "mill.y", 0, 9),
        [(3, sum(&[3.0]))],
        "its name was not taken as written"
    );
    // A disk on which not even a file can be begun leaves none behind.
    let full = Simulated::default();
    full.set_capacity(3);
    let on_full = self::shelf(&full, BUDGET);
    for minute in 0..3 {
        write(&on_full, vec![(0, minute, sum(&[1.0]))]).unwrap_err();
    }
    assert!(full.list().unwrap().is_empty());
}

#[test]
fn files_end_by_the_hour_once_they_are_worth_it_and_by_the_day_in_any_case() {
    let disk = Simulated::default();
    let shelf = shelf(&disk, 64 << 20);
    for minute in 0..DAY + 1 {
        write(&shelf, vec![(0, minute, sum(&[1.0, 2.0]))]).unwrap();
    }
    assert_eq!(disk.list().unwrap().len(), 2);
    let long = Value::Text("x".repeat(250));
    let mut large = Sum::default();
    large.add(Some(long), Quality::Good);
    for minute in 2 * DAY..2 * DAY + 2 * HOUR {
        let many = (0..5).map(|_| (2, minute, large.clone())).collect();
        write(&shelf, many).unwrap();
    }
    assert_eq!(disk.list().unwrap().len(), 4);
}

#[test]
fn a_torn_tail_is_passed_over_and_never_written_behind() {
    let disk = Simulated::default();
    let first = shelf(&disk, BUDGET);
    write(&first, vec![(0, 1, sum(&[1.0]))]).unwrap();
    write(&first, vec![(0, 2, sum(&[2.0]))]).unwrap();
    let name = disk.list().unwrap().pop().unwrap();
    let size = disk.size(&name).unwrap();
    let file = disk.open(&name).unwrap();
    file.write_at(size - 3, &[0xff; 40]).unwrap();
    let second = shelf(&disk, BUDGET);
    assert_eq!(read(&second, "mill.x", 0, 9), [(1, sum(&[1.0]))]);
    write(&second, vec![(0, 3, sum(&[3.0]))]).unwrap();
    assert_eq!(read(&second, "mill.x", 0, 9), [(1, sum(&[1.0])), (3, sum(&[3.0]))]);
}

/// A file as it was written when changes were counted: figures of three values, three times the same
/// value, a text, and a quality alone.
#[test]
fn a_file_from_before_there_was_time_in_it_is_still_read() {
    let disk = Simulated::default();
    let mut bytes = record::header_of(record::COUNTED, 1);
    record::seal(1, b"\x01\0\x06mill.x", &mut bytes);
    let numbers = |numbers: &[f64]| numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
    let (figures, last): (Vec<u8>, Vec<u8>) = (numbers(&[1.0, 4.0, 2.0]), numbers(&[2.5]));
    let (quality, number, text, with_figures) = (1, 3 << 2, 4 << 2, 1 << 5);
    let rows = [
        [&[number | with_figures, 3], &figures[..], &[3], &last].concat(),
        [&[number | quality, 3], &last[..]].concat(),
        [&[text, 1, 4], &b"idle"[..]].concat(),
        vec![3, 0],
    ];
    for (minute, row) in (5..).zip(rows) {
        record::seal(1, &[&[2, minute, 0], &row[..]].concat(), &mut bytes);
    }
    disk.open("0000000001.minutes").unwrap().write_at(0, &bytes).unwrap();
    let last = |number| Some(Value::Number(number));
    let figures = Some(Figures { min: 1.0, max: 4.0, mean: 2.0, ms: MINUTE });
    let steady = Some(Figures::steady(2.5, MINUTE));
    let text = Some(Value::Text("idle".into()));
    let expected = [
        Sum { count: 3, figures, last: last(2.5), quality: Quality::Good },
        Sum { count: 3, figures: steady, last: last(2.5), quality: Quality::Uncertain },
        Sum { count: 1, figures: None, last: text, quality: Quality::Good },
        Sum { count: 0, figures: None, last: None, quality: Quality::Bad },
    ];
    let expected: Vec<_> = (5..).zip(expected).collect();
    assert_eq!(read(&shelf(&disk, BUDGET), "mill.x", 0, 99), expected);
    assert_eq!(repaired(&bytes), bytes);
    // What is written now goes into a file of its own.
    let again = shelf(&disk, BUDGET);
    write(&again, vec![(0, 9, sum(&[5.0]))]).unwrap();
    assert_eq!(read(&again, "mill.x", 0, 99).len(), 5);
}

#[test]
fn a_point_that_holds_takes_few_bytes_a_minute() {
    let held = |ms| {
        let mut sum = Sum::default();
        sum.hold(&Value::Number(21.5), Quality::Good, ms);
        let mut frames = record::Frames::new(1);
        frames.minute(1, [(0, &sum)]);
        frames.done().len()
    };
    assert_eq!((held(MINUTE), held(MINUTE - 1)), (21, 21 + 3 * 8 + 3));
}

/// A file with everything in it, ended.
static REAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let disk = Simulated::default();
    let shelf = shelf(&disk, BUDGET);
    let mut mode = Sum::default();
    mode.add(Some(Value::Text("idle".into())), Quality::Stale);
    for minute in 500..508 {
        let some = vec![
            (0, minute, sum(&[1.5])),
            (1, minute, sum(&[1.0, 2.0])),
            (2, minute, mode.clone()),
        ];
        write(&shelf, some).unwrap();
    }
    shelf.close();
    let name = disk.list().unwrap().pop().unwrap();
    disk.read(&name, 0, 1 << 20).unwrap()
});

/// Everything that is found in a file, as words.
fn items(bytes: &[u8]) -> (Vec<String>, usize) {
    let mut items = Vec::new();
    let good = record::walk(bytes, |item| items.push(format!("{item:?}")));
    (items, good)
}

#[test]
fn every_flipped_bit_is_found_and_what_comes_before_it_is_kept() {
    let (all, good) = items(&REAL);
    assert_eq!((good, all.len()), (REAL.len(), 3 + 24 + 1));
    for bit in 0..REAL.len() * 8 {
        let mut bytes = REAL.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (found, good) = items(&bytes);
        assert!(good <= bit / 8 && all.starts_with(&found), "bit {bit}");
    }
}

#[test]
fn every_truncation_is_found_and_what_comes_before_it_is_kept() {
    let (all, _) = items(&REAL);
    for length in 0..REAL.len() {
        let (found, good) = items(&REAL[..length]);
        assert!(good <= length && found.len() < all.len() && all.starts_with(&found));
    }
}

#[test]
fn a_frame_of_another_file_is_none_of_this() {
    let mut other = record::header(2);
    other.extend(&REAL[HEADER..]);
    assert_eq!(read_anything(&other), (0, HEADER));
}

#[test]
fn repairing_changes_nothing_where_nothing_is_wrong_and_undoes_a_change() {
    assert_eq!(repaired(&REAL), *REAL);
    let mut changed = REAL.clone();
    changed[HEADER + 5] ^= 1;
    assert_eq!(repaired(&changed), *REAL);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        read_anything(&bytes);
        read_anything(&repaired(&bytes));
    }

    /// Checksums right, everything else as it comes.
    #[test]
    fn well_formed_nonsense_is_read_without_panic(
        changes in proptest::collection::vec((HEADER..REAL.len(), any::<u8>()), 1..8),
    ) {
        let mut bytes = REAL.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        read_anything(&repaired(&bytes));
    }

    /// What is written is what is read, whatever is in it.
    #[test]
    fn encode_then_decode_is_identity(
        minutes in proptest::collection::vec(
            (0u32..3, 0u64..1 << 40, proptest::collection::vec((0u8..5, -1e9..1e9f64), 0..5)), 1..40),
    ) {
        let minutes: Vec<Minute> = minutes
            .into_iter()
            .map(|(number, minute, values)| {
                let mut sum = Sum::default();
                for (kind, number) in values {
                    let value = match kind {
                        0 => Some(Value::Number(number)),
                        1 => Some(Value::Flag(number < 0.0)),
                        2 => Some(Value::Text(format!("{number}"))),
                        _ => None,
                    };
                    let quality = [Quality::Good, Quality::Stale, Quality::Bad][usize::from(kind) % 3];
                    sum.add(value.clone(), quality);
                    // Whole minutes, parts of one, no time at all.
                    if let Some(value) = value.filter(|_| minute % 4 != 0) {
                        sum.hold(&value, quality, MINUTE >> (minute % 4 - 1));
                    }
                }
                (number, minute, sum)
            })
            .collect();
        let shelf = shelf(&Simulated::default(), BUDGET);
        write(&shelf, minutes.clone()).unwrap();
        for (number, name) in ["mill.x", "mill.y", "mill.mode"].into_iter().enumerate() {
            let of = minutes.iter().filter(|(it, ..)| *it as usize == number);
            let of: Vec<_> = of.map(|(_, minute, sum)| (*minute, sum.clone())).collect();
            prop_assert_eq!(read(&shelf, name, 0, u64::MAX), of);
        }
    }
}
