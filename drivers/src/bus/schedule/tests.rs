//! The schedule against a pretend bus: a clock that is moved by hand, and devices that answer,
//! refuse, say something else or fall silent.

mod beats;
mod cut;
mod press;
mod stops;

use std::collections::{BTreeMap, BTreeSet};

use headstock_config::tag::Tag;
use proptest::prelude::*;

use super::*;
use crate::Refusal;
use crate::bus::{Poll, Write};

const TIMEOUT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_millis(20);
const GRACE: Duration = Duration::from_millis(75);

/// Reads the tags from the first to before the last of a machine, or writes one.
#[derive(Clone, Debug, PartialEq)]
enum Ask {
    Read(usize, usize, usize),
    Put(Place, f64),
    Beat(usize, u64),
}

/// Every machine's tags in one request, at the period of the first of them.
struct Plain {
    machines: Vec<Machine>,
    /// The house drives the outputs.
    drives: bool,
}

impl Dialect for Plain {
    type Request = Ask;
    type Answer = Vec<f64>;

    fn polls(&self) -> Vec<Poll<Ask>> {
        let poll = |(machine, it): (usize, &Machine)| Poll {
            machine,
            period: Duration::from_millis(it.tags[0].period_ms),
            request: Ask::Read(machine, 0, it.tags.len()),
        };
        self.machines.iter().enumerate().map(poll).collect()
    }

    fn read(&self, at: Instant, request: &Ask, answer: &Vec<f64>, out: &mut Vec<Reading>) {
        let Ask::Read(machine, from, _) = request else { return };
        for (index, number) in answer.iter().enumerate() {
            let place = Place { machine: *machine, tag: from + index };
            let value = Some(Value::Number(*number));
            out.push(Reading { place, value, quality: Quality::Good, at, why: None });
        }
    }

    fn write(&self, place: Place, value: &Value) -> Result<Write<Ask>, Refusal> {
        let number = value.number().ok_or(Refusal::BadCommand("a number is wanted".into()))?;
        Ok(Write {
            requests: vec![Ask::Put(place, number)],
            verify: Some(Ask::Read(place.machine, place.tag, place.tag + 1)),
            expected: Value::Number(number),
            repeatable: true,
        })
    }

    fn places(&self, request: &Ask) -> Vec<Place> {
        match *request {
            Ask::Read(machine, from, until) => {
                (from..until).map(|tag| Place { machine, tag }).collect()
            }
            _ => Vec::new(),
        }
    }

    fn cost(&self, _: &Ask) -> Duration {
        ANSWER
    }

    fn halves(&self, request: &Ask) -> Option<[Ask; 2]> {
        match *request {
            Ask::Read(machine, from, until) if 1 < until - from => {
                let middle = from.midpoint(until);
                Some([Ask::Read(machine, from, middle), Ask::Read(machine, middle, until)])
            }
            _ => None,
        }
    }

    fn drives_outputs(&self) -> bool {
        self.drives
    }

    fn heartbeat(&self, machine: usize, count: u64) -> Option<(Duration, Ask)> {
        let watchdog = self.machines[machine].bus.watchdog.as_ref()?;
        Some((Duration::from_millis(watchdog.period_ms), Ask::Beat(machine, count)))
    }
}

/// The bus, its devices, and what came of things.
struct World {
    start: Instant,
    now: Instant,
    schedule: Schedule<Plain>,
    values: BTreeMap<Place, f64>,
    dead: BTreeSet<usize>,
    /// Tags that devices do not know.
    unknown: BTreeSet<Place>,
    /// Tags that keep their values whatever is written.
    stuck: BTreeSet<Place>,
    /// No device takes a sign of life.
    unwatched: bool,
    said: Vec<Said>,
    sent: Vec<(Instant, Ask)>,
    /// Something is owed: what is in no hurry waits on and on.
    owed: bool,
    /// Requests that were called back.
    gave_way: usize,
}

impl World {
    /// Devices whose outputs are their own.
    fn new(machines: Vec<Machine>) -> Self {
        Self::of(machines, false)
    }

    fn of(machines: Vec<Machine>, drives: bool) -> Self {
        let now = Instant::now();
        let plain = Plain { machines: machines.clone(), drives };
        let mut schedule = Schedule::new(now, plain, &machines);
        schedule.opened(now);
        Self {
            start: now,
            now,
            schedule,
            values: BTreeMap::new(),
            dead: BTreeSet::new(),
            unknown: BTreeSet::new(),
            stuck: BTreeSet::new(),
            unwatched: false,
            said: Vec::new(),
            sent: Vec::new(),
            owed: false,
            gave_way: 0,
        }
    }

