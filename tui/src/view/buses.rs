//! Buses: how busy they are, and how their devices answer.

use headstock_config::api::{Bus, BusDevice};

use crate::table::table;
use crate::words::{count, number};

/// One paragraph per bus: a line about it, and one row per device.
pub fn list(buses: &[Bus]) -> String {
    if buses.is_empty() {
        return "no machine is on a bus\n".into();
    }
    let paragraphs: Vec<String> = buses.iter().map(one).collect();
    paragraphs.join("\n")
}

fn one(bus: &Bus) -> String {
    let busy = number((1000.0 * bus.utilisation).round() / 10.0);
    let late = match bus.overruns {
        0 => String::new(),
        late => format!(", {} polls left out because they were late", count(late)),
    };
    let rows: Vec<_> = bus.devices.iter().map(row).collect();
    let heads =
        ["DEVICE", "HEALTH", "REQUESTS", "SILENT", "GARBLED", "REFUSED", "LATE", "P50", "P99"];
    format!("{}: busy {busy} %{late}\n{}", bus.port, table(heads, &rows))
}

fn row(device: &BusDevice) -> [String; 9] {
    let ms =
        |time: Option<f64>| time.map(|it| format!("{} ms", number(it.round()))).unwrap_or_default();
    [
        device.machine.clone(),
        device.health.clone(),
        count(device.requests),
        count(device.silences),
        count(device.garbled),
        count(device.refused),
        count(device.overruns),
        ms(device.p50_ms),
        ms(device.p99_ms),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_says_how_busy_it_is_and_which_device_is_silent() {
        let meter = BusDevice {
            machine: "meter".into(),
            health: "online".into(),
            polls: 3,
            requests: 12_345,
            answers: 12_340,
            silences: 5,
            garbled: 0,
            refused: 0,
            overruns: 2,
            latest_ms: 12.5,
            p50_ms: Some(32.768),
            p99_ms: Some(65.536),
        };
        let kiln = BusDevice {
            machine: "kiln".into(),
            health: "offline".into(),
            p50_ms: None,
            p99_ms: None,
            ..meter.clone()
        };
        let (port, devices) = ("/dev/ttyUSB0".into(), vec![meter, kiln]);
        let bus = Bus { port, utilisation: 0.4567, overruns: 4, devices };
        let expected = "\
/dev/ttyUSB0: busy 45.7 %, 4 polls left out because they were late
DEVICE  HEALTH   REQUESTS  SILENT  GARBLED  REFUSED  LATE  P50    P99
meter   online   12,345    5       0        0        2     33 ms  66 ms
kiln    offline  12,345    5       0        0        2
";
        assert_eq!(list(&[bus]), expected);
    }
}
