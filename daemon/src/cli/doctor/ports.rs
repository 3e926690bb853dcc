//! Serial ports: those that are declared, those that are there, and who else may take them.

use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headstock_config::machine::{Machine, Port};
use headstock_drivers::link::identity::{Found, Sysfs};
use rustix::fs::{Access, access};

use super::Check;

/// Services that open every serial port they see.
const MEDDLERS: [&str; 2] = ["ModemManager", "brltty"];
/// How long a device on the network may take to accept a connection.
const REACHED: Duration = Duration::from_secs(2);
/// What the kernel keeps of a program's name.
const COMM_MAX: usize = 15;

/// Whether each declared machine is plugged in.
pub(super) fn machines(machines: &[Machine]) -> Vec<Check> {
    machines.iter().map(|it| machine(it, &Sysfs::default())).collect()
}

fn machine(machine: &Machine, sysfs: &Sysfs) -> Check {
    let name = format!("machine `{}`", machine.id);
    let there: Vec<PathBuf> = match &machine.port {
        Port::Tcp(host, port) => return reached(name, host, *port),
        Port::Pins(_) => return Check::ok(name, machine.port.to_string()),
        Port::Sim(_) => return Check::ok(name, format!("pretended ({})", machine.port)),
        Port::Path(path) => path.exists().then(|| path.clone()).into_iter().collect(),
        Port::Udev(wanted) => sysfs.find(wanted),
    };
    match &there[..] {
        [] => Check::bad(
            name,
            format!("{} is not there", machine.port),
            "check cable and power; the devices that are there are listed below",
        ),
        [path] => opened_by(name, path, String::new()),
        several => Check::bad(
            name,
            format!("{} devices are {}", several.len(), machine.port),
            "add the serial number to the match, or write a path below /dev/serial/by-path",
        ),
    }
}

/// Whether a device on the network can be reached from here. It is not spoken to.
fn reached(name: String, host: &str, port: u16) -> Check {
    let shown = format!("{host}:{port}");
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => {
            let remedy = "check the name, or write its address";
            return Check::bad(name, format!("{shown}: no address, {error}"), remedy);
        }
    };
    let tried = addresses.iter().map(|it| TcpStream::connect_timeout(it, REACHED));
    match tried.reduce(Result::or) {
        Some(Ok(_)) => Check::ok(name, format!("{shown} can be reached")),
        Some(Err(error)) => Check::warn(
            name,
            format!("{shown}: {error}"),
            "check power and network; a device that takes one connection refuses while the daemon \
             has it",
        ),
        None => Check::bad(name, format!("{shown}: no address"), "check the name"),
    }
}

/// Whether this user is in the groups that usually own what the machines are plugged into.
pub(super) fn groups(machines: &[Machine]) -> Option<Check> {
    let wanted = |it: &Machine| match (&it.port, it.driver.as_str()) {
        (Port::Pins(_), _) => Some("gpio"),
        (Port::Path(_), "i2c") => Some("i2c"),
        (Port::Path(_) | Port::Udev(_), _) => Some("dialout"),
        _ => None,
    };
    let mut wanted: Vec<&str> = machines.iter().filter_map(wanted).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let groups = fs::read_to_string("/etc/group").ok()?;
    // A group that this box does not have owns nothing here.
    wanted.retain(|name| group_number(&groups, name).is_some());
    let root = rustix::process::geteuid().is_root();
    let mine: Vec<u32> = rustix::process::getgroups()
        .unwrap_or_default()
        .into_iter()
        .chain([rustix::process::getegid()])
        .map(rustix::process::Gid::as_raw)
        .collect();
    let member =
        |name: &&str| root || group_number(&groups, name).is_some_and(|it| mine.contains(&it));
    let (is, lacks): (Vec<&str>, Vec<&str>) = wanted.into_iter().partition(member);
    match (is.is_empty(), lacks.is_empty()) {
        (true, true) => None,
        (_, true) => Some(Check::ok("groups", format!("member of {}", is.join(", ")))),
        _ => {
            let remedy = format!("sudo usermod -aG {} USER, then log in again", lacks.join(","));
            let found = format!("this user is not in {}", lacks.join(", "));
            Some(Check::warn("groups", found, remedy + "; the service has them by its unit"))
        }
    }
}

