//! Machines: a table, and one in detail.

use headstock_config::api::Equipment;
use headstock_config::machine::{Live, Mode, Setting, Temperature};

use super::details;
use crate::table::table;
use crate::words::{count, number, position};

/// One row per machine.
pub fn list(machines: &[Equipment]) -> String {
    let rows: Vec<_> = machines.iter().map(row).collect();
    table(["MACHINE", "STATE", "JOB", "WAITING", "POSITION", "PORT", "NOTE"], &rows)
}

fn row(machine: &Equipment) -> [String; 7] {
    [
        machine.id.clone(),
        machine.state.word().to_owned(),
        machine.job.clone().unwrap_or_default(),
        if machine.queue.is_empty() { String::new() } else { machine.queue.len().to_string() },
        machine.live.work_position.map(position).unwrap_or_default(),
        machine.port.clone(),
        note(machine),
    ]
}

/// What a person should know first: why it is away or locked, or what it waits for.
fn note(machine: &Equipment) -> String {
    if let Some(alarm) = &machine.alarm {
        return format!("alarm {}: {}", alarm.number, alarm.means);
    }
    if machine.uncleared {
        return "the hardware stop chain was open; waits to be cleared".into();
    }
    if let Some(job) = &machine.locked_by {
        return format!("waits for a decision about {job}");
    }
    if let Some(asks) = &machine.live.asks {
        return format!("asks: {asks}");
    }
    match (&machine.offline_reason, machine.state) {
        (Some(reason), Mode::Offline | Mode::Connecting) => reason.clone(),
        _ => machine.live.position_doubt.clone().unwrap_or_default(),
    }
}

/// Everything about one machine.
pub fn show(machine: &Equipment) -> String {
    let live = &machine.live;
    let [feed, rapid, spindle] = live.overrides;
    details(&[
        ("machine", machine.id.clone()),
        ("name", if machine.name == machine.id { String::new() } else { machine.name.clone() }),
        ("state", machine.state.word().to_owned()),
        ("note", note(machine)),
        ("port", machine.port.clone()),
        ("controller", controller(machine)),
        ("job", machine.job.clone().unwrap_or_default()),
        ("queue", machine.queue.join(" ")),
        ("work position", live.work_position.map(position).unwrap_or_default()),
        ("machine position", live.machine_position.map(position).unwrap_or_default()),
        ("work offset", live.work_offset.map(position).unwrap_or_default()),
        ("homed", live.homed.map(|it| if it { "yes" } else { "no" }).unwrap_or_default().into()),
        ("feed", format!("{} mm/min", number(live.feed))),
        ("spindle", format!("{} rev/min", number(live.spindle))),
        ("overrides", format!("feed {feed} %, rapid {rapid} %, spindle {spindle} %")),
        ("inputs", live.pins.clone()),
        ("temperatures", temperatures(live)),
        ("layer", layer(live)),
        ("stops", stops(machine)),
    ])
}

/// `hotend 201.5 of 210 °C, bed 60 °C`.
fn temperatures(live: &Live) -> String {
    let one = |it: &Temperature| {
        let target = it.target.filter(|it| 0.0 < *it).map(|it| format!(" of {}", number(it)));
        format!("{} {}{} °C", it.name, number(it.celsius), target.unwrap_or_default())
    };
    live.temperatures.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn layer(live: &Live) -> String {
    let percent = live.percent.map(|it| format!(" ({} %)", number(it))).unwrap_or_default();
    match live.layer {
        None => String::new(),
        Some([layer, 0]) => format!("{layer}{percent}"),
        Some([layer, all]) => format!("{layer} of {all}{percent}"),
    }
}

/// What a person must know who trusts in software.
fn stops(machine: &Equipment) -> String {
    if !machine.live.stop_waits {
        return String::new();
    }
    let then = match &machine.power {
        Some(relay) => format!("an abort cuts its power ({relay})"),
        None => "wire a relay that cuts the power".into(),
    };
    format!("a software stop waits for the running command; {then}")
}

/// A controller's settings.
pub fn settings(all: &[Setting]) -> String {
    let row = |it: &Setting| {
        [format!("${}", it.number), it.value.clone(), it.unit.clone(), it.name.clone()]
    };
    table(["SETTING", "VALUE", "UNIT", "MEANING"], &all.iter().map(row).collect::<Vec<_>>())
}

fn controller(machine: &Equipment) -> String {
    let Some(it) = &machine.controller else { return String::new() };
    format!("{} {}, receive buffer {} bytes", it.dialect, it.version, count(it.rx_bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn the_table_says_why_a_machine_is_away() {
        let mut laser = samples::machine("laser");
        laser.state = Mode::Offline;
        laser.live.work_position = None;
        laser.offline_reason = Some("cannot open /dev/ttyUSB1: not there".into());
        let expected = "\
MACHINE  STATE    JOB  WAITING  POSITION    PORT          NOTE
mill     running  j12  1        X1.5 Y2 Z0  /dev/ttyUSB0
laser    offline  j12  1                    /dev/ttyUSB0  cannot open /dev/ttyUSB1: not there
";
        assert_eq!(list(&[samples::machine("mill"), laser]), expected);
    }

    #[test]
    fn an_alarm_is_told_before_anything_else() {
        let mut mill = samples::machine("mill");
        mill.locked_by = Some("j12".into());
        assert_eq!(note(&mill), "waits for a decision about j12");
        mill.alarm = Some(samples::alarm());
        assert_eq!(note(&mill), "alarm 1: hard limit");
    }

    #[test]
    fn settings_are_listed_with_units_and_names() {
        let told = |number, value: &str, name: &str, unit: &str| Setting {
            number,
            value: value.into(),
            name: name.into(),
            unit: unit.into(),
        };
        let all =
            [told(32, "0", "laser mode", ""), told(110, "6000.000", "X highest rate", "mm/min")];
        let expected = "\
SETTING  VALUE     UNIT    MEANING
$32      0                 laser mode
$110     6000.000  mm/min  X highest rate
";
        assert_eq!(settings(&all), expected);
    }

    #[test]
    fn one_machine_is_shown_in_detail() {
        let expected = "\
machine           mill
state             running
port              /dev/ttyUSB0
controller        grbl 1.1h, receive buffer 128 bytes
job               j12
queue             j13
work position     X1.5 Y2 Z0
machine position  X-98.5 Y-50 Z-10
homed             yes
feed              1200 mm/min
spindle           12000 rev/min
overrides         feed 100 %, rapid 100 %, spindle 100 %
";
        assert_eq!(show(&samples::machine("mill")), expected);
    }
}
