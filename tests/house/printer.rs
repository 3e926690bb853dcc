//! A pretend printer: from upload to part, and every way in which that ends early.

use std::time::Duration;

use headstock_config::api::Decide;
use headstock_config::command::{Command, Stop};
use headstock_config::event::Event;
use headstock_config::job::{Decision, JobState};
use headstock_config::ledger::Fact;
use headstock_config::machine::{Live, Mode};
use headstock_daemon::desk::Refused;
use headstock_drivers::marlin::sim::{self, Fault, Options, Sim, What};

use super::start::Open;

pub(super) struct Printer {
    pub(super) sim: Sim,
    dir: tempfile::TempDir,
}

impl Printer {
    pub(super) fn new(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let link = Some(dir.path().join("printer.tty"));
        let sim = sim::start(Options { link, keep_lines: true, ..options }).unwrap();
        Self { sim, dir }
    }

    fn fast() -> Self {
        Self::new(Options { time_scale: 100.0, ..Options::default() })
    }

    pub(super) async fn house(&self, keys: &str) -> Open {
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
    let mut text: Vec<String> = text.filter(|line| !ours.contains(&line.as_str())).collect();
    let program = text.split_off(3);
    assert_eq!(text, ["G21", "G90", "M82"], "the modes that a print begins in");
    program
}

pub(super) async fn until(open: &Open, wanted: impl Fn(&Live) -> bool) -> Live {
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

/// What of this was told in the book.
async fn messages(open: &Open) -> Vec<String> {
    let book = open.book().await.into_iter();
    book.filter_map(|entry| match entry.fact {
        Fact::Machine { said: Event::Message { text } | Event::Remark { text }, .. } => Some(text),
        _ => None,
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_met_is_only_asked_and_heat_from_before_is_told() {
    let options = Options { warm: [180.0, 60.0], targets: [200.0, 60.0], ..Options::default() };
    let printer = Printer::new(options);
    let open = printer.house("").await;

    let asked = printer.sim.counters().text;
    let questions = ["M110 N0", "M115", "M105", "M114", "M155 S2", "M154 S2", "M876 P1"];
    assert!(asked.iter().all(|line| questions.contains(&line.as_str())), "{asked:?}");
    assert_eq!(printer.sim.counters().targets, [200.0, 60.0], "nothing was switched");
    open.upload("G28\n").await;
    let told = messages(&open).await;
    assert!(told.iter().any(|text| text.contains("hot or on from before")), "{told:?}");
    let it = open.desk().one_equipment("printer").unwrap();
    assert_eq!(it.controller.unwrap().dialect, "Marlin");
    assert!(!it.live.stop_waits);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firmware_without_emergency_parser_is_shown_as_one_whose_stop_waits() {
    let printer = Printer::new(Options { emergency_parser: false, ..Options::default() });
    let open = printer.house("").await;

    assert!(open.desk().one_equipment("printer").unwrap().live.stop_waits);
    open.upload("G28\n").await;
    let told = messages(&open).await;
    assert!(told.iter().any(|text| text.contains("relay")), "{told:?}");
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_parks_and_a_resume_goes_on_as_if_nothing_had_been() {
    let printer = Printer::fast();
    let keys = "printer = { park = [5, 190], lift_mm = 10, retract_mm = 2, purge_mm = 3 }\n";
    let open = printer.house(keys).await;
    let program = tower(400);
    let job = open.start(&program).await;
    until(&open, |live| live.layer.is_some() && live.progress.is_some_and(|it| 60 < it.line)).await;

    open.desk().tell(&open.ada, "printer", Command::Hold).await.unwrap();
    open.until(&job, |state| state == JobState::Held).await;
    let parked = printer.sim.counters();
    assert_eq!(parked.position[..2], [5.0, 190.0]);
    assert_eq!(parked.targets, [200.0, 60.0], "a hold leaves heaters as they are");
    open.desk().tell(&open.ada, "printer", Command::Resume).await.unwrap();
    let job = open.until(&job, JobState::over).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    let got = carried_out(&printer.sim);
    let wanted = expected(&program);
    let mut wanted = wanted.iter().peekable();
    let odd: Vec<&String> = got.iter().filter(|line| wanted.next_if_eq(line).is_none()).collect();
    assert_eq!(wanted.next(), None, "every line, in order; and beside them {odd:?}");
    assert!(odd.iter().any(|line| line.starts_with("G92 E")), "{odd:?}");
    let park = odd.iter().position(|line| line.starts_with("G1 X5.000 Y190.000")).unwrap();
    let purge = odd.iter().position(|line| line.starts_with("G1 E5.000")).unwrap();
    assert!(park < purge, "{odd:?}");
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_print_leaves_heaters_and_motors_off_and_says_that_position_is_lost() {
    for emergency_parser in [true, false] {
        let printer =
            Printer::new(Options { time_scale: 100.0, emergency_parser, ..Options::default() });
        let open = printer.house("").await;
        let job = open.start(&tower(5000)).await;
        until(&open, |live| live.progress.is_some_and(|it| 60 < it.line)).await;

        open.desk().cancel_job(&open.ada, &job).await.unwrap();
        let job = open.until(&job, JobState::over).await;

        assert_eq!(job.state, JobState::Cancelled);
        open.mode(Mode::Idle).await;
        let seen = printer.sim.counters();
        assert_eq!((seen.targets, seen.motors), ([0.0; 2], false));
        assert!(1 < seen.quick_stops);
        let live = open.desk().one_equipment("printer").unwrap().live;
        assert!(live.position_doubt.is_some() && live.homed == Some(false), "{live:?}");
        open.house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_halts_the_firmware_in_the_middle_of_heating() {
    let printer = Printer::new(Options::default());
    let open = printer.house("").await;
    let job = open.start(&tower(10)).await;
    until(&open, |live| live.temperatures.iter().any(|it| it.target == Some(60.0))).await;

    let report = open.desk().stop(&open.ada, "printer", Stop::Abort).await.unwrap();

    assert!(report.confirmed, "{report:?}");
    assert_eq!(report.state, Mode::Alarm);
    assert_eq!(open.until(&job, JobState::over).await.state, JobState::Cancelled);
    assert_eq!((printer.sim.counters().kills, printer.sim.counters().targets), (1, [0.0; 2]));
    let refused = open.desk().tell(&open.ada, "printer", Command::Home { axes: None }).await;
    assert!(refused.is_err());
    printer.sim.fault(Fault::now(What::Reset));
    open.mode(Mode::Idle).await;
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heater_that_falls_off_interrupts_the_job_and_alarms() {
    let printer = Printer::fast();
    let open = printer.house("").await;
    let job = open.start(&tower(5000)).await;
    until(&open, |live| live.progress.is_some_and(|it| 60 < it.line)).await;

    printer.sim.fault(Fault::now(What::Runaway));

    let job = open.until(&job, |state| !state.active()).await;
    assert_eq!(job.state, JobState::Interrupted, "{job:?}");
    let it = open.desk().one_equipment("printer").unwrap();
    assert_eq!(it.state, Mode::Alarm);
    assert!(it.alarm.unwrap().means.contains("Thermal Runaway"));
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firmware_that_restarts_by_itself_interrupts_the_job_and_nothing_goes_on() {
    let printer = Printer::fast();
    let open = printer.house("").await;
    let job = open.start(&tower(5000)).await;
    until(&open, |live| live.progress.is_some_and(|it| 60 < it.line)).await;

    printer.sim.fault(Fault::now(What::Reset));

    let job = open.until(&job, |state| !state.active()).await;
    assert_eq!(job.state, JobState::Interrupted, "{job:?}");
    assert!(!job.interruption.unwrap().position_kept);
    open.mode(Mode::Idle).await;
    assert_eq!(printer.sim.counters().targets, [0.0; 2], "nothing heats by itself");
    assert_eq!(open.desk().one_equipment("printer").unwrap().locked_by, Some(job.id));
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_filament_holds_the_print_until_a_person_resumes() {
    let printer = Printer::fast();
    let open = printer.house("").await;
    let job = open.start(&tower(600)).await;
    until(&open, |live| live.progress.is_some_and(|it| 60 < it.line)).await;

    printer.sim.fault(Fault::now(What::Runout));
    let held = open.until(&job, |state| state == JobState::Held).await;
    assert!(held.reason.unwrap().contains("out of filament"));
    open.mode(Mode::Held).await;

    open.desk().tell(&open.ada, "printer", Command::Resume).await.unwrap();
    assert_eq!(open.until(&job, JobState::over).await.state, JobState::Completed);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_of_the_firmware_is_shown_and_answered() {
    let printer = Printer::fast();
    let open = printer.house("").await;
    let program = tower(40).replace(";LAYER:1\n", "M0 change the reel\n");
    let job = open.start(&program).await;

    let asking = until(&open, |live| live.mode == Mode::Held).await;
    assert_eq!(asking.asks.as_deref(), Some("change the reel: 0 = Continue"));
    let wrong = Command::Answer { choice: 3 };
    assert!(open.desk().tell(&open.ada, "printer", wrong).await.is_err());
    open.desk().tell(&open.ada, "printer", Command::Answer { choice: 0 }).await.unwrap();

    assert_eq!(open.until(&job, JobState::over).await.state, JobState::Completed);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heaters_fans_filament_and_motors_are_moved_by_hand() {
    let printer = Printer::new(Options { time_scale: 50.0, ..Options::default() });
    let open = printer.house("").await;
    let tell = |command| open.desk().tell(&open.ada, "printer", command);

    let cold = tell(Command::Extrude { mm: 5.0, feed: 200.0 }).await.unwrap_err();
    assert!(cold.to_string().contains("°C"), "{cold}");
    let hot = Command::Preheat { heater: "hotend".into(), celsius: 400.0 };
    assert!(tell(hot).await.is_err(), "hotter than it bears");
    tell(Command::Preheat { heater: "hotend".into(), celsius: 210.0 }).await.unwrap();
    tell(Command::Preheat { heater: "bed".into(), celsius: 60.0 }).await.unwrap();
    tell(Command::Fan { percent: 50.0 }).await.unwrap();
    until(&open, |live| live.temperatures.first().is_some_and(|it| 205.0 < it.celsius)).await;
    tell(Command::Extrude { mm: 5.0, feed: 300.0 }).await.unwrap();
    // One press is one step: the filament goes first.
    open.mode(Mode::Idle).await;
    let by = [Some(10.0), None, Some(5.0)];
    // One step at a time: what is pushed out is on its way.
    let step = || tell(Command::Jog { by, feed: 3000.0, absolute: false });
    while let Err(refused) = step().await {
        assert!(matches!(refused, Refused::Jogging { .. }), "{refused:?}");
        open.mode(Mode::Idle).await;
    }
    until(&open, |live| live.work_position.is_some_and(|at| at[0] == 10.0 && at[2] == 5.0)).await;
    open.mode(Mode::Idle).await;
    tell(Command::Motors { on: false }).await.unwrap();
    until(&open, |live| live.position_doubt.is_some() && live.mode == Mode::Idle).await;

    let seen = printer.sim.counters();
    assert_eq!((seen.targets, seen.fan, seen.motors), ([210.0, 60.0], 128.0, false));
    assert_eq!(seen.cold, 0);
    open.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_cable_interrupts_a_print() {
    let printer = Printer::fast();
    let open = printer.house("").await;
    let job = open.start(&tower(5000)).await;
    until(&open, |live| live.progress.is_some_and(|it| 60 < it.line)).await;

    let fault = Fault::now(What::Unplug).lasting(Duration::from_millis(300));
    printer.sim.fault(fault);

    assert_eq!(open.until(&job, |state| !state.active()).await.state, JobState::Interrupted);
    open.mode(Mode::Idle).await;
    let wish = Decide {
        decision: Decision::Resume,
        reason: "go on".into(),
        from_line: Some(50),
        accepted: false,
    };
    let refused = open.desk().decide(&open.ada, &job, wish).await;
    assert!(matches!(refused, Err(Refused::CannotResume { .. })), "a print cannot go on");
    open.house.close().await;
}
