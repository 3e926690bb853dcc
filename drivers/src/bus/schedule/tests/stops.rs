//! Stops and safe states against the pretend bus.

use super::*;

#[test]
fn a_stop_goes_ahead_of_everything_and_is_confirmed_when_the_machine_rests() {
    let mut world = World::new([vec![drive()], several(10, 200)].concat());
    world.run(1_000);
    world.values.insert(at(0, 2), 300.0);
    world.run(1_000);
    assert_eq!(world.schedule.mode(0), Mode::Running);
    for tag in 0..4 {
        world.write(at(3, tag), 1.0, tag as u64);
    }
    world.write(at(0, 0), 1.0, 9);
    let begun = world.sent.len();
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Stop), Stopped::UnderWay);
    assert_eq!(world.schedule.mode(0), Mode::Holding);
    let again = world.schedule.write(world.now, at(0, 0), &Value::Number(1.0), 10);
    assert_eq!(again, Err(Refusal::NotNow("holding")));
    world.run(500);
    let first = &world.sent[begun].1;
    assert_eq!(*first, Ask::Put(at(0, 0), 0.0));
    assert_eq!(world.outcomes()[0], (9, Outcome::Overtaken));
    assert!(!world.said.contains(&Said::AtRest(0, Stop::Stop)), "it still turns");
    world.values.insert(at(0, 2), 0.0);
    world.run(200);
    assert!(world.said.contains(&Said::AtRest(0, Stop::Stop)));
    assert_eq!(world.schedule.mode(0), Mode::Idle);
    // `safe` counts as the stop value where nothing else is said: the loader sees to that.
    assert_eq!(world.values[&at(0, 0)], 0.0);
}

#[test]
fn a_hold_writes_what_is_declared_for_it_and_a_device_without_rests_at_once() {
    let mut world = World::new(vec![drive(), machine(vec![tag(200)])]);
    world.run(1_000);
    assert_eq!(world.schedule.stop(world.now, 1, Stop::Stop), Stopped::AtOnce);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::UnderWay);
    world.run(300);
    assert!(world.said.contains(&Said::AtRest(0, Stop::Hold)));
    assert_eq!(world.values[&at(0, 0)], 2.0);
}

#[test]
fn a_device_that_did_not_hear_of_a_stop_hears_of_it_first_when_it_is_back() {
    let mut world = World::new(vec![drive(), machine(vec![tag(200)])]);
    world.run(1_000);
    world.dead.insert(0);
    world.run(5_000);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::Offline);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Stop), Stopped::Offline);
    world.values.insert(at(0, 0), 1.0);
    // However long that takes.
    world.run(20 * 60_000);
    assert!(world.schedule.stop_waits(0));
    world.dead.clear();
    world.run(60_000);
    assert_eq!(world.values[&at(0, 0)], 0.0);
    assert!(world.said.contains(&Said::AtRest(0, Stop::Stop)));
    assert!(!world.said.iter().any(|said| matches!(said, Said::NotStopped(..))));
}

#[test]
fn a_stop_that_does_not_take_is_said_so() {
    let mut world = World::new(vec![drive()]);
    world.run(1_000);
    world.values.insert(at(0, 0), 1.0);
    world.stuck.insert(at(0, 0));
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.run(60_000);
    let why = "`: `0` was written and `1` was read back";
    let said = world.said.iter().find_map(|said| match said {
        Said::NotStopped(0, why) => Some(why.clone()),
        _ => None,
    });
    assert!(said.as_ref().is_some_and(|said| said.ends_with(why)), "{said:?}");
    assert!(!world.said.contains(&Said::AtRest(0, Stop::Stop)));
    let puts = world.sent.iter().filter(|(_, ask)| *ask == Ask::Put(at(0, 0), 0.0)).count();
    assert!(4 < puts, "it was tried again and again: {puts}");
}

#[test]
fn outputs_take_their_safe_state_once_when_they_are_met_and_when_the_house_closes() {
    let mut world = World::of(vec![drive()], true);
    world.values.insert(at(0, 1), 80.0);
    world.run(500);
    assert_eq!(world.values[&at(0, 1)], 0.0);
    assert_eq!(world.schedule.mode(0), Mode::Idle);
    world.write(at(0, 1), 50.0, 1);
    world.run(500);
    world.dead.insert(0);
    world.run(5_000);
    world.dead.clear();
    world.run(10_000);
    assert_eq!(world.values[&at(0, 1)], 50.0, "only the first time");
    world.schedule.close(world.now);
    assert!(!world.schedule.idle());
    let soon = world.now + Duration::from_secs(1);
    while !world.schedule.idle() {
        world.step(soon);
        assert!(world.now < soon);
    }
    assert_eq!(world.values[&at(0, 1)], 0.0);
    assert!(world.schedule.write(world.now, at(0, 1), &Value::Number(1.0), 2).is_err());
}

#[test]
fn what_other_devices_drive_is_left_alone_when_the_house_starts_and_closes() {
    let mut world = World::new(vec![drive()]);
    world.values.insert(at(0, 1), 80.0);
    world.run(500);
    world.schedule.close(world.now);
    assert!(world.schedule.idle());
    world.run(500);
    assert_eq!(world.values[&at(0, 1)], 80.0);
    assert!(!world.sent.iter().any(|(_, ask)| matches!(ask, Ask::Put(..))));
}

