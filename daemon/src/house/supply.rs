//! Whose power is off: what the tags that cut powers say is passed on to the machines' tasks.
//!
//! ```text
//!  points of the relays --follow--> Handle::supplied --> the machine's task, apart while it is off
//! ```
//!
//! Only what is known counts: a machine whose relay nobody can read is talked to as ever.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::machine;
use crate::points::{PointId, Points};

/// Gives every machine that has a relay its board, as far as that is in the house.
pub(super) fn wire(machines: &mut BTreeMap<String, machine::Handle>) {
    let boards = machines.clone();
    for handle in machines.values_mut() {
        let board = handle.declared.power.as_ref().and_then(|it| boards.get(&it.machine));
        if let Some(board) = board {
            *handle = handle.clone().powered_by(board);
        }
    }
}

/// Puts the watch over the relays into the set of tasks; none where there are none.
pub(super) fn spawn(
    tasks: &mut JoinSet<&'static str>,
    machines: &BTreeMap<String, machine::Handle>,
    points: &Points,
    closing: &CancellationToken,
) {
    let on_relay = |it: &machine::Handle| {
        let power = it.declared.power.as_ref()?;
        Some((points.id(&power.point())?, it.clone()))
    };
    let wired: Vec<_> = machines.values().filter_map(on_relay).collect();
    if wired.is_empty() {
        return;
    }
    let (points, closing) = (points.clone(), closing.clone());
    tasks.spawn(async move {
        closing.run_until_cancelled(watch(points, wired)).await;
        "the watch over powers"
    });
}

async fn watch(points: Points, wired: Vec<(PointId, machine::Handle)>) {
    let relays: BTreeSet<PointId> = wired.iter().map(|(id, _)| *id).collect();
    let mut follower = points.follow(relays);
    loop {
        for change in follower.recv().await {
            let now = change.last();
            for (_, machine) in wired.iter().filter(|(id, _)| *id == change.id) {
                machine.supplied(now.value.as_ref(), now.quality);
            }
        }
    }
}
