//! What buses do under load: run it on a quiet box with
//! `cargo bench -p headstock-tests --bench buses -- rtu|dead|tcp|faults`.
//!
//! * `rtu`: 32 devices of 20 registers each on one pretend line at 9600 baud, asked for nearly all
//!   that the line can carry. How busy is it, and how late is the latest poll?
//! * `dead`: the same, and one of them dies. What does that cost the others?
//! * `tcp`: 1,000 tags of one device at 10 Hz. What does the house spend on them?
//! * `faults`: 100,000 requests to devices that answer late, not at all, for others or wrongly. Is
//!   any value given to a tag that does not hold it?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headstock_config::load;
use headstock_config::machine::Machine;
use headstock_config::point::Value;
use headstock_config::tag::Area;
use headstock_daemon::house::{Ground, House};
use headstock_drivers::bus::schedule::{Next, Said, Schedule};
use headstock_drivers::bus::{Carrier, Errand, Fault as BusFault};
use headstock_drivers::link::modbus::Wire;
use headstock_drivers::modbus::Modbus;
use headstock_drivers::modbus::sim::{self, Fault, Options, Sim, What};
use headstock_drivers::registry;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let seconds = |usual: u64| words.get(1).and_then(|it| it.parse().ok()).unwrap_or(usual);
    match words.first().map(String::as_str) {
        Some("rtu") => runtime.block_on(rtu(seconds(60))),
        Some("dead") => runtime.block_on(dead(seconds(60))),
        Some("tcp") => runtime.block_on(tcp(seconds(20))),
        Some("faults") => faults(words.get(1).and_then(|it| it.parse().ok()).unwrap_or(100_000)),
        // `cargo bench` without words measures everything else, and passes here.
        _ => println!("say rtu, dead, tcp or faults"),
    }
}

/// Asked for at this period, 32 devices take 0.97 of a line at 9600 baud.
const PERIOD_MS: u64 = 2_150;

fn tags(count: u16, period_ms: u64) -> String {
    let tag = |address| {
        format!(
            "{{ name = \"t{address}\", area = \"holding\", address = {address}, \
             period_ms = {period_ms} }}"
        )
    };
    (0..count).map(tag).collect::<Vec<_>>().join(", ")
}

/// One device of so many registers.
fn device(unit: usize, driver: &str, port: &str, tags: &str, timeout_ms: u64) -> String {
    format!(
        "[[machine]]\nid = \"d{unit:02}\"\ndriver = \"{driver}\"\nport = \"{port}\"\n\
         unit = {unit}\ntimeout_ms = {timeout_ms}\ntag = [{tags}]\n"
    )
}

fn machines(text: &str) -> Vec<Machine> {
    load::parse(text, "bench.toml", &registry::names()).unwrap().machines
}

/// A house around a pretend bus. `declared`: what makes the machines, given a port.
struct Open {
    house: House,
    sim: Sim,
    _dir: tempfile::TempDir,
}

async fn open(driver: &str, declared: impl Fn(&str) -> String) -> Open {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (sim, port) = match driver {
        "modbus-rtu" => {
            let link = dir.path().join("bus.tty");
            let port = link.display().to_string();
            let options = Options { link: Some(link), ..Options::default() };
            (sim::serial(&machines(&declared(&port)), options).unwrap(), port)
        }
        _ => {
            let sim = sim::network(&machines(&declared("h:502")), Options::default()).unwrap();
            let port = sim.port().to_string();
            (sim, port)
        }
    };
    let text = format!(
        "[daemon]\nstate_dir = {state:?}\n[web]\nlisten = \"127.0.0.1:0\"\n{}",
        declared(&port)
    );
    let settings = load::parse(&text, "bench.toml", &registry::names()).unwrap();
    let socket = state.join("headstock.sock");
    let house = House::open(Ground { settings, state_dir: state, socket }).await.unwrap();
    Open { house, sim, _dir: dir }
}

fn shop(port: &str) -> String {
    let tags = tags(20, PERIOD_MS);
    (1..=32).map(|unit| device(unit, "modbus-rtu", port, &tags, 200)).collect()
}

