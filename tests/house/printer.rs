//! A pretend printer: from upload to part, and every way in which that ends early.

use std::time::Duration;

use headstock_config::job::JobState;
use headstock_config::machine::Live;
use headstock_drivers::marlin::sim::{self, Options, Sim};

use super::start::Open;

struct Printer {
    sim: Sim,
    dir: tempfile::TempDir,
}

impl Printer {
    fn new(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let link = Some(dir.path().join("printer.tty"));
        let sim = sim::start(Options { link, keep_lines: true, ..options }).unwrap();
        Self { sim, dir }
    }

    fn fast() -> Self {
        Self::new(Options { time_scale: 100.0, ..Options::default() })
    }

    async fn house(&self, keys: &str) -> Open {
        let keys = format!("driver = \"marlin\"\n{keys}");
        let open = Open::around(self.dir.path(), "printer", &keys).await;
        open.ready().await;
        open
    }
}

/// A print with everything that a slicer writes, and so many lines in its middle.
fn tower(lines: usize) -> String {
    let mut text = String::from(
        ";FLAVOR:Marlin\n;LAYER_COUNT:2\nM140 S60\nM104 S200\nG28 ; home\nM190 S60\nM109 S200\n\
         G21\nG90\nM82\nG92 E0\n\n;LAYER:0\nG1 Z0.2 F600\nM73 P0 R1\nM117 Layer 1 of 2\n",
    );
    for at in 0..lines {
        if at == lines / 2 {
            text += ";LAYER:1\nM73 P50 R1\nG1 Z0.4\n";
        }
        let (x, y) = (20 + at % 2 * 40, 20 + at / 2 % 2 * 40);
        text += &format!("G1 X{x} Y{y} E{:.3} F3000\n", at as f64 * 0.5);
    }
    text + "M104 S0\nM140 S0\nM107\nM84\n"
}

/// What of a program reaches the firmware.
fn expected(program: &str) -> Vec<String> {
    let stripped = program.lines().map(|line| line.split(';').next().unwrap().trim().to_owned());
    stripped.filter(|line| !line.is_empty()).collect()
}

/// What the firmware has carried out of what stands between the begin of numbers and the end.
fn carried_out(sim: &Sim) -> Vec<String> {
    let ours = ["M105", "M114", "M115", "M155 S2", "M154 S2", "M876 P1", "M400", "M110 N0"];
    let text = sim.counters().text.into_iter();
    text.filter(|line| !ours.contains(&line.as_str())).collect()
}

async fn until(open: &Open, wanted: impl Fn(&Live) -> bool) -> Live {
    let (_, mut live) = open.desk().watch_machines().next().unwrap();
    let waiting = tokio::time::timeout(Duration::from_secs(30), live.wait_for(wanted)).await;
    let seen = waiting.map(|live| live.unwrap().clone());
    seen.unwrap_or_else(|_| panic!("{:?}", open.desk().equipment()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_print_is_carried_out_once_and_in_order() {
    let printer = Printer::fast();
    let open = printer.house("").await;
    let program = tower(300);

    let job = open.start(&program).await;
    let live = until(&open, |live| live.layer == Some([2, 2])).await;
    assert_eq!(live.temperatures[0].name, "hotend");
    let job = open.until(&job, JobState::over).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(carried_out(&printer.sim), expected(&program));
    assert_eq!(job.lines_acked, expected(&program).len() as u64);
    assert_eq!(printer.sim.counters().overflowed, 0);
    open.house.close().await;
}
