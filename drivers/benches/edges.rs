//! From an edge at a pretend pin to the reading of it: `cargo bench -p headstock-drivers --bench edges`.
//!
//! The world is another thread on the far side of a socket; the carrier runs on a thread of its
//! own, as in the house. Without debounce: what the kernel waits for is added to it by choice.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use headstock_config::load;
use headstock_config::machine::{Machine, Port};
use headstock_drivers::bus::Carrier;
use headstock_drivers::gpio::sim::Board;
use headstock_drivers::link::os;
use headstock_drivers::link::pins::{Heart, PinCarrier};
use headstock_drivers::sim::Visit;

const EDGES: usize = 1_000;
/// Between two edges, so that no chatter is seen in them.
const APART: Duration = Duration::from_millis(30);

fn machines(path: &std::path::Path) -> Vec<Machine> {
    let text = "[[machine]]\nid = \"pins\"\ndriver = \"gpio\"\nport = \"sim:gpio\"\n\
                [[machine.tag]]\nname = \"door\"\npin = \"gpiochip0/17\"\ndebounce_ms = 0\n";
    let mut machines = load::parse(text, "bench.toml", &["gpio"]).unwrap().machines;
    machines[0].port = Port::Path(path.to_owned());
    machines
}

/// Tells of every reading: when the kernel says that it was, and when it was here.
fn hear(machines: &[Machine], ready: &SyncSender<()>, told: &SyncSender<(Instant, Instant)>) {
    os::realtime(40).ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut carrier = PinCarrier::new(machines, Heart::new(Duration::from_secs(3_600)));
        carrier.open().await.unwrap();
        ready.send(()).unwrap();
        loop {
            // The board goes when everything has been measured.
            let Ok(readings) = carrier.unasked().await else { return };
            for reading in readings {
                if told.send((reading.at, Instant::now())).is_err() {
                    return;
                }
            }
        }
    });
}

fn measure(world: &mut Visit, told: &Receiver<(Instant, Instant)>) -> [Vec<Duration>; 2] {
    let (mut whole, mut near) = (Vec::new(), Vec::new());
    for edge in 0..EDGES {
        let begun = Instant::now();
        world.say(&format!("set gpiochip0/17 {}", (edge + 1) % 2)).unwrap();
        let (at, here) = told.recv().unwrap();
        whole.push(here - begun);
        near.push(here.saturating_duration_since(at));
        std::thread::sleep(APART);
    }
    [whole, near]
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pins");
    let _board = Board::open(&path).unwrap();
    let machines = machines(&path);
    let ((ready, is_ready), (told, comes)) = (sync_channel(1), sync_channel(16));
    std::thread::spawn(move || hear(&machines, &ready, &told));
    is_ready.recv().unwrap();
    let [whole, near] = measure(&mut Visit::begin(&path).unwrap(), &comes);
    for (name, mut all) in
        [("the world's word to the reading", whole), ("edge to the reading", near)]
    {
        all.sort();
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        println!("{name}: p50 {:?}, p99 {:?}, most {:?}", at(0.5), at(0.99), at(1.0));
    }
}
