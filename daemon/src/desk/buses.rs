//! What the doors show of buses.

use std::sync::Arc;
use std::time::Duration;

use headstock_config::api::{Bus, BusDevice, Frames};
use headstock_drivers::bus::schedule::{DeviceLook, Look};

use super::{Desk, Refused};
use crate::machine::bus::View;

impl Desk {
    /// All buses, by the first of their machines' ids.
    pub fn buses(&self) -> Vec<Bus> {
        self.views().iter().map(|view| shown(view)).collect()
    }

    /// What went over a machine's bus lately.
    pub fn frames(&self, machine: &str) -> Result<Frames, Refused> {
        let frames = self.machine(machine)?.bus().and_then(|bus| bus.frames());
        let text = frames.ok_or_else(|| Refused::NoFrames(machine.to_owned()))?;
        Ok(Frames { frames: text.lines().map(str::to_owned).collect() })
    }

    fn views(&self) -> Vec<Arc<View>> {
        let mut views: Vec<Arc<View>> = Vec::new();
        for view in self.inner.machines.values().filter_map(|machine| machine.bus()) {
            if !views.iter().any(|known| Arc::ptr_eq(known, view)) {
                views.push(view.clone());
            }
        }
        views
    }
}

fn shown(view: &View) -> Bus {
    let look = view.look();
    let device = |(index, machine): (usize, &String)| {
        let look = look.as_ref().and_then(|look| look.devices.get(index));
        device(machine, look)
    };
    Bus {
        port: view.port.clone(),
        utilisation: look.as_ref().map_or(0.0, rounded),
        overruns: look.as_ref().map_or(0, |look| look.overruns),
        devices: view.machines.iter().enumerate().map(device).collect(),
    }
}

/// To a tenth of a per cent: more is noise.
fn rounded(look: &Look) -> f64 {
    (1000.0 * look.utilisation).round() / 1000.0
}

fn device(machine: &str, look: Option<&DeviceLook>) -> BusDevice {
    let counts = look.map(|look| look.counts).unwrap_or_default();
    let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
    BusDevice {
        machine: machine.to_owned(),
        health: look.map(|look| look.health).unwrap_or_default().word().to_owned(),
        polls: look.map_or(0, |look| look.polls as u64),
        requests: counts.requests,
        answers: counts.answers,
        silences: counts.silences,
        garbled: counts.garbled,
        refused: counts.refused,
        overruns: look.map_or(0, |look| look.overruns),
        latest_ms: look.map_or(0.0, |look| ms(look.latest)),
        p50_ms: counts.times.share(0.5).map(ms),
        p99_ms: counts.times.share(0.99).map(ms),
    }
}
