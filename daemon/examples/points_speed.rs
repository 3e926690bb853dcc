//! How much 10,000 points cost that change 20,000 times a second altogether, with a follower, a
//! history in memory and minutes on disk, and whether any change is lost.
//!
//! ```sh
//! cargo run --release -p headstock-daemon --example points_speed -- 60
//! ```
//!
//! Arguments: seconds (60), points (10000), changes a second (20000). A thread reports batches ten
//! times a second for each share of the points, as a bus does; another follows all of them; the
//! house's own keeper and ager run as they do in the house. Told at the end: processor time of the
//! whole process by its share of one core, resident memory after 10 s and at the end, and the
//! changes that were reported, told to the follower, counted, and found in the histories. Exits
//! with 1 if these are not all the same.
#![allow(clippy::print_stdout)] // A measuring program prints.

use std::path::Path;
use std::process::ExitCode;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use headstock_config::point::{Quality, Value};
use headstock_daemon::ledger::Health;
use headstock_daemon::points::{Declared, Follower, Keeper, News, PointId, Points};

/// Batches a second.
const BATCHES: u64 = 200;
/// Milliseconds of a minute, and of longer than this runs.
const MINUTE: u64 = 60_000;
const WHOLE: u64 = 24 * 60 * MINUTE;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).filter_map(|it| it.parse::<u64>().ok());
    let (seconds, count, rate) = (
        words.next().unwrap_or(60),
        words.next().unwrap_or(10_000),
        words.next().unwrap_or(20_000),
    );
    let folder = tempfile::tempdir().expect("a folder can be made");
    let points = Points::new((0..count).map(declared).collect());
    let (_health, health) = tokio::sync::watch::channel(Health::Ok);
    let keeper = Keeper::start(points.clone(), folder.path(), 256 << 20, health);
    let keeper = keeper.expect("a thread can be started");
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_time().build().expect("a runtime can be made");
    let ager = runtime.spawn(points.clone().grow_old());
    let follower = spawn({
        let follower = points.follow(points.beginning("device"));
        move || follow(follower, seconds)
    });

    let (began, cpu) = (Instant::now(), cpu_s());
    let reported = report(&points, began, seconds, count, rate);
    // What is not heard any more would become stale, and that is a change as well.
    ager.abort();
    let (took, used) = (began.elapsed().as_secs_f64(), cpu_s() - cpu);
    let followed = follower.join().expect("the follower does not panic");
    println!(
        "{reported} changes of {count} points in {took:.1} s: {:.0} a second, {:.1} % of one core, {:.1} us each",
        reported as f64 / took,
        100.0 * used / took,
        1e6 * used / reported as f64
    );
    println!("resident at the end: {:.1} MB", rss_mb());
    keeper.close().join().expect("the keeper does not panic");
    told(&points, folder.path(), reported, followed)
}

fn declared(number: u64) -> Declared {
    Declared {
        name: format!("device{}.value{}", number / 100, number % 100),
        unit: "W".into(),
        age_limit: Duration::from_millis(2_500),
        ..Declared::default()
    }
}

/// Reports for so many seconds, all points in turn; how many changes that were.
fn report(points: &Points, began: Instant, seconds: u64, count: u64, rate: u64) -> u64 {
    let batch = rate / BATCHES;
    let (mut next, mut reported, mut said) = (0, 0, false);
    for number in 0..seconds * BATCHES {
        let at = Instant::now();
        points.report((0..batch).map(|_| {
            let id = PointId(u32::try_from(next % count).expect("there are fewer points"));
            next += 1;
            let value = Some(Value::Number(next as f64 * 0.25));
            News { id, value, quality: Quality::Good, at, why: None }
        }));
        reported += batch;
        if !said && Duration::from_secs(10) <= began.elapsed() {
            println!("resident after 10 s: {:.1} MB", rss_mb());
            said = true;
        }
        let due = began + Duration::from_micros((number + 1) * 1_000_000 / BATCHES);
        sleep(due.saturating_duration_since(Instant::now()));
    }
    reported
}

/// Follows until nothing has come for a while; how many changes were told, and how often.
fn follow(mut follower: Follower, seconds: u64) -> (u64, u64) {
    let (mut changes, mut looks) = (0, 0);
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let some = follower.recv_timeout(Duration::from_secs(1));
        if some.is_empty() && end < Instant::now() {
            return (changes, looks);
        }
        changes += some.iter().map(|it| it.count).sum::<u64>();
        looks += 1;
    }
}

/// Compares the accounts.
fn told(points: &Points, folder: &Path, reported: u64, (followed, looks): (u64, u64)) -> ExitCode {
    let tally = points.tally();
    let ids = points.beginning("device");
    let names = ids.filter_map(|id| points.declared(id).map(|it| it.name.clone()));
    let began = Instant::now();
    let mut read = 0;
    // Each of them reads every file, so a few stand for all.
    let some: Vec<String> = names.step_by(500).collect();
    for name in &some {
        let spans = points.history(name, 0, WHOLE * 365 * 100, MINUTE);
        read += spans.iter().map(|it| it.count).sum::<u64>();
    }
    let each = began.elapsed().as_secs_f64() / some.len() as f64;
    let disk: u64 = std::fs::read_dir(folder.join("points"))
        .into_iter()
        .flatten()
        .filter_map(|it| Some(it.ok()?.metadata().ok()?.len()))
        .sum();
    println!("told to the follower: {followed} in {looks} looks; counted: {}", tally.changes);
    println!(
        "minutes: {} written, {} lost, {:.1} MB; a history takes {:.1} ms",
        tally.minutes_written,
        tally.minutes_lost,
        disk as f64 / 1e6,
        each * 1e3
    );
    let share = reported as f64 * some.len() as f64 / points.beginning("device").count() as f64;
    println!("in {} histories: {read} of {share:.0}", some.len());
    let whole = followed == tally.changes && tally.changes == reported;
    let kept = tally.minutes_lost == 0 && (read as f64 - share).abs() < 1.0;
    if whole && kept {
        println!("nothing was lost");
        return ExitCode::SUCCESS;
    }
    println!("THE ACCOUNTS DIFFER");
    ExitCode::FAILURE
}

/// Processor seconds of this process (`proc(5)`).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let (_, after_name) = stat.rsplit_once(')').unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or_default() / 1e3
}
