//! Measures an interlock: from the edge of a door switch to the stop byte at the far end of a
//! machine's wire, while eight pretend machines stream.
//!
//! ```text
//!  edge at a pretend pin -> pins' bus task -> points -> guard -> stop lane -> machine task -> pty
//!                                                                                             |
//!                                                            pretend GRBL <- relay, stamps `!`
//! ```
//!
//! `cargo run --release -p headstock-daemon --example interlock_speed -- [EDGES] [MACHINES] [pin|point]`
//!
//! `pin` (unless told otherwise): from a word to a pretend board, as a wire would say it. `point`:
//! from a report to the points, as a driver makes it; the difference is what a pin costs.
//!
//! Prints one JSON object: milliseconds, p50, p99 and the longest. The relay stands between the
//! daemon and the first machine and stamps the byte when it comes out of the pty, so nothing of the
//! daemon's own is believed.

#![allow(clippy::print_stdout)] // A measuring program prints.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use headstock_config::api::StartJob;
use headstock_config::command::Command;
use headstock_config::load;
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};
use headstock_config::point::{Quality, Value};
use headstock_daemon::house::{Ground, House};
use headstock_daemon::points::{News, PointId};
use headstock_daemon::rules::{Asker, Wish};
use headstock_drivers::grbl::sim::{self, Options, Sim};
use headstock_drivers::link::os;
use headstock_drivers::registry;

/// Longest that a machine may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// A door switch.
enum Switch {
    /// A point of a machine that is not there, so that only this program says anything about it.
    Point(PointId),
    /// A pin of a pretend board, reached by its socket.
    Pin(BufReader<UnixStream>),
}

fn main() -> Result<()> {
    let number = |place, usual: usize| -> Result<usize> {
        std::env::args().nth(place).map_or(Ok(usual), |it| Ok(it.parse()?))
    };
    let (edges, machines) = (number(1, 500)?, number(2, 8)?);
    let pin = match std::env::args().nth(3).as_deref() {
        None | Some("pin") => true,
        Some("point") => false,
        Some(other) => bail!("`{other}` is neither pin nor point"),
    };
    let runtime = headstock_daemon::house::runtime()?;
    let took = runtime.block_on(measure(edges, machines, pin))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    tell(took, machines, pin);
    Ok(())
}

fn tell(mut took: Vec<Duration>, machines: usize, pin: bool) {
    let from = if pin { "pin" } else { "point" };
    took.sort();
    let share = |share: f64| {
        let place = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
        took.get(place).map_or(0.0, |it| it.as_secs_f64() * 1000.0)
    };
    let (p50, p99, max) = (share(0.5), share(0.99), share(1.0));
    println!(
        "{{\"what\":\"{from} to stop byte, ms\",\"machines\":{machines},\"n\":{},\"p50\":{p50:.3},\"p99\":{p99:.3},\"max\":{max:.3}}}",
        took.len()
    );
}

async fn measure(edges: usize, machines: usize, pin: bool) -> Result<Vec<Duration>> {
    let folder = tempfile::tempdir()?;
    let sims = (0..machines).map(|number| plug_in(folder.path(), number));
    let sims = sims.collect::<Result<Vec<Sim>>>()?;
    let (relayed, stamps) = relay(&sims[0].path())?;
    let house = open(folder.path(), machines, &relayed, pin).await?;
    let ada = Person { name: "ada".into(), role: Role::Admin };
    let mut door = match pin {
        true => Switch::Pin(BufReader::new(UnixStream::connect(
            folder.path().join("state/sim/pins.pins"),
        )?)),
        false => Switch::Point(house.desk.points().id("switch.door").context("it is declared")?),
    };
    door.is(&house, true)?;
    let file = bring(&house, &ada).await?;
    for number in 0..machines {
        let machine = format!("mill{number}");
        mode(&house, &machine, Mode::Idle).await?;
        // Again and again: what is silent for long is stale, and trips.
        door.is(&house, true)?;
        let ask = StartJob { machine, file: file.clone(), dry_run: false };
        house.desk.start_job(&ada, ask).await.map_err(|it| anyhow::anyhow!("{it}"))?;
    }
    let mut took = Vec::new();
    for edge in 0..edges {
        mode(&house, "mill0", Mode::Running).await?;
        // Not in step with anything that the machines do every so often.
        tokio::time::sleep(Duration::from_micros(20_000 + (edge as u64 * 7_919) % 30_000)).await;
        while stamps.try_recv().is_ok() {}
        let began = Instant::now();
        door.is(&house, false)?;
        let stamp = tokio::task::block_in_place(|| stamps.recv_timeout(PATIENCE));
        took.push(stamp.context("the stop never came")?.saturating_duration_since(began));
        mode(&house, "mill0", Mode::Held).await?;
        door.is(&house, true)?;
        // The board has said so before the house has read it.
        while house.desk.rules().judge(&Asker::Person, "mill0", &Wish::Start).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let resumed = house.desk.tell(&ada, "mill0", Command::Resume).await;
        resumed.map_err(|it| anyhow::anyhow!("{it}"))?;
    }
    house.close().await;
    Ok(took)
}

fn plug_in(folder: &Path, number: usize) -> Result<Sim> {
    let link = Some(folder.join(format!("far{number}.tty")));
    Ok(sim::start(Options { link, ..Options::default() })?)
}

