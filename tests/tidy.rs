//! The house rules that a compiler cannot check.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder, and the packages of this house that its product code may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("sync", &["headstock-config"]),
    ("systemd", &[]),
    ("drivers", &["headstock-config"]),
    ("tui", &["headstock-config"]),
    (
        "daemon",
        &[
            "headstock-config",
            "headstock-drivers",
            "headstock-sync",
            "headstock-systemd",
            "headstock-tui",
        ],
    ),
];

/// Words that may stand only in files whose path has one of these parts.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sled::", &["daemon/src/store"]),
    ("warp::", &["daemon/src/web"]),
    ("clap::", &["daemon/src/cli", "daemon/src/main.rs"]),
    ("ratatui::", &["tui/src"]),
    ("gpiocdev::", &["drivers/src/link/pins/cdev.rs", "drivers/src/link/os.rs"]),
    ("rppal::", &["drivers/src/link/pins"]),
    ("tokio::", &["daemon/src", "drivers/src/link", "/sim", "sync/src/carrier"]),
    ("tokio_modbus::", &["drivers/src/link/modbus"]),
    ("Instant::now()", &["daemon/src", "drivers/src/link", "/sim", "systemd/src"]),
    ("SystemTime::now()", &["daemon/src", "sync/src"]),
    ("unsafe {", &["drivers/src/link/os.rs"]),
    ("unbounded_channel", &[]),
    ("todo!(", &[]),
    ("unimplemented!(", &[]),
    ("#[ignore", &[]),
];

const FOLDERS: &[&str] = &["config", "drivers", "daemon", "tui", "sync", "systemd"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every Rust file of the product: path below the root and text without its unit tests.
fn product() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder).join("src"), &mut found);
    }
    assert!(30 < found.len(), "the tree was not found");
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, text));
        }
    }
}

fn code(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = product.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn packages_import_only_downwards() {
    for (folder, allowed) in MAY_IMPORT {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        for (dependency, _) in manifest["dependencies"].as_table().unwrap() {
            let ours = dependency.starts_with("headstock-");
            let may = !ours || allowed.contains(&dependency.as_str());
            assert!(may, "{folder} imports {dependency}");
        }
    }
}

#[test]
fn each_foreign_word_has_its_place() {
    for (path, text) in product() {
        let code = code(&text);
        for (word, places) in ONLY_IN {
            let here = places.iter().any(|place| path.contains(place));
            assert!(here || !code.contains(word), "{path} says `{word}`");
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in product() {
        assert!(text.starts_with("//! "), "{path} has no head");
    }
}

#[test]
fn no_file_gathers_everything() {
    for (path, text) in product() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{path} has {lines} lines: what is it about?");
    }
}

#[test]
fn rooms_have_no_rummage_box() {
    for (path, _) in product() {
        for name in ["utils", "util.rs", "common", "helpers", "misc"] {
            assert!(!path.contains(name), "{path}: say what it is instead of `{name}`");
        }
    }
}

#[test]
fn no_path_of_somebodys_machine_is_written_down() {
    let homes = ["/home/", "/root/", "/Users/", "/work/"];
    for (path, text) in product() {
        let code = code(&text);
        for home in homes {
            assert!(!code.contains(home), "{path} names a path below {home}");
        }
    }
}
