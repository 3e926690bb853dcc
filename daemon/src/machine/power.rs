//! What cuts a machine's power: the relay's own lane, and whether the power is off.
//!
//! ```text
//!  abort --+--> the machine's lane ------> its own software abort
//!          \--> the relay board's lane --> one tag off, read back --> told
//!  points of the relay --> supply --> the machine's task: apart while its power is off
//! ```
//!
//! Both go out at once and neither waits for the other. Nothing here ever puts a power on.

use std::sync::Arc;

use headstock_config::machine::Power;
use headstock_config::point::{Quality, Value};
use tokio::sync::{oneshot, watch};

use super::lane::Entrance;
use super::{Cut, Error, Handle, Sent};

/// The relay of one machine.
pub(super) struct Relay {
    board: Entrance,
    /// Its place among the tags of the board.
    tag: usize,
    power: Power,
}

/// A stop on its way, and what it does to the machine's power if it does anything.
pub struct Told {
    pub(super) sent: Result<oneshot::Receiver<Sent>, Error>,
    /// What comes of the relay.
    pub power: Option<Switching>,
}

/// A relay that has been told to cut a power.
pub struct Switching(Result<oneshot::Receiver<Cut>, Error>);

impl Told {
    /// When the stop byte was handed to the machine's port, or why none was.
    pub async fn sent(&mut self) -> Sent {
        match &mut self.sent {
            Ok(sent) => sent.await.map_err(|_| Error::Gone)?,
            Err(error) => Err(error.clone()),
        }
    }
}

impl Switching {
    /// When it was read back that the power is off, or why that is not known.
    pub async fn cut(self) -> Cut {
        self.0?.await.map_err(|_| Error::Gone)?
    }
}

/// Tells a machine's task whether its power is off; kept by everybody who can reach it.
#[derive(Clone)]
pub(super) struct Supply(Arc<watch::Sender<Vec<bool>>>);

impl Supply {
    /// For the machines of one task, which have power as far as anybody knows.
    pub(super) fn of(machines: usize) -> (Self, watch::Receiver<Vec<bool>>) {
        let (sender, off) = watch::channel(vec![false; machines]);
        (Self(Arc::new(sender)), off)
    }
}

impl Handle {
    /// The same machine, whose power this board can cut.
    #[must_use]
    pub fn powered_by(self, board: &Handle) -> Self {
        let relay = self.declared.power.clone().and_then(|power| {
            let tag = board.declared.tags.iter().position(|it| it.name == power.tag)?;
            Some(Arc::new(Relay { board: board.stops.clone(), tag, power }))
        });
        Self { relay, ..self }
    }

    /// Cuts the machine's power, if anything can.
    pub(super) fn cut(&self, by: &str) -> Option<Switching> {
        let relay = self.relay.as_ref()?;
        Some(Switching(relay.board.cut(relay.tag, Value::Flag(relay.power.off), by)))
    }

    /// What the relay's tag says now: the machine is left alone while its power is off.
    pub fn supplied(&self, value: Option<&Value>, quality: Quality) {
        let Some(relay) = &self.relay else { return };
        let believed = value.filter(|_| quality.believable());
        let off = believed.is_some_and(|it| it.is_on() == relay.power.off);
        self.supply.0.send_if_modified(|all| {
            let seat = &mut all[self.seat];
            std::mem::replace(seat, off) != off
        });
    }
}

/// Why a machine is out of reach whose power is off.
pub(super) fn dark(power: Option<&Power>) -> String {
    let relay = power.map(Power::point).unwrap_or_default();
    format!("its power is off ({relay})")
}
