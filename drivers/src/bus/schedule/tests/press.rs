//! What gives way to a stop, and what does not.

use super::*;

impl World {
    /// Begins the next request; whom it is made to, what it is, and its hurry.
    fn begin(&mut self) -> (usize, Ask, Haste) {
        match self.schedule.next(self.now) {
            Next::Do { machine, request, haste, .. } => (machine, request, haste),
            Next::Wait(until) => panic!("nothing to do before {until:?}"),
        }
    }

    /// The request under way is called back, unanswered.
    fn gives_way(&mut self, sent: bool) {
        self.now += GRACE;
        self.schedule.done(self.now, Err(Fault::GaveWay { sent }));
        self.said.extend(self.schedule.take());
    }

    fn answers(&mut self, machine: usize, ask: &Ask) {
        let result = self.answer(machine, ask);
        self.schedule.done(self.now, result);
        self.said.extend(self.schedule.take());
    }

    fn presses(&self) -> bool {
        self.schedule.pressed_at().is_some_and(|at| at <= self.now)
    }

    /// Lets things go their way until this machine is asked something.
    fn until_asked(&mut self, wanted: usize) -> Ask {
        loop {
            match self.schedule.next(self.now) {
                Next::Do { machine, request, .. } if machine == wanted => return request,
                Next::Do { machine, request, .. } => self.answers(machine, &request),
                Next::Wait(until) => self.now = self.now.max(until.unwrap()),
            }
        }
    }
}

/// Two drives, and a meter with nothing to stop.
fn shop() -> World {
    let mut world = World::new(vec![drive(), drive(), machine(vec![tag(300)])]);
    world.run(1_000);
    world
}

#[test]
fn a_poll_gives_way_to_a_stop_and_counts_against_nobody() {
    let mut world = shop();
    world.until_asked(2);
    assert!(!world.presses());
    let before = world.schedule.look(world.now).devices[2].counts;
    world.schedule.stop(world.now, 0, Stop::Stop);
    assert!(world.presses());
    world.gives_way(true);
    assert_eq!(world.begin(), (0, Ask::Put(at(0, 0), 0.0), Haste::Stops));
    assert!(!world.presses(), "a stop does not give way to itself");
    world.answers(0, &Ask::Put(at(0, 0), 0.0));
    assert_eq!(world.begin(), (0, Ask::Read(0, 0, 1), Haste::Confirms));
    world.answers(0, &Ask::Read(0, 0, 1));
    assert_eq!(world.begin(), (0, Ask::Read(0, 0, 3), Haste::Confirms), "whether it rests");
    world.answers(0, &Ask::Read(0, 0, 3));
    assert!(world.said.contains(&Said::AtRest(0, Stop::Stop)));
    let after = world.schedule.look(world.now).devices[2].counts;
    let counted = |it: Counts| (it.requests, it.silences, it.garbled);
    assert_eq!(counted(before), counted(after));
    let readings = world.readings(2);
    world.run(100);
    assert!(readings < world.readings(2), "it is read at once, now");
    assert_eq!(world.schedule.mode(2), Mode::Idle);
}

#[test]
fn who_kept_silent_is_left_alone_until_the_others_rest() {
    let mut world = shop();
    world.values.insert(at(0, 2), 300.0);
    world.until_asked(2);
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.gives_way(true);
    let sent = world.sent.len();
    world.run(5_000);
    let asked = |ask: &Ask| matches!(ask, Ask::Read(2, ..));
    assert!(!world.sent[sent..].iter().any(|(_, ask)| asked(ask)), "while it turns");
    assert!(world.sent[sent..].iter().any(|(_, ask)| matches!(ask, Ask::Read(1, ..))));
    world.values.insert(at(0, 2), 0.0);
    let sent = world.sent.len();
    world.run(500);
    assert!(world.said.contains(&Said::AtRest(0, Stop::Stop)));
    assert!(world.sent[sent..].iter().any(|(_, ask)| asked(ask)));
}

#[test]
fn a_poll_that_was_not_sent_yet_may_be_made_again_at_once() {
    let mut world = shop();
    world.values.insert(at(0, 2), 300.0);
    world.until_asked(2);
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.gives_way(false);
    let sent = world.sent.len();
    world.run(1_000);
    assert!(world.sent[sent..].iter().any(|(_, ask)| matches!(ask, Ask::Read(2, ..))));
    // A poll that is to tell whether it rests presses as well.
    world.until_asked(2);
    assert!(world.schedule.pressed_at().is_some());
}

