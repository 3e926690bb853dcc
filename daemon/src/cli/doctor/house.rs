//! Configuration, daemon, folders, clock and scheduling.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use headstock_config::api::System;
use headstock_config::explain::Explain;
use headstock_config::places::{Places, Surroundings};
use headstock_config::settings::Settings;
use headstock_drivers::link::os;
use headstock_tui::words::{bytes, duration, moment};
use rustix::fs::{Access, access, statvfs};

use super::Check;
use crate::cli::args::Common;
use crate::cli::client::Client;
use crate::cli::trouble::now_ms;
use crate::cli::{config, socket};

/// A daemon that takes longer than this for a look at itself is not well.
const PATIENCE: Duration = Duration::from_secs(3);
/// 2026-01-01: no box with this program can be in an earlier year.
const EARLIEST_MS: u64 = 1_767_225_600_000;
/// Less free space than this is worth a warning.
const FREE_LOW_BYTES: u64 = 1_000_000_000;
/// Less than this does not hold the journal's reserve and a few programs.
const FREE_BAD_BYTES: u64 = 100_000_000;

/// What is declared, or the defaults where that cannot be read.
pub(super) fn configuration(common: &Common, around: &Surroundings) -> (Settings, Vec<Check>) {
    let file = around.config_file(common.config.as_deref());
    let name = "configuration";
    match config::read(&file) {
        Ok(settings) => {
            let count = settings.machines.len();
            let word = if count == 1 { "machine" } else { "machines" };
            let found = format!("{}: {count} {word}", file.display());
            let remedy = "add a [[machine]], as `headstock config show-example` explains";
            let check =
                if count == 0 { Check::warn(name, found, remedy) } else { Check::ok(name, found) };
            (settings, vec![check])
        }
        Err(_) if !file.exists() => {
            let found = format!("there is no {}", file.display());
            let remedy = format!("begin with `headstock config show-example > {}`", file.display());
            (Settings::default(), vec![Check::bad(name, found, remedy)])
        }
        Err(trouble) => {
            let listed = trouble.error.details.as_array().map(Vec::as_slice).unwrap_or_default();
            let first = listed.first().and_then(|it| it.as_str()).unwrap_or_default();
            let found = format!("{} problems, the first: {first}", listed.len());
            let remedy = format!("headstock config check --config {}", file.display());
            (Settings::default(), vec![Check::bad(name, found, remedy)])
        }
    }
}

/// Whether the daemon answers, and how its journal is.
pub(super) fn daemon(common: &Common) -> Vec<Check> {
    let name = "daemon";
    let asked = socket::find(common).and_then(Client::new);
    let system: System = match asked.and_then(|it| it.with_patience(PATIENCE).get("system")) {
        Ok(system) => system,
        Err(trouble) => {
            return vec![Check::warn(name, &trouble.error.message, &trouble.error.remedy)];
        }
    };
    let up = duration(system.uptime_s as f64);
    let ours = env!("CARGO_PKG_VERSION");
    let found = format!("version {}, up {up}", system.version);
    let running = if system.version == ours {
        Check::ok(name, found)
    } else {
        let found = format!("{found}, but this is version {ours}");
        Check::warn(name, found, "restart it: systemctl restart headstock")
    };
    vec![running, journal(&system.journal)]
}

fn journal(state: &str) -> Check {
    let name = "journal";
    match state {
        "ok" => Check::ok(name, "is written"),
        "low_space" => {
            Check::bad(name, "the disk is full; no new job is taken", "make room on the disk")
        }
        other => Check::bad(
            name,
            format!("is not written any more ({other}); machines are held"),
            "look into `journalctl -u headstock` and check the disk before restarting the daemon",
        ),
    }
}

/// The state folder, and the space around it.
pub(super) fn places(settings: &Settings, around: &Surroundings) -> Vec<Check> {
    let name = "state folder";
    let folder = match Places::find(&settings.daemon, None, around) {
        Ok(places) => places.state_dir,
        Err(problem) => return vec![Check::bad(name, problem.to_string(), problem.remedy())],
    };
    let Some(standing) = folder.ancestors().find(|it| it.exists()).map(Path::to_owned) else {
        return vec![Check::bad(name, format!("{} cannot be", folder.display()), "name another")];
    };
    let mut checks = vec![writable(&folder, &standing)];
    checks.extend(space(&standing));
    checks
}

fn writable(folder: &Path, standing: &PathBuf) -> Check {
    let name = "state folder";
    let new = if folder == standing { "" } else { ", will be made" };
    match access(standing, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok(name, format!("{}{new}", folder.display())),
        Err(error) => Check::warn(
            name,
            format!("{} is not writable by this user: {error}", standing.display()),
            "fine if the daemon runs as another user; otherwise pass --state-dir or set `state_dir`",
        ),
    }
}

fn space(folder: &Path) -> Option<Check> {
    let facts = statvfs(folder).ok()?;
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let (name, found) = ("disk", format!("{} free", bytes(free)));
    let remedy = "remove programs with `headstock files delete`, or use a larger disk";
    Some(match free {
        0..FREE_BAD_BYTES => Check::bad(name, found, remedy),
        FREE_BAD_BYTES..FREE_LOW_BYTES => Check::warn(name, found, remedy),
        _ => Check::ok(name, found),
    })
}

/// History is written with the box's clock; boards without a battery begin in the past.
pub(super) fn clock() -> Check {
    let (name, now_ms) = ("clock", now_ms());
    let found = moment(now_ms);
    if now_ms < EARLIEST_MS {
        return Check::bad(name, found, "set it, or let it be set: timedatectl set-ntp true");
    }
    let told = "/run/systemd/timesync/synchronized";
    let kept = fs::metadata(told).and_then(|it| it.modified());
    match kept.map(|at| SystemTime::now().duration_since(at).unwrap_or_default()) {
        Ok(age) => Check::ok(name, format!("{found}, set {} ago", duration(age.as_secs_f64()))),
        Err(_) => Check::ok(name, found),
    }
}

/// Tried on a thread of its own, which ends at once.
pub(super) fn realtime() -> Check {
    let name = "scheduling";
    match thread::spawn(|| os::realtime(1)).join() {
        Ok(Ok(())) => Check::ok(name, "machines may run at real-time priority"),
        Ok(Err(error)) => Check::warn(
            name,
            format!("no real-time priority for this user: {error}"),
            "fine for trying; the service is given it by headstock.service (LimitRTPRIO)",
        ),
        Err(_) => Check::warn(name, "could not be tried", "try again"),
    }
}
