//! The alarms of a small workshop, tried with scripts: what is seen and done, and what the book
//! says then.

use std::time::{Duration, Instant};

use headstock_config::alarm::{AlarmEvent, AlarmState, HOUSE, Standing};
use headstock_config::load;
use headstock_config::rule::Because;

use super::cell::Seen;
use super::definition::{self, FLOOD};
use super::engine::{Engine, Latched, Standings};

const WORKSHOP: &str = r#"
[[machine]]
id = "mill"
driver = "grbl"
port = "/dev/ttyUSB0"
[[machine]]
id = "plc"
driver = "modbus-tcp"
port = "10.0.0.9:502"
[[machine.tag]]
name = "door"
area = "coil"
address = 0
[[machine.tag]]
name = "pressure"
area = "input"
address = 1
[[interlock]]
name = "door-open"
when = { point = "plc.door", equals = false }
machine = "mill"
does = "hold"
[[interlock]]
name = "no-air"
when = { point = "plc.pressure", below = 4 }
machine = "mill"
does = "stop"
latch = true
[[alarm]]
name = "pressure-low"
point = "plc.pressure"
below = 5
hysteresis = 0.5
priority = "low"
cause = "c"
meaning = "m"
action = "a"
suppressed_by = ["no-air"]
"#;

/// Alarms with their book, as the house keeps it.
struct Trial {
    engine: Engine,
    book: Standings,
    began: Instant,
    at_s: f64,
}

impl Trial {
    fn new() -> Self {
        Self::on(Standings::new(), &Latched::new())
    }

    fn on(book: Standings, latched: &Latched) -> Self {
        let settings = load::parse(WORKSHOP, "t.toml", &["grbl", "modbus-tcp"]).unwrap();
        let (engine, news) = Engine::new(definition::of(&settings), &book, latched);
        let mut trial = Self { engine, book, began: Instant::now(), at_s: 0.0 };
        trial.write(news);
        trial
    }

    fn write(&mut self, news: Vec<(String, AlarmEvent)>) {
        for (id, event) in news {
            let at_ms = (self.at_s * 1000.0) as u64;
            match event {
                AlarmEvent::Forgotten => drop(self.book.remove(&id)),
                event => self.book.entry(id).or_default().apply(at_ms, &event),
            }
        }
    }

    /// Time passes, and these are seen.
    fn after(&mut self, seconds: f64, seen: &[(&str, bool)]) -> &mut Self {
        self.at_s += seconds;
        let now = self.began + Duration::from_secs_f64(self.at_s);
        let look = seen.iter().map(|(id, there)| {
            let seen = Seen { there: Some(*there), text: (*id).into(), value: None };
            ((*id).to_owned(), seen)
        });
        let wall_ms = (self.at_s * 1000.0) as u64;
        let news = self.engine.look(now, wall_ms, look.collect(), &self.book);
        self.write(news);
        self
    }

    fn person(&mut self, id: &str, event: AlarmEvent) -> &mut Self {
        self.write(vec![(id.to_owned(), event)]);
        self
    }

    fn of(&self, id: &str) -> Standing {
        self.book.get(id).cloned().unwrap_or_default()
    }

    fn state(&self, id: &str) -> AlarmState {
        self.of(id).state()
    }
}

#[test]
fn whatever_the_house_raises_about_itself_may_be_named_in_a_configuration() {
    let trial = Trial::new();
    let ids = trial.engine.definitions().keys().filter(|it| it.starts_with("house."));
    for id in ids.map(String::as_str).chain([definition::STOP_CHAIN]) {
        assert!(HOUSE.contains(&id), "{id}");
    }
}

fn ack() -> AlarmEvent {
    AlarmEvent::Acknowledged { by: "ada".into() }
}

#[test]
fn the_first_of_a_group_is_marked_until_all_of_it_is_over() {
    let mut trial = Trial::new();
    trial.after(0.0, &[("door-open", true), ("mill.controller", true)]);
    assert!(trial.of("door-open").first_out && !trial.of("mill.controller").first_out);
    trial.after(1.0, &[("door-open", false)]).after(1.0, &[("door-open", true)]);
    assert!(!trial.of("door-open").first_out, "the controller's still stands");
    trial.after(1.0, &[("door-open", false), ("mill.controller", false)]);
    trial.person("door-open", ack()).person("mill.controller", ack());
    trial.after(1.0, &[("mill.controller", true)]).after(0.0, &[("door-open", true)]);
    assert!(trial.of("mill.controller").first_out && !trial.of("door-open").first_out);
}

#[test]
fn an_alarm_that_a_person_has_put_aside_is_not_the_first_and_explains_nothing() {
    let (by, reason) = (|| "ada".to_owned(), || "its sensor is broken".to_owned());
    for aside in [
        AlarmEvent::OutOfService { by: by(), reason: reason() },
        AlarmEvent::Shelved { by: by(), reason: reason(), until_ms: u64::MAX },
    ] {
        let mut trial = Trial::new();
        trial.after(0.0, &[("no-air", true), ("pressure-low", true)]);
        assert_eq!(trial.state("pressure-low"), AlarmState::SuppressedByDesign);
        trial.person("no-air", aside).after(1.0, &[("no-air", true), ("pressure-low", true)]);
        assert_eq!(trial.state("pressure-low"), AlarmState::Unacknowledged);
        trial.after(1.0, &[("door-open", true)]);
        assert!(trial.of("door-open").first_out);
    }
}

