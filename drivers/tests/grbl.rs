//! The driver against the pretend controller, over a wire with a baud rate and a counted clock.

mod bench;

use headstock_config::command::{Command, NO_AXIS, Override, Stop};
use headstock_config::event::{Cause, Event};
use headstock_config::machine::{HoldMeans, Machine, Mode, OnError, StopMeans, Units};
use headstock_drivers::Refusal;
use headstock_drivers::gcode::Reader;
use headstock_drivers::gcode::modal::Modal;
use headstock_drivers::grbl::sim::Options;

use bench::{Bench, machine, options, program};

const SQUARE: &str = "G21G90\nG0X10Y0\nM3S1000\nG1X20F1500\nY20\nX10\nY0\nM5\nG0X0Y0\nM30\n";

fn run(line: &str) -> Command {
    Command::Run { line: line.into() }
}

fn jog(x: f64, feed: f64) -> Command {
    Command::Jog { by: [Some(x), None, None], feed, absolute: false }
}

fn is_lost(event: &Event, wanted: Cause, kept: bool) -> bool {
    matches!(event, Event::ProgramLost { cause, position_kept, .. }
        if *cause == wanted && *position_kept == kept)
}

#[test]
fn a_program_arrives_line_for_line_and_ends_done() {
    let mut bench = Bench::connected(options());
    let known = bench.device.lines().len();
    assert_eq!(bench.run(SQUARE), Event::ProgramDone);
    let sent: Vec<String> = program(SQUARE).into_iter().map(|line| line.text).collect();
    let arrived = &bench.device.lines()[known..];
    assert_eq!(arrived[0], "$G", "in which modes does it stand?");
    let arrived = &arrived[1..];
    assert_eq!(arrived[..sent.len()], sent[..]);
    assert_eq!(arrived[sent.len()..], ["$G"]);
    assert_eq!(bench.position(), [0.0; 3]);
    assert!(bench.most_unanswered <= 128);
    assert_eq!(bench.driver.live().mode, Mode::Idle);
    let progress = bench.driver.progress().unwrap();
    assert_eq!((progress.lines_sent, progress.lines_acked, progress.line), (10, 10, 10));
}

#[test]
fn a_program_runs_in_the_modes_of_power_up_whatever_was_left_behind() {
    for (units, millimetres) in [(Units::Mm, 10.0), (Units::Inch, 254.0)] {
        let machine = Machine { units, ..machine() };
        let mut bench = Bench::of(&machine, options()).connect();
        bench.obey(run("G0X5")).unwrap();
        bench.until(5.0, "motion", |it| it.position()[0] == 5.0);
        bench.until_mode(Mode::Idle);
        for left_behind in ["G20", "G91", "G18", "G93"] {
            bench.obey(run(left_behind)).unwrap();
            bench.wait(0.3);
        }
        let modal = Modal { units, ..Modal::default() };
        let mut reader = Reader::new(79).beginning(modal, [None; 3], false);
        let lines = [(1, "X1"), (2, "X10F600")];
        let lines = lines.map(|(at, text)| reader.read(at, text.as_bytes()).unwrap().unwrap());
        bench.start_lines(lines.into(), false);
        assert_eq!(bench.ended(60.0), Event::ProgramDone, "{:?}", bench.events);
        assert!((bench.position()[0] - millimetres).abs() < 0.005, "{:?}", bench.position());
    }
}

#[test]
fn a_program_begins_where_a_zero_of_a_moment_ago_says() {
    let mut bench = Bench::connected(options());
    bench.obey(run("G0X7")).unwrap();
    bench.until(5.0, "motion", |it| it.position()[0] == 7.0);
    bench.until_mode(Mode::Idle);
    bench.obey(Command::Zero { system: None, at: [Some(0.0); 3] }).unwrap();
    while bench.driver.unanswered_bytes() > 0
        || bench.device.lines().last().is_none_or(|line| !line.starts_with("G10"))
    {
        bench.wait(0.001);
    }
    assert_eq!(bench.run("G1X2F600\n"), Event::ProgramDone, "{:?}", bench.events);
    assert_eq!(bench.position()[0], 9.0);
}

