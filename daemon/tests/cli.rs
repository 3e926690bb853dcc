//! The command line as a person or a script meets it: the real program against a real HTTP server
//! on a Unix socket. The server answers what each test wants; what the daemon itself answers is
//! tested with the daemon.
#![allow(clippy::unwrap_used, reason = "a test may say what it expects with unwrap")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use headstock_daemon::journal::{Journal, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use warp::Filter;
use warp::http::{Method, Response};

/// What a request was: method, path with query, body.
type Asked = (String, String, Vec<u8>);

/// What the server answers to a request, counted from 0, for a path: status and body.
type Answers = dyn Fn(usize, &str) -> (u16, String) + Send + Sync;

/// A server that stands in for the daemon.
struct Door {
    folder: Arc<TempDir>,
    asked: Arc<Mutex<Vec<Asked>>>,
    close: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Door {
    /// Opens a server that answers each request with what `answer` says.
    fn open(answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::open_in(Arc::new(TempDir::new().unwrap()), answer)
    }

    /// The same on the socket in this folder, which nobody may have open.
    fn open_in(
        folder: Arc<TempDir>,
        answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        fs::remove_file(folder.path().join("s")).ok();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (close, closed) = oneshot::channel();
        let (ready, opened) = std::sync::mpsc::channel();
        let (socket, book) = (folder.path().join("s"), asked.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = UnixListener::bind(socket).unwrap();
                ready.send(()).unwrap();
                let server = warp::serve(routes(book, Arc::new(answer))).incoming(listener);
                server.graceful(async { closed.await.unwrap_or(()) }).run().await;
            });
        });
        opened.recv().unwrap();
        Self { folder, asked, close: Some(close), thread: Some(thread) }
    }

    /// Runs `headstock --socket … WORDS`, words being apart by one space.
    fn headstock(&self, words: &str) -> Output {
        headstock(&self.folder.path().join("s"), words)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn routes(
    book: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Answers>,
) -> impl Filter<Extract = (Response<String>,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method().and(warp::path::full()).and(query).and(warp::body::bytes()).map(
        move |method: Method,
              path: warp::path::FullPath,
              query: String,
              body: hyper::body::Bytes| {
            let path = match query.as_str() {
                "" => path.as_str().to_owned(),
                query => format!("{}?{query}", path.as_str()),
            };
            let mut book = book.lock().unwrap();
            let (status, answer) = answer(book.len(), &path);
            book.push((method.to_string(), path, body.to_vec()));
            Response::builder().status(status).body(answer).unwrap()
        },
    )
}

fn headstock(socket: &Path, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headstock"))
        .env_clear()
        .env("HEADSTOCK_SOCKET", socket)
        .current_dir(socket.parent().unwrap())
        .args(words.split(' '))
        .output()
        .unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn job(state: &str, acked: u64) -> Value {
    json!({
        "id": "j1", "machine": "mill", "file": "0123456789abcdef", "file_name": "part.nc",
        "by": "ada", "state": state, "dry_run": false, "from_line": 1, "lines": 10,
        "lines_acked": acked, "estimate_s": 1.0, "queued_ms": 0, "started_ms": 0,
        "ended_ms": null, "held_ms": 0, "held_since_ms": null, "reason": null,
        "interruption": null, "checkpoint": null, "follows": null, "followed_by": null,
        "notes": [], "refused_lines": 0, "progress": acked as f64 / 10.0, "line": acked,
        "executing": null, "time_left_s": null, "asks": null, "starved": 0,
    })
}

fn refusal(code: &str) -> String {
    json!({"error": {
        "code": code, "message": "not now", "means": "nothing moved", "try": "later",
        "timestamp": "2026-11-03T14:02:11.250Z", "requestId": "r1",
    }})
    .to_string()
}

#[test]
fn a_hold_is_one_request_and_says_what_was_passed_on() {
    let door = Door::open(|_, _| (202, "{}".into()));
    let output = door.headstock("hold mill --json");
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(out(&output), "{\"machine\":\"mill\",\"command\":\"hold\"}\n");
    let path = "/api/v1/equipment/mill/commands".to_owned();
    assert_eq!(door.asked(), [("POST".into(), path, br#"{"command":"hold"}"#.to_vec())]);
}

#[test]
fn an_upload_sends_the_bytes_of_the_file_under_its_name() {
    let content = "G0 X1\r\n".repeat(50_000);
    let file = json!({
        "id": "0123456789abcdef", "name": "part 1.nc", "bytes": content.len(), "lines": 50_000,
        "blake3": "00", "uploaded_ms": 0, "by": "ada",
        "analysis": headstock_config::file::Analysis::default(),
    });
    let answer = file.to_string();
    let door = Door::open(move |_, _| (201, answer.clone()));
    fs::write(door.folder.path().join("part.nc"), &content).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_headstock"))
        .args(["--json", "upload", "part.nc", "--name", "part 1.nc", "--socket", "s"])
        .current_dir(door.folder.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(serde_json::from_str::<Value>(out(&output)).unwrap(), file);
    let asked = door.asked();
    assert_eq!(asked[0].1, "/api/v1/files?name=part%201.nc");
    assert!(asked[0].2 == content.as_bytes(), "other bytes than the file's");
}

#[test]
fn a_watch_ends_with_0_for_completed_and_3_for_anything_else() {
    for (end, expected) in [("completed", 0), ("failed", 3), ("cancelled", 3), ("interrupted", 3)] {
        let door = Door::open(move |asked, _| {
            let view = if asked < 2 { job("running", 4) } else { job(end, 10) };
            (200, view.to_string())
        });
        let output = door.headstock("job watch j1 --json");
        assert_eq!(code(&output), expected, "{end}: {}", err(&output));
        let states: Vec<_> = out(&output)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["state"].clone())
            .collect();
        // What has not changed is not told again.
        assert_eq!(states, ["running", end]);
    }
}

#[test]
fn a_watch_outlives_a_restart_of_the_daemon() {
    let folder = Arc::new(TempDir::new().unwrap());
    let before = Door::open_in(folder.clone(), |_, _| (200, job("running", 4).to_string()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_headstock"))
        .args(["job", "watch", "j1", "--json", "--socket", "s"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut remarks = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(told.next().unwrap().unwrap().contains("\"running\""));
    drop(before);
    assert!(remarks.next().unwrap().unwrap().ends_with("; waiting for it"));
    let _after = Door::open_in(folder, |_, _| (200, job("interrupted", 4).to_string()));
    assert!(told.next().unwrap().unwrap().contains("\"interrupted\""));
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_refusal_is_explained_on_stderr_and_has_a_code_of_its_own() {
    for (status, expected) in [(400, 2), (403, 5), (404, 6), (409, 5), (500, 1)] {
        let door = Door::open(move |_, _| (status, refusal("desk.refused")));
        let output = door.headstock("home mill");
        assert_eq!((code(&output), out(&output)), (expected, ""));
        let told = "not now [desk.refused]\n  means: nothing moved\n  try:   later\n";
        assert_eq!(err(&output), told);
        let output = door.headstock("home mill --json");
        assert_eq!((code(&output), out(&output)), (expected, ""));
        let error: Value = serde_json::from_str(err(&output)).unwrap();
        assert_eq!(error["error"]["code"], "desk.refused");
    }
}

#[test]
fn a_daemon_that_is_away_is_named_with_its_socket() {
    let folder = TempDir::new().unwrap();
    let output = headstock(&folder.path().join("nobody"), "machines");
    assert_eq!((code(&output), out(&output)), (4, ""));
    assert!(err(&output).contains("/nobody: No such file"), "{}", err(&output));
}

#[test]
fn wrong_words_end_with_2_and_reach_nobody() {
    let door = Door::open(|_, _| (200, "{}".into()));
    for words in ["jog mill X10", "stop", "job decide j1 perhaps --reason x", "fly"] {
        assert_eq!(code(&door.headstock(words)), 2, "{words}");
    }
    assert_eq!(door.asked(), []);
}

#[test]
fn a_stop_that_nobody_confirmed_is_not_success() {
    for (confirmed, expected) in [(true, 0), (false, 7)] {
        let report = json!([{
            "machine": "mill", "sent": true, "confirmed": confirmed, "ms": 12, "state": "idle",
            "text": null,
        }]);
        let door = Door::open(move |_, _| (200, report.to_string()));
        assert_eq!(code(&door.headstock("stop --all --json")), expected);
        assert_eq!(door.asked()[0].2, br#"{"scope":"all","how":null}"#);
    }
}

#[test]
fn a_stop_of_all_ends_with_what_it_is_not() {
    let report = json!([{
        "machine": "mill", "class": "mill", "did": "feed hold, rest, then reset", "sent": true,
        "confirmed": true, "ms": 38, "state": "idle", "text": null,
    }, {
        "machine": "prusa", "class": "printer", "did": "software stop waits", "sent": true,
        "confirmed": false, "ms": null, "state": "running", "text": "no report of rest within 5 s",
    }]);
    let door = Door::open(move |_, _| (200, report.to_string()));
    let output = door.headstock("stop --all");
    assert_eq!(code(&output), 7);
    for said in ["at rest, confirmed in 38 ms", "sent, NOT CONFIRMED", "prusa: no report of rest"] {
        assert!(out(&output).contains(said), "{said} is not in {}", out(&output));
    }
    let last = "This was a software stop. If a person is in danger press the red button.\n";
    assert!(out(&output).ends_with(last), "{}", out(&output));
}

#[test]
fn an_abort_is_told_with_what_became_of_the_power() {
    let report = json!([{
        "machine": "prusa", "class": "printer", "did": "its power is switched off (relays.prusa)",
        "sent": true, "confirmed": true, "ms": 14, "state": "offline", "text": null,
        "power": { "relay": "relays.prusa", "confirmed": true, "ms": 14, "text": "it stays off" },
    }]);
    for (words, body) in [
        ("abort prusa", r#"{"scope":"prusa","how":"abort"}"#),
        ("stop prusa --abort", r#"{"scope":"prusa","how":"abort"}"#),
        ("stop --all --abort", r#"{"scope":"all","how":"abort"}"#),
    ] {
        let report = report.clone();
        let door = Door::open(move |_, _| (200, report.to_string()));
        let output = door.headstock(words);
        assert_eq!(code(&output), 0);
        assert_eq!(door.asked()[0].2, body.as_bytes());
        assert!(out(&output).contains("power off, confirmed in 14 ms"), "{}", out(&output));
        assert!(out(&output).contains("relays.prusa): it stays off"), "{}", out(&output));
    }
}

#[test]
fn a_look_around_is_the_daemons_where_one_runs() {
    let look = |running: bool| {
        let findings = json!([{
            "what": "Grbl 1.1h", "where": "/dev/ttyUSB0", "sure": "certain", "note": null,
            "config": "[[machine]]\nid = \"mill\"\n",
        }]);
        let doing = if running { json!(["listening on /dev/ttyUSB0"]) } else { json!([]) };
        let findings = if running { json!([]) } else { findings };
        json!({
            "running": running, "began_ms": 1, "doing": doing, "remarks": [], "findings": findings,
        })
        .to_string()
    };
    let door = Door::open(move |asked, _| match asked {
        0 => (202, look(true)),
        _ => (200, look(asked < 2)),
    });
    let output = door.headstock("discover --ask");
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(err(&output), "listening on /dev/ttyUSB0\n");
    assert!(out(&output).ends_with("\n[[machine]]\nid = \"mill\"\n"), "{}", out(&output));
    let asked: Value = serde_json::from_slice(&door.asked()[0].2).unwrap();
    assert_eq!((&asked["ask"], &asked["serial"]), (&json!(true), &json!(true)));
    assert_eq!(code(&door.headstock("discover --modbus /dev/ttyS9 --units 9-3")), 2);
}

#[test]
fn what_is_discovered_without_a_daemon_can_be_pasted_into_a_configuration() {
    let folder = TempDir::new().unwrap();
    let port = folder.path().join("tty");
    let mut mill = Command::new(env!("CARGO_BIN_EXE_headstock"))
        .args(["sim", "grbl", "--time-scale", "0", "--json", "--pty"])
        .arg(&port)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(mill.stdout.take().unwrap()).lines();
    let _mill = Ended(mill);
    told.next().unwrap().unwrap();
    let look = |port: &str| {
        let words = format!("discover --json --ask --port {port} --config shop.toml");
        let output = headstock(&folder.path().join("nobody"), &words);
        assert_eq!(code(&output), 0, "{}", err(&output));
        let found: Value = serde_json::from_str(out(&output)).unwrap();
        let findings = found["findings"].as_array().unwrap().clone();
        let here = |it: &Value| it["where"] == port;
        findings.into_iter().find(here).unwrap_or_else(|| panic!("{found:#}"))
    };
    // Where a configuration is named and cannot be read, nobody knows whose port is whose.
    let words = format!("discover --ask --port {} --config shop.toml", port.display());
    let output = headstock(&folder.path().join("nobody"), &words);
    assert_eq!(code(&output), 2, "{}", err(&output));
    fs::write(folder.path().join("shop.toml"), "").unwrap();
    let found = look(port.to_str().unwrap());
    assert_eq!(found["sure"], "certain", "{found:#}");
    let config = found["config"].as_str().unwrap();
    let state = format!("[daemon]\nstate_dir = {:?}\n", folder.path().join("state"));
    fs::write(folder.path().join("shop.toml"), state + config).unwrap();
    let output = headstock(&folder.path().join("nobody"), "config check --json --config shop.toml");
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
    // Now it belongs to a machine.
    let found = look(port.to_str().unwrap());
    assert_eq!((&found["sure"], &found["config"]), (&json!("configured"), &Value::Null));
}

/// A program that does not outlive its test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn events_are_asked_for_until_there_are_no_more() {
    let door = Door::open(|_, path| {
        let after: u64 =
            path.split("after=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let entry = |number| json!({"number": number, "at_ms": 0, "fact": "house_closed"});
        let page: Vec<_> = (after + 1..=7).take(3).map(entry).collect();
        (200, json!(page).to_string())
    });
    let output = door.headstock("events --after 2 --json");
    let numbers: Vec<_> = out(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap())
        .collect();
    assert_eq!((code(&output), numbers), (0, vec![3, 4, 5, 6, 7]));
}

#[test]
fn a_new_token_is_printed_alone() {
    let made = json!({"name": "n", "role": "viewer", "token": "secret"});
    let door = Door::open(move |_, _| (201, made.to_string()));
    let output = door.headstock("token create --name n --role viewer");
    assert_eq!((code(&output), out(&output)), (0, "secret\n"));
}

#[test]
fn a_download_is_whole_and_never_written_over_another_file() {
    let door = Door::open(|_, _| (200, "G0 X1\n".into()));
    let output = door.headstock("files download 0123456789abcdef -o got.nc");
    assert_eq!(code(&output), 0, "{}", err(&output));
    let got = door.folder.path().join("got.nc");
    assert_eq!(fs::read_to_string(&got).unwrap(), "G0 X1\n");
    fs::write(&got, "mine").unwrap();
    assert_eq!(code(&door.headstock("files download 0123456789abcdef -o got.nc")), 1);
    assert_eq!(fs::read_to_string(&got).unwrap(), "mine");
}

#[test]
fn every_shell_gets_its_completions() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = headstock(&folder.path().join("s"), &format!("completions {shell}"));
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains("headstock"), "{shell}");
    }
}

#[test]
fn a_wrong_configuration_is_told_with_every_place_and_ends_with_2() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("s");
    let text = "[web]\nlisten = 7\n[[machine]]\nid = \"mill\"\nbuad = 1\n";
    fs::write(folder.path().join("shop.toml"), text).unwrap();
    let output = headstock(&socket, "config check --config shop.toml");
    assert_eq!(code(&output), 2, "{}", err(&output));
    for place in ["shop.toml:2:10: ", "shop.toml:5:1: "] {
        assert!(out(&output).contains(place), "{place} not in {}", out(&output));
    }
    let output = headstock(&socket, "config check --config shop.toml --json");
    let checked: Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!((code(&output), &checked["ok"]), (2, &json!(false)));
    assert_eq!(checked["problems"][0]["line"], 2);
}

#[test]
fn the_example_that_is_shown_passes_its_own_check() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("s");
    let example = headstock(&socket, "config show-example");
    fs::write(folder.path().join("shop.toml"), &example.stdout).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_headstock"))
        .env_clear()
        .env("HOME", folder.path())
        .args(["config", "check", "--json", "--config"])
        .arg(folder.path().join("shop.toml"))
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
}

#[test]
fn a_pretend_machine_runs_until_it_is_ended_and_tells_what_it_has_seen() {
    let folder = TempDir::new().unwrap();
    let port = folder.path().join("tty");
    let mut child = Command::new(env!("CARGO_BIN_EXE_headstock"))
        .args(["sim", "grbl", "--time-scale", "0", "--json", "--pty"])
        .arg(&port)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let opened: Value = serde_json::from_str(&told.next().unwrap().unwrap()).unwrap();
    assert_eq!(opened["pty"], port.to_str().unwrap());
    assert!(fs::symlink_metadata(&port).is_ok());
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let seen: Value = serde_json::from_str(&told.next().unwrap().unwrap()).unwrap();
    assert_eq!((&seen["lines"], &seen["overflowed_bytes"]), (&json!(0), &json!(0)));
    assert!(child.wait().unwrap().success());
    assert!(fs::symlink_metadata(&port).is_err(), "the link is left behind");
}

#[test]
fn a_journal_is_verified_and_exported_from_where_the_words_point() {
    let folder = TempDir::new().unwrap();
    let options = Options { segment_bytes: 65_536, reserve_bytes: 0, ..Options::default() };
    let (mut journal, _) = Journal::open(&folder.path().join("journal"), options).unwrap();
    for number in 1..=3 {
        let body = json!({"number": number, "at_ms": 0, "fact": "house_closed"}).to_string();
        journal.append(number, 0, body.as_bytes()).unwrap();
    }
    journal.commit().unwrap();
    drop(journal);
    let socket = folder.path().join("s");
    let at = folder.path().display();
    for words in ["journal verify --json".into(), format!("journal verify --json --state-dir {at}")]
    {
        let output = headstock(&socket, &words);
        let report: Value = serde_json::from_str(out(&output)).unwrap();
        assert_eq!((code(&output), &report["entries"]), (0, &json!(3)), "{words}");
    }
    let output = headstock(&socket, "journal export --from 2");
    let numbers: Vec<_> = out(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].clone())
        .collect();
    assert_eq!((code(&output), numbers), (0, vec![json!(2), json!(3)]));
    let elsewhere = headstock(&socket, "journal verify --state-dir /none");
    assert_eq!(code(&elsewhere), 1, "{}", err(&elsewhere));
}

#[test]
fn a_damaged_journal_is_not_success() {
    let folder = TempDir::new().unwrap();
    let at = folder.path().join("journal");
    let options = Options { segment_bytes: 65_536, reserve_bytes: 0, ..Options::default() };
    let (mut journal, _) = Journal::open(&at, options).unwrap();
    for number in 1..=3 {
        journal.append(number, 0, &[b'1'; 100]).unwrap();
        // Each is promised by itself: what is damaged before a promise was no torn write.
        journal.commit().unwrap();
    }
    drop(journal);
    let segment = fs::read_dir(&at)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::metadata(path).unwrap().len() == 65_536)
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let first = bytes.windows(100).position(|window| window == [b'1'; 100]).unwrap();
    bytes[first + 50] = b'2';
    fs::write(&segment, bytes).unwrap();
    let output = headstock(&folder.path().join("s"), "journal verify");
    assert_eq!(code(&output), 1);
    assert!(out(&output).contains("DAMAGED: "), "{}", out(&output));
}

#[test]
fn a_point_is_set_with_what_was_typed_and_told_with_its_quality() {
    let door = Door::open(|_, path| match path {
        "/api/v1/points/vfd.frequency?from=-1h&every=1m" => (200, "[]".into()),
        _ => {
            let point = json!({
                "name": "vfd.frequency", "value": 50.0, "unit": "Hz", "quality": "stale",
                "at": null, "at_ms": null, "writable": true, "why": "not heard for 3.0 s",
            });
            (200, point.to_string())
        }
    });
    let set = door.headstock("point vfd.frequency --set 50");
    assert_eq!(out(&set), "vfd.frequency = (50 Hz) stale: not heard for 3.0 s\n", "{}", err(&set));
    let history = door.headstock("point vfd.frequency --history 1h --every 1m --json");
    assert_eq!((out(&history), code(&history)), ("[]\n", 0));
    let (method, path, body) = door.asked().remove(0);
    assert_eq!((&method[..], &path[..]), ("PUT", "/api/v1/points/vfd.frequency"));
    assert_eq!(body, br#"{"value":50.0}"#);
}
