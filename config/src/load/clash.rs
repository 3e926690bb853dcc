//! What no machine says by itself: two machines of one name, or two on one port.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::machine::Draft;
use crate::machine::{Port, UdevMatch};

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
        let earlier = claims[..index].iter().find(|(_, known)| known.meets(claim));
        if let Some((known, _)) = earlier {
            report(draft, known, claim, findings);
        }
    }
}

/// What a machine lays hold of.
enum Claim {
    /// The node that the path leads to.
    Node(PathBuf),
    /// Every device that these attributes fit.
    Devices(UdevMatch),
}

impl Claim {
    /// Pretend devices are made for their machine, so nobody else can want them.
    fn of(port: &Port, resolve: &dyn Fn(&Path) -> PathBuf) -> Option<Self> {
        match port {
            Port::Path(path) => Some(Self::Node(resolve(path))),
            Port::Udev(udev) => Some(Self::Devices(udev.clone())),
            Port::Sim(_) => None,
        }
    }

    /// Whether one of the two takes everything that the other one wants.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Node(this), Self::Node(that)) => this == that,
            (Self::Devices(this), Self::Devices(that)) => fits(this, that) || fits(that, this),
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