#[test]
fn an_interlock_that_latched_as_the_house_closed_has_an_alarm_in_the_next_one() {
    let latched = ["no-air", "door-open"].map(|it| (it.to_owned(), Because::default()));
    let mut trial = Trial::on(Standings::new(), &Latched::from(latched));
    assert_eq!(trial.state("no-air"), AlarmState::Unacknowledged);
    assert_eq!(trial.state("door-open"), AlarmState::Normal, "it does not latch any more");
    trial.after(0.0, &[("no-air", false)]);
    assert_eq!(trial.state("no-air"), AlarmState::LatchedUnacknowledged);
}

#[test]
fn an_alarm_that_another_one_explains_is_silent_as_long_as_that_stands() {
    let mut trial = Trial::new();
    trial.after(0.0, &[("pressure-low", true), ("no-air", true)]);
    assert_eq!(trial.state("pressure-low"), AlarmState::SuppressedByDesign);
    assert_eq!(trial.state("no-air"), AlarmState::Unacknowledged);
    trial.after(1.0, &[("no-air", false), ("pressure-low", true)]);
    assert_eq!(trial.state("no-air"), AlarmState::LatchedUnacknowledged);
    assert_eq!(trial.state("pressure-low"), AlarmState::Unacknowledged);
    trial.person("no-air", ack());
    assert_eq!(trial.state("no-air"), AlarmState::LatchedAcknowledged);
    trial.person("no-air", AlarmEvent::Reset { by: "ada".into() });
    assert_eq!(trial.state("no-air"), AlarmState::Normal);
}

#[test]
fn a_shelved_alarm_comes_back_by_itself_once() {
    let mut trial = Trial::new();
    trial.after(1.0, &[("mill.offline", true)]);
    let shelve = AlarmEvent::Shelved { by: "ada".into(), reason: "off".into(), until_ms: 60_000 };
    trial.person("mill.offline", shelve);
    trial.after(50.0, &[]);
    assert_eq!(trial.state("mill.offline"), AlarmState::Shelved);
    trial.after(10.0, &[]);
    assert_eq!(trial.state("mill.offline"), AlarmState::Unacknowledged);
    // Its return is told once, however long the book takes to hear of it.
    let book = Trial::new()
        .person(
            "mill.offline",
            AlarmEvent::Shelved { by: "ada".into(), reason: "off".into(), until_ms: 1 },
        )
        .book
        .clone();
    let mut slow = Trial::on(book.clone(), &Latched::new());
    let now = slow.began;
    let first = slow.engine.look(now, 2, Vec::new(), &book);
    assert_eq!(first, [("mill.offline".to_owned(), AlarmEvent::Unshelved { by: None })]);
    assert_eq!(slow.engine.look(now, 3, Vec::new(), &book), []);
}

#[test]
fn a_flood_is_an_alarm_of_its_own_and_ends_when_it_has_ebbed() {
    let mut trial = Trial::new();
    let many = ["mill.offline", "mill.controller", "plc.offline", "plc.controller", "door-open"];
    let seen = |there| many.map(|id| (id, there));
    trial.after(0.0, &seen(true)).after(1.0, &seen(false));
    assert_eq!(trial.state(FLOOD), AlarmState::Normal);
    trial.after(1.0, &seen(true)).after(1.0, &[]);
    assert_eq!(trial.state(FLOOD), AlarmState::Unacknowledged);
    trial.after(300.0, &[]);
    assert!(trial.of(FLOOD).active);
    trial.after(400.0, &[]);
    assert_eq!(trial.state(FLOOD), AlarmState::ReturnedUnacknowledged);
}

#[test]
fn what_the_book_knows_survives_and_what_is_not_declared_any_more_is_forgotten() {
    let mut trial = Trial::new();
    trial.after(0.0, &[("door-open", true), ("no-air", true)]).person("door-open", ack());
    let mut book = trial.book.clone();
    book.insert("gone".into(), Standing { active: true, ..Standing::default() });
    book.get_mut("no-air").unwrap().chattering = true;

    let mut trial = Trial::on(book, &Latched::new());
    assert!(!trial.book.contains_key("gone") && !trial.of("no-air").chattering);
    assert_eq!(trial.state("door-open"), AlarmState::Acknowledged);
    // It is still there: nobody is called a second time.
    trial.after(5.0, &[("door-open", true), ("no-air", false)]);
    assert_eq!(trial.state("door-open"), AlarmState::Acknowledged);
    assert_eq!(trial.state("no-air"), AlarmState::LatchedUnacknowledged);
    assert_eq!(trial.of("door-open").count, 1);
}

#[test]
fn whatever_is_seen_comings_and_goings_take_turns() {
    let mut trial = Trial::new();
    let ids: Vec<String> = trial.engine.definitions().keys().cloned().collect();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut active = std::collections::BTreeMap::new();
    for _ in 0..20_000 {
        trial.at_s += random(200) as f64 / 10.0;
        let now = trial.began + Duration::from_secs_f64(trial.at_s);
        let id = ids[random(ids.len() as u64) as usize].clone();
        let there = [Some(true), Some(false), None][random(3) as usize];
        let look = vec![(id, Seen { there, ..Seen::default() })];
        let news = trial.engine.look(now, 0, look, &trial.book);
        for (id, event) in &news {
            let was = active.entry(id.clone()).or_insert(false);
            match event {
                AlarmEvent::Raised { .. } => assert!(!std::mem::replace(was, true), "{id}"),
                AlarmEvent::Returned { .. } => assert!(std::mem::replace(was, false), "{id}"),
                _ => (),
            }
        }
        trial.write(news);
    }
    assert!(active.len() == ids.len(), "each has happened");
}
