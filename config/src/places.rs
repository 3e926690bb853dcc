//! Where the configuration is read from, and where state and socket are put.
//!
//! State folder: `--state-dir`, else `[daemon] state_dir`, else what systemd hands over
//! (`STATE_DIRECTORY`), else the user's own (`XDG_STATE_HOME/headstock`, or
//! `~/.local/state/headstock`). Socket: `[daemon] socket`, else what systemd hands over
//! (`RUNTIME_DIRECTORY`), else `headstock.sock` in the state folder.
//!
//! The environment is an argument, so that every answer can be tested; no folder is made here.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::explain::Explain;
use crate::settings::Daemon;

/// The file that is read when nobody names another.
pub const SYSTEM_FILE: &str = "/etc/headstock/headstock.toml";
/// Name of the socket in its folder.
pub const SOCKET_NAME: &str = "headstock.sock";
/// Longest path of a Unix socket on Linux, bytes (`sun_path` without its closing zero).
pub const SOCKET_PATH_MAX: usize = 107;

/// What the surroundings of the process say about places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `HEADSTOCK_CONFIG`: the configuration file.
    pub config: Option<PathBuf>,
    /// `HEADSTOCK_SOCKET`: the socket that a client talks to.
    pub socket: Option<PathBuf>,
    /// `STATE_DIRECTORY`: systemd's `StateDirectory=`.
    pub state: Option<PathBuf>,
    /// `RUNTIME_DIRECTORY`: systemd's `RuntimeDirectory=`.
    pub runtime: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub xdg_state: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        Self::from(|name| std::env::var_os(name))
    }

    /// Those that a lookup by variable name tells of. Empty values count as absent; of a list
    /// the first folder is taken; folders that are not absolute are passed over, as the XDG base
    /// directory specification asks.
    pub fn from(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let said = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = |name| said(name).map(first_of_list).filter(|path| path.is_absolute());
        Self {
            config: said("HEADSTOCK_CONFIG"),
            socket: said("HEADSTOCK_SOCKET"),
            state: folder("STATE_DIRECTORY"),
            runtime: folder("RUNTIME_DIRECTORY"),
            xdg_state: said("XDG_STATE_HOME").filter(|path| path.is_absolute()),
            home: said("HOME").filter(|path| path.is_absolute()),
        }
    }

    /// The configuration file: the one asked for, else `HEADSTOCK_CONFIG`, else [`SYSTEM_FILE`].
    pub fn config_file(&self, asked: Option<&Path>) -> PathBuf {
        let named = asked.or(self.config.as_deref());
        named.unwrap_or(Path::new(SYSTEM_FILE)).to_path_buf()
    }

    /// The user's own state folder, if this user has a home.
    pub fn own_state_dir(&self) -> Option<PathBuf> {
        let below_home = || self.home.as_ref().map(|home| home.join(".local/state"));
        self.xdg_state.clone().or_else(below_home).map(|folder| folder.join("headstock"))
    }

    /// Sockets that a client tries in this order: the one asked for or `HEADSTOCK_SOCKET` alone,
    /// else the system's daemon, then the user's own.
    pub fn client_sockets(&self, asked: Option<&Path>) -> Vec<PathBuf> {
        if let Some(named) = asked.or(self.socket.as_deref()) {
            return vec![named.to_path_buf()];
        }
        let system = Path::new("/run/headstock").join(SOCKET_NAME);
        let own = self.own_state_dir().map(|folder| folder.join(SOCKET_NAME));
        [Some(system), own].into_iter().flatten().collect()
    }
}

fn first_of_list(folders: PathBuf) -> PathBuf {
    let bytes = folders.as_os_str().as_bytes();
    let first = bytes.split(|&byte| byte == b':').next().unwrap_or(bytes);
    PathBuf::from(std::ffi::OsStr::from_bytes(first))
}

/// Where a daemon keeps its things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Places {
    /// Folder of everything that is kept.
    pub state_dir: PathBuf,
    /// The Unix socket.
    pub socket: PathBuf,
}

impl Places {
    /// Works them out; `asked` is `--state-dir`.
    pub fn find(
        daemon: &Daemon,
        asked: Option<&Path>,
        around: &Surroundings,
    ) -> Result<Self, NoPlace> {
        let named = asked.or(daemon.state_dir.as_deref()).or(around.state.as_deref());
        let state_dir = named.map(Path::to_path_buf).or_else(|| around.own_state_dir());
        let state_dir = state_dir.ok_or(NoPlace::State)?;
        let folder = around.runtime.as_ref().unwrap_or(&state_dir);
        let socket = daemon.socket.clone().unwrap_or_else(|| folder.join(SOCKET_NAME));
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(NoPlace::SocketTooLong(socket));
        }
        Ok(Self { state_dir, socket })
    }
}

