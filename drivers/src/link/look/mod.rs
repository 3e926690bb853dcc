//! Looking around: opens what nobody has, listens, and asks only what cannot move anything.
//!
//! ```text
//!  LookFor -> serial ports, one task each -\
//!             Modbus units, one by one -----> News -> whoever asked
//!             I2C addresses, mDNS ---------/
//! ```
//!
//! Invariants: what a configured machine owns is named and not touched; a port that another
//! program has is not opened; everything has an end of its own, and the whole has [`LONGEST`].
//! What was heard is judged in `crate::discover`.

mod chips;
mod network;
mod serial;
mod units;

use std::path::{Path, PathBuf};
use std::time::Duration;

use headstock_config::discover::{Discovered, LookFor, Sure};
use headstock_config::machine::{Machine, Port};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::identity::Sysfs;
use crate::discover::proposal::{self, Ids};

pub use self::network::{MULTICAST, browse};

/// Longest that a look around may take, a bus of 247 silent units included.
pub const LONGEST: Duration = Duration::from_secs(180);

/// What comes of looking around, as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// This is being done now.
    Doing(String),
    /// That is not being done any more.
    Done(String),
    /// This could not be looked at.
    Remark(String),
    /// Something was found.
    Found(Found),
}

/// Something that was found, and how to propose it once it has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub what: String,
    /// Where it is.
    pub place: String,
    /// How sure that is.
    pub sure: Sure,
    /// More, for people.
    pub note: Option<String>,
    /// What could be written into the configuration.
    pub proposal: Option<Proposal>,
}

/// What could be written into the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// A machine on a serial port.
    OnAPort {
        /// Its driver.
        driver: &'static str,
        /// The name of the port that stays.
        port: String,
        /// Bits per second.
        baud: u32,
    },
    /// A chip on an I2C bus, if there is a driver for one at this address.
    Chip {
        /// The bus.
        port: String,
        /// Where it answers.
        address: u8,
    },
    /// A unit on a Modbus bus.
    Unit {
        /// Its driver.
        driver: &'static str,
        /// The bus.
        port: String,
        /// Bits per second, on a line.
        baud: Option<u32>,
        /// Its number.
        unit: u8,
    },
}

impl Found {
    /// For people, with an id that nothing else has.
    pub fn named(self, ids: &mut Ids) -> Discovered {
        let config = self.proposal.and_then(|it| match it {
            Proposal::OnAPort { driver, port, baud } => {
                Some(proposal::on_a_port(ids, driver, &port, baud))
            }
            Proposal::Chip { port, address } => proposal::chip(ids, &port, address),
            Proposal::Unit { driver, port, baud, unit } => {
                Some(proposal::unit(ids, driver, &port, baud, unit))
            }
        });
        let Self { what, place, sure, note, .. } = self;
        Discovered { what, place, sure, note, config }
    }
}

/// What the machines of the configuration own.
#[derive(Clone, Debug, Default)]
pub struct Owned {
    nodes: Vec<(PathBuf, String)>,
    hosts: Vec<(Port, String)>,
}

impl Owned {
    /// By these machines, as they are plugged in now.
    pub fn by(machines: &[Machine], sysfs: &Sysfs) -> Self {
        let nodes = machines.iter().flat_map(|machine| {
            let paths = match &machine.port {
                Port::Path(path) => vec![path.clone()],
                Port::Udev(wanted) => sysfs.find(wanted),
                Port::Tcp(..) | Port::Pins(_) | Port::Sim(_) => Vec::new(),
            };
            let id = machine.id.clone();
            paths.into_iter().map(move |path| (resolved(&path), id.clone()))
        });
        let hosts = machines.iter().filter(|it| matches!(it.port, Port::Tcp(..)));
        let hosts = hosts.map(|it| (it.port.clone(), it.id.clone())).collect();
        Self { nodes: nodes.collect(), hosts }
    }

    /// The machine that owns this port, if one does.
    pub fn owner_of(&self, port: &Port) -> Option<&str> {
        match port {
            Port::Path(path) => self.owner(path),
            port => self.hosts.iter().find(|(host, _)| host == port).map(|(_, id)| id.as_str()),
        }
    }

    /// The machine that owns this node, if one does.
    pub fn owner(&self, path: &Path) -> Option<&str> {
        let path = resolved(path);
        self.nodes.iter().find(|(node, _)| *node == path).map(|(_, id)| id.as_str())
    }
}

fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Looks around until everything has been looked at. What is found goes to `news`; when nobody
/// listens any more, looking ends.
pub async fn look(wish: &LookFor, owned: &Owned, sysfs: &Sysfs, news: Sender<News>) {
    let mut looking = JoinSet::new();
    if wish.serial {
        for port in serial::ports(sysfs, &wish.ports) {
            let (owned, sysfs, news, ask) = (owned.clone(), sysfs.clone(), news.clone(), wish.ask);
            looking.spawn(async move {
                serial::look(&port, &owned, &sysfs, ask, &news).await;
            });
        }
    }
    if let Some(bus) = wish.modbus.clone() {
        let (owned, news) = (owned.clone(), news.clone());
        looking.spawn(async move {
            // A wire stays on its thread.
            let asking =
                tokio::task::spawn_blocking(move || units::look_alone(&bus, &owned, &news));
            asking.await.ok();
        });
    }
    if wish.i2c {
        let (owned, news) = (owned.clone(), news.clone());
        let buses = super::i2c_scan::buses();
        looking.spawn(async move { chips::look(buses, &owned, &news).await });
    }
    if wish.network {
        let news = news.clone();
        looking.spawn(async move { network::look(&news).await });
    }
    let all = async { while looking.join_next().await.is_some() {} };
    if tokio::time::timeout(LONGEST, all).await.is_err() {
        let late = format!("not everything was looked at within {} s", LONGEST.as_secs());
        say(&news, News::Remark(late)).await;
    }
}

/// Passes news on. One that nobody hears is no loss.
async fn say(news: &Sender<News>, what: News) {
    news.send(what).await.ok();
}