/// The number of a group in the text of `/etc/group`.
fn group_number(groups: &str, name: &str) -> Option<u32> {
    let mut rows = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    rows.find(|row| row.first() == Some(&name))?.get(2)?.parse().ok()
}

/// The serial devices that are plugged in now.
pub(super) fn devices() -> Vec<Check> {
    let found = Sysfs::default().list();
    if found.is_empty() {
        return vec![Check::ok("serial devices", "none is plugged in")];
    }
    found.iter().map(device).collect()
}

fn device(found: &Found) -> Check {
    // The name that stays is the one to write into the configuration.
    let lasting = found.by_id.as_ref().unwrap_or(&found.path);
    let label = match &found.identity {
        Some(it) => format!(
            "{} (usb vid={} pid={}{})",
            it.label,
            it.vid,
            it.pid,
            it.serial.as_ref().map(|serial| format!(" serial={serial}")).unwrap_or_default()
        ),
        None => "on the board".to_owned(),
    };
    opened_by(found.path.display().to_string(), lasting, label)
}

/// Whether this user may open a device, and who may.
pub(super) fn opened_by(name: String, path: &Path, label: String) -> Check {
    let shown = [path.display().to_string(), label].join(" ");
    let shown = shown.trim_end();
    match access(path, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Check::ok(name, shown),
        Err(error) => {
            let group = group_of(path).unwrap_or_else(|| "of its group".into());
            let remedy = format!("open to group `{group}`: sudo usermod -aG {group} USER");
            Check::warn(name, format!("{shown}: not for this user, {error}"), remedy)
        }
    }
}

fn group_of(path: &Path) -> Option<String> {
    let gid = fs::metadata(path).ok()?.gid();
    group_named(&fs::read_to_string("/etc/group").ok()?, gid)
}

/// The name of a group in the text of `/etc/group`: `name:password:gid:members`.
fn group_named(groups: &str, gid: u32) -> Option<String> {
    let mut rows = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let row = rows.find(|row| row.get(2).is_some_and(|it| it.parse() == Ok(gid)))?;
    row.first().map(|name| (*name).to_owned())
}

/// Services that run now and take ports that are not theirs.
pub(super) fn meddlers() -> Vec<Check> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let names = processes
        .filter_map(Result::ok)
        .filter_map(|it| fs::read_to_string(it.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned());
    let running: Vec<String> = names.collect();
    let meddles = |it: &&str| running.iter().any(|name| name[..] == it[..it.len().min(COMM_MAX)]);
    let check = |it: &str| {
        let remedy =
            format!("systemctl disable --now {it}, or install the udev rules of headstock");
        Check::warn(it, "runs here and opens serial ports to look what is there", remedy)
    };
    MEDDLERS.iter().filter(|it| meddles(it)).map(|it| check(it)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn groups_are_named_by_their_number() {
        let groups = "root:x:0:\n+::\ndialout:x:20:ada,ben\n";
        assert_eq!(group_named(groups, 20), Some("dialout".into()));
        assert_eq!(group_named(groups, 21), None);
        assert_eq!(
            (group_number(groups, "dialout"), group_number(groups, "gpio")),
            (Some(20), None)
        );
    }

    #[test]
    fn a_host_that_listens_is_reached_and_one_that_does_not_is_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(reached("m".into(), "127.0.0.1", port).verdict, Verdict::Ok);
        drop(listener);
        assert_eq!(reached("m".into(), "127.0.0.1", port).verdict, Verdict::Warn);
        assert_eq!(reached("m".into(), "no such host", 1).verdict, Verdict::Bad);
    }

    #[test]
    fn a_port_that_is_not_there_is_bad_and_one_that_is_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let port = folder.path().join("tty");
        fs::write(&port, "").unwrap();
        for (path, verdict) in [(port, Verdict::Ok), (folder.path().join("no"), Verdict::Bad)] {
            let text = format!(
                "[[machine]]\nid = \"mill\"\ndriver = \"grbl\"\nport = \"{}\"\n",
                path.display()
            );
            let settings = headstock_config::load::parse(&text, "t", &["grbl"]).unwrap();
            let checks = machines(&settings.machines);
            assert_eq!((checks.len(), checks[0].verdict), (1, verdict), "{checks:?}");
        }
    }
}
