//! What fuzzing found worth keeping, as ordinary tests.
//!
//! `tests/corpora` has a folder for each target of `tests/fuzz`. A file in it is there because it
//! led somewhere that no smaller set of files leads, or because it once broke something.

use std::fs;
use std::path::{Path, PathBuf};

use headstock_tests::anything;

/// More files than this and the tests would be felt.
const FILES_MAX: usize = 110;
/// Bytes of all files of all folders.
const BYTES_MAX: u64 = 200 * 1024;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Feeds every file of a corpus. The name of the one at work is printed, for when it panics.
fn feed(name: &str, target: fn(&[u8])) {
    let files = files(name);
    assert!((10..=FILES_MAX).contains(&files.len()), "{} files in {name}", files.len());
    for file in files {
        println!("{}", file.display());
        target(&fs::read(&file).unwrap());
    }
}

#[test]
fn a_corpus_file_never_panics_the_grbl_driver() {
    feed("grbl", anything::grbl);
}

#[test]
fn a_corpus_file_never_panics_the_marlin_driver() {
    feed("marlin", anything::marlin);
}

#[test]
fn a_corpus_file_never_panics_the_gcode_interpreter() {
    feed("gcode", anything::gcode);
}

#[test]
fn a_corpus_file_never_panics_the_configuration_loader() {
    feed("config", anything::config);
}

#[test]
fn a_corpus_file_never_panics_the_journal_reader() {
    feed("journal", anything::journal);
}

#[test]
fn a_corpus_file_never_panics_the_drivers_of_chips() {
    feed("chips", anything::chips);
}

#[test]
fn a_corpus_file_never_panics_the_reader_of_minutes() {
    feed("minutes", anything::minutes);
}

#[test]
fn a_corpus_file_never_panics_the_readers_of_modbus() {
    feed("modbus", anything::modbus);
}

#[test]
fn the_corpora_stay_small() {
    let all = ["grbl", "marlin", "gcode", "config", "journal", "chips", "minutes", "modbus"]
        .map(files)
        .concat();
    let bytes: u64 = all.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
}
