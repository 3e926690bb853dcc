//! Serial ports: those that are declared, those that are there, and who else may take them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use headstock_config::machine::{Machine, Port};
use headstock_drivers::link::identity::{Found, Sysfs};
use rustix::fs::{Access, access};

use super::Check;

/// Services that open every serial port they see.
const MEDDLERS: [&str; 2] = ["ModemManager", "brltty"];
/// What the kernel keeps of a program's name.
const COMM_MAX: usize = 15;

/// Whether each declared machine is plugged in.
pub(super) fn machines(machines: &[Machine]) -> Vec<Check> {
    machines.iter().map(|it| machine(it, &Sysfs::default())).collect()
}

fn machine(machine: &Machine, sysfs: &Sysfs) -> Check {
    let name = format!("machine `{}`", machine.id);
    let there: Vec<PathBuf> = match &machine.port {
        Port::Tcp(..) | Port::Pins(_) => return Check::ok(name, machine.port.to_string()),
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