/// Why there is no place for the house's things.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoPlace {
    /// Nothing says where, and the user has no home.
    #[error("no state directory is named, and there is no home directory to put one in")]
    State,
    /// Linux refuses such a socket.
    #[error("the socket path `{}` is longer than {SOCKET_PATH_MAX} bytes", .0.display())]
    SocketTooLong(PathBuf),
}

impl Explain for NoPlace {
    fn code(&self) -> &'static str {
        match self {
            Self::State => "config.place.state",
            Self::SocketTooLong(_) => "config.place.socket_long",
        }
    }

    fn means(&self) -> String {
        "the daemon does not start; no machine has been touched".into()
    }

    fn remedy(&self) -> String {
        match self {
            Self::State => "set `state_dir` under `[daemon]`, or pass `--state-dir DIR`".into(),
            Self::SocketTooLong(_) => "set `socket` under `[daemon]` to a shorter path, such as \
                 `/run/headstock/headstock.sock`"
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(pairs: &[(&str, &str)]) -> Surroundings {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name);
        Surroundings::from(|name| find(name).map(|(_, value)| value.into()))
    }

    fn state_dir(daemon: &Daemon, asked: Option<&str>, around: &Surroundings) -> PathBuf {
        Places::find(daemon, asked.map(Path::new), around).unwrap().state_dir
    }

    #[test]
    fn the_state_folder_is_the_first_that_is_named() {
        let declared = Daemon { state_dir: Some("/srv/shop".into()), ..Daemon::default() };
        let nothing = Daemon::default();
        let system = around(&[("STATE_DIRECTORY", "/var/lib/headstock:/x"), ("HOME", "/home/a")]);
        let user = around(&[("HOME", "/home/a")]);
        let xdg = around(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/home/a/state")]);
        let odd = around(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "state")]);
        for (daemon, asked, around, expected) in [
            (&declared, Some("/tmp/s"), &system, "/tmp/s"),
            (&declared, None, &system, "/srv/shop"),
            (&nothing, None, &system, "/var/lib/headstock"),
            (&nothing, None, &user, "/home/a/.local/state/headstock"),
            (&nothing, None, &xdg, "/home/a/state/headstock"),
            (&nothing, None, &odd, "/home/a/.local/state/headstock"),
        ] {
            assert_eq!(state_dir(daemon, asked, around), Path::new(expected));
        }
    }

    #[test]
    fn without_a_home_a_place_must_be_named() {
        let found = Places::find(&Daemon::default(), None, &around(&[("HOME", "")]));
        assert_eq!(found, Err(NoPlace::State));
    }

    #[test]
    fn the_socket_stands_beside_the_state_unless_systemd_has_a_runtime_folder() {
        let own = around(&[("HOME", "/h")]);
        let system = around(&[("STATE_DIRECTORY", "/s"), ("RUNTIME_DIRECTORY", "/run/headstock")]);
        let declared = Daemon { socket: Some("/run/shop.sock".into()), ..Daemon::default() };
        let socket = |daemon: &Daemon, around| Places::find(daemon, None, around).unwrap().socket;
        let beside = Path::new("/h/.local/state/headstock/headstock.sock");
        assert_eq!(socket(&Daemon::default(), &own), beside);
        assert_eq!(socket(&Daemon::default(), &system), Path::new("/run/headstock/headstock.sock"));
        assert_eq!(socket(&declared, &system), Path::new("/run/shop.sock"));
    }

    #[test]
    fn a_socket_path_that_linux_would_refuse_is_found_before_it_is_bound() {
        let deep = format!("/{}", "d".repeat(SOCKET_PATH_MAX));
        let found = Places::find(&Daemon::default(), Some(Path::new(&deep)), &around(&[]));
        assert!(matches!(found, Err(NoPlace::SocketTooLong(_))), "{found:?}");
    }

    #[test]
    fn a_client_tries_the_system_first_and_only_what_it_is_told() {
        let own = around(&[("HOME", "/h")]);
        let named = around(&[("HOME", "/h"), ("HEADSTOCK_SOCKET", "s.sock")]);
        assert_eq!(own.client_sockets(None).len(), 2);
        assert_eq!(named.client_sockets(None), [Path::new("s.sock")]);
        assert_eq!(named.client_sockets(Some(Path::new("t.sock"))), [Path::new("t.sock")]);
    }

    #[test]
    fn the_file_asked_for_comes_before_the_environment_and_the_system() {
        let named = around(&[("HEADSTOCK_CONFIG", "shop.toml")]);
        assert_eq!(named.config_file(Some(Path::new("a.toml"))), Path::new("a.toml"));
        assert_eq!(named.config_file(None), Path::new("shop.toml"));
        assert_eq!(around(&[]).config_file(None), Path::new(SYSTEM_FILE));
    }
}
