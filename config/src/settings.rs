//! The whole configuration, as declared things: what one file and its `conf.d` add up to.
//!
//! Every value here has been checked by [`crate::load`]; nothing here reads a file. Where things
//! are put when the file does not say is worked out in [`crate::places`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use crate::alarm::Alarm;
use crate::machine::Machine;
use crate::modbus_server::ModbusServer;
use crate::people::Role;
use crate::rule::Rules;

/// Everything the configuration declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Settings {
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[web]`.
    pub web: Web,
    /// `[journal]`.
    pub journal: Journal,
    /// `[points]`.
    pub points: Points,
    /// `[sim]`.
    pub sim: Sim,
    /// `[people]`.
    pub people: People,
    /// `[alarms]`.
    pub alarms: Alarms,
    /// `[modbus_server]`.
    pub modbus_server: ModbusServer,
    /// Every `[[machine]]`, in the order of the files and of their lines.
    pub machines: Vec<Machine>,
    /// Every `[[alarm]]`, in the same order.
    pub alarm: Vec<Alarm>,
    /// Every `[[permissive]]`, `[[interlock]]` and `[[follow]]`.
    pub rules: Rules,
}

/// `[daemon]`: where the house keeps its things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// Folder of everything that is kept, absolute. See [`crate::places`] where absent.
    pub state_dir: Option<PathBuf>,
    /// Address of the Unix socket, absolute. See [`crate::places`] where absent.
    pub socket: Option<PathBuf>,
    /// Group of the box that may open the socket; the daemon's own group where absent.
    pub socket_group: Option<String>,
}

/// `[web]`: the REST and WebSocket door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Web {
    /// Address and port; port 0 picks a free one.
    pub listen: SocketAddr,
    /// `listen` may be an address that others on the network can reach.
    pub allow_network: bool,
    /// Largest program file that is taken in, bytes: 1 KiB to 16 GiB.
    pub max_upload_bytes: u64,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7878)),
            allow_network: false,
            max_upload_bytes: 256 << 20,
        }
    }
}

/// `[journal]`: the log that is the truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Journal {
    /// Disk space kept back so that a running job can end when the disk is full: 1 MiB to 16 GiB.
    pub disk_reserve_bytes: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { disk_reserve_bytes: 32 << 20 }
    }
}

/// `[points]`: the history of what devices report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Points {
    /// Memory for the latest changes, shared out among the points: 1 MiB to 1 GiB.
    pub memory_bytes: u64,
    /// Disk space for a record a minute and point; the oldest go first: 1 MiB to 64 GiB.
    pub disk_bytes: u64,
}

impl Default for Points {
    fn default() -> Self {
        Self { memory_bytes: 32 << 20, disk_bytes: 256 << 20 }
    }
}

/// `[sim]`: pretend devices behind `sim:` ports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sim {
    /// Motion runs this many times faster than real; 0: motion takes no time. 0 to 1000.
    pub time_scale: f64,
}

impl Default for Sim {
    fn default() -> Self {
        Self { time_scale: 1.0 }
    }
}

/// `[alarms]`: when the house itself raises one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarms {
    /// A machine that has been out of reach for so long is an alarm, seconds: 1 to 86400.
    pub offline_s: f64,
    /// A processor hotter than this is an alarm, °C: 40 to 110.
    pub cpu_hot_c: f64,
}

impl Default for Alarms {
    fn default() -> Self {
        // An adapter that is plugged in anew, and a board that restarts, are back within 10 s; a
        // Raspberry Pi slows itself down from 80 °C on.
        Self { offline_s: 10.0, cpu_hot_c: 80.0 }
    }
}

/// `[people]`: what users of the box are here when they come by the Unix socket.
///
/// The daemon's own user and `root` are admins; whoever is in no list and can open the socket is
/// a viewer. Nobody is in two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct People {
    /// User names.
    pub admins: Vec<String>,
    /// User names.
    pub maintainers: Vec<String>,
    /// User names.
    pub operators: Vec<String>,
}

impl People {
    /// What the box's user of this name is here.
    pub fn role_of(&self, user: &str) -> Role {
        let lists = [
            (&self.admins, Role::Admin),
            (&self.maintainers, Role::Maintainer),
            (&self.operators, Role::Operator),
        ];
        let listed = lists.into_iter().find(|(names, _)| names.iter().any(|name| name == user));
        listed.map_or(Role::Viewer, |(_, role)| role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_no_list_may_only_look() {
        let people = People { operators: vec!["anna".into()], ..People::default() };
        assert_eq!(people.role_of("anna"), Role::Operator);
        assert_eq!(people.role_of("ben"), Role::Viewer);
    }
}
