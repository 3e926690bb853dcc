//! Finding the peers, and talking to them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Whether something stands in for a peer that is not there: nothing does.
fn absent<T>(what: &str, how: &str) -> Option<T> {
    let required = std::env::var_os("HEADSTOCK_PEERS").is_some_and(|it| it == "required");
    assert!(!required, "{what} is not there; {how}");
    // Past the test runner, which would keep it to itself.
    let mut loudly = std::io::stderr();
    writeln!(loudly, "SKIPPED: {what} is not on this machine: nothing was tried with it; {how}")
        .ok();
    None
}

/// A python that has pymodbus and pyserial.
pub(super) fn python() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/python");
    for python in [here, PathBuf::from("python3")] {
        let tried = Command::new(&python)
            .args(["-c", "import pymodbus, serial"])
            .stderr(Stdio::null())
            .status();
        if tried.is_ok_and(|it| it.success()) {
            return Some(python);
        }
    }
    absent("pymodbus", "`pip install pymodbus pyserial`")
}

/// mbpoll, the command line client of libmodbus.
pub(super) fn mbpoll() -> Option<PathBuf> {
    let mut tried = Command::new("mbpoll");
    let found = tried.arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok() { Some("mbpoll".into()) } else { absent("mbpoll", "`apt install mbpoll`") }
}

/// A script of `tests/peers` that runs until this is dropped.
pub(super) struct Script {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Script {
    pub(super) fn start(python: &Path, name: &str, words: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name);
        let mut child = Command::new(python)
            .arg(script)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), output, child }
    }

    /// Its next line.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).unwrap();
        assert!(0 < read, "the script has ended: {:?}", self.child.wait());
        line.trim().to_owned()
    }

    /// Says a line to it and gives its answer.
    pub(super) fn ask(&mut self, line: &str) -> serde_json::Value {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It ends when its input does; if not, it is ended.
        drop(self.input.take());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs mbpoll once and gives what it says.
pub(super) fn poll(mbpoll: &Path, words: &[&str]) -> String {
    let output = Command::new(mbpoll).args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}