    fn answer(&mut self, machine: usize, ask: &Ask) -> Result<Vec<f64>, Fault> {
        self.sent.push((self.now, ask.clone()));
        if self.dead.contains(&machine) {
            self.now += TIMEOUT;
            return Err(Fault::Silence(500));
        }
        self.now += ANSWER;
        match *ask {
            Ask::Read(machine, from, until) => {
                let places = (from..until).map(|tag| Place { machine, tag });
                if places.clone().any(|place| self.unknown.contains(&place)) {
                    let means = "illegal address";
                    return Err(Fault::Refused { number: 2, means, later: false });
                }
                Ok(places.map(|it| self.values.get(&it).copied().unwrap_or(0.0)).collect())
            }
            Ask::Put(place, number) => {
                if !self.stuck.contains(&place) {
                    self.values.insert(place, number);
                }
                Ok(Vec::new())
            }
            Ask::Beat(..) if self.unwatched => {
                Err(Fault::Refused { number: 2, means: "illegal address", later: false })
            }
            Ask::Beat(..) => Ok(Vec::new()),
        }
    }

    /// Whether a request is called back before anything comes of it, and if so, whether it had been
    /// sent by then.
    fn called_back(&mut self, machine: usize, haste: Haste) -> Option<bool> {
        let waits = self.owed && haste == Haste::Turn;
        if !waits && !self.dead.contains(&machine) {
            return None;
        }
        let at = self.schedule.pressed_at().filter(|at| *at < self.now + TIMEOUT)?;
        let grace = if waits { Duration::ZERO } else { GRACE };
        (self.gave_way, self.now) = (self.gave_way + 1, self.now.max(at) + grace);
        Some(!waits)
    }

    /// One step: a request, or a wait until then at the longest. Whether a request was made.
    fn step(&mut self, until: Instant) -> bool {
        let next = self.schedule.next(self.now);
        let made = match next {
            Next::Do { machine, request, haste, .. } => {
                let result = match self.called_back(machine, haste) {
                    Some(sent) => Err(Fault::GaveWay { sent }),
                    None => self.answer(machine, &request),
                };
                self.schedule.done(self.now, result);
                true
            }
            Next::Wait(at) => {
                let at = at.unwrap_or(until).min(until);
                assert!(self.now < at || at == until, "it waits for what is there already");
                self.now = self.now.max(at);
                false
            }
        };
        self.said.extend(self.schedule.take());
        made
    }

    fn run(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while self.now < until {
            self.step(until);
        }
    }

    fn outcomes(&self) -> Vec<(Ticket, Outcome)> {
        let answers = self.said.iter().filter_map(|said| match said {
            Said::Answer(ticket, outcome) => Some((*ticket, outcome.clone())),
            _ => None,
        });
        answers.collect()
    }

    fn write(&mut self, place: Place, number: f64, ticket: Ticket) {
        self.schedule.write(self.now, place, &Value::Number(number), ticket).unwrap();
    }

    fn readings(&self, machine: usize) -> usize {
        let of = |said: &&Said| matches!(said, Said::Reading(it) if it.place.machine == machine && it.value.is_some());
        self.said.iter().filter(of).count()
    }

    fn latest(&self, place: Place) -> &Reading {
        let mut readings = self.said.iter().rev().filter_map(|said| match said {
            Said::Reading(reading) if reading.place == place => Some(reading),
            _ => None,
        });
        readings.next().expect("something has been said of it")
    }
}

fn at(machine: usize, tag: usize) -> Place {
    Place { machine, tag }
}

fn tag(period_ms: u64) -> Tag {
    Tag { period_ms, ..Tag::default() }
}

fn machine(tags: Vec<Tag>) -> Machine {
    Machine { tags, ..Machine::default() }
}

/// So many devices of four tags each.
fn several(count: usize, period_ms: u64) -> Vec<Machine> {
    vec![machine(vec![tag(period_ms); 4]); count]
}

/// A drive: run, speed, and a speed that it tells.
fn drive() -> Machine {
    let number = |number| Some(Value::Number(number));
    let run = Tag { stop: number(0.0), hold: number(2.0), ..tag(500) };
    let speed = Tag { safe: number(0.0), ..tag(500) };
    let turns = Tag { rest_below: Some(5.0), ..tag(500) };
    machine(vec![run, speed, turns])
}

#[test]
fn polls_keep_their_periods() {
    let mut world = World::new(several(5, 200));
    world.run(10_000);
    for machine in 0..5 {
        let polls = world.readings(machine) / 4;
        assert!((49..=52).contains(&polls), "{polls}");
    }
    let look = world.schedule.look(world.now);
    assert!((look.utilisation - 0.5).abs() < 0.05, "{look:?}");
    assert_eq!(look.overruns, 0);
}

