//! The files that ship with the configuration: examples are right, and each wrong file is answered
//! with exactly the words that stand beside it.
//!
//! `HEADSTOCK_BLESS=1 cargo test -p headstock-config` writes the answers anew; read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use headstock_config::load::{parse, render};
use headstock_config::machine::{Machine, Port, UdevMatch};
use headstock_config::settings::{Alarms, Journal, People, Points, Settings, Sim, Web};

const DRIVERS: &[&str] = &["grbl", "marlin", "modbus-rtu", "modbus-tcp", "gpio", "i2c"];

fn shipped(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).expect("the folder ships with the source");
    let entries = entries.map(|entry| entry.expect("a folder that opens can be listed").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Settings, String> {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let text = fs::read_to_string(path).expect("shipped files are text");
    parse(&text, &name, DRIVERS).map_err(|problems| render(&problems))
}

fn example(name: &str) -> Settings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    read(&path).unwrap_or_else(|said| panic!("{said}"))
}

#[test]
fn every_wrong_file_is_answered_with_the_words_beside_it() {
    let files = shipped("invalid");
    assert!(files.len() > 50, "only {} wrong files were found", files.len());
    let bless = std::env::var_os("HEADSTOCK_BLESS").is_some();
    let mut differing = String::new();
    for file in files {
        let said = read(&file).expect_err(&file.display().to_string()) + "\n";
        let beside = file.with_extension("txt");
        if bless {
            fs::write(&beside, &said).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if said != expected {
            differing += &format!("{}\nsaid:\n{said}expected:\n{expected}\n", file.display());
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

#[test]
fn every_example_is_right() {
    for file in shipped("examples") {
        if let Err(said) = read(&file) {
            panic!("{said}");
        }
    }
}

#[test]
fn the_shipped_example_shows_what_holds_when_nothing_is_said() {
    let shown = example("headstock.toml");
    assert_eq!(shown.web, Web::default());
    assert_eq!(shown.journal, Journal::default());
    assert_eq!(shown.points, Points::default());
    assert_eq!(shown.sim, Sim::default());
    assert_eq!(shown.people, People::default());
    assert_eq!(shown.alarms, Alarms::default());
    let least = example("minimal.toml").machines.remove(0);
    let mill = shown.machines[0].clone();
    assert_eq!(Machine { name: least.name.clone(), port: least.port.clone(), ..mill }, least);
}

#[test]
fn the_shipped_example_names_every_key_there_is() {
    let text = include_str!("../examples/headstock.toml");
    for table in [
        "[daemon]",
        "[web]",
        "[journal]",
        "[points]",
        "[sim]",
        "[people]",
        "[alarms]",
        "[modbus_server]",
        "[[machine]]",
    ] {
        let wrong = format!("{table}\nno_such_key = 1\n");
        let problems = parse(&wrong, "wrong.toml", DRIVERS).unwrap_err();
        let unknown = problems.iter().find(|it| it.code == "config.key.unknown").unwrap();
        let part = text.split(&format!("\n{table}\n")).nth(1).unwrap();
        for key in unknown.accepted.as_ref().unwrap().split(", ") {
            let set = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
            assert!(part.lines().any(set), "`{key}` of {table} is not in the example");
        }
    }
}

#[test]
fn a_workshop_is_read_as_it_was_declared() {
    let workshop = example("workshop.toml");
    let [mill, laser, trainer] = workshop.machines.try_into().unwrap();
    assert_eq!((mill.spinup_s, mill.safe_z), (8.0, -2.0));
    assert_eq!(mill.envelope.unwrap().min, [-290.0, -170.0, -40.0]);
    let udev = UdevMatch {
        vid: Some("0403".into()),
        pid: Some("6001".into()),
        serial: Some("AB0LMN7C".into()),
    };
    assert_eq!(laser.port, Port::Udev(udev));
    assert!(laser.laser && !mill.laser);
    assert_eq!(trainer.port, Port::Sim("grbl".into()));
}

#[test]
fn a_file_with_every_place_named_is_read_exactly() {
    let text = r#"
[daemon]
state_dir = "/srv/shop"
socket = "/srv/shop/headstock.sock"
[web]
listen = "127.0.0.1:0"        # port 0 picks one
[[machine]]
id = "mill"
driver = "grbl"
port = "/path/to/tty"
baud = 115200
"#;
    let settings = parse(text, "headstock.toml", DRIVERS).unwrap();
    assert_eq!(settings.daemon.state_dir, Some("/srv/shop".into()));
    assert_eq!(settings.daemon.socket, Some("/srv/shop/headstock.sock".into()));
    assert_eq!(settings.web.listen.to_string(), "127.0.0.1:0");
    assert_eq!(settings.machines[0].port, Port::Path("/path/to/tty".into()));
    assert_eq!((settings.machines[0].baud, settings.machines[0].name.as_str()), (115_200, "mill"));
}

#[test]
fn a_problem_can_be_told_to_a_program() {
    let problems = parse("[web]\nlisen = 1\n", "headstock.toml", DRIVERS).unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        serde_json::json!([{
            "code": "config.key.unknown",
            "file": "headstock.toml",
            "line": 2,
            "column": 1,
            "key": "web.lisen",
            "message": "`[web]`: unknown key `lisen`",
            "accepted": "listen, allow_network, max_upload_bytes",
            "hint": "did you mean `listen`?",
        }])
    );
}
