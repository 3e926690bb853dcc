//! What no machine says by itself: two machines of one name, two on one port, or two devices of
//! one number on one bus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::machine::Draft;
use crate::machine::{Machine, Port, UdevMatch};
use crate::tag::{Line, Source};

/// Two machines with one id.
pub(super) fn ids(drafts: &[Draft<'_>], findings: &mut Findings) {
    let mut first: BTreeMap<&str, &Draft<'_>> = BTreeMap::new();
    for draft in drafts {
        let (Some(id), Some(entry)) = (&draft.id, draft.table.entry("id")) else { continue };
        let Some(known) = first.get(id.as_str()).and_then(|known| known.table.entry("id")) else {
            first.insert(id, draft);
            continue;
        };
        let message = format!("machine `{id}` is declared twice, first at {}", known.at);
        let key = draft.table.path_of("id");
        let problem = findings.at(entry.value_at, "config.machine.twice", &key, message);
        problem.accepted = Some("an id of its own for every machine".into());
    }
}

/// Two machines on one port. `resolve` follows links: `/dev/serial/by-id/...` and `/dev/ttyUSB0`
/// may be one device.
pub(super) fn ports(
    drafts: &[Draft<'_>],
    resolve: &dyn Fn(&Path) -> PathBuf,
    findings: &mut Findings,
) {
    let claims: Vec<(&Draft<'_>, Claim)> =
        drafts.iter().filter_map(|it| Some((it, Claim::of(it.port.as_ref()?, resolve)?))).collect();
    for (index, (draft, claim)) in claims.iter().enumerate() {
        for (known, _) in claims[..index].iter().filter(|(_, known)| known.meets(claim)) {
            if draft.machine.on_a_bus() && draft.machine.driver == known.machine.driver {
                on_one_bus(draft, known, findings);
            } else {
                report(draft, known, claim, findings);
                break;
            }
        }
    }
    pins(drafts, findings);
}

/// Two devices on one bus: each has a number of its own there, and all speak at one speed.
fn on_one_bus(draft: &Draft<'_>, known: &Draft<'_>, findings: &mut Findings) {
    let (this, that) = (&draft.machine, &known.machine);
    let other = known.id.as_ref().map_or("another machine".into(), |id| format!("machine `{id}`"));
    let mut differ = |key: &str, what: String, accepted: &str| {
        let Some(at) = draft.table.entry(key).map(|it| it.value_at).or(draft.table.at) else {
            return;
        };
        let message = format!("{}{what} {other}", draft.table.whose);
        let path = draft.table.path_of(key);
        findings.at(at, "config.bus.clash", &path, message).accepted = Some(accepted.into());
    };
    match (this.bus.address, that.bus.address) {
        (Some(one), Some(other)) if one == other => {
            differ("address", format!("`address` {one:#04x} is that of"), "an address of its own");
        }
        (None, None) if this.bus.unit == that.bus.unit && this.driver != "gpio" => {
            let unit = this.bus.unit;
            differ("unit", format!("`unit` {unit} is that of"), "a unit of its own on each bus");
        }
        _ => (),
    }
    let line = |it: &Machine| (it.baud, it.bus.parity, it.bus.stop_bits);
    if line(this) != line(that) {
        let what = "speaks at another speed or parity than".to_owned();
        differ("baud", what, "the same `baud`, `parity` and `stop_bits` for all on one port");
    }
}

/// Two tags on one line of a GPIO chip.
fn pins(drafts: &[Draft<'_>], findings: &mut Findings) {
    let mut taken: BTreeMap<(&str, &str, u32), String> = BTreeMap::new();
    for draft in drafts {
        // There is one real board; every pretend one is a board of its own.
        let board = match &draft.port {
            Some(Port::Sim(_)) => draft.machine.id.as_str(),
            _ => "",
        };
        for tag in &draft.machine.tags {
            let Source::Pin(pin) = &tag.source else { continue };
            let Line { chip, offset, .. } = &pin.line;
            let name = format!("{}.{}", draft.machine.id, tag.name);
            if let Some(first) = taken.insert((board, chip.as_str(), *offset), name.clone()) {
                let Some(entry) = draft.table.entry("tag") else { continue };
                let message =
                    format!("`{name}` is on `{chip}/{offset}`, which `{first}` has taken");
                let path = draft.table.path_of("tag");
                let problem = findings.at(entry.at, "config.pin.clash", &path, message);
                problem.accepted = Some("a line of its own for every tag".into());
            }
        }
    }
}

/// What a machine lays hold of.
enum Claim {
    /// The node that the path leads to.
    Node(PathBuf),
    /// Every device that these attributes fit.
    Devices(UdevMatch),
    /// An address on the network.
    Host(String, u16),
    /// A pretend bus.
    Pretend(String),
}

impl Claim {
    /// Pretend devices are made for their machine, so nobody else can want them, unless they have
    /// a label by which machines share them. Pins are claimed one by one.
    fn of(port: &Port, resolve: &dyn Fn(&Path) -> PathBuf) -> Option<Self> {
        match port {
            Port::Path(path) => Some(Self::Node(resolve(path))),
            Port::Udev(udev) => Some(Self::Devices(udev.clone())),
            Port::Tcp(host, port) => Some(Self::Host(host.to_ascii_lowercase(), *port)),
            Port::Pins(_) => None,
            Port::Sim(what) => what.contains('#').then(|| Self::Pretend(what.clone())),
        }
    }

    /// Whether one of the two takes everything that the other one wants.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Node(this), Self::Node(that)) => this == that,
            (Self::Devices(this), Self::Devices(that)) => fits(this, that) || fits(that, this),
            (Self::Host(this, port), Self::Host(that, other)) => this == that && port == other,
            (Self::Pretend(this), Self::Pretend(that)) => this == that,
            _ => false,
        }
    }
}

/// Whether every device that `narrow` fits is one that `wide` fits too.
fn fits(wide: &UdevMatch, narrow: &UdevMatch) -> bool {
    let pairs =
        [(&wide.vid, &narrow.vid), (&wide.pid, &narrow.pid), (&wide.serial, &narrow.serial)];
    pairs.into_iter().all(|(wide, narrow)| wide.is_none() || wide == narrow)
}

fn report(draft: &Draft<'_>, known: &Draft<'_>, claim: &Claim, findings: &mut Findings) {
    let (Some(entry), Some(first)) = (draft.table.entry("port"), known.table.entry("port")) else {
        return;
    };
    let other = known.id.as_ref().map_or("another machine".into(), |id| format!("machine `{id}`"));
    let whose = &draft.table.whose;
    let mut message = format!("{whose}`port` is taken by {other} at {}", first.at);
    if let (Claim::Node(node), true) = (claim, draft.port != known.port) {
        message += &format!(": both lead to `{}`", node.display());
    }
    let key = draft.table.path_of("port");
    let problem = findings.at(entry.value_at, "config.port.clash", &key, message);
    problem.accepted = Some("a port of its own for every machine".into());
    let usb = matches!(claim, Claim::Devices(_));
    problem.hint = usb.then(|| "add the `serial` of each adapter, as `lsusb -v` shows it".into());
}