#[test]
fn a_bus_that_is_asked_for_too_much_is_always_busy_and_leaves_polls_out_evenly() {
    let mut world = World::new(several(20, 200));
    world.run(20_000);
    let (busy, whole) = world.schedule.busy(world.now);
    assert!(0.99 < busy.as_secs_f64() / whole.as_secs_f64());
    let polls: Vec<usize> = (0..20).map(|machine| world.readings(machine) / 4).collect();
    assert!(polls.iter().all(|it| (48..=52).contains(it)), "{polls:?}");
    let look = world.schedule.look(world.now);
    assert!(900 < look.overruns);
    assert!(look.devices.iter().all(|it| it.latest <= Duration::from_millis(400)), "{look:?}");
}

#[test]
fn a_dead_device_costs_the_others_next_to_nothing() {
    let round = |dead: &[usize]| {
        let mut world = World::new(several(32, 700));
        world.dead.extend(dead);
        world.run(120_000);
        let alive = (0..32).filter(|it| !dead.contains(it));
        let polls: Vec<usize> = alive.map(|machine| world.readings(machine) / 4).collect();
        (*polls.iter().min().unwrap(), *polls.iter().max().unwrap())
    };
    let (least, _) = round(&[]);
    let (with_one, _) = round(&[7]);
    let (with_four, _) = round(&[7, 8, 9, 30]);
    assert!(least * 9 / 10 <= with_one, "{least} {with_one}");
    assert!(least * 9 / 10 <= with_four, "{least} {with_four}");
}

#[test]
fn a_device_that_falls_silent_has_bad_tags_and_comes_back() {
    let mut world = World::new(several(2, 200));
    world.run(1_000);
    world.dead.insert(0);
    world.run(4_000);
    let bad = world.latest(at(0, 3));
    assert_eq!((bad.quality, bad.value.clone()), (Quality::Bad, None));
    assert_eq!(bad.why.as_deref(), Some("no answer within 500 ms"));
    let went = |said: &&Said| matches!(said, Said::Went(0, _));
    assert_eq!(world.said.iter().filter(went).count(), 1);
    assert_eq!(world.schedule.mode(0), Mode::Offline);
    world.dead.clear();
    world.run(20_000);
    assert_eq!(world.latest(at(0, 3)).quality, Quality::Good);
    assert_eq!(world.said.iter().filter(|it| **it == Said::Came(0)).count(), 2);
}

#[test]
fn one_tag_that_the_device_does_not_know_does_not_take_the_others_with_it() {
    let mut world = World::new(several(1, 200));
    world.unknown.insert(at(0, 2));
    world.run(2_000);
    let why = world.latest(at(0, 2)).why.clone();
    assert_eq!(why.as_deref(), Some("the device refused: illegal address (2)"));
    for tag in [0, 1, 3] {
        assert_eq!(world.latest(at(0, tag)).quality, Quality::Good, "{tag}");
    }
    assert_eq!(world.schedule.mode(0), Mode::Idle);
    let before = world.schedule.look(world.now).devices[0].counts.refused;
    world.run(10_000);
    let after = world.schedule.look(world.now).devices[0].counts.refused;
    assert_eq!(before, after, "it is asked again after a minute");
}

#[test]
fn a_write_is_read_back_before_it_is_confirmed() {
    let mut world = World::new(several(2, 200));
    world.run(300);
    world.write(at(1, 2), 42.0, 7);
    world.run(200);
    assert_eq!(world.outcomes(), [(7, Outcome::Verified)]);
    assert_eq!(world.values[&at(1, 2)], 42.0);
    world.stuck.insert(at(1, 3));
    world.write(at(1, 3), 1.0, 8);
    world.run(1_000);
    let (expected, found) = (Value::Number(1.0), Some(Value::Number(0.0)));
    assert_eq!(world.outcomes()[1], (8, Outcome::Mismatch { expected, found }));
}

#[test]
fn of_writes_to_one_tag_the_last_one_wins_and_everybody_is_answered() {
    let mut world = World::new(several(2, 200));
    world.run(300);
    for (ticket, number) in [(1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0)] {
        world.write(at(0, 0), number, ticket);
    }
    world.write(at(0, 1), 9.0, 5);
    world.run(500);
    let mut outcomes = world.outcomes();
    outcomes.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(
        outcomes,
        [
            (1, Outcome::Superseded),
            (2, Outcome::Superseded),
            (3, Outcome::Verified),
            (4, Outcome::Verified),
            (5, Outcome::Verified)
        ]
    );
    let puts = world.sent.iter().filter(|(_, ask)| matches!(ask, Ask::Put(..))).count();
    assert_eq!(puts, 2);
}

