//! The box itself, as points: `house.disk_free`, `house.cpu_temperature`, …
//!
//! Read from where the kernel says it (`proc(5)`, `/sys`), every few seconds, by the keeper's
//! thread: a disk that does not answer makes these points stale and nothing else. What a box does
//! not say is bad.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use headstock_config::point::{Quality, Value};

use super::{Declared, News, PointId, Points};
use crate::ledger::Health;

/// How often these are read.
pub(super) const PERIOD: Duration = Duration::from_secs(5);
const AGE_LIMIT: Duration = Duration::from_secs(20);
/// Written there by the service that keeps the clock right (`systemd-timesyncd(8)`).
const SYNCHRONIZED: &str = "synchronized";
const TIMESYNC: &str = "/run/systemd/timesync";
const MB: f64 = 1e6;

/// Where one is read: what it is called, its unit, its deadband, and how.
type Row = (&'static str, &'static str, f64, fn(&Sources) -> Option<Value>);

/// Everything that is said of the box.
const ROWS: &[Row] = &[
    ("disk_free", "MB", 1.0, |it| disk_free(it.state_dir).map(Value::Number)),
    ("memory_free", "MB", 10.0, |it| number(memory_free(&it.text("/proc/meminfo")?)?)),
    ("cpu_temperature", "°C", 0.5, |it| number(temperature(it)?)),
    ("load", "", 0.05, |it| number(it.text("/proc/loadavg")?.split(' ').next()?.parse().ok()?)),
    ("undervoltage", "", 0.0, |it| Some(Value::Flag(undervoltage(it)?))),
    ("clock_synchronized", "", 0.0, |_| Some(Value::Flag(synchronized()?))),
    ("journal", "", 0.0, |it| Some(Value::Text(it.journal.word().into()))),
];

/// What the rows are read from.
pub(super) struct Sources<'a> {
    /// The folder whose disk matters.
    pub(super) state_dir: &'a Path,
    /// How the journal is.
    pub(super) journal: Health,
}

impl Sources<'_> {
    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(path).ok()
    }
}

fn number(value: f64) -> Option<Value> {
    Some(Value::Number(value))
}

/// The points of the house.
pub(super) fn declared() -> impl Iterator<Item = Declared> {
    ROWS.iter().map(|&(name, unit, deadband, _)| Declared {
        name: format!("house.{name}"),
        unit: unit.into(),
        writable: false,
        age_limit: AGE_LIMIT,
        deadband,
        optional: false,
    })
}

/// Reads all of them and reports them.
pub(super) fn look(points: &Points, at_the: &Sources<'_>) {
    let read = ROWS.iter().filter_map(|&(name, _, _, read)| {
        let id = points.id(&format!("house.{name}"))?;
        Some(news(id, read(at_the)))
    });
    // Read before anything is locked.
    let news: Vec<News> = read.collect();
    points.report(news);
}

fn news(id: PointId, value: Option<Value>) -> News {
    let why = value.is_none().then(|| "this box does not say".to_owned());
    let quality = if value.is_some() { Quality::Good } else { Quality::Bad };
    News { id, value, quality, at: Instant::now(), why }
}

/// Whether the clock is kept right; `None` where that service does not run.
fn synchronized() -> Option<bool> {
    let folder = Path::new(TIMESYNC);
    folder.exists().then(|| folder.join(SYNCHRONIZED).exists())
}

/// What is left for those who are not root, MB.
fn disk_free(folder: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail as f64 * disk.f_frsize as f64 / MB)
}

/// What programs can have before others must give, MB.
fn memory_free(meminfo: &str) -> Option<f64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / MB)
}

/// The hottest of the processor's zones, °C.
fn temperature(the: &Sources<'_>) -> Option<f64> {
    let zones = fs::read_dir("/sys/class/thermal").ok()?.filter_map(Result::ok);
    let of_processor = zones.filter_map(|zone| {
        let kind = the.text(zone.path().join("type"))?;
        let milli = the.text(zone.path().join("temp"))?.trim().parse::<f64>().ok()?;
        let kind = kind.to_ascii_lowercase();
        ["cpu", "soc", "pkg"].iter().any(|it| kind.contains(it)).then_some(milli / 1000.0)
    });
    of_processor.max_by(f64::total_cmp)
}

/// Whether the supply of a Raspberry Pi is too low (`raspberrypi-hwmon` in the kernel's documents).
fn undervoltage(the: &Sources<'_>) -> Option<bool> {
    let mut sensors = fs::read_dir("/sys/class/hwmon").ok()?.filter_map(Result::ok);
    let supply = sensors.find(|it| {
        the.text(it.path().join("name")).is_some_and(|name| name.trim() == "rpi_volt")
    })?;
    Some(the.text(supply.path().join("in0_lcrit_alarm"))?.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_says_how_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let points = Points::of(&[]);
        look(&points, &Sources { state_dir: folder.path(), journal: Health::LowSpace });
        let value = |name: &str| points.one(name).unwrap().value;
        assert!(value("house.disk_free").unwrap().number().is_some_and(|free| 0.0 < free));
        assert!(value("house.load").unwrap().number().is_some());
        assert_eq!(value("house.journal"), Some(Value::Text("low_space".into())));
        look(&points, &Sources { state_dir: Path::new("/no/such/folder"), journal: Health::Ok });
        let free = points.one("house.disk_free").unwrap();
        assert_eq!(
            (free.quality, free.why.as_deref()),
            (Quality::Bad, Some("this box does not say"))
        );
    }

    #[test]
    fn the_kernels_words_are_understood() {
        let free = memory_free("MemTotal: 100 kB\nMemAvailable:    1000000 kB\n");
        assert_eq!((free, memory_free("")), (Some(1024.0), None));
    }
}