#[test]
fn a_safe_state_that_was_cut_short_is_brought_about_when_the_device_is_back() {
    let mut world = World::of(vec![drive()], true);
    world.values.insert(at(0, 1), 80.0);
    assert!(world.step(world.now + ANSWER));
    assert!(world.said.contains(&Said::Came(0)));
    world.dead.insert(0);
    world.run(5_000);
    world.dead.clear();
    world.run(10_000);
    assert_eq!(world.values[&at(0, 1)], 0.0);
    // A hold says nothing of that output.
    let mut world = World::of(vec![drive()], true);
    world.values.insert(at(0, 1), 80.0);
    assert!(world.step(world.now + ANSWER));
    world.schedule.stop(world.now, 0, Stop::Hold);
    world.run(500);
    assert_eq!((world.values[&at(0, 0)], world.values[&at(0, 1)]), (2.0, 0.0));
}

#[test]
fn a_safe_state_that_does_not_take_is_said_so_by_name_and_tried_when_the_device_is_back() {
    let mut fan = tag(500);
    (fan.name, fan.safe) = ("fan".into(), Some(Value::Number(0.0)));
    let mut world = World::of(vec![machine(vec![fan])], true);
    world.values.insert(at(0, 0), 80.0);
    world.stuck.insert(at(0, 0));
    world.run(60_000);
    let why = "`fan`: `0` was written and `80` was read back";
    assert!(world.said.contains(&Said::NotSafe(0, why.into())), "{:?}", world.said.last());
    world.stuck.clear();
    world.dead.insert(0);
    world.run(5_000);
    world.dead.clear();
    world.run(10_000);
    assert_eq!(world.values[&at(0, 0)], 0.0);
}

#[test]
fn a_hold_takes_nothing_back_of_a_stop_that_is_under_way() {
    let mut world = World::new(vec![drive()]);
    world.run(1_000);
    world.values.insert(at(0, 0), 1.0);
    world.values.insert(at(0, 2), 300.0);
    world.run(1_000);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Stop), Stopped::UnderWay);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::UnderWay);
    world.run(1_000);
    assert_eq!(world.values[&at(0, 0)], 0.0);
    // Everything has been sent, and it still turns.
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::AtOnce);
    assert_eq!(world.schedule.mode(0), Mode::Holding);
    world.values.insert(at(0, 2), 0.0);
    world.run(1_000);
    assert_eq!(world.values[&at(0, 0)], 0.0);
    assert!(world.said.contains(&Said::AtRest(0, Stop::Stop)));
    assert!(!world.sent.iter().any(|(_, ask)| *ask == Ask::Put(at(0, 0), 2.0)));
    // The stop is stronger.
    let mut world = World::new(vec![drive()]);
    world.run(1_000);
    world.schedule.stop(world.now, 0, Stop::Hold);
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.run(1_000);
    assert_eq!(world.values[&at(0, 0)], 0.0);
}

#[test]
fn a_hold_without_values_leaves_a_stop_its_way() {
    let mut plain = drive();
    plain.tags[0].hold = None;
    let mut world = World::new(vec![plain]);
    world.run(1_000);
    world.values.insert(at(0, 0), 1.0);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Stop), Stopped::UnderWay);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::UnderWay);
    world.run(1_000);
    assert_eq!(world.values[&at(0, 0)], 0.0);
    assert!(world.said.contains(&Said::AtRest(0, Stop::Stop)));
}

#[test]
fn a_hold_of_a_machine_that_has_been_stopped_writes_nothing_until_something_is_set_off() {
    let held = |world: &World| {
        let put = Ask::Put(at(0, 0), 2.0);
        world.sent.iter().filter(|(_, ask)| *ask == put).count()
    };
    let mut world = World::new(vec![drive()]);
    world.run(1_000);
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.run(1_000);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::AtOnce);
    world.run(1_000);
    assert_eq!(held(&world), 0);
    // Somebody sets something.
    world.write(at(0, 1), 50.0, 1);
    world.run(500);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::UnderWay);
    world.run(1_000);
    assert_eq!(held(&world), 1);
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.run(1_000);
    // Somebody starts it at its own panel.
    world.values.insert(at(0, 2), 300.0);
    world.run(1_000);
    assert_eq!(world.schedule.stop(world.now, 0, Stop::Hold), Stopped::UnderWay);
}

#[test]
fn a_hold_of_a_device_out_of_reach_is_kept_and_takes_nothing_back_of_a_stop() {
    for (stops, value, last) in [
        (&[Stop::Hold][..], 2.0, Stop::Hold),
        (&[Stop::Stop, Stop::Hold], 0.0, Stop::Stop),
        (&[Stop::Hold, Stop::Stop], 0.0, Stop::Stop),
    ] {
        let mut plain = drive();
        plain.tags[2].rest_below = None;
        let mut world = World::new(vec![plain, machine(vec![tag(200)])]);
        world.run(1_000);
        world.values.insert(at(0, 0), 1.0);
        world.dead.insert(0);
        world.run(5_000);
        for how in stops {
            assert_eq!(world.schedule.stop(world.now, 0, *how), Stopped::Offline);
        }
        world.run(5_000);
        let at_rest = |it: &Said| matches!(it, Said::AtRest(0, _));
        assert!(!world.said.iter().any(at_rest), "it has not heard of it");
        world.dead.clear();
        world.run(20_000);
        assert_eq!(world.values[&at(0, 0)], value);
        assert!(world.said.contains(&Said::AtRest(0, last)));
    }
}