#[test]
fn where_nothing_can_be_homed_zeroing_all_axes_ends_a_doubt() {
    let mut bench = Bench::connected(Options { settings: vec![(22, 0.0)], ..options() });
    bench.obey(run("G1X100F600")).unwrap();
    bench.until_mode(Mode::Running);
    bench.stop(Stop::Abort);
    bench.until(5.0, "rest", |it| it.driver.live().position_doubt.is_some());
    bench.wait(1.0);
    if bench.driver.live().mode == Mode::Alarm {
        bench.obey(Command::Unlock).unwrap();
    }
    bench.until_mode(Mode::Idle);
    bench.reopen();
    bench.until_mode(Mode::Idle);
    assert!(bench.driver.live().position_doubt.is_some(), "a new connection finds no position");
    bench.obey(Command::Zero { system: None, at: [Some(0.0); 3] }).unwrap();
    bench.until(5.0, "trust", |it| it.driver.live().position_doubt.is_none());
}

#[test]
fn settings_are_not_written_by_a_typed_line() {
    let mut bench = Bench::connected(options());
    for line in ["$100=80", "$RST=*", "(x)$20=0", "[ESP444]RESTART", "$N0=G20"] {
        assert!(matches!(bench.obey(run(line)), Err(Refusal::BadCommand(_))), "{line}");
    }
    assert_eq!(bench.obey(run("$#")), Ok(()));
}

#[test]
fn the_planner_does_not_starve_on_short_segments() {
    let mut text = String::from("G21G90G1F3000\n");
    for step in 1..2000 {
        text += &format!("X{:.3}Y{:.3}\n", step as f64 * 0.1, (step % 7) as f64 * 0.01);
    }
    let mut bench = Bench::connected(options());
    assert_eq!(bench.run(&text), Event::ProgramDone);
    assert_eq!(bench.device.figures().starved, 0);
    assert_eq!(bench.device.figures().overflowed, 0);
    assert_eq!(bench.driver.progress().unwrap().starved, 0);
}

#[test]
fn a_wire_at_its_limit_is_kept_busy() {
    let mut text = String::from("G21G90G1F3000\n");
    for step in 1..3000 {
        text += &format!("G1X{:.3}Y{:.3}\n", step as f64 * 0.1, (step % 7) as f64 * 0.01);
    }
    let mut bench = Bench::connected(Options { time_scale: 0.0, ..options() });
    let begun = bench.seconds;
    assert_eq!(bench.run(&text), Event::ProgramDone);
    let share = text.len() as f64 * 10.0 / 115_200.0 / (bench.answered_at - begun);
    assert!(share > 0.97, "{share:.3} of the wire");
}

#[test]
fn a_move_beyond_the_soft_limits_ends_the_program_with_its_alarm() {
    let settings = vec![(22, 1.0), (20, 1.0)];
    let mut bench = Bench::connected(Options { settings, ..options() });
    bench.obey(Command::Home { axes: None }).unwrap();
    bench.until_mode(Mode::Homing);
    bench.until_mode(Mode::Idle);
    bench.start("G1X-20F600\nG1X-9999\nG1X-30\n");
    assert!(matches!(bench.ended(30.0), Event::ProgramLost { cause: Cause::Alarm, .. }));
    let number = bench.events.iter().find_map(|event| match event {
        Event::Alarm(alarm) => Some(alarm.number),
        _ => None,
    });
    assert_eq!(number, Some(2));
}

#[test]
fn a_hold_shows_within_ten_milliseconds_and_the_program_goes_on_after_it() {
    let mut bench = Bench::connected(options());
    bench.start(SQUARE);
    bench.until_mode(Mode::Running);
    bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
    let asked = bench.seconds;
    bench.heard.clear();
    bench.stop(Stop::Hold);
    bench.until(1.0, "hold report", |it| it.heard.windows(5).any(|it| it == b"<Hold"));
    assert!(bench.seconds - asked < 0.012, "{}", bench.seconds - asked);
    bench.until_mode(Mode::Held);
    let held = bench.position();
    bench.wait(2.0);
    assert_eq!(bench.position(), held);
    bench.obey(Command::Resume).unwrap();
    assert_eq!(bench.ended(60.0), Event::ProgramDone);
    assert_eq!(bench.position(), [0.0; 3]);
}