#[test]
fn a_write_that_cannot_be_begun_in_time_is_not_sent_later() {
    let mut world = World::new(several(2, 5_000));
    world.run(300);
    world.dead.insert(0);
    world.write(at(0, 0), 1.0, 1);
    world.write(at(0, 1), 2.0, 2);
    world.run(20_000);
    world.dead.clear();
    world.run(20_000);
    let outcomes = world.outcomes();
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    assert!(matches!(outcomes[0].1, Outcome::Offline { .. } | Outcome::Expired), "{outcomes:?}");
    let late = world.sent.iter().filter(|(sent, ask)| {
        matches!(ask, Ask::Put(..)) && Duration::from_secs(4) < *sent - world.start
    });
    assert_eq!(late.count(), 0);
    world.write(at(0, 0), 1.0, 3);
    world.run(200);
    assert_eq!(world.outcomes()[2], (3, Outcome::Verified));
}

#[test]
fn a_lost_link_ends_what_was_under_way_and_everything_is_read_when_it_is_back() {
    let mut world = World::new(several(2, 1_000));
    world.run(500);
    world.write(at(0, 0), 1.0, 1);
    assert!(matches!(world.schedule.next(world.now), Next::Do { .. }));
    world.schedule.done(world.now, Err(Fault::Lost("unplugged".into())));
    world.said.extend(world.schedule.take());
    let begun = Outcome::Offline { why: "unplugged".into(), begun: true };
    assert_eq!(world.outcomes(), [(1, begun)]);
    assert_eq!(world.latest(at(1, 3)).why.as_deref(), Some("unplugged"));
    assert_eq!(world.schedule.next(world.now), Next::Wait(None));
    world.schedule.opened(world.now);
    world.run(100);
    assert_eq!(world.latest(at(1, 3)).quality, Quality::Good);
}

/// Something that happens to a bus.
#[derive(Clone, Debug)]
enum Happens {
    Write(usize, usize, f64),
    Stop(usize, bool),
    Dies(usize),
    Lives(usize),
    Unplugged,
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0_usize..4, 0_usize..3, 0..3).prop_map(|(m, t, v)| Happens::Write(m, t, f64::from(v))),
        1 => (0_usize..4, any::<bool>()).prop_map(|(m, hold)| Happens::Stop(m, hold)),
        1 => (0_usize..4).prop_map(Happens::Dies),
        1 => (0_usize..4).prop_map(Happens::Lives),
        1 => Just(Happens::Unplugged),
        4 => (1_u64..3_000).prop_map(Happens::Passes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, every write is answered once, nothing is told of a tag that was not
    /// asked for, and a verified value was in the device.
    #[test]
    fn no_write_is_lost_or_answered_twice(
        story in prop::collection::vec(happens(), 1..60),
        stuck in prop::collection::btree_set((0_usize..4, 0_usize..3), 0..3),
    ) {
        let mut world = World::new(vec![drive(); 4]);
        world.stuck = stuck.into_iter().map(|(machine, tag)| at(machine, tag)).collect();
        let mut asked = BTreeMap::new();
        for (ticket, it) in (0..).zip(story) {
            let now = world.now;
            match it {
                Happens::Write(machine, tag, number) => {
                    let value = Value::Number(number);
                    let place = at(machine, tag);
                    if world.schedule.write(now, place, &value, ticket).is_ok() {
                        asked.insert(ticket, (place, number));
                    }
                }
                Happens::Stop(machine, hold) => {
                    let how = if hold { Stop::Hold } else { Stop::Stop };
                    world.schedule.stop(now, machine, how);
                }
                Happens::Dies(machine) => drop(world.dead.insert(machine)),
                Happens::Lives(machine) => drop(world.dead.remove(&machine)),
                Happens::Unplugged => {
                    world.schedule.lost(now, "unplugged");
                    world.schedule.opened(now);
                }
                Happens::Passes(ms) => world.run(ms),
            }
        }
        world.run(30_000);
        let mut outcomes = BTreeMap::new();
        for (ticket, outcome) in world.outcomes() {
            prop_assert!(outcomes.insert(ticket, outcome).is_none(), "{} twice", ticket);
        }
        prop_assert!(outcomes.keys().eq(asked.keys()), "{:?} {:?}", asked, outcomes);
        for (ticket, outcome) in &outcomes {
            let (place, number) = asked[ticket];
            if *outcome == Outcome::Verified && !world.stuck.contains(&place) {
                let put = Ask::Put(place, number);
                prop_assert!(world.sent.iter().any(|(_, ask)| *ask == put));
            }
        }
    }
}
