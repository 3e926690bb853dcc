//! Every table but `[[machine]]`: its keys, and how they are read.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::findings::Findings;
use super::machine::MACHINE_KEYS;
use super::section::Section;
use super::value::{self, Read, Wanted, Wrong};
use crate::places::SOCKET_PATH_MAX;
use crate::settings::{Alarms, Daemon, Journal, People, Points, Sim, Web};

/// Every table there is but `[[machine]]`, with its keys.
pub(super) const TABLES: [(&str, &[&str]); 8] = [
    ("daemon", &["state_dir", "socket", "socket_group"]),
    ("web", &["listen", "allow_network", "max_upload_bytes"]),
    ("journal", &["disk_reserve_bytes"]),
    ("points", &["memory_bytes", "disk_bytes"]),
    ("sim", &["time_scale"]),
    ("people", &["admins", "maintainers", "operators"]),
    ("alarms", &["offline_s", "cpu_hot_c"]),
    ("modbus_server", super::modbus_server::KEYS),
];

/// Where a key that stands in the wrong table belongs, for a hint. `path`: where it stands.
pub(super) fn home_of(key: &str, path: &str) -> Option<String> {
    let home = TABLES.iter().find(|(_, keys)| keys.contains(&key)).map(|(table, _)| *table);
    match home {
        Some(table) => Some(format!("`{key}` belongs under `[{table}]`")),
        // Machines of another kind have such a key; this one has no use for it.
        None if path.starts_with("machine[") && !path.contains('.') => None,
        None if MACHINE_KEYS.contains(&key) => Some(format!("`{key}` belongs under `[[machine]]`")),
        None => None,
    }
}

pub(super) fn daemon(table: &Section<'_>, findings: &mut Findings) -> Daemon {
    let long = format!("an absolute path of at most {SOCKET_PATH_MAX} bytes");
    Daemon {
        state_dir: table.path("state_dir", findings),
        socket: table.read("socket", &long, findings, socket),
        socket_group: table.read("socket_group", ACCOUNT, findings, account),
    }
}

fn socket(value: &DeValue<'_>) -> Read<std::path::PathBuf> {
    let path = value::path(value)?;
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return value::refuse("is too long for a Unix socket");
    }
    Ok(path)
}

pub(super) fn web(table: &Section<'_>, findings: &mut Findings) -> Web {
    let usual = Web::default();
    let allow_network = table.flag("allow_network", findings).unwrap_or(usual.allow_network);
    let accepted = "an IP address and a port: \"127.0.0.1:7878\", \"[::1]:7878\"; port 0 picks one";
    let listen = table.read("listen", accepted, findings, address).unwrap_or(usual.listen);
    if !listen.ip().is_loopback() && !allow_network {
        let wrong = Wrong::Value("can be reached from the network", Some(NETWORK.into()));
        table.refuse("listen", wrong, "a loopback address: \"127.0.0.1:7878\"", findings);
    }
    let sizes = 1 << 10..=16 << 30;
    let upload = table.whole("max_upload_bytes", sizes, "bytes", findings);
    Web { listen, allow_network, max_upload_bytes: upload.unwrap_or(usual.max_upload_bytes) }
}

const NETWORK: &str = "the door speaks plain HTTP, so anybody on the way can read and use the \
    tokens that move machines: put a TLS proxy or a tunnel in front of it, or set \
    `allow_network = true` where the network itself is trusted";

pub(super) fn address(value: &DeValue<'_>) -> Read<SocketAddr> {
    let said = value.as_str().ok_or(Wrong::Kind(Wanted::Text))?;
    said.parse().map_err(|_| {
        let local = said.strip_prefix("localhost").map(|port| format!("127.0.0.1{port}"));
        let meant = local.filter(|it| it.parse::<SocketAddr>().is_ok());
        Wrong::Value("is not an address with a port", meant.map(value::did_you_mean))
    })
}

pub(super) fn journal(table: &Section<'_>, findings: &mut Findings) -> Journal {
    let reserve = table.whole("disk_reserve_bytes", 1 << 20..=16 << 30, "bytes", findings);
    let usual = Journal::default();
    Journal { disk_reserve_bytes: reserve.unwrap_or(usual.disk_reserve_bytes) }
}

pub(super) fn points(table: &Section<'_>, findings: &mut Findings) -> Points {
    let usual = Points::default();
    let memory = table.whole("memory_bytes", 1 << 20..=1 << 30, "bytes", findings);
    let disk = table.whole("disk_bytes", 1 << 20..=64 << 30, "bytes", findings);
    Points {
        memory_bytes: memory.unwrap_or(usual.memory_bytes),
        disk_bytes: disk.unwrap_or(usual.disk_bytes),
    }
}

pub(super) fn sim(table: &Section<'_>, findings: &mut Findings) -> Sim {
    let times = "times faster than real; 0: motion takes no time";
    let scale = table.number("time_scale", 0.0..=1000.0, times, findings);
    Sim { time_scale: scale.unwrap_or(Sim::default().time_scale) }
}

pub(super) fn alarms(table: &Section<'_>, findings: &mut Findings) -> Alarms {
    let usual = Alarms::default();
    let offline = table.number("offline_s", 1.0..=86_400.0, "seconds", findings);
    let hot = table.number("cpu_hot_c", 40.0..=110.0, "°C", findings);
    Alarms {
        offline_s: offline.unwrap_or(usual.offline_s),
        cpu_hot_c: hot.unwrap_or(usual.cpu_hot_c),
    }
}

pub(super) fn people(table: &Section<'_>, findings: &mut Findings) -> People {
    let mut seen = Vec::new();
    let mut list = |key| users(table, key, &mut seen, findings);
    People {
        admins: list("admins"),
        maintainers: list("maintainers"),
        operators: list("operators"),
    }
}

/// One list; whoever stands in a list before it already is told apart by nothing, so it is wrong.
fn users(
    table: &Section<'_>,
    key: &'static str,
    seen: &mut Vec<(String, &'static str)>,
    findings: &mut Findings,
) -> Vec<String> {
    let accepted = "a list of user names of this box: [\"anna\", \"ben\"]";
    let names = table.read(key, accepted, findings, |value| {
        value::each(value.as_array().ok_or(Wrong::Kind(Wanted::Many))?, account)
    });
    let names = names.unwrap_or_default();
    for name in &names {
        if let Some((_, list)) = seen.iter().find(|(known, _)| known == name) {
            twice(table, (key, name, list), findings);
        }
        seen.push((name.clone(), key));
    }
    names
}

fn twice(table: &Section<'_>, (key, name, first): (&str, &str, &str), findings: &mut Findings) {
    let Some(entry) = table.entry(key) else { return };
    let message = format!("{}`{name}` is named in `{first}` already", table.whose);
    let problem = findings.at(entry.value_at, "config.people.twice", &table.path_of(key), message);
    problem.accepted = Some("each user once: a role may do all that the lesser ones may".into());
}

const ACCOUNT: &str = "a name as in /etc/passwd or /etc/group: at most 32 of a-z A-Z 0-9 . _ -, \
    not beginning with - or a digit";

fn account(value: &DeValue<'_>) -> Read<String> {
    let name = value::text(value, 32)?;
    let first = name.chars().next().unwrap_or('-');
    let inside = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    if (first.is_ascii_alphabetic() || first == '_') && name.chars().all(inside) {
        return Ok(name);
    }
    value::refuse("is not a user or group name")
}