async fn rtu(seconds: u64) {
    let open = open("modbus-rtu", shop).await;
    pass(Duration::from_millis(2 * PERIOD_MS)).await;
    let began = Instant::now();
    let mut busy = Vec::new();
    let mut oldest = 0_u64;
    while began.elapsed() < Duration::from_secs(seconds) {
        pass(Duration::from_millis(50)).await;
        oldest = oldest.max(age_ms(&open.house, 1..=32));
        busy.push(open.house.desk.buses()[0].utilisation);
    }
    let bus = open.house.desk.buses().remove(0);
    let latest = bus.devices.iter().map(|it| it.latest_ms).fold(0.0, f64::max);
    println!(
        "rtu: 32 devices x 20 registers, 9600 baud, every {PERIOD_MS} ms, {seconds} s: busy {:.1} % \
         (least {:.1} %), latest poll {latest:.0} ms late ({:.2} periods), oldest value {oldest} ms \
         ({:.2} periods), {} polls left out",
        100.0 * busy.iter().sum::<f64>() / busy.len().max(1) as f64,
        100.0 * busy.iter().copied().fold(1.0, f64::min),
        latest / PERIOD_MS as f64,
        oldest as f64 / PERIOD_MS as f64,
        bus.overruns,
    );
    open.house.close().await;
}

/// The age of the oldest value among those of these devices, milliseconds.
fn age_ms(house: &House, units: impl Iterator<Item = usize>) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let point = |unit| house.desk.points().one(&format!("d{unit:02}.t0"));
    units.filter_map(|unit| Some(now.saturating_sub(point(unit)?.at_ms?))).max().unwrap_or(0)
}

async fn dead(seconds: u64) {
    let open = open("modbus-rtu", shop).await;
    pass(Duration::from_millis(2 * PERIOD_MS)).await;
    let answers = |open: &Open| {
        let bus = open.house.desk.buses().remove(0);
        let others = bus.devices.into_iter().filter(|it| it.machine != "d07");
        others.map(|it| (it.machine, it.answers)).collect::<BTreeMap<_, _>>()
    };
    let mut spans = Vec::new();
    for _ in 0..2 {
        let before = answers(&open);
        pass(Duration::from_secs(seconds)).await;
        let after = answers(&open);
        spans.push(after.into_iter().map(|(id, it)| it - before[&id]).collect::<Vec<u64>>());
        open.sim.fault(Fault::new(What::Dead).of(7));
    }
    let sum = |span: &[u64]| span.iter().sum::<u64>();
    let worst = spans[0].iter().zip(&spans[1]).map(|(one, other)| *other as f64 / *one as f64);
    println!(
        "dead: {seconds} s each: {} answers of the others before, {} after one of 32 died: {:.1} % \
         fewer; the device that lost most {:.1} %",
        sum(&spans[0]),
        sum(&spans[1]),
        100.0 * (1.0 - sum(&spans[1]) as f64 / sum(&spans[0]) as f64),
        100.0 * (1.0 - worst.fold(1.0, f64::min)),
    );
    open.house.close().await;
}

async fn tcp(seconds: u64) {
    let tags = tags(1_000, 100);
    let declared = |port: &str| device(1, "modbus-tcp", port, &tags, 500);
    let open = open("modbus-tcp", declared).await;
    pass(Duration::from_secs(2)).await;
    let (before, began) = (threads(), Instant::now());
    let mut oldest = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        pass(Duration::from_millis(500)).await;
        oldest = oldest.max(age_ms(&open.house, 1..=1));
    }
    let took = began.elapsed().as_secs_f64();
    let mut spent: BTreeMap<String, f64> = BTreeMap::new();
    for (thread, (name, cpu)) in threads() {
        let earlier = before.get(&thread).map_or(0.0, |it| it.1);
        *spent.entry(name).or_default() += cpu - earlier;
    }
    let bus = open.house.desk.buses().remove(0);
    let pretends = |name: &str| name.starts_with("pretend");
    let house: f64 = spent.iter().filter(|(name, _)| !pretends(name)).map(|it| it.1).sum();
    println!(
        "tcp: 1,000 registers at 10 Hz, {took:.0} s: house {:.2} % of a core, bus busy {:.1} %, {} \
         requests, {} polls left out, oldest value {oldest} ms",
        100.0 * house / took,
        100.0 * bus.utilisation,
        bus.devices[0].requests,
        bus.overruns,
    );
    for (name, cpu) in spent.iter().filter(|(_, cpu)| 0.0 < **cpu) {
        println!("  {name:<16} {:.2} %", 100.0 * cpu / took);
    }
    open.house.close().await;
}