#[test]
fn a_hold_by_the_door_procedure_is_a_hold_too() {
    let mut mill = machine();
    mill.hold = HoldMeans::Door;
    let mut bench = Bench::of(&mill, options()).connect();
    bench.start(SQUARE);
    bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
    bench.stop(Stop::Hold);
    bench.until_mode(Mode::Held);
    assert_eq!(bench.driver.live().said, "Door:0");
    bench.obey(Command::Resume).unwrap();
    assert_eq!(bench.ended(60.0), Event::ProgramDone);
}

#[test]
fn a_laser_whose_laser_mode_is_off_is_held_and_stopped_by_the_door_procedure() {
    for (laser_mode, said, byte) in [(1.0, "Hold:0", b'!'), (0.0, "Door:0", 0x84)] {
        let machine = Machine { laser: true, ..machine() };
        let options = Options { settings: vec![(32, laser_mode)], ..options() };
        let mut bench = Bench::of(&machine, options).connect();
        bench.start(SQUARE);
        bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
        bench.stop(Stop::Hold);
        bench.until_mode(Mode::Held);
        assert_eq!(bench.driver.live().said, said);
        bench.obey(Command::Resume).unwrap();
        bench.until(5.0, "motion", |it| it.position()[1] > 5.0);
        bench.wire.clear();
        bench.stop(Stop::Stop);
        assert!(matches!(bench.ended(30.0), Event::ProgramLost { position_kept: true, .. }));
        let first = bench.wire.iter().find(|it| [b'!', 0x84, 0x18].contains(it));
        assert_eq!(first, Some(&byte));
    }
}

#[test]
fn a_stop_keeps_position_and_an_abort_does_not() {
    for (how, cause_kept) in [(Stop::Stop, true), (Stop::Abort, false)] {
        let mut bench = Bench::connected(options());
        bench.start(SQUARE);
        bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
        bench.stop(how);
        let end = bench.ended(30.0);
        assert!(is_lost(&end, Cause::Asked, cause_kept), "{how:?}: {end:?}");
        let rest = bench.events.iter().find_map(|event| match event {
            Event::AtRest { position, position_kept } => Some((*position, *position_kept)),
            _ => None,
        });
        let (position, kept) = rest.expect("a stop says where it came to rest");
        assert_eq!(kept, cause_kept);
        if kept {
            let at = position.unwrap();
            assert!((at[0] - bench.position()[0]).abs() < 0.01);
            assert_eq!(bench.driver.live().mode, Mode::Idle);
        } else {
            assert_eq!(bench.driver.live().mode, Mode::Alarm);
            assert!(bench.driver.live().position_doubt.is_some());
        }
    }
}

#[test]
fn a_machine_whose_stop_means_reset_is_reset_at_once() {
    let mut mill = machine();
    mill.stop = StopMeans::Reset;
    let mut bench = Bench::of(&mill, options()).connect();
    bench.start(SQUARE);
    bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
    bench.wire.clear();
    bench.stop(Stop::Stop);
    bench.ended(30.0);
    assert!(!bench.wire.contains(&b'!'));
}

#[test]
fn a_stop_at_rest_resets_without_waiting() {
    let mut bench = Bench::connected(options());
    bench.stop(Stop::Stop);
    bench.until(1.0, "rest", |it| {
        it.events.iter().any(|event| matches!(event, Event::AtRest { position_kept: true, .. }))
    });
    assert_eq!(bench.driver.live().mode, Mode::Idle);
}

#[test]
fn a_refused_line_stops_the_program_and_is_named() {
    let mut bench = Bench::connected(options());
    let end = bench.run("G21G90\nG1X5F500\n(a comment)\nG1X10Q77\nG1X20\n");
    assert!(is_lost(&end, Cause::Refused, true), "{end:?}");
    let refused = bench.events.iter().find_map(|event| match event {
        Event::LineRefused { line, text, number, .. } => Some((*line, text.as_str(), *number)),
        _ => None,
    });
    assert_eq!(refused, Some((4, "G1X10Q77", 20)));
}

