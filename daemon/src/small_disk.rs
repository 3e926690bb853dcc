//! For tests: a real file system that is soon full, where this system lets a test mount one.
//!
//! The test runs itself again in a mount namespace of its own; `on` is what it does there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the second run where the small disk is.
const FOLDER: &str = "HEADSTOCK_TEST_SMALL_DISK";

/// Does something on a file system of this size. `test` is the whole name of the test that calls.
pub(crate) fn run(size: &str, test: &str, on: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return on(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size="$2" tmpfs "$0" || exit 77
        exec "$1" --exact --nocapture "$3""#;
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([size, test])
        .env(FOLDER, folder.path())
        .output();
    match child {
        Ok(child) if child.status.success() => {
            print!("{}", String::from_utf8_lossy(&child.stdout));
        }
        Ok(child) if child.status.code() == Some(101) => {
            let (out, err) = (child.stdout, child.stderr);
            panic!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
        }
        _ => println!("no file system can be mounted here; the simulated one must do"),
    }
}
