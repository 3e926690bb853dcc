//! The pretend controller against transcripts of the real one, with a clock of our own.

use proptest::prelude::*;

use super::controller::Controller;
use super::*;

/// A controller on a bench: bytes and time are ours.
struct Bench {
    controller: Controller,
    now: f64,
}

impl Bench {
    fn new(options: Options) -> Self {
        let mut bench = Self { controller: Controller::new(options), now: 0.0 };
        bench.said();
        bench
    }

    fn plain() -> Self {
        Self::new(Options::default())
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for &byte in bytes.as_ref() {
            self.controller.receive(self.now, byte);
            self.controller.advance(self.now);
        }
        self
    }

    /// Lets time pass.
    fn wait(&mut self, seconds: f64) -> &mut Self {
        let until = self.now + seconds;
        let mut steps = 0;
        while let Some(at) = self.controller.next_event().filter(|at| *at <= until) {
            steps += 1;
            assert!(steps < 200_000, "time does not pass at {at}");
            self.now = self.now.max(at);
            self.controller.advance(self.now);
        }
        self.now = until;
        self.controller.advance(until);
        self
    }

    /// What it has said, line by line.
    fn said(&mut self) -> Vec<String> {
        let text = String::from_utf8(self.controller.take_output()).unwrap();
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// Sends, waits a second, and gives what was said.
    fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Vec<String> {
        self.send(bytes).wait(1.0).said()
    }

    /// The state word of a report.
    fn state(&mut self) -> String {
        let report = self.send("?").said().pop().unwrap();
        report.trim_start_matches('<').split('|').next().unwrap().to_owned()
    }

    fn x(&mut self) -> f64 {
        let report = self.send("?").said().pop().unwrap();
        let at = report.split("MPos:").nth(1).unwrap();
        at.split(',').next().unwrap().parse().unwrap()
    }
}

const BANNER: &str = "Grbl 1.1h ['$' for help]";
const LOCKED: &str = "[MSG:'$H'|'$X' to unlock]";

fn homing() -> Options {
    Options { settings: vec![(22, 1.0)], ..Options::default() }
}

#[test]
fn it_greets_and_a_machine_with_homing_is_locked() {
    let mut free = Controller::new(Options::default());
    assert_eq!(free.take_output(), format!("\r\n{BANNER}\r\n").into_bytes());
    let mut locked = Controller::new(homing());
    assert_eq!(locked.take_output(), format!("\r\n{BANNER}\r\n{LOCKED}\r\n").into_bytes());
}

#[test]
fn every_terminator_is_answered() {
    let mut bench = Bench::plain();
    assert_eq!(bench.ask("G0X1\r\n"), ["ok", "ok"]);
    assert_eq!(bench.ask("\n(comment)\n; another\n%\n"), ["ok"; 4]);
}

#[test]
fn realtime_bytes_act_in_the_middle_of_a_line_and_in_comments() {
    let mut bench = Bench::plain();
    let said = bench.ask("(hello ? world)\n");
    assert!(said[0].starts_with("<Idle|") && said[1] == "ok", "{said:?}");
    bench.send("G1X10F600\n").wait(0.5);
    bench.send("(stop!)\n").wait(0.5).said();
    assert_eq!(bench.state(), "Hold:0");
}

#[test]
fn lines_are_answered_by_the_numbers_of_the_controller() {
    for (line, answer) in [
        ("G1X1", "error:22"),
        ("G5", "error:20"),
        ("M6T1", "error:20"),
        ("$999=1", "error:3"),
        ("$20=1", "error:10"),
        ("$H", "error:5"),
        ("$J", "error:16"),
        ("$J=G91X1", "error:22"),
        ("$J=G91X1F100M3", "error:16"),
        ("$Q", "error:3"),
        ("G0", "ok"),
        ("", "ok"),
    ] {
        assert_eq!(Bench::plain().ask(format!("{line}\n")), [answer], "{line}");
    }
    assert_eq!(Bench::plain().ask([b"X".repeat(80).as_slice(), b"\n"].concat()), ["error:11"]);
}

#[test]
fn a_full_planner_holds_back_the_answer_and_then_the_ring_overflows() {
    let mut bench = Bench::plain();
    let line = "G1X1F60\nG1X0F60\n";
    for _ in 0..20 {
        bench.send(line).wait(0.01);
    }
    let answers = bench.said().len();
    assert_eq!(answers, 15);
    assert!(bench.controller.counters.overflowed > 0);
    let report = bench.send("?").said().pop().unwrap();
    assert!(report.contains("|Bf:0,0|"), "{report}");
    // Lines merge where bytes were dropped.
    bench.wait(60.0);
    assert!(bench.controller.counters.lines < 40);
}

#[test]
fn motion_takes_its_time_and_is_reported() {
    let mut bench = Bench::plain();
    bench.send("G1X10F600\n").wait(0.5);
    assert_eq!(bench.said(), ["ok"]);
    assert_eq!(bench.state(), "Run");
    assert!((bench.x() - 4.9).abs() < 0.05);
    bench.wait(0.6);
    assert_eq!(bench.state(), "Idle");
    assert_eq!(bench.x(), 10.0);
}

#[test]
fn without_a_time_scale_motion_takes_no_time() {
    let mut bench = Bench::new(Options { time_scale: 0.0, ..Options::default() });
    assert_eq!(bench.ask("G1X100F1\nG4P100\nM0\n"), ["ok", "ok"]);
    assert_eq!(bench.state(), "Hold:0");
    assert_eq!(bench.ask("~"), ["ok"]);
    assert_eq!(bench.x(), 100.0);
}

#[test]
fn a_hold_then_a_reset_keeps_position_and_raises_no_alarm() {
    let mut bench = Bench::plain();
    bench.send("G1X100F3000\n").wait(1.0).said();
    bench.send("!");
    assert_eq!(bench.state(), "Hold:1");
    bench.wait(0.09);
    assert_eq!(bench.state(), "Hold:1");
    bench.wait(0.03);
    assert_eq!(bench.state(), "Hold:0");
    let at = bench.x();
    assert_eq!(bench.ask([0x18]), ["", BANNER]);
    assert_eq!(bench.state(), "Idle");
    assert_eq!(bench.x(), at);
}

#[test]
fn a_hold_is_resumed_where_it_stopped() {
    let mut bench = Bench::plain();
    bench.send("G1X10F600\nG1X20\n").wait(0.5).send("!").wait(1.0).said();
    let at = bench.x();
    assert!(at > 4.0 && at < 6.0, "{at}");
    bench.send("~").wait(0.001);
    assert_eq!(bench.state(), "Run");
    bench.wait(2.0);
    assert_eq!((bench.state().as_str(), bench.x()), ("Idle", 20.0));
}

#[test]
fn a_reset_in_motion_is_an_alarm_and_locks() {
    let mut bench = Bench::plain();
    bench.send("G1X100F3000\n").wait(0.5).said();
    assert_eq!(bench.ask([0x18]), ["ALARM:3", "", BANNER, LOCKED]);
    assert_eq!(bench.ask("G0X0\n"), ["error:9"]);
    assert_eq!(bench.ask("$X\n"), ["[MSG:Caution: Unlocked]", "ok"]);
    assert_eq!(bench.state(), "Idle");
}

#[test]
fn a_cancelled_jog_goes_on_with_what_is_left_in_the_ring() {
    let mut bench = Bench::new(Options {
        line_time: Duration::ZERO,
        byte_time: Duration::ZERO,
        ..Options::default()
    });
    for _ in 0..24 {
        bench.send("$J=G91X2F200\n");
    }
    bench.wait(0.15);
    let before = bench.said().len();
    assert!((15..=16).contains(&before), "{before} answers");
    bench.send([0x85]);
    assert_eq!(bench.state(), "Jog");
    assert!(bench.x() < 1.0);
    bench.wait(0.1);
    let after = bench.said().iter().filter(|line| *line == "ok").count();
    assert!((7..=9).contains(&after), "{after} further answers");
    assert_eq!(bench.state(), "Jog");
    bench.wait(2.0);
    assert!(bench.x() > 6.0);
}

#[test]
fn a_jog_leaves_the_modes_alone_and_stays_inside_the_travel() {
    let mut bench =
        Bench::new(Options { settings: vec![(22, 1.0), (20, 1.0)], ..Options::default() });
    bench.ask("$X\n");
    assert_eq!(bench.ask("$J=G91G20X1F100\n"), ["error:15"]);
    assert_eq!(bench.ask("$J=G91X-1F1000\n"), ["ok"]);
    assert_eq!(bench.x(), -1.0);
    let modes = "[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]";
    assert_eq!(bench.ask("$G\n"), [modes, "ok"]);
}

#[test]
fn beyond_a_soft_limit_it_slows_down_and_answers_nothing_but_a_reset() {
    let settings = vec![(22, 1.0), (20, 1.0)];
    let mut bench = Bench::new(Options { settings, ..Options::default() });
    bench.ask("$X\n");
    bench.send("G1X-100F3000\n").wait(0.5).send("G1X-999\nG1X0\n").wait(3.0);
    assert_eq!(bench.said(), ["ok", "ALARM:2", "[MSG:Reset to continue]"]);
    assert_eq!(bench.ask("?$X\n!G0X0\n"), [""; 0]);
    assert_eq!(bench.ask([0x18]), ["", BANNER, LOCKED]);
    let at = bench.x();
    assert!(at < -1.0 && at > -100.0, "{at}");
}

#[test]
fn a_limit_switch_stops_at_once_and_is_seen_in_the_pins() {
    let mut bench = Bench::plain();
    bench.send("G1X100F3000\n").wait(0.5).said();
    bench.controller.limit_pin = true;
    bench.controller.hard_limit();
    assert_eq!(bench.wait(1.0).said(), ["ALARM:1", "[MSG:Reset to continue]"]);
    assert_eq!(bench.ask("?"), [""; 0]);
    bench.ask([0x18]);
    assert!(bench.ask("?")[0].contains("|Pn:X"));
}

#[test]
fn homing_is_silent_until_it_is_over() {
    let mut bench = Bench::new(homing());
    assert_eq!(bench.send("$H\n").wait(1.0).send("?").said(), [""; 0]);
    let said = bench.wait(60.0).said();
    assert_eq!(said[0], "ok");
    assert!(said[1].starts_with("<Idle|MPos:-1.000,-1.000,-1.000|"), "{said:?}");
    bench.send("$H\n").wait(0.1);
    assert_eq!(bench.ask([0x18]), ["ALARM:6", "", BANNER, LOCKED]);
}

#[test]
fn a_probe_reports_where_it_touched() {
    let mut bench = Bench::new(Options { probe_plane: Some(-5.0), ..Options::default() });
    let said = bench.send("G38.2Z-10F600\n").wait(5.0).said();
    assert_eq!(said, ["[PRB:0.000,0.000,-5.000:1]", "ok"]);
    assert!(bench.ask("?")[0].contains("|Pn:P"));
    assert_eq!(bench.ask("G38.2Z-10\n"), ["ALARM:4", "ok"]);
    bench.ask("$X\nG0Z0\n");
    let missed = bench.send("G38.2X5F600\n").wait(5.0).said();
    assert_eq!(missed, ["ALARM:5", "[PRB:0.000,0.000,-5.000:0]", "ok"]);
    bench.ask("$X\n");
    let lenient = bench.send("G38.3X9F600\n").wait(5.0).said();
    assert_eq!(lenient, ["[PRB:0.000,0.000,-5.000:0]", "ok"]);
}

#[test]
fn eeprom_writes_make_it_deaf() {
    let mut bench = Bench::plain();
    bench.send("G10L20P1X5\n").wait(0.002);
    bench.send("G0X1\n?");
    assert_eq!(bench.wait(1.0).said(), ["ok"]);
    assert_eq!(bench.controller.counters.deaf, 6);
    assert!(bench.ask("$#\n").contains(&"[G54:-5.000,0.000,0.000]".to_owned()));
}

#[test]
fn reports_carry_offsets_and_overrides_now_and_then_and_never_together() {
    let mut bench = Bench::plain();
    let reports: Vec<String> = (0..25).flat_map(|_| bench.ask("?")).collect();
    let with = |field: &str| {
        let has = |(at, report): (usize, &String)| report.contains(field).then_some(at);
        reports.iter().enumerate().filter_map(has).collect::<Vec<_>>()
    };
    assert_eq!(with("WCO:"), [0, 10, 20]);
    assert_eq!(with("Ov:"), [1, 11, 21]);
    assert!(reports[0].starts_with("<Idle|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0|WCO:"));
    bench.ask("G92X5\n");
    assert!(bench.ask("?")[0].contains("|WCO:-5.000,0.000,0.000"));
    assert!(bench.send([0x91]).ask("?")[0].contains("|Ov:110,100,100"));
}

#[test]
fn reports_are_in_inches_and_in_work_coordinates_if_so_set() {
    let mut bench = Bench::new(Options { settings: vec![(13, 1.0)], ..Options::default() });
    bench.ask("G0X25.4\n");
    assert!(bench.ask("?")[0].contains("|MPos:1.0000,0.0000,0.0000|"));
    bench.ask("$13=0\n$10=0\nG92X1\n");
    assert!(bench.ask("?")[0].starts_with("<Idle|WPos:1.000,0.000,0.000|FS:0,0|"));
}

#[test]
fn spindle_and_coolant_are_reported_and_a_door_switches_them_off_for_a_while() {
    let mut bench = Bench::plain();
    bench.ask("M3S1000M8\nG1X100F600\n");
    let reports: Vec<String> = (0..25).map(|_| bench.send("?").said().remove(0)).collect();
    assert!(reports.iter().any(|it| it.contains("|FS:600,1000") && it.ends_with("|A:SF>")));
    assert_eq!(bench.send([0x84]).said(), ["[MSG:Check Door]"]);
    assert_eq!(bench.state(), "Door:2");
    bench.wait(1.0);
    assert_eq!(bench.state(), "Door:0");
    let silent = bench.send("?").said().remove(0);
    assert!(silent.contains("|FS:0,0") && !silent.contains("|A:"), "{silent}");
    bench.send("~");
    assert_eq!(bench.said(), ["[MSG:Restoring spindle]"]);
    assert_eq!(bench.state(), "Door:3");
    bench.wait(5.1);
    assert_eq!(bench.state(), "Run");
}

#[test]
fn an_open_door_is_not_resumed_from() {
    let mut bench = Bench::plain();
    bench.controller.door_pin = true;
    bench.controller.door();
    assert_eq!(bench.state(), "Door:1");
    bench.send("~");
    assert_eq!(bench.state(), "Door:1");
    bench.controller.door_pin = false;
    assert_eq!(bench.state(), "Door:0");
    bench.send("~").wait(0.1);
    assert_eq!(bench.state(), "Idle");
}

#[test]
fn overrides_change_the_feed_and_stay_in_their_range() {
    let mut bench = Bench::plain();
    bench.send("G1X100F600\n").wait(1.0);
    for _ in 0..20 {
        bench.send([0x92]);
    }
    bench.wait(0.5);
    assert!(bench.send("?").said().pop().unwrap().contains("|FS:60,"));
    bench.send([0x90]).wait(0.5);
    assert!(bench.send("?").said().pop().unwrap().contains("|FS:600,"));
}

#[test]
fn a_reset_forgets_modes_and_g92_and_keeps_work_offsets() {
    let mut bench = Bench::plain();
    bench.ask("G10L2P2X3\n");
    bench.ask("G20G91G55G92X1\n");
    bench.ask([0x91, 0x18]);
    let said = bench.ask("$G\n$#\n");
    assert_eq!(said[0], "[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]");
    assert!(said.contains(&"[G55:3.000,0.000,0.000]".to_owned()));
    assert!(said.contains(&"[G92:0.000,0.000,0.000]".to_owned()));
    assert_eq!(bench.controller.overrides, [100; 3]);
}

#[test]
fn check_mode_reads_without_moving_and_leaving_it_resets() {
    let mut bench = Bench::plain();
    assert_eq!(bench.ask("$C\n"), ["[MSG:Enabled]", "ok"]);
    assert_eq!(bench.ask("G0X10\nG5\nM0\n"), ["ok", "error:20", "ok"]);
    assert_eq!((bench.state().as_str(), bench.x()), ("Check", 0.0));
    assert_eq!(bench.ask("$C\n"), ["[MSG:Disabled]", "ok", "", BANNER]);
    assert_eq!(bench.state(), "Idle");
}

#[test]
fn a_pause_waits_for_a_person_and_the_end_of_a_program_is_told() {
    let mut bench = Bench::plain();
    assert_eq!(bench.ask("G1X1F600\nM0\nM3S1\n"), ["ok"]);
    assert_eq!(bench.state(), "Hold:0");
    assert_eq!(bench.ask("~"), ["ok", "ok"]);
    assert_eq!(bench.ask("M30\n"), ["[MSG:Pgm End]", "ok"]);
    assert!(bench.ask("$G\n")[0].starts_with("[GC:G1 G54 G17 G21 G90 G94 M5 M9"));
}

#[test]
fn sleep_ends_only_with_a_reset_and_in_the_lock() {
    let mut bench = Bench::plain();
    assert_eq!(bench.ask("$SLP\n"), ["ok", "[MSG:Sleeping]"]);
    assert_eq!(bench.ask("$X\n~"), [""; 0]);
    assert_eq!(bench.state(), "Sleep");
    assert_eq!(bench.ask([0x18]), ["", BANNER, LOCKED]);
}

#[test]
fn dollar_commands_are_refused_in_motion() {
    let mut bench = Bench::plain();
    bench.send("G1X100F600\n").wait(0.1).said();
    for command in ["$$", "$#", "$I", "$10=1", "$H", "$J=X1F1", "$C"] {
        assert_eq!(bench.send(format!("{command}\n")).wait(0.1).said(), ["error:8"], "{command}");
    }
    assert!(bench.send("$G\n").wait(0.1).said()[0].starts_with("[GC:G1 "));
}

#[test]
fn it_introduces_itself_and_runs_its_startup_lines() {
    let startup = ["G20".to_owned(), String::new()];
    let mut controller = Controller::new(Options { startup, ..Options::default() });
    controller.advance(0.1);
    let said = String::from_utf8(controller.take_output()).unwrap();
    assert!(said.ends_with(">G20:ok\r\n"), "{said}");
    let mut bench = Bench::plain();
    assert_eq!(bench.ask("$I\n"), ["[VER:1.1h.20190830:]", "[OPT:V,15,128]", "ok"]);
    assert_eq!(bench.ask("$N0=G21\n"), ["ok"]);
    assert_eq!(bench.ask("$N\n"), ["$N0=G21", "$N1=", "ok"]);
    assert_eq!(bench.ask([0x18]), ["", BANNER, ">G21:ok"]);
    assert_eq!(bench.ask("$RST=*\n"), ["[MSG:Restoring defaults]", "ok", "", BANNER]);
}

#[test]
fn an_empty_planner_inside_motion_is_starvation_and_a_drain_is_not() {
    let mut bench = Bench::plain();
    bench.send("G1X1F600\n").wait(0.3).send("G1X2\n").wait(1.0);
    assert_eq!(bench.controller.counters.starved, 1);
    bench.send("G1X3\nG4P0.01\nG1X4\n").wait(2.0);
    bench.send("G1X5\n").wait(1.0);
    assert_eq!(bench.controller.counters.starved, 1);
}

#[test]
fn a_restart_leaves_eeprom_and_nothing_else() {
    let mut bench = Bench::plain();
    bench.ask("G10L2P1X7\n");
    bench.send("G1X50F3000\n").wait(0.2).said();
    bench.controller.restart();
    assert_eq!(bench.said(), ["", BANNER]);
    assert_eq!(bench.x(), 0.0);
    assert!(bench.ask("$#\n")[0] == "[G54:7.000,0.000,0.000]");
}

proptest! {
    #[test]
    fn nothing_that_arrives_makes_it_panic(
        pieces in proptest::collection::vec((0.0..0.5_f64, prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[GMXYZIJKRFSTPLN$=HC.0-9-]{0,20}\n".prop_map(String::into_bytes),
            "G[0-3]X-?[0-9]{1,3}Y[0-9]I[0-9]J[0-9]F[0-9]{3}\n".prop_map(String::into_bytes),
            "[!?~]{1,3}".prop_map(String::into_bytes),
        ]), 0..60),
        scale in prop_oneof![Just(0.0), Just(1.0), Just(1_000.0)],
    ) {
        let mut bench = Bench::new(Options { time_scale: scale, ..Options::default() });
        for (seconds, bytes) in pieces {
            bench.send(bytes).wait(seconds).controller.take_output();
        }
    }
}