#[test]
fn a_refused_line_may_be_passed_over_or_waited_for() {
    let text = "G21G90\nG1X5F500\nG1X10Q77\nG1X7\nG1X6\n";
    let mut mill = machine();
    mill.on_error = OnError::Continue;
    let mut bench = Bench::of(&mill, options()).connect();
    assert_eq!(bench.run(text), Event::ProgramDone);
    assert_eq!(bench.position()[0], 6.0);
    mill.on_error = OnError::Hold;
    let mut bench = Bench::of(&mill, options()).connect();
    bench.start(text);
    bench.until_mode(Mode::Held);
    assert!(bench.driver.live().asks.as_ref().unwrap().contains("line 3"));
    bench.obey(Command::Resume).unwrap();
    assert_eq!(bench.ended(60.0), Event::ProgramDone);
}

#[test]
fn m0_and_m1_wait_for_a_person() {
    let mut bench = Bench::connected(options());
    bench.start("G21G90\nG1X5F500\nM0\nG1X6\nM1\nG1X7\n");
    for (why, line, x) in [("M0", 3, 5.0), ("M1", 5, 6.0)] {
        bench.until_mode(Mode::Held);
        assert!(bench.events.contains(&Event::Asks { why: why.into(), line }), "{why}");
        assert_eq!(bench.driver.live().asks.as_deref(), Some(why));
        bench.wait(1.0);
        assert_eq!(bench.position()[0], x);
        assert_eq!(bench.driver.appetite(), 0);
        bench.obey(Command::Resume).unwrap();
        bench.until_mode(Mode::Running);
    }
    assert_eq!(bench.ended(60.0), Event::ProgramDone);
    assert_eq!(bench.position()[0], 7.0);
}

#[test]
fn a_tool_change_is_never_sent_and_what_it_disturbed_is_put_back() {
    let mut bench = Bench::connected(options());
    bench.start("G21G90\nM3S900\nG1X5F500\nT2M6\nX6\nG0X8\n");
    bench.until_mode(Mode::Held);
    assert!(bench.events.contains(&Event::Asks { why: "M6 T2".into(), line: 4 }));
    let still = |line: &&String| *line == "M5" || *line == "M9";
    assert_eq!(
        bench.device.lines().iter().filter(still).count(),
        2,
        "nobody reaches into a spindle"
    );
    bench.obey(run("M5")).unwrap();
    bench.obey(run("G91 G0 Z5")).unwrap();
    bench.obey(jog(1.0, 600.0)).unwrap();
    bench.wait(3.0);
    bench.obey(Command::Probe { by: [None, None, Some(-2.0)], feed: 60.0, lenient: true }).unwrap();
    bench.wait(5.0);
    bench.obey(Command::Zero { system: None, at: [None, None, Some(1.0)] }).unwrap();
    bench.wait(1.0);
    assert_eq!(bench.driver.live().mode, Mode::Held);
    let before = bench.device.lines().len();
    bench.obey(Command::Resume).unwrap();
    assert_eq!(bench.ended(60.0), Event::ProgramDone);
    let lines = &bench.device.lines()[before..];
    assert_eq!(lines[0], "$G");
    assert_eq!(lines[1..4], ["G1G90F500", "M3S900", "G4P1"]);
    assert_eq!(lines[4..], ["T2", "X6", "G0X8", "$G"]);
    assert!(bench.device.lines().iter().all(|line| !line.contains("M6")));
}

#[test]
fn a_dry_run_moves_nothing_and_leaves_check_mode() {
    let mut bench = Bench::connected(options());
    bench.start_lines(program("G21G90\nM3S100\nG1X50F500\nT1M6\nM0\nX60\nM30\n"), true);
    bench.until_mode(Mode::Checking);
    assert_eq!(bench.ended(30.0), Event::ProgramDone);
    assert_eq!(bench.position(), [0.0; 3]);
    assert_eq!(bench.driver.live().mode, Mode::Idle);
    assert!(bench.seconds < 10.0);
}

