//! Several files in a folder, read as one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use headstock_config::load::{FILE_MAX_BYTES, load, render};
use headstock_config::settings::Settings;
use tempfile::TempDir;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder can be made");
    fs::create_dir(folder.path().join("conf.d")).expect("the folder is writable");
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("the folder is writable");
    }
    folder
}

fn read(folder: &TempDir) -> Result<Settings, String> {
    let problems = load(&folder.path().join("headstock.toml"), &["grbl"]);
    let root = format!("{}/", folder.path().display());
    problems.map_err(|problems| render(&problems).replace(&root, ""))
}

fn machine(id: &str, port: &Path) -> String {
    format!("[[machine]]\nid = \"{id}\"\ndriver = \"grbl\"\nport = \"{}\"\n", port.display())
}

#[test]
fn files_beside_the_main_one_are_added_in_the_order_of_their_names() {
    let [mill, laser, router] = ["mill", "laser", "router"]
        .map(|id| machine(id, &Path::new("/dev/serial/by-id").join(id)).into_bytes());
    let folder = folder(&[
        ("headstock.toml", &mill),
        ("conf.d/20-router.toml", &router),
        ("conf.d/10-laser.toml", &laser),
        ("conf.d/30-web.toml", b"[web]\nlisten = \"127.0.0.1:0\"\n"),
        ("conf.d/README", b"not read"),
        ("conf.d/.hidden.toml", b"not read"),
    ]);
    let settings = read(&folder).unwrap();
    let ids: Vec<&str> = settings.machines.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["mill", "laser", "router"]);
    assert_eq!(settings.web.listen.port(), 0);
}

#[test]
fn a_key_that_two_files_set_is_reported_with_both_places() {
    let folder = folder(&[
        ("headstock.toml", b"[web]\nlisten = \"127.0.0.1:1\"\n"),
        ("conf.d/web.toml", b"\n[web]\n  listen = \"127.0.0.1:2\"\n"),
    ]);
    assert_eq!(
        read(&folder).unwrap_err(),
        "conf.d/web.toml:3:3: `[web]`: `listen` is set twice, first at headstock.toml:2:1 \
         [config.key.twice]\n  try:      keep one of the two"
    );
}

#[test]
fn two_paths_that_lead_to_one_device_clash() {
    let folder = folder(&[]);
    let (node, link) = (folder.path().join("ttyUSB0"), folder.path().join("by-id"));
    fs::write(&node, "").unwrap();
    symlink(&node, &link).unwrap();
    let text = machine("mill", &link) + &machine("laser", &node);
    fs::write(folder.path().join("headstock.toml"), text).unwrap();
    let said = read(&folder).unwrap_err();
    let expected = "headstock.toml:8:8: machine `laser`: `port` is taken by machine `mill` at \
                    headstock.toml:4:1: both lead to `ttyUSB0` [config.port.clash]";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn problems_of_all_files_are_reported_in_reading_order() {
    let folder = folder(&[
        ("headstock.toml", b"[web]\nlisten = 1\n"),
        ("conf.d/a.toml", b"x = \n[sim]\ntime_scale = true\n"),
        ("conf.d/b.toml", b"# \xff\n"),
    ]);
    let said = read(&folder).unwrap_err();
    let places: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    let expected =
        ["headstock.toml:2:10", "conf.d/a.toml:1:5", "conf.d/a.toml:3:14", "conf.d/b.toml:1:3"];
    assert_eq!(places, expected, "{said}");
}

#[test]
fn a_file_that_is_absent_or_too_large_is_named() {
    let empty = folder(&[]);
    let said = read(&empty).unwrap_err();
    assert!(
        said.starts_with("headstock.toml: there is no such file [config.file.absent]"),
        "{said}"
    );
    let huge = folder(&[("headstock.toml", &vec![b'#'; FILE_MAX_BYTES + 1])]);
    let said = read(&huge).unwrap_err();
    assert!(said.contains("[config.file.large]"), "{said}");
    let full = folder(&[("headstock.toml", &vec![b'#'; FILE_MAX_BYTES])]);
    assert!(read(&full).is_ok());
}

#[test]
fn no_folder_beside_the_file_is_no_problem() {
    let folder = folder(&[("headstock.toml", b"")]);
    fs::remove_dir(folder.path().join("conf.d")).unwrap();
    assert_eq!(read(&folder), Ok(Settings::default()));
}
