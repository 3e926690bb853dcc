//! The unit, judged by systemd itself where it is installed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a program of systemd's, or says past the test harness, which swallows what passing tests
/// print, that it is not there.
fn run(test: &str, program: &str, arguments: &[&str]) -> Option<Output> {
    let missing = |error: io::Error| {
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{program}: {error}");
        let said = format!("\n*** SKIPPED: {test}: `{program}` is not on this machine ***\n");
        io::stderr().write_all(said.as_bytes()).expect("standard error is open");
    };
    Command::new(program).args(arguments).env("LC_ALL", "C").output().map_err(missing).ok()
}

fn unit() -> String {
    std::fs::read_to_string(shipped("headstock.service")).expect("the unit ships with the source")
}

/// Every value that the unit gives to a name, in order.
fn values(name: &str) -> Vec<String> {
    let unit = unit();
    let pairs = unit.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_string()).collect()
}

#[test]
fn systemd_finds_the_exposure_to_be_two_at_most() {
    let unit = shipped("headstock.service");
    let arguments =
        ["security", "--no-pager", "--offline=true", "--threshold=20", unit.to_str().unwrap()];
    let test = "systemd_finds_the_exposure_to_be_two_at_most";
    let Some(judged) = run(test, "systemd-analyze", &arguments) else { return };
    let said = String::from_utf8_lossy(&judged.stdout);
    if said.is_empty() && String::from_utf8_lossy(&judged.stderr).contains("unrecognized option") {
        let said = format!("\n*** SKIPPED: {test}: this systemd cannot judge a file ***\n");
        io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    }
    assert!(judged.status.success(), "{said}{}", String::from_utf8_lossy(&judged.stderr));
    assert!(said.contains("Overall exposure level"), "{said}");
}

#[test]
fn the_unit_still_lets_the_daemon_do_its_work() {
    for (name, expected) in [
        ("Type", "notify"),
        ("RestrictRealtime", "no"),
        ("PrivateDevices", "no"),
        ("PrivateUsers", "no"),
        ("StateDirectory", "headstock"),
        ("RuntimeDirectory", "headstock"),
        ("TimeoutStopSec", "15"),
    ] {
        assert_eq!(values(name), [expected], "{name}");
    }
    assert!(!values("WatchdogSec").is_empty());
    assert!(!values("LimitRTPRIO").is_empty());
    let devices = values("DeviceAllow");
    for port in [
        "char-ttyUSB rw",
        "char-ttyACM rw",
        "char-ttyS rw",
        "char-ttyAMA rw",
        "char-gpiochip rw",
        "char-i2c rw",
    ] {
        assert!(devices.iter().any(|device| device == port), "{port}");
    }
    assert!(values("SystemCallFilter").iter().any(|it| it.contains("sched_setscheduler")));
}