#[test]
fn a_dry_run_names_the_line_that_would_be_refused() {
    let mut bench = Bench::connected(options());
    bench.start_lines(program("G21G90\nG1X5F500\nG1X10Q77\n"), true);
    assert!(is_lost(&bench.ended(30.0), Cause::Refused, true));
    assert_eq!(bench.driver.live().mode, Mode::Idle);
}

#[test]
fn a_cancelled_jog_stays_cancelled() {
    let mut bench = Bench::connected(options());
    bench.obey(jog(50.0, 600.0)).unwrap();
    bench.until_mode(Mode::Jogging);
    bench.wait(0.5);
    assert_eq!(bench.obey(jog(1.0, 600.0)), Err(Refusal::NotNow("jogging")));
    bench.obey(Command::JogCancel).unwrap();
    bench.until_mode(Mode::Idle);
    let rest = bench.position();
    bench.wait(3.0);
    assert_eq!(bench.position(), rest);
    assert!(rest[0] < 10.0, "{rest:?}");
    assert_eq!(bench.driver.unanswered_bytes(), 0);
}

#[test]
fn a_hold_ends_every_jog_that_has_been_accepted() {
    let mut bench = Bench::connected(options());
    bench.obey(jog(50.0, 600.0)).unwrap();
    bench.until_mode(Mode::Jogging);
    bench.stop(Stop::Hold);
    bench.wait(2.0);
    let rest = bench.position();
    bench.wait(3.0);
    assert_eq!(bench.position(), rest);
    assert!(rest[0] < 5.0, "{rest:?}");
    assert_eq!((bench.driver.unanswered_bytes(), bench.driver.live().mode), (0, Mode::Idle));
}

#[test]
fn a_key_that_repeats_itself_makes_one_step_after_the_other() {
    let mut bench = Bench::connected(options());
    let mut taken = 0;
    for _ in 0..60 {
        // A millimetre takes more than a tenth of a second, a key repeats itself thirty times in one.
        match bench.obey(jog(1.0, 600.0)) {
            Ok(()) => taken += 1,
            Err(refused) => assert_eq!(refused, Refusal::NotNow("jogging")),
        }
        assert!(bench.driver.unanswered_bytes() <= 24);
        bench.wait(1.0 / 30.0);
    }
    assert!((4..30).contains(&taken), "{taken}");
    bench.wait(1.0);
    assert_eq!(bench.position()[0], f64::from(taken), "none is carried out afterwards");
}

#[test]
fn homing_takes_its_silent_time() {
    let settings = vec![(22, 1.0)];
    let mut bench = Bench::connected(Options { settings, ..options() });
    assert_eq!(bench.driver.live().mode, Mode::Alarm);
    assert_eq!(bench.obey(run("G0X1")), Err(Refusal::NotNow("alarm")));
    bench.obey(Command::Home { axes: None }).unwrap();
    bench.until_mode(Mode::Homing);
    bench.until(120.0, "the end of homing", |it| it.events.contains(&Event::Homed));
    assert!(bench.seconds > 5.0, "homing was to take longer than a silent link is given");
    assert_eq!(bench.driver.live().homed, Some(true));
    bench.until_mode(Mode::Idle);
}

#[test]
fn a_stop_while_homing_resets_at_once() {
    let settings = vec![(22, 1.0)];
    let mut bench = Bench::connected(Options { settings, ..options() });
    bench.obey(Command::Home { axes: None }).unwrap();
    bench.wait(1.0);
    bench.stop(Stop::Stop);
    bench.until(5.0, "rest", |it| {
        it.events.iter().any(|event| matches!(event, Event::AtRest { position_kept: false, .. }))
    });
    assert_eq!(bench.driver.live().mode, Mode::Alarm);
    bench.obey(Command::Unlock).unwrap();
    bench.until(5.0, "unlocking", |it| it.events.contains(&Event::Unlocked));
    bench.until_mode(Mode::Idle);
    assert!(bench.driver.live().position_doubt.is_some(), "unlocking finds no position");
}

