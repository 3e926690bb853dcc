//! Conversations in which people move the printer by hand.

use headstock_config::command::Command;
use headstock_config::machine::{Envelope, Mode};

use super::Talk;
use crate::{Driver, Refusal};

impl Talk {
    /// Homed, with these limits, and resting where it says.
    fn homed(capabilities: &[&str]) -> Self {
        let mut talk = Self::connected(capabilities);
        talk.marlin.setup.envelope = Some(Envelope { min: [0.0; 3], max: [220.0, 200.0, 180.0] });
        talk.tell(Command::Home { axes: None }).unwrap();
        assert_eq!(talk.sent(), ["G28"]);
        talk.hear("ok");
        assert_eq!(talk.marlin.live().mode, Mode::Homing, "until it has told where it is");
        talk.is_at([0.0; 3]);
        talk
    }

    fn tell(&mut self, command: Command) -> Result<(), Refusal> {
        self.marlin.obey(self.now, command, &mut self.out)
    }

    fn run(&mut self, line: &str) -> Result<(), Refusal> {
        self.tell(Command::Run { line: line.into() })
    }

    /// Answers everything that was sent, and where it is.
    fn is_at(&mut self, at: [f64; 3]) {
        let [x, y, z] = at;
        loop {
            let sent = self.sent();
            if sent.is_empty() {
                break;
            }
            for line in sent {
                if line == "M114" {
                    self.hear(&format!("X:{x:.2} Y:{y:.2} Z:{z:.2} E:0.00 Count X:0 Y:0 Z:0"));
                }
                self.hear("ok");
            }
        }
        assert_eq!(self.marlin.live().mode, Mode::Idle);
    }

    fn step(&mut self, by: [Option<f64>; 3], absolute: bool) -> Result<(), Refusal> {
        self.tell(Command::Jog { by, feed: 600.0, absolute })
    }
}

/// What it was refused with.
fn why(refused: Result<(), Refusal>) -> String {
    refused.unwrap_err().to_string()
}

#[test]
fn a_step_ends_inside_the_limits_or_is_not_made() {
    let mut talk = Talk::homed(&[]);
    talk.step([Some(220.0), None, Some(5.0)], false).unwrap();
    talk.is_at([220.0, 0.0, 5.0]);
    let refused = why(talk.step([Some(0.1), None, None], false));
    assert!(refused.contains("X would go from 220.00 to 220.10"), "{refused}");
    let refused = why(talk.step([None, None, Some(181.0)], true));
    assert!(refused.contains("the nozzle reaches 0 to 180"), "{refused}");
    assert_eq!(talk.sent(), [""; 0]);
    // Parked beside the bed: it may come back, and go no farther away.
    talk.is_at([-10.0, 0.0, 5.0]);
    talk.run("G1 X-10").unwrap();
    talk.is_at([-10.0, 0.0, 5.0]);
    assert!(talk.step([Some(-1.0), None, None], false).is_err());
    talk.step([Some(4.0), None, None], false).unwrap();
    assert_eq!(talk.sent(), ["G21"]);
}

#[test]
fn a_printer_that_has_not_been_homed_goes_a_little_way_and_nowhere_in_particular() {
    let mut talk = Talk::connected(&[]);
    talk.step([Some(10.0), None, Some(-10.0)], false).unwrap();
    talk.is_at([10.0, 0.0, -10.0]);
    let refused = why(talk.step([Some(10.5), None, None], false));
    assert!(refused.contains("home it, or jog in steps of at most 10 mm"), "{refused}");
    assert!(why(talk.step([Some(1.0), None, None], true)).contains("jog by distances"));
    // One axis that is known is enough for a step of it.
    talk.tell(Command::Home { axes: Some("X".into()) }).unwrap();
    talk.is_at([0.0; 3]);
    assert_eq!(talk.marlin.live().homed, None);
    talk.step([Some(150.0), None, None], true).unwrap();
    talk.is_at([150.0, 0.0, 0.0]);
    assert!(talk.step([Some(15.0), Some(15.0), None], false).is_err());
}

#[test]
fn coordinates_that_were_shifted_are_not_trusted_until_it_is_homed() {
    for line in ["G92 X0", "G92 Z.2", "M206 X5", "G55"] {
        let mut talk = Talk::homed(&[]);
        talk.run(line).unwrap();
        talk.is_at([0.0; 3]);
        let refused = why(talk.step([Some(50.0), None, None], false));
        assert!(refused.contains("shifted"), "{line}: {refused}");
        talk.run("G28").unwrap();
        talk.is_at([0.0; 3]);
        talk.step([Some(50.0), None, None], false).unwrap();
    }
    let mut talk = Talk::homed(&[]);
    talk.run("G92 E0").unwrap();
    talk.is_at([0.0; 3]);
    talk.step([Some(50.0), None, None], false).unwrap();
}

#[test]
fn a_step_is_judged_by_where_it_is_told_to_be_after_the_last_move() {
    let mut talk = Talk::homed(&[]);
    talk.run("G1 X200").unwrap();
    assert!(matches!(talk.step([Some(1.0), None, None], false), Err(Refusal::NotNow("jogging"))));
    talk.is_at([200.0, 0.0, 0.0]);
    assert!(talk.step([Some(50.0), None, None], false).is_err());
    // The place was asked for, and what came was not readable.
    talk.run("G1 X100").unwrap();
    while !talk.sent().is_empty() {
        talk.hear("ok");
    }
    assert!(why(talk.step([Some(50.0), None, None], false)).contains("asked where it is"));
    talk.wait(200);
    talk.is_at([100.0, 0.0, 0.0]);
    talk.step([Some(50.0), None, None], false).unwrap();
}

#[test]
fn what_m115_tells_of_its_size_bounds_steps_where_nothing_is_declared() {
    let mut talk = Talk::homed(&[]);
    talk.marlin.setup.envelope = None;
    talk.step([Some(500.0), None, None], false).unwrap();
    talk.is_at([220.0, 0.0, 0.0]);
    talk.hear("area:{full:{min:{x:0,y:0,z:0},max:{x:300,y:300,z:400}}}");
    assert!(why(talk.step([Some(81.0), None, None], false)).contains("reaches 0 to 300"));
}

#[test]
fn filament_that_is_moved_by_hand_leaves_the_count_as_it_was() {
    let mut talk = Talk::connected(&[]);
    talk.hear("T:210.0 /210.0 B:60.0 /60.0");
    talk.tell(Command::Extrude { mm: 5.0, feed: 200.0 }).unwrap();
    assert_eq!(talk.sent(), ["M114"]);
    talk.hear("X:0.00 Y:0.00 Z:0.00 E:12.50 Count X:0 Y:0 Z:0\nok");
    let mut sent = talk.sent();
    while sent.last().is_some_and(|line| line != "M114") {
        talk.hear("ok");
        sent.extend(talk.sent());
    }
    assert_eq!(sent[1..4], ["M83", "G1 E5.000 F200", "G92 E12.50000"]);
}
