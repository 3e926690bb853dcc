//! One task per bus: it owns the wire, and speaks for every machine on it.
//!
//! ```text
//!  stops of all --> |                       | -> ledger (facts), watch (live)
//!  asks of all  --> | task     [ schedule ] | -> points (readings)
//!                   |        [ carrier ]    |
//!                   +-----------|-----------+
//!                          the wire, one request at a time
//! ```
//!
//! Every machine on it is reached by a [`Handle`] like any other. The task has an OS thread of its
//! own: requests on serial lines and pins come before everything but machines that move, those on
//! the network come after them and before the doors.

mod judge;
mod kinds;
mod task;

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use headstock_config::machine::{Live, Machine};
use headstock_drivers::bus::admission::{Demand, Unfit};
use headstock_drivers::bus::schedule::{Look, Schedule};
use headstock_drivers::bus::{Carrier, Dialect};
use headstock_drivers::link::pins::Heart;
use headstock_drivers::registry::BusKind;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::task::{Bus, Ends, Seat};
use super::{Handle, REQUESTS, Supply, lane};
use crate::ledger;
use crate::points::{PointId, Points};
use crate::rules::Rules;

/// SCHED_FIFO priority of a bus on the network: behind what machines on wires wait for.
const PRIORITY_NETWORK: i32 = 20;

/// What a bus has around it in the house. Cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    /// Where readings go.
    pub points: Points,
    /// Where facts go.
    pub ledger: ledger::Handle,
    /// Beats while the house goes round; outputs go to their safe state when it does not.
    pub heart: Heart,
    /// The house is closing.
    pub closing: CancellationToken,
}

/// A bus as others see it.
pub struct View {
    /// Where it is plugged in.
    pub port: String,
    /// Its machines, in their order.
    pub machines: Vec<String>,
    look: watch::Receiver<Option<Look>>,
    frames: Option<Frames>,
}

/// Tells what went over a bus lately, as text.
type Frames = Box<dyn Fn() -> String + Send + Sync>;

impl View {
    /// What went over the wire lately, one frame a line; `None` where there are no frames.
    pub fn frames(&self) -> Option<String> {
        self.frames.as_ref().map(|frames| frames())
    }

    /// How it was at the latest look, at most a second ago; `None`: nothing has happened yet.
    pub fn look(&self) -> Option<Look> {
        self.look.borrow().clone()
    }
}

/// Starts a bus on a thread of its own; the handles are those of its machines, in their order.
/// `declared` as people wrote it, `plugged` with pretend devices in place.
pub fn start(
    kind: BusKind,
    declared: &[Machine],
    plugged: Vec<Machine>,
    around: Surroundings,
) -> io::Result<(Vec<Handle>, JoinHandle<()>)> {
    kinds::start(kind, declared, plugged, around)
}

/// Whether a bus can do what is declared for these machines.
pub fn judge(kind: BusKind, machines: &[Machine]) -> Result<Demand, Vec<Unfit>> {
    kinds::judge(kind, machines)
}

/// Starts a bus of any kind. The carrier is made on the bus's thread.
fn spawn<D, C>(
    declared: &[Machine],
    dialect: D,
    priority: i32,
    carrier: impl FnOnce() -> C + Send + 'static,
    frames: Option<Frames>,
    around: Surroundings,
) -> io::Result<(Vec<Handle>, JoinHandle<()>)>
where
    D: Dialect + 'static,
    C: Carrier<D>,
{
    let (stops, exits) = lane::lanes(declared.len());
    // As many for each machine as one on a line of its own may have waiting.
    let (requests, asks) = mpsc::channel(REQUESTS * declared.len().max(1));
    let (look, seen) = watch::channel(None);
    let view = Arc::new(View {
        port: declared.first().map(|it| it.port.to_string()).unwrap_or_default(),
        machines: declared.iter().map(|it| it.id.clone()).collect(),
        look: seen,
        frames,
    });
    let round = Arc::new(Mutex::new(Instant::now()));
    let mut seats = Vec::new();
    let mut handles = Vec::new();
    let (supply, dark) = Supply::of(declared.len());
    for (seat, (machine, stops)) in declared.iter().zip(stops).enumerate() {
        let (live, seen) = watch::channel(Live::default());
        let declared = Arc::new(machine.clone());
        seats.push(Seat::new(declared.clone(), live, point_ids(machine, &around.points)));
        let (requests, round, bus) = (requests.clone(), round.clone(), Some(view.clone()));
        let rules = Rules::default();
        let (relay, supply) = (None, supply.clone());
        handles.push(Handle {
            declared,
            stops,
            requests,
            live: seen,
            round,
            rules,
            seat,
            bus,
            relay,
            supply,
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let schedule = Schedule::new(Instant::now(), dialect, declared);
    let name = format!("bus {}", declared.first().map_or("", |it| it.id.as_str()));
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        if let Err(error) = headstock_drivers::link::os::realtime(priority) {
            tracing::info!(bus = %name, %error, "no realtime priority; a busy box may delay this bus");
        }
        let ends = Ends { exits, asks, look, dark, round };
        let bus = Bus::new(schedule, seats, ends, around);
        runtime.block_on(async move { bus.live(carrier()).await });
    })?;
    Ok((handles, thread))
}

/// The points of a machine's tags, in their order.
fn point_ids(machine: &Machine, points: &Points) -> Vec<Option<PointId>> {
    let name = |tag: &str| format!("{}.{tag}", machine.id);
    machine.tags.iter().map(|tag| points.id(&name(&tag.name))).collect()
}