#[test]
fn overrides_are_brought_to_their_percentages() {
    let mut bench = Bench::connected(options());
    for (which, percent) in [
        (Override::Feed, 137),
        (Override::Rapid, 25),
        (Override::Spindle, 82),
        (Override::Feed, 100),
    ] {
        bench.obey(Command::Override { which, percent }).unwrap();
        let at = which as usize;
        bench.until(10.0, "the override", |it| it.driver.live().overrides[at] == percent);
    }
    bench.wait(1.0);
    assert_eq!(bench.driver.live().overrides, [100, 25, 82]);
}

#[test]
fn a_hard_limit_is_told_and_only_a_reset_wakes_the_controller() {
    use headstock_config::machine::SoftLimits;
    let mut mill = machine();
    mill.soft_limits = SoftLimits::Off;
    let settings = vec![(22, 1.0), (20, 1.0)];
    let mut bench = Bench::of(&mill, Options { settings, ..options() }).connect();
    bench.obey(Command::Home { axes: None }).unwrap();
    bench.until(120.0, "homing", |it| it.events.contains(&Event::Homed));
    bench.wait(1.0);
    let end = bench.run("G21G90\nG1X-5F500\nG1X9999\n");
    assert!(is_lost(&end, Cause::Alarm, true), "{end:?}");
    assert_eq!(bench.driver.live().mode, Mode::Alarm);
    bench.wait(20.0);
    assert_eq!(bench.driver.live().mode, Mode::Alarm, "its silence is no lost link");
    assert_eq!(bench.obey(Command::Unlock), Err(Refusal::NotNow("alarm")));
    bench.obey(Command::Reset).unwrap();
    bench.wait(2.0);
    bench.obey(Command::Unlock).unwrap();
    bench.until_mode(Mode::Idle);
}

#[test]
fn a_setting_is_written_alone_and_read_back() {
    let mut bench = Bench::connected(options());
    bench.take_events();
    bench.obey(Command::Setting { number: 120, value: "55.5".into() }).unwrap();
    bench.wait(2.0);
    let told = bench.events.iter().any(|event| {
        matches!(event, Event::Connected { controller }
            if controller.acceleration.is_some_and(|it| it[0] == 55.5))
    });
    assert!(told, "{:?}", bench.events);
}

#[test]
fn a_refused_command_is_told_with_its_meaning() {
    let mut bench = Bench::connected(options());
    bench.obey(run("G1X5Q2")).unwrap();
    bench.wait(1.0);
    let failed = bench.events.iter().any(|event| {
        matches!(event, Event::CommandFailed { sent, number: Some(20), .. } if sent == "G1X5Q2")
    });
    assert!(failed, "{:?}", bench.events);
}

#[test]
fn zero_and_probe_do_what_they_say_in_inches_too() {
    for units in ["G21", "G20"] {
        let probe_plane = Some(-5.0);
        let mut bench = Bench::connected(Options { probe_plane, ..options() });
        bench.obey(run(units)).unwrap();
        bench.obey(Command::Zero { system: Some(1), at: [Some(25.4), None, Some(0.0)] }).unwrap();
        bench.wait(1.0);
        assert_eq!(bench.driver.live().work_position, Some([25.4, 0.0, 0.0]));
        let by = [None, None, Some(-10.0)];
        bench.obey(Command::Probe { by, feed: 300.0, lenient: false }).unwrap();
        bench.wait(3.0);
        let touched = bench.events.iter().find_map(|event| match event {
            Event::Probed { at, touched } => Some((at[2], *touched)),
            _ => None,
        });
        assert_eq!(touched, Some((-5.0, true)), "{units}");
        let restored = bench.device.lines().iter().any(|line| line.contains(units));
        assert!(restored);
    }
}