async fn open(folder: &Path, machines: usize, relayed: &Path, pin: bool) -> Result<House> {
    let state_dir = folder.join("state");
    let mut text =
        format!("[daemon]\nstate_dir = {state_dir:?}\n[web]\nlisten = \"127.0.0.1:0\"\n");
    for number in 0..machines {
        let far = folder.join(format!("far{number}.tty"));
        let port = if number == 0 { relayed } else { &far };
        text +=
            &format!("[[machine]]\nid = \"mill{number}\"\ndriver = \"grbl\"\nport = {port:?}\n");
    }
    let nowhere = folder.join("nowhere.tty");
    text += &match pin {
        // Low is closed, so that the door is closed before anybody has said anything.
        true => "[[machine]]\nid = \"pins\"\ndriver = \"gpio\"\nport = \"sim:gpio\"\n\
             [[machine.tag]]\nname = \"door\"\npin = \"!gpiochip0/17\"\nrole = \"door\"\n\
             debounce_ms = 0\n"
            .to_owned(),
        false => format!("[[machine]]\nid = \"switch\"\ndriver = \"grbl\"\nport = {nowhere:?}\n"),
    };
    let door = if pin { "pins.door" } else { "switch.door" };
    text += &format!(
        "[[interlock]]\nname = \"door-open\"\nwhen = {{ point = \"{door}\", equals = false }}\n\
         machine = \"mill0\"\ndoes = \"hold\"\n"
    );
    let settings = load::parse(&text, "bench.toml", &registry::names())
        .map_err(|problems| anyhow::anyhow!(load::render(&problems)))?;
    let socket = state_dir.join("headstock.sock");
    House::open(Ground { settings, state_dir, socket }).await
}

impl Switch {
    fn is(&mut self, house: &House, closed: bool) -> Result<()> {
        match self {
            Self::Point(id) => {
                let (id, at, why) = (*id, Instant::now(), None);
                let (value, quality) = (Some(Value::Flag(closed)), Quality::Good);
                house.desk.points().report([News { id, value, quality, at, why }]);
            }
            Self::Pin(board) => {
                writeln!(board.get_mut(), "set gpiochip0/17 {}", u8::from(!closed))?;
                let mut answer = String::new();
                board.read_line(&mut answer)?;
                anyhow::ensure!(answer.starts_with("ok"), "the board says {answer}");
            }
        }
        Ok(())
    }
}

/// A program of short moves that outlasts the measurement; its id.
async fn bring(house: &House, ada: &Person) -> Result<String> {
    let refused = |it: headstock_daemon::desk::Refused| anyhow::anyhow!("{it}");
    let mut incoming = house.desk.begin_upload(ada, "long.nc").map_err(refused)?;
    let mut text = "G21 G90 G94 G17\nG0 X0 Y0\n".to_owned();
    for line in 0..200_000 {
        let [x, y] = [line % 50, line % 7].map(|it| f64::from(it) / 10.0);
        text += &format!("G1 X{x} Y{y} F3000\n");
    }
    incoming.write(text.as_bytes()).map_err(|it| anyhow::anyhow!("{it}"))?;
    Ok(house.desk.finish_upload(ada, "long.nc", incoming).await.map_err(refused)?.id)
}

async fn mode(house: &House, id: &str, wanted: Mode) -> Result<()> {
    let found = house.desk.watch_machines().find(|(machine, _)| machine == id);
    let (_, mut live) = found.context("the machine is declared")?;
    let waited = tokio::time::timeout(PATIENCE, live.wait_for(|live| live.mode == wanted)).await;
    if !matches!(waited, Ok(Ok(_))) {
        bail!("{id} was never {wanted:?}");
    }
    Ok(())
}

/// Stands between the daemon and a pretend machine, and tells when a feed hold came by.
fn relay(far: &Path) -> Result<(PathBuf, Receiver<Instant>)> {
    let (near, path) = os::open_pty()?;
    let kept_open = os::open_terminal(&path)?;
    os::raw(kept_open.as_fd())?;
    let far = os::open_terminal(far)?;
    os::raw(far.as_fd())?;
    let (stamps, stamped) = channel();
    let near = os::adopt(near);
    let (to_far, from_far) = (far.try_clone()?, far);
    let (from_near, to_near) = (near.try_clone()?, near);
    std::thread::spawn(move || pass(from_near, to_far, Some(stamps), Some(kept_open)));
    std::thread::spawn(move || pass(from_far, to_near, None, None));
    Ok((path, stamped))
}

/// Passes bytes on until one end is gone. Above the machines: it is the wire.
fn pass(mut from: File, mut to: File, stamps: Option<Sender<Instant>>, _kept_open: Option<File>) {
    os::realtime(60).ok();
    let mut buffer = [0; 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(length) if 0 < length => {
                let holds = buffer[..length].contains(&b'!');
                if let (true, Some(stamps)) = (holds, &stamps)
                    && stamps.send(Instant::now()).is_err()
                {
                    return;
                }
                if to.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            // A terminal in raw mode says that it has nothing in either way.
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {
                if os::wait(&[(from.as_fd(), false)], Duration::from_secs(1)).is_err() {
                    return;
                }
            }
        }
    }
}
