//! Where the daemon listens.

use std::env;
use std::path::{Path, PathBuf};

use super::args::Common;
use super::trouble::Trouble;

/// The socket that was named, or the first of the usual places where there is one. Where there is
/// none, the first usual place, so that the error names it.
pub(super) fn find(common: &Common) -> Result<PathBuf, Trouble> {
    if let Some(socket) = &common.socket {
        return Ok(socket.clone());
    }
    let places = usual_places(|name| env::var_os(name).map(PathBuf::from));
    let found = places.iter().find(|it| it.exists()).or(places.first());
    Ok(found.cloned().expect("the system's place is always among them"))
}

/// The system's place first: a workshop box has one daemon, and stops must reach it.
fn usual_places(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let of_session = variable("XDG_RUNTIME_DIR");
    let of_user = variable("HOME").map(|home| home.join(".local/state/headstock"));
    let system = Some(Path::new("/run/headstock/headstock.sock").to_owned());
    let rest = [of_session, of_user].map(|place| place.map(|it| it.join("headstock.sock")));
    system.into_iter().chain(rest.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_daemon_is_looked_for_first() {
        let places = usual_places(|name| (name == "HOME").then(|| "/home/ada".into()));
        let expected =
            ["/run/headstock/headstock.sock", "/home/ada/.local/state/headstock/headstock.sock"];
        assert_eq!(places, expected.map(PathBuf::from));
    }
}
