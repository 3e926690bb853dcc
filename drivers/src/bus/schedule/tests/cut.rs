//! Cuts of a machine's power, and machines without it, against the pretend bus.

use super::*;

const OFF: Value = Value::Number(0.0);

fn cuts(world: &World) -> Vec<&Outcome> {
    let said = world.said.iter();
    said.filter_map(|said| match said {
        Said::Cut(_, outcome) => Some(outcome),
        _ => None,
    })
    .collect()
}

#[test]
fn a_cut_goes_ahead_of_everything_touches_one_tag_and_is_read_back() {
    let mut world = World::new([vec![drive()], several(10, 200)].concat());
    world.run(1_000);
    world.values.insert(at(3, 1), 1.0);
    world.values.insert(at(3, 2), 1.0);
    for tag in 0..4 {
        world.write(at(3, tag), 5.0, tag as u64);
    }
    let begun = world.sent.len();
    assert_eq!(world.schedule.cut(world.now, at(3, 1), &OFF), Ok(()));
    let meanwhile = world.schedule.write(world.now, at(3, 1), &Value::Number(1.0), 10);
    assert_eq!(meanwhile, Err(Refusal::NotNow("switching off")));
    world.run(500);
    assert_eq!(world.sent[begun].1, Ask::Put(at(3, 1), 0.0));
    assert_eq!(cuts(&world), [&Outcome::Verified]);
    assert_eq!(world.values[&at(3, 1)], 0.0);
    assert_eq!(world.values[&at(3, 2)], 5.0, "the rest of the board goes on");
    assert!(world.outcomes().contains(&(1, Outcome::Overtaken)), "asked for before the cut");
    world.write(at(3, 1), 1.0, 11);
    world.run(500);
    assert_eq!(world.values[&at(3, 1)], 1.0, "a person may switch it on again");
}

#[test]
fn neither_a_stop_of_the_board_nor_the_end_of_the_house_overtakes_a_cut() {
    let mut world = World::new(vec![drive(), machine(vec![tag(200), tag(200)])]);
    world.run(1_000);
    world.values.insert(at(0, 1), 1.0);
    assert_eq!(world.schedule.cut(world.now, at(0, 1), &OFF), Ok(()));
    world.schedule.stop(world.now, 0, Stop::Abort);
    world.schedule.close(world.now);
    world.run(500);
    assert_eq!((cuts(&world), world.values[&at(0, 1)]), (vec![&Outcome::Verified], 0.0));
    assert_eq!(world.values[&at(0, 0)], 0.0, "and the stop went out as well");
}

#[test]
fn a_board_that_is_out_of_reach_is_told_of_at_once_and_cuts_when_it_is_back() {
    let mut world = World::new(vec![drive(), machine(vec![tag(200), tag(200)])]);
    world.run(1_000);
    world.dead.insert(1);
    world.run(20_000);
    world.values.insert(at(1, 1), 1.0);
    assert_eq!(world.schedule.cut(world.now, at(1, 1), &OFF), Ok(()));
    assert!(matches!(
        world.schedule.take()[..],
        [Said::Cut(_, Outcome::Offline { begun: false, .. })]
    ));
    world.dead.clear();
    world.run(200);
    assert_eq!((cuts(&world), world.values[&at(1, 1)]), (vec![&Outcome::Verified], 0.0));
}

#[test]
fn a_relay_that_does_not_switch_is_said_so() {
    let mut world = World::new(vec![drive(), machine(vec![tag(200), tag(200)])]);
    world.run(1_000);
    world.values.insert(at(1, 1), 1.0);
    world.stuck.insert(at(1, 1));
    assert_eq!(world.schedule.cut(world.now, at(1, 1), &OFF), Ok(()));
    world.run(60_000);
    assert!(matches!(cuts(&world)[..], [Outcome::Mismatch { .. }]), "{:?}", cuts(&world));
}

#[test]
fn a_machine_without_power_is_offline_whatever_it_says_and_read_when_it_has_power_again() {
    let mut world = World::new(vec![drive(), machine(vec![tag(200)])]);
    world.run(1_000);
    world.schedule.power(world.now, 0, true, "its power is off (relays.drive)");
    world.run(100);
    assert_eq!(world.schedule.mode(0), Mode::Offline);
    assert!(world.said.contains(&Said::Went(0, "its power is off (relays.drive)".into())));
    let begun = world.sent.len();
    world.run(120_000);
    let asked = |(_, ask): &&(Instant, Ask)| matches!(ask, Ask::Read(0, ..));
    assert_eq!(world.sent[begun..].iter().filter(asked).count(), 0, "it is left alone");
    world.schedule.power(world.now, 0, false, "");
    world.run(1_000);
    assert_eq!(world.schedule.mode(0), Mode::Idle);
    assert!(world.sent[begun..].iter().any(|it| asked(&it)));
}

#[test]
fn a_request_that_is_under_way_gives_way_to_a_cut() {
    let mut world = World::new(several(3, 200));
    world.run(1_000);
    let begun = loop {
        match world.schedule.next(world.now) {
            Next::Do { machine, .. } => break machine,
            Next::Wait(at) => world.now = at.unwrap(),
        }
    };
    assert_eq!(world.schedule.pressed_at(), None);
    let other = (begun + 1) % 3;
    assert_eq!(world.schedule.cut(world.now, at(other, 1), &OFF), Ok(()));
    assert!(world.schedule.pressed_at().is_some_and(|at| at <= world.now));
}