mod over_a_terminal {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::time::Instant;

    use super::*;
    use crate::link::os;

    fn read_until(port: &mut File, text: &str) -> String {
        let (mut got, since) = (String::new(), Instant::now());
        while !got.contains(text) {
            assert!(since.elapsed() < Duration::from_secs(20), "no {text:?} in {got:?}");
            os::wait(&[(port.as_fd(), false)], Duration::from_millis(100)).unwrap();
            let mut buffer = [0; 256];
            if let Ok(read) = port.read(&mut buffer) {
                got += &String::from_utf8_lossy(&buffer[..read]);
            }
        }
        got
    }

    #[test]
    fn a_program_runs_over_a_real_pty_and_hosts_may_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("mill");
        let options = Options {
            time_scale: 0.0,
            keep_lines: true,
            link: Some(link.clone()),
            ..Options::default()
        };
        let sim = start(options).unwrap();
        let mut port = os::open_terminal(&link).unwrap();
        read_until(&mut port, BANNER);
        port.write_all(b"G1X10F600\nG1Y5\n").unwrap();
        read_until(&mut port, "ok\r\nok\r\n");
        drop(port);
        let mut port = os::open_terminal(&sim.path()).unwrap();
        port.write_all(b"?").unwrap();
        assert!(read_until(&mut port, ">").contains("<Idle|MPos:10.000,5.000,0.000"));
        let counters = sim.stop();
        assert_eq!(counters.text, ["G1X10F600", "G1Y5"]);
        assert_eq!((counters.lines, counters.overflowed), (2, 0));
        assert!(!link.exists() && std::fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn faults_come_by_name_and_an_unplugged_cable_comes_back_at_the_same_path() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("mill");
        let sim = start(Options { link: Some(link.clone()), ..Options::default() }).unwrap();
        let mut port = os::open_terminal(&link).unwrap();
        read_until(&mut port, BANNER);
        sim.fault("reset".parse().unwrap());
        read_until(&mut port, BANNER);
        sim.fault(Fault::now(What::Power).lasting(Duration::from_millis(50)));
        let since = Instant::now();
        while std::fs::symlink_metadata(&link).is_ok() {
            assert!(since.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
        while !link.exists() {
            assert!(since.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
        let mut port = os::open_terminal(&link).unwrap();
        read_until(&mut port, BANNER);
    }
}