#[test]
fn a_box_that_restarts_in_mid_program_only_watches() {
    let mut bench = Bench::connected(options());
    bench.start(SQUARE);
    bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
    bench.reopen();
    assert!(bench.events.iter().any(|event| is_lost(event, Cause::Link, false)));
    bench.wire.clear();
    bench.until_mode(Mode::Running);
    bench.until(60.0, "rest", |it| it.driver.live().said == "Idle");
    let moving: Vec<u8> = bench.wire.iter().copied().filter(|&byte| byte != b'?').collect();
    assert_eq!(moving, b"", "nothing but questions while it moves");
    bench.wait(3.0);
    bench.take_events();
    assert_eq!(bench.run("G21G90\nG1X3F500\n"), Event::ProgramDone);
}

#[test]
fn a_controller_that_falls_silent_loses_the_program_and_rests_when_it_is_back() {
    let mut bench = Bench::connected(options());
    bench.start("G21G90\nG1X300F500\n");
    bench.until(5.0, "motion", |it| it.position()[0] > 1.0);
    bench.mute = true;
    assert!(is_lost(&bench.ended(10.0), Cause::Link, false));
    assert_eq!(bench.driver.live().mode, Mode::Connecting);
    bench.wait(2.0);
    bench.mute = false;
    bench.until_mode(Mode::Idle);
    let rest = bench.position();
    bench.wait(3.0);
    assert_eq!(bench.position(), rest, "what was left of the program is gone");
    assert!(rest[0] < 300.0);
    bench.take_events();
    assert_eq!(bench.run("G21G90\nG1X30F500\n"), Event::ProgramDone);
}

#[test]
fn sleep_ends_with_a_reset() {
    let mut bench = Bench::connected(options());
    bench.obey(Command::Sleep).unwrap();
    bench.until_mode(Mode::Sleeping);
    assert_eq!(bench.obey(run("G0X1")), Err(Refusal::NotNow("sleeping")));
    bench.obey(Command::Reset).unwrap();
    bench.until_mode(Mode::Alarm);
}

#[test]
fn the_house_leaves_a_running_program_held() {
    let mut bench = Bench::connected(options());
    bench.start(SQUARE);
    bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
    let mut out = headstock_drivers::Outbox::default();
    let now = bench.now();
    bench.driver.farewell(now, &mut out);
    assert_eq!(out.urgent[0], b'!');
    assert!(out.events.iter().any(|event| is_lost(event, Cause::Closing, false)));
}

#[test]
fn wishes_that_make_no_sense_are_refused_before_anything_is_sent() {
    let mut bench = Bench::connected(options());
    bench.wire.clear();
    let nonsense = [
        Command::Jog { by: NO_AXIS, feed: 100.0, absolute: false },
        jog(1.0, 0.0),
        jog(f64::NAN, 100.0),
        Command::Override { which: Override::Feed, percent: 5 },
        Command::WorkOffset { system: 7 },
        Command::Home { axes: Some("Q".into()) },
        Command::Setting { number: 1, value: "1\n$2=0".into() },
        run("G1 X1 ! stop"),
        run(&"X1".repeat(60)),
        Command::Resume,
    ];
    for command in nonsense {
        assert!(bench.obey(command.clone()).is_err(), "{command:?}");
    }
    bench.wait(1.0);
    assert!(bench.wire.iter().all(|&byte| byte == b'?'));
}

#[test]
fn a_controller_that_restarts_by_itself_does_not_carry_out_what_was_on_the_wire() {
    let mut bench = Bench::connected(options());
    let mut text = String::from("G21G90\n");
    for step in 0..400 {
        text += &format!("G1X{}F6000\n", step % 2 * 3);
    }
    bench.start(&text);
    bench.until(5.0, "motion", |it| it.driver.progress().unwrap().lines_acked > 40);
    bench.device.switch_off_and_on();
    let end = bench.ended(5.0);
    assert!(is_lost(&end, Cause::Restarted, false), "{end:?}");
    assert!(bench.events.contains(&Event::Restarted { asked: false }));
    let rest = bench.position();
    let lines = bench.device.lines().len();
    bench.wait(3.0);
    assert_eq!(bench.position(), rest);
    assert!(bench.device.lines()[lines..].iter().all(|line| line.starts_with('$')));
    bench.take_events();
    assert_eq!(bench.run("G21G90\nG1X2F600\n"), Event::ProgramDone);
}