/// Seconds that each thread of this process has worked, with its name.
fn threads() -> BTreeMap<String, (String, f64)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(sched) = std::fs::read_to_string(entry.path().join("schedstat")) else { continue };
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let nanos: f64 = sched.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0.0);
        let id = entry.file_name().to_string_lossy().into_owned();
        found.insert(id, (name.trim().to_owned(), nanos / 1e9));
    }
    found
}

/// Registers hold their own unit and address, so that a value given to another shows.
fn faults(requests: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for driver in ["modbus-rtu", "modbus-tcp"] {
        runtime.block_on(under_faults(driver, requests / 2));
    }
}

async fn under_faults(driver: &str, requests: u64) {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("bus.tty");
    let tags = tags(4, 5);
    let declared = |port: &str| -> Vec<Machine> {
        let text = (1..=8).map(|it| device(it, driver, port, &tags, 15)).collect::<String>();
        machines(&text).into_iter().map(|it| Machine { baud: 4_000_000, ..it }).collect()
    };
    let options = Options {
        time_scale: 0.0,
        late: Duration::from_millis(20),
        link: Some(link.clone()),
        ..Options::default()
    };
    let (sim, machines) = match driver {
        "modbus-rtu" => {
            let machines = declared(&link.display().to_string());
            (sim::serial(&machines, options).unwrap(), machines)
        }
        _ => {
            let sim = sim::network(&declared("h:502"), options).unwrap();
            let machines = declared(&sim.port().to_string());
            (sim, machines)
        }
    };
    let truth = |unit: u16, address: u16| 1_000 * unit + address;
    for unit in 1..=8_u16 {
        for address in 0..4 {
            assert!(sim.poke(unit as u8, Area::Holding, address, truth(unit, address)));
        }
    }
    for what in [What::Silence, What::Late, What::WrongUnit, What::Corrupt, What::Short] {
        sim.fault(Fault::new(what).share(0.01));
    }
    let mut schedule = Schedule::new(Instant::now(), Modbus::new(&machines), &machines);
    let mut wire = Wire::new(&machines);
    let (mut made, mut readings, mut wrong, mut unanswered) = (0, 0_u64, 0_u64, 0_u64);
    let began = Instant::now();
    while made < requests {
        Carrier::<Modbus>::open(&mut wire).await.unwrap();
        schedule.opened(Instant::now());
        while made < requests {
            let (machine, request) = match schedule.next(Instant::now()) {
                Next::Do { machine, request, .. } => (machine, request),
                Next::Wait(until) => {
                    tokio::time::sleep_until(until.unwrap_or_else(Instant::now).into()).await;
                    continue;
                }
            };
            let result =
                Carrier::<Modbus>::perform(&mut wire, machine, &request, Errand::default()).await;
            made += 1;
            unanswered += u64::from(result.is_err());
            let lost = matches!(result, Err(BusFault::Lost(_)));
            schedule.done(Instant::now(), result);
            for said in schedule.take() {
                let Said::Reading(reading) = said else { continue };
                let Some(Value::Number(number)) = reading.value else { continue };
                readings += 1;
                let (unit, address) = (reading.place.machine as u16 + 1, reading.place.tag as u16);
                wrong += u64::from(number != f64::from(truth(unit, address)));
            }
            if lost {
                break;
            }
        }
    }
    println!(
        "faults: {driver}: {made} requests in {:.0} s, {unanswered} without an answer, {readings} \
         values, {wrong} of them wrong",
        began.elapsed().as_secs_f64(),
    );
    assert_eq!(wrong, 0);
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