#[test]
fn two_silent_devices_do_not_call_each_other_back_for_ever() {
    let mut world = shop();
    world.until_asked(2);
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.schedule.stop(world.now, 1, Stop::Stop);
    world.gives_way(true);
    let (first, _, haste) = world.begin();
    assert_eq!((first, haste), (0, Haste::Stops));
    assert!(world.presses(), "the other has not been told yet");
    world.gives_way(true);
    let (second, ..) = world.begin();
    assert_eq!(second, 1);
    assert!(!world.presses(), "both have been");
    world.answers(1, &Ask::Put(at(1, 0), 0.0));
    // One that answers is confirmed before one that does not is waited for.
    assert_eq!(world.begin().1, Ask::Read(1, 0, 1));
    world.answers(1, &Ask::Read(1, 0, 1));
    loop {
        match world.until_asked(0) {
            Ask::Put(place, _) if place == at(0, 0) => break,
            ask => world.answers(0, &ask),
        }
    }
    assert!(world.said.contains(&Said::AtRest(1, Stop::Stop)));
    assert!(!world.presses());
}

#[test]
fn what_a_stop_gives_way_to_is_next() {
    for silent in [0, 1] {
        for sent in [false, true] {
            let mut world = shop();
            world.until_asked(silent);
            world.schedule.stop(world.now, 0, Stop::Stop);
            world.gives_way(true);
            world.schedule.stop(world.now, 1, Stop::Stop);
            let (first, ..) = world.begin();
            assert!(world.presses());
            world.gives_way(sent);
            let (second, ..) = world.begin();
            assert_ne!(first, second);
            assert!(!world.presses());
        }
    }
}

#[test]
fn among_the_silent_and_the_waiting_every_stop_finds_its_way() {
    let mut machines = vec![drive(); 6];
    machines.push(machine(vec![tag(300)]));
    let mut world = World::new(machines);
    world.run(1_000);
    for machine in 0..6 {
        world.values.insert(at(machine, 2), 300.0);
    }
    world.dead.extend([1, 4, 6]);
    world.owed = true;
    for machine in 0..6 {
        world.schedule.stop(world.now, machine, Stop::Stop);
    }
    world.run(1_500);
    for machine in [0, 2, 3, 5] {
        assert_eq!(world.values[&at(machine, 0)], 0.0);
        world.values.insert(at(machine, 2), 0.0);
    }
    world.run(5_000);
    for machine in 0..6 {
        let rests = world.said.contains(&Said::AtRest(machine, Stop::Stop));
        assert_eq!(rests, !world.dead.contains(&machine), "{machine}");
    }
    assert!((1..60).contains(&world.gave_way), "{}", world.gave_way);
    (world.owed, world.dead) = (false, BTreeSet::new());
    for machine in [1, 4] {
        world.values.insert(at(machine, 2), 0.0);
    }
    world.run(70_000);
    assert!([1, 4].iter().all(|it| world.said.contains(&Said::AtRest(*it, Stop::Stop))));
}

#[test]
fn a_value_that_gave_way_is_sent_again_and_its_asker_hears_once() {
    let mut world = shop();
    world.write(at(2, 0), 7.0, 1);
    assert_eq!(world.until_asked(2), Ask::Put(at(2, 0), 7.0));
    world.schedule.stop(world.now, 0, Stop::Stop);
    assert!(world.presses());
    world.gives_way(true);
    assert_eq!(world.outcomes(), []);
    world.run(2_000);
    assert_eq!(world.outcomes(), [(1, Outcome::Verified)]);
}

#[test]
fn a_value_that_had_not_left_may_still_be_too_late() {
    let mut world = shop();
    world.write(at(2, 0), 7.0, 1);
    world.until_asked(2);
    world.schedule.stop(world.now, 0, Stop::Stop);
    world.schedule.done(world.now, Err(Fault::GaveWay { sent: false }));
    world.now += Duration::from_secs(3);
    world.run(500);
    assert_eq!(world.outcomes(), [(1, Outcome::Expired)]);
}

#[test]
fn what_rules_stand_against_is_not_sent_and_not_tried_again() {
    let mut world = shop();
    world.write(at(2, 0), 7.0, 1);
    let Next::Do { tickets, begun, .. } = world.schedule.next(world.now) else { panic!() };
    assert_eq!((tickets, begun), (vec![1], false));
    world.schedule.done(world.now, Err(Fault::Forbidden));
    world.run(2_000);
    assert_eq!(world.outcomes(), [(1, Outcome::Forbidden { begun: false })]);
    assert!(!world.values.contains_key(&at(2, 0)));
}

#[test]
fn a_stop_that_ran_into_something_is_sent_again_at_once() {
    let mut world = shop();
    world.schedule.stop(world.now, 0, Stop::Stop);
    for _ in 0..2 {
        let (_, ask, haste) = world.begin();
        assert_eq!((ask, haste), (Ask::Put(at(0, 0), 0.0), Haste::Stops));
        world.now += ANSWER;
        world.schedule.done(world.now, Err(Fault::Garbled("two at once".into())));
    }
    let (_, ask, _) = world.begin();
    world.answers(0, &ask);
    world.run(500);
    assert!(world.said.contains(&Said::AtRest(0, Stop::Stop)));
}
