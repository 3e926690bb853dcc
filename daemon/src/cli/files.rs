//! Program files: bringing, looking at, removing and fetching them.

use std::fs;
use std::path::{Path, PathBuf};

use headstock_config::file::File;
use headstock_tui::view;
use headstock_tui::words::{bytes, percent, plain};
use serde::Serialize;

use super::args::FilesVerb;
use super::client::encoded;
use super::exit::Exit;
use super::trouble::Trouble;
use super::{Call, say};

/// Files below this size are there before a bar could be read.
const BAR_FROM_BYTES: u64 = 4_000_000;

pub(super) fn files(call: &Call, what: FilesVerb) -> Result<Exit, Trouble> {
    match what {
        FilesVerb::List => {
            let files: Vec<File> = call.client.get("files")?;
            call.show(&files[..], view::files::list);
        }
        FilesVerb::Show { file } => {
            let file: File = call.client.get(&path(&file))?;
            call.show(&file, view::files::show);
        }
        FilesVerb::Delete { file } => {
            call.client.delete(&path(&file))?;
            call.show(&Removed { removed: &file }, |_| format!("{file} removed"));
        }
        FilesVerb::Download { file, output } => download(call, &file, output)?,
    }
    Ok(Exit::Done)
}

fn path(file: &str) -> String {
    format!("files/{}", encoded(file))
}

/// `files delete --json`.
#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
}

/// Uploads a file and shows what was found in it.
pub(super) fn upload(call: &Call, file: &Path, name: Option<&str>) -> Result<Exit, Trouble> {
    let file = send(call, file, name)?;
    call.show(&file, view::files::show);
    Ok(Exit::Done)
}

/// Uploads a file under its own name, or under `name`.
pub(super) fn send(call: &Call, path: &Path, name: Option<&str>) -> Result<File, Trouble> {
    let trouble = |error| Trouble::file("read", path, &error);
    let file = fs::File::open(path).map_err(trouble)?;
    let facts = file.metadata().map_err(trouble)?;
    if !facts.is_file() {
        let message = format!("{} is not a file", path.display());
        return Err(Trouble::words(message, "name a file with G-code"));
    }
    let own_name = path.file_name().map(|it| it.to_string_lossy().into_owned());
    let name = name.map(str::to_owned).or(own_name).unwrap_or_default();
    let length = facts.len();
    let shows = length >= BAR_FROM_BYTES && say::remarks_on_terminal();
    let told = move |read: u64| {
        if shows {
            let share = percent(read as f64 / length as f64);
            let line = format!("{share:>3} % of {}", bytes(length));
            say::aside_bar(&line, read >= length);
        }
    };
    call.client.post_file(&format!("files?name={}", encoded(&name)), file, length, told)
}

/// `files download --json`.
#[derive(Serialize)]
struct Downloaded {
    path: PathBuf,
    bytes: u64,
}

/// Writes a stored file to `output`, or to its own name in this folder, never over another file.
fn download(call: &Call, id: &str, output: Option<PathBuf>) -> Result<(), Trouble> {
    let output = match output {
        Some(output) => output,
        None => own_name(&call.client.get::<File>(&path(id))?.name)?,
    };
    let to =
        fs::File::create_new(&output).map_err(|error| Trouble::file("create", &output, &error))?;
    let written = call.client.get_file(&format!("{}/content", path(id)), to);
    let bytes = written.inspect_err(|_| {
        // Half a program is worse than none; it is ours, since `create_new` made it.
        fs::remove_file(&output).ok();
    })?;
    let done = Downloaded { path: output, bytes };
    call.show(&done, |it| format!("{} written, {}", it.path.display(), self::bytes(it.bytes)));
    Ok(())
}

/// The last part of the name that somebody uploaded, so that it stays in this folder.
fn own_name(name: &str) -> Result<PathBuf, Trouble> {
    let name = plain(name);
    match Path::new(&name).file_name() {
        Some(last) => Ok(last.into()),
        None => Err(Trouble::words(format!("`{name}` is no file name"), "name one with -o")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_stays_in_this_folder() {
        for name in ["../../etc/part.nc", "/etc/part.nc", "part.nc"] {
            assert_eq!(own_name(name).expect("a name"), Path::new("part.nc"));
        }
        assert!(own_name("..").is_err());
    }
}
