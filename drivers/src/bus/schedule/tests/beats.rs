//! Signs of life: in time, refused, and none from a house that does not go round.

use super::*;

fn watched() -> Machine {
    let mut watched = machine(vec![tag(100)]);
    watched.bus.watchdog = Some(headstock_config::tag::Watchdog { address: 0, period_ms: 500 });
    watched
}

/// Counts of the signs of life that were sent, with their times.
fn beats(world: &World) -> Vec<(Instant, u64)> {
    let beat = |(at, ask): &(Instant, Ask)| match ask {
        Ask::Beat(0, count) => Some((*at, *count)),
        _ => None,
    };
    world.sent.iter().filter_map(beat).collect()
}

#[test]
fn signs_of_life_go_out_in_time_while_the_device_is_there() {
    let mut world = World::new([vec![watched()], several(6, 100)].concat());
    world.run(10_000);
    let beats = beats(&world);
    assert!(19 <= beats.len(), "{}", beats.len());
    for pair in beats.windows(2) {
        assert!(pair[1].0 - pair[0].0 <= Duration::from_millis(540));
        assert_eq!(pair[1].1, pair[0].1 + 1);
    }
}

#[test]
fn a_device_that_takes_no_signs_of_life_is_told_of_once_and_asked_on() {
    let mut world = World::new(vec![watched()]);
    world.unwatched = true;
    world.run(5_000);
    let told = world.said.iter().filter(|it| matches!(it, Said::NotWatched(0, _)));
    assert_eq!(told.count(), 1);
    assert!(9 <= beats(&world).len());
    assert_eq!(world.schedule.mode(0), Mode::Idle, "it answers all the same");
}

#[test]
fn a_house_that_does_not_go_round_gives_no_signs_of_life() {
    let mut world = World::new(vec![watched()]);
    world.run(2_000);
    world.schedule.house_is_alive(false);
    let before = beats(&world).len();
    world.run(5_000);
    assert_eq!(beats(&world).len(), before);
    world.schedule.house_is_alive(true);
    world.run(1_100);
    assert_eq!(beats(&world).len(), before + 3);
}
