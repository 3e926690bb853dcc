//! The files themselves: which there are, and reading them without trusting their size or content.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::problem::Problem;
use super::{FILE_MAX_BYTES, parse_all};
use crate::settings::Settings;

/// Reads `file` and every `conf.d/*.toml` in its folder, these in the order of their names.
///
/// A missing `conf.d` is no problem; a missing `file` is one. Ports that are links are followed,
/// as far as they exist now, to find two machines on one device.
pub fn load(file: &Path, drivers: &[&str]) -> Result<Settings, Vec<Problem>> {
    let mut findings = Findings::default();
    let mut files = Vec::new();
    for path in files_of(file, &mut findings) {
        let name = path.display().to_string();
        let text = read(&path).unwrap_or_else(|problem| {
            findings.about(files.len(), *problem);
            String::new()
        });
        files.push((name, text));
    }
    parse_all(&files, drivers, &real_path, findings)
}

fn real_path(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The file first, then its `conf.d`.
fn files_of(file: &Path, findings: &mut Findings) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("")).join("conf.d");
    let mut files = listed(&folder).unwrap_or_else(|error| {
        findings.about(1, unreadable(&folder, &error));
        Vec::new()
    });
    files.sort();
    files.insert(0, file.to_path_buf());
    files
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let hidden = |path: &Path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let ours = |path: &PathBuf| path.extension().is_some_and(|it| it == "toml") && !hidden(path);
    Ok(paths?.into_iter().filter(ours).collect())
}

/// Never reads more than one byte past the limit, whatever the file claims to be.
fn read(path: &Path) -> Result<String, Box<Problem>> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(Box::new(unreadable(path, &error))),
        Ok(_) if bytes.len() > FILE_MAX_BYTES => {
            Err(Box::new(too_large(&path.display().to_string())))
        }
        Ok(_) => String::from_utf8(bytes).map_err(|error| Box::new(not_text(path, &error))),
    }
}

/// A file over the limit.
pub(super) fn too_large(name: &str) -> Problem {
    let message = format!("the file is larger than {FILE_MAX_BYTES} bytes");
    Problem::of_file("config.file.large", name, message)
        .accepts("a TOML file; spread machines over `conf.d/*.toml` if there are many")
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let name = path.display().to_string();
    let (code, message, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            "config.file.absent",
            "there is no such file".into(),
            "name one with `--config FILE` or HEADSTOCK_CONFIG, or copy an example there".into(),
        ),
        io::ErrorKind::PermissionDenied => (
            "config.file.denied",
            "this user may not read it".into(),
            "let the daemon's user read it: it needs no right to write it".into(),
        ),
        _ => ("config.file.unreadable", format!("it cannot be read: {error}"), String::new()),
    };
    Problem::of_file(code, name, message).with_hint(Some(hint).filter(|hint| !hint.is_empty()))
}

/// Says where the first byte stands that is not UTF-8.
fn not_text(path: &Path, error: &std::string::FromUtf8Error) -> Problem {
    let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let text = String::from_utf8_lossy(before);
    let mut problem = Problem::of_file(
        "config.file.encoding",
        path.display().to_string(),
        "here stands a byte that is not UTF-8 text",
    );
    problem.line = text.matches('\n').count() + 1;
    problem.column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    problem.hint = Some("save the file as UTF-8".into());
    problem
}
