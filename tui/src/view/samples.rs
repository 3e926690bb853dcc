//! One of everything, for the tests of the views.

use headstock_config::alarm::{AlarmState, Priority};
use headstock_config::api::{AlarmView, Equipment, JobView, System};
use headstock_config::event::Alarm;
use headstock_config::file::{Analysis, Bounds, File, Warning};
use headstock_config::job::{Interruption, Job, JobState};
use headstock_config::machine::{Controller, Live, Mode, Units};

/// 2024-02-29 23:59:59 UTC.
const BEGAN_MS: u64 = 1_709_251_199_000;

pub(crate) fn machine(id: &str) -> Equipment {
    Equipment {
        id: id.into(),
        name: id.into(),
        driver: "grbl".into(),
        port: "/dev/ttyUSB0".into(),
        state: Mode::Running,
        job: Some("j12".into()),
        queue: vec!["j13".into()],
        locked_by: None,
        alarm: None,
        offline_reason: None,
        controller: Some(Controller {
            dialect: "grbl".into(),
            version: "1.1h".into(),
            rx_bytes: 128,
            ..Controller::default()
        }),
        uncleared: false,
        power: None,
        live: Live {
            work_position: Some([1.5, 2.0, 0.0]),
            machine_position: Some([-98.5, -50.0, -10.0]),
            feed: 1_200.0,
            spindle: 12_000.0,
            overrides: [100; 3],
            homed: Some(true),
            ..Live::default()
        },
    }
}

pub(crate) fn alarm() -> Alarm {
    Alarm { number: 1, means: "hard limit".into(), remedy: "home".into(), position_kept: false }
}

pub(crate) fn job(id: &str) -> JobView {
    let job = Job {
        id: id.into(),
        machine: "mill".into(),
        file: "0123456789abcdef".into(),
        file_name: "bracket.nc".into(),
        by: "ada".into(),
        state: JobState::Running,
        from_line: 1,
        lines: 4_410,
        lines_acked: 1_852,
        estimate_s: 300.0,
        queued_ms: BEGAN_MS - 1_000,
        started_ms: Some(BEGAN_MS),
        ..Job::default()
    };
    let time_left_s = Some(200.0);
    let (progress, line) = (0.429, 1_860);
    JobView { job, progress, line, executing: None, time_left_s, asks: None, starved: 0 }
}

pub(crate) fn interruption() -> Interruption {
    Interruption {
        reason: "the cable was pulled".into(),
        line_min: 1_860,
        line_max: 1_875,
        position: Some([1.5, 2.0, 0.0]),
        work_offset: Some([0.0; 3]),
        position_kept: false,
        lines_acked: 1_852,
    }
}

pub(crate) fn file() -> File {
    let bounds = Bounds {
        min: [0.0, 0.0, -10.0],
        max: [80.0, 80.0, 15.0],
        min_line: [1; 3],
        max_line: [2; 3],
    };
    File {
        id: "0123456789abcdef".into(),
        name: "bracket.nc".into(),
        bytes: 80_402,
        lines: 4_410,
        blake3: "0123456789abcdef".into(),
        uploaded_ms: BEGAN_MS - 1_000,
        by: "ada".into(),
        analysis: Analysis {
            program_lines: 4_400,
            bounds: Some(bounds),
            path_mm: 9_000.5,
            cutting_mm: 7_000.0,
            time_s: 300.0,
            assumed: "grbl defaults".into(),
            tools: vec![1],
            feeds: Some([300.0, 1_800.0]),
            max_s: 12_000.0,
            units: Some(Units::Mm),
            spindle: true,
            warnings: vec![Warning {
                line: 5,
                code: "gcode.tool".into(),
                text: "T1 without M6".into(),
                refused: false,
            }],
            warning_count: 1,
            ..Analysis::default()
        },
    }
}

pub(crate) fn system() -> System {
    System {
        version: "0.1.0".into(),
        uptime_s: 3_720,
        entry: 1_204,
        journal: "ok".into(),
        rss_bytes: 12_300_000,
        cpu_s: 1.5,
        web: Some("127.0.0.1:7878".into()),
    }
}

pub(crate) fn door_alarm() -> AlarmView {
    AlarmView {
        id: "door-open".into(),
        about: "mill".into(),
        priority: Priority::High,
        state: AlarmState::Unacknowledged,
        active: true,
        chattering: false,
        first_out: true,
        group: Some("mill".into()),
        since: Some("2024-02-29T23:59:59Z".into()),
        since_ms: Some(1_709_251_199_000),
        text: "`pins.door` is off".into(),
        value: Some("off".into()),
        cause: "somebody has opened the door".into(),
        meaning: "the mill is held in the cut".into(),
        action: "close the door".into(),
        latch: false,
        count: 3,
        acknowledged_by: None,
        shelf: None,
        shelved_until: None,
        suppressed_by: None,
        out_of_use: None,
    }
}