#[test]
fn check_mode_by_hand_is_left_by_a_restart_that_was_asked_for() {
    let mut bench = Bench::connected(options());
    bench.obey(Command::Check { on: true }).unwrap();
    bench.until_mode(Mode::Checking);
    bench.obey(run("G1 X100 F500")).unwrap();
    bench.wait(1.0);
    bench.obey(Command::Check { on: false }).unwrap();
    bench.until_mode(Mode::Idle);
    bench.wait(1.0);
    assert!(bench.events.contains(&Event::Restarted { asked: true }));
    assert!(!bench.events.contains(&Event::Restarted { asked: false }));
    assert_eq!(bench.position(), [0.0; 3]);
}

#[test]
fn a_failed_probe_leaves_no_lines_behind() {
    let probe_plane = None;
    let mut bench = Bench::connected(Options { probe_plane, ..options() });
    let by = [None, None, Some(-2.0)];
    bench.obey(Command::Probe { by, feed: 300.0, lenient: false }).unwrap();
    bench.until_mode(Mode::Alarm);
    bench.wait(2.0);
    let failed = bench.events.iter().any(|event| matches!(event, Event::CommandFailed { .. }));
    assert!(!failed, "{:?}", bench.events);
    bench.obey(Command::Unlock).unwrap();
    bench.until_mode(Mode::Idle);
}

#[test]
fn a_hold_right_after_a_resume_is_not_taken_for_lifted() {
    let mut bench = Bench::connected(options());
    bench.start(SQUARE);
    bench.until(5.0, "motion", |it| it.position()[0] > 12.0);
    for turn in 0..20 {
        bench.stop(Stop::Hold);
        bench.until_mode(Mode::Held);
        bench.wait(0.013 * f64::from(turn));
        bench.obey(Command::Resume).unwrap();
        bench.wait(0.003 * f64::from(turn % 5));
        bench.stop(Stop::Hold);
        bench.wait(1.0);
        assert_eq!(bench.driver.live().mode, Mode::Held, "turn {turn}");
        bench.obey(Command::Resume).unwrap();
        bench.wait(0.05);
    }
    assert_eq!(bench.ended(60.0), Event::ProgramDone);
}

#[test]
fn work_offsets_are_told_again_when_a_person_or_a_program_changes_them() {
    let mut bench = Bench::connected(options());
    let told = bench.events.iter().find_map(|event| match event {
        Event::Connected { controller } => controller.work_offsets.clone(),
        _ => None,
    });
    assert_eq!(told.map(|it| it.systems), Some([[0.0; 3]; 6]));
    let origin = |bench: &mut Bench, system: u8| {
        let told = |event: &Event| matches!(event, Event::WorkOffsets { .. });
        bench.until(5.0, "new offsets", |it| it.events.iter().any(told));
        let events = bench.take_events();
        let latest = events.into_iter().rev().find(told);
        let Some(Event::WorkOffsets { offsets }) = latest else { panic!("it was just told") };
        offsets.of(system).unwrap()
    };

    bench.obey(Command::Zero { system: Some(2), at: [Some(7.0), None, None] }).unwrap();
    assert_eq!(origin(&mut bench, 2), [-7.0, 0.0, 0.0]);

    assert_eq!(bench.run("G21\nG10L2P1Z3\nG92Y1\nG0Y1\n"), Event::ProgramDone);
    assert_eq!(origin(&mut bench, 1), [0.0, -1.0, 3.0]);

    bench.obey(Command::Jog { by: [Some(1.0), None, None], feed: 600.0, absolute: false }).unwrap();
    bench.wait(3.0);
    assert!(bench.wire.ends_with(b"?"), "nothing is asked after a jog");
}

#[test]
fn a_speed_that_changes_in_a_move_leaves_the_tool_on_its_way() {
    let mut text = String::from("G21G90M3S100\nG1F6000\n");
    for step in 1..200 {
        text += &format!("X{}S{}\n", step % 50, 100 + step);
    }
    let mut bench = Bench::connected(options());
    assert_eq!(bench.run(&text), Event::ProgramDone, "{:?}", bench.events);
}
