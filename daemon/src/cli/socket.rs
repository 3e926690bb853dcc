//! Where the daemon listens.
//!
//! In this order: the socket that was named; what the named configuration says; the first usual
//! place where there is one; what the system's configuration says. A configuration is only read
//! where nothing before it has answered, so that a stop is not kept waiting by it.

use std::path::{Path, PathBuf};

use headstock_config::places::{Places, SYSTEM_FILE, Surroundings};

use super::args::Common;
use super::config;
use super::trouble::Trouble;

/// The socket to talk to. Where there is none, the place where one is expected, so that the error
/// names it.
pub(super) fn find(common: &Common) -> Result<PathBuf, Trouble> {
    find_below(common, &Surroundings::of_this_process(), Path::new(SYSTEM_FILE))
}

fn find_below(common: &Common, around: &Surroundings, system: &Path) -> Result<PathBuf, Trouble> {
    let configured = |file: &Path| -> Result<PathBuf, Trouble> {
        let settings = config::read(file)?;
        let places = Places::find(&settings.daemon, None, around);
        Ok(places.map_err(|problem| config::no_place(&problem))?.socket)
    };
    if let Some(socket) = &common.socket {
        return Ok(socket.clone());
    }
    if let Some(file) = &common.config {
        return configured(file);
    }
    let places = around.client_sockets(None);
    if let Some(place) = places.iter().find(|it| it.exists()) {
        return Ok(place.clone());
    }
    match places.into_iter().next() {
        Some(place) if !system.exists() => Ok(place),
        _ => configured(system),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn named(socket: Option<&str>, config: Option<PathBuf>) -> Common {
        Common { socket: socket.map(PathBuf::from), config, json: false }
    }

    #[test]
    fn the_first_answer_to_where_the_daemon_listens_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let home = at("home");
        let around = Surroundings { home: Some(home.clone()), ..Surroundings::default() };
        let find = |common, system: &str| find_below(&common, &around, &at(system)).unwrap();
        for name in ["shop", "system"] {
            let text = format!("[daemon]\nsocket = \"/run/{name}.sock\"\n");
            fs::write(at(&format!("{name}.toml")), text).unwrap();
        }
        let shop = Some(at("shop.toml"));
        assert_eq!(find(named(Some("/s"), shop.clone()), "system.toml"), Path::new("/s"));
        assert_eq!(find(named(None, shop), "system.toml"), Path::new("/run/shop.sock"));
        if !Path::new("/run/headstock/headstock.sock").exists() {
            assert_eq!(find(named(None, None), "system.toml"), Path::new("/run/system.sock"));
            let own = home.join(".local/state/headstock/headstock.sock");
            fs::create_dir_all(own.parent().unwrap()).unwrap();
            fs::write(&own, "").unwrap();
            assert_eq!(find(named(None, None), "system.toml"), own);
        }
    }

    #[test]
    fn a_configuration_that_is_wrong_is_told_instead_of_guessed_around() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.toml");
        fs::write(&file, "[daemon]\nsockte = \"/run/shop.sock\"\n").unwrap();
        let around = Surroundings::default();
        let trouble = find_below(&named(None, Some(file)), &around, Path::new("/none"));
        assert_eq!(trouble.unwrap_err().exit, crate::cli::exit::Exit::WrongWords);
    }
}
