//! Rules at work in a house: a pretend mill, and points that say what the trial has them say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use headstock_config::alarm::AlarmState;
use headstock_config::api::RuleVerdict;
use headstock_config::command::{Command, NO_AXIS, Stop};
use headstock_config::explain::Explain;
use headstock_config::job::JobState;
use headstock_config::ledger::{Entry, Fact, Request};
use headstock_config::machine::{Live, Mode, Progress};
use headstock_config::point::Value;
use headstock_config::rule::{ChainEvent, RuleEvent};
use headstock_drivers::gcode::ProgramLine;
use headstock_drivers::{Driver, Outbox, Program, Refusal};

use super::{Declared, Rules};
use crate::workbench::{LONG, MOMENT, SHORT, Workbench};

const ON: Value = Value::Flag(true);
const OFF: Value = Value::Flag(false);

/// A door that holds the mill, an exhaust without which it does not start, and a chain.
const SHOP: &str = r#"
[[machine]]
id = "pins"
driver = "gpio"
[[machine.tag]]
name = "chain"
pin = "gpiochip0/1"
role = "estop_chain"
age_limit_ms = 86400000
[[machine.tag]]
name = "door"
pin = "gpiochip0/2"
role = "door"
age_limit_ms = 86400000
[[machine.tag]]
name = "exhaust"
pin = "gpiochip0/3"
age_limit_ms = 86400000
[[machine.tag]]
name = "resume"
pin = "gpiochip0/4"
role = "resume"
age_limit_ms = 86400000
[[machine.tag]]
name = "dust"
pin = "gpiochip0/5"
mode = "out"
safe = false

[[permissive]]
name = "exhaust-runs"
machine = "mill"
what = "start"
needs = [{ point = "pins.exhaust", equals = true }]
[[interlock]]
name = "door-open"
when = { point = "pins.door", equals = false }
machine = "mill"
does = "hold"
latch = true
[[follow]]
name = "dust"
when = { point = "pins.exhaust", equals = true }
write = "pins.dust"
on = true
off = false
"#;

async fn shop() -> Workbench {
    let bench = Workbench::declared(1.0, SHOP, |driver| driver).await;
    for point in ["chain", "door", "exhaust"] {
        bench.says(&format!("pins.{point}"), ON);
    }
    bench.says("pins.resume", OFF);
    bench
}

impl Workbench {
    /// Waits for an entry like this one, of those that have been and those that come.
    async fn entry(&self, wanted: impl Fn(&Fact) -> bool) -> Entry {
        let (last, mut entries) = self.desk.ledger().follow(|state| state.applied);
        let past = self.desk.ledger().read(1, last as usize).await.unwrap();
        if let Some(entry) = past.into_iter().find(|it| wanted(&it.fact)) {
            return entry;
        }
        let coming = async {
            loop {
                let entry = entries.recv().await.unwrap();
                if wanted(&entry.fact) {
                    return (*entry).clone();
                }
            }
        };
        tokio::time::timeout(MOMENT, coming).await.expect("it is written down")
    }

    /// Waits until an alarm is in this state.
    async fn alarm_is(&self, id: &str, wished: AlarmState) {
        let (_, mut entries) = self.desk.ledger().follow(|_| ());
        let waiting = async {
            while self.desk.one_alarm(id).unwrap().state != wished {
                entries.recv().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(MOMENT, waiting).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.desk.one_alarm(id)));
    }

    fn verdict(&self, rule: &str) -> RuleVerdict {
        let views = self.desk.rule_views();
        views.into_iter().find(|it| it.name == rule).unwrap().verdict
    }

    async fn jog(&self) -> Result<(), crate::desk::Refused> {
        let by = [Some(0.1), None, None];
        let jog = Command::Jog { by, feed: 600.0, absolute: false };
        self.desk.tell(&self.ada, "mill", jog).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_opens_holds_the_mill_and_everything_says_which_rule_it_was() {
    let bench = shop().await;
    bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Running && 0.0 < live.feed).await;
    bench.says("pins.door", OFF);
    bench.mill_is(|live| live.mode == Mode::Held).await;
    let tripped =
        bench.entry(|fact| matches!(fact, Fact::Rule { rule, .. } if rule == "door-open"));
    let Fact::Rule { happened: RuleEvent::Tripped { because, did, times, .. }, .. } =
        tripped.await.fact
    else {
        panic!("it is a trip");
    };
    assert_eq!(
        (because.to_string().as_str(), did.as_str(), times),
        ("`pins.door` is off", "hold mill", 1)
    );
    bench.alarm_is("door-open", AlarmState::Unacknowledged).await;
    assert_eq!(bench.verdict("door-open"), RuleVerdict::Tripped);

    let refused = bench.desk.tell(&bench.ada, "mill", Command::Resume).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.to_string().as_str()),
        ("rule.interlock", "interlock `door-open` is tripped: `pins.door` is off")
    );
    let why = bench.entry(|fact| matches!(fact, Fact::Answered { refused: Some(why), .. } if why.contains("door-open")));
    why.await;

    // It latches: closed again is not enough.
    bench.says("pins.door", ON);
    bench.alarm_is("door-open", AlarmState::LatchedUnacknowledged).await;
    let refused = bench.desk.tell(&bench.ada, "mill", Command::Resume).await.unwrap_err();
    assert_eq!(refused.code(), "rule.latched");
    assert_eq!(
        bench.desk.reset_alarm(&bench.ada, "door-open").await.unwrap_err().code(),
        "desk.alarm_state"
    );
    // A house that opened now would remember it.
    let again = Rules::new(
        Declared::of(&bench.settings),
        bench.desk.points().clone(),
        &bench.desk.ledger().state(),
    );
    assert!(again.memory().latched.contains_key("door-open"));

    bench.desk.acknowledge(&bench.ada, "door-open").await.unwrap();
    bench.desk.reset_alarm(&bench.ada, "door-open").await.unwrap();
    assert_eq!(bench.desk.one_alarm("door-open").unwrap().state, AlarmState::Normal);
    // A button starts what waits, like everybody else: through the desk.
    bench.says("pins.resume", ON);
    bench.mill_is(|live| live.mode == Mode::Running).await;
    let asked = bench
        .entry(|fact| matches!(fact, Fact::Asked { by, .. } if by.name == "button pins.resume"));
    assert!(matches!(asked.await.fact, Fact::Asked { request: Request::Tell { .. }, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_was_open_for_a_moment_only_was_open() {
    let bench = shop().await;
    bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Running && 0.0 < live.feed).await;
    bench.says("pins.door", OFF);
    bench.says("pins.door", ON);
    bench.mill_is(|live| live.mode == Mode::Held).await;
    bench.alarm_is("door-open", AlarmState::LatchedUnacknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trip_in_the_book_is_followed_by_its_release_and_raises_no_alarm_afterwards() {
    let bench = Workbench::declared(1.0, &SHOP.replace("latch = true", ""), |it| it).await;
    let alarm = || bench.desk.one_alarm("door-open").unwrap();
    let of_door = |entries: &[Entry]| -> Vec<&'static str> {
        let words = entries.iter().filter_map(|it| match &it.fact {
            Fact::Rule { happened: RuleEvent::Tripped { counted: false, .. }, .. } => Some("trip"),
            Fact::Rule { happened: RuleEvent::Tripped { .. }, .. } => Some("counted"),
            Fact::Rule { happened: RuleEvent::Released, .. } => Some("release"),
            _ => None,
        });
        words.collect()
    };
    for point in ["chain", "door", "exhaust"] {
        bench.says(&format!("pins.{point}"), ON);
    }
    // Twice, in less time than two trips are written down in.
    for _ in 0..2 {
        bench.says("pins.door", OFF);
        bench.says("pins.door", ON);
    }
    let counted = |fact: &Fact| {
        matches!(fact, Fact::Rule { happened: RuleEvent::Tripped { counted: true, .. }, .. })
    };
    bench.alarm_is("door-open", AlarmState::ReturnedUnacknowledged).await;
    bench.desk.acknowledge(&bench.ada, "door-open").await.unwrap();
    let late = bench.entry(counted).await.number;
    let released = |fact: &Fact| matches!(fact, Fact::Rule { happened: RuleEvent::Released, .. });
    let (_, mut entries) = bench.desk.ledger().follow(|_| ());
    let over = async {
        loop {
            let last = bench.desk.ledger().read(late, 10_000).await.unwrap();
            if last.iter().any(|it| released(&it.fact)) {
                return;
            }
            entries.recv().await.unwrap();
        }
    };
    tokio::time::timeout(MOMENT, over).await.expect("the release is written down");
    let book = bench.desk.ledger().read(1, 10_000).await.unwrap();
    assert_eq!(of_door(&book), ["trip", "release", "counted", "release"]);
    assert_eq!((alarm().state, alarm().count), (AlarmState::Normal, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mill_at_rest_is_not_held_by_a_door_but_refused_everything() {
    let bench = shop().await;
    bench.says("pins.door", OFF);
    bench.alarm_is("door-open", AlarmState::Unacknowledged).await;
    assert_eq!(bench.jog().await.unwrap_err().code(), "rule.interlock");
    assert_eq!(bench.desk.one_equipment("mill").unwrap().state, Mode::Idle);
    bench.says("pins.door", ON);
    bench.alarm_is("door-open", AlarmState::LatchedUnacknowledged).await;
    bench.desk.acknowledge(&bench.ada, "door-open").await.unwrap();
    bench.desk.reset_alarm(&bench.ada, "door-open").await.unwrap();
    bench.jog().await.unwrap();
}

fn x(live: &Live) -> f64 {
    live.machine_position.unwrap()[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mill_that_waits_for_a_person_and_is_jogged_meanwhile_is_held_as_well() {
    let bench = shop().await;
    let asks = "G21 G90 G94 G17 G54\nT1 M6\nG0 X1\nM30\n";
    bench.desk.start_job(&bench.ada, bench.bring(asks).await).await.unwrap();
    bench.mill_is(|live| live.asks.is_some() && live.said == "Idle" && !live.busy).await;
    let by = [Some(50.0), None, None];
    let jog = Command::Jog { by, feed: 300.0, absolute: false };
    bench.desk.tell(&bench.ada, "mill", jog).await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Held && 0.0 < live.feed).await;
    let began = x(&bench.desk.one_equipment("mill").unwrap().live);
    bench.says("pins.door", OFF);
    bench.mill_is(|live| live.mode == Mode::Held && live.feed == 0.0 && !live.busy).await;
    let moved = x(&bench.desk.one_equipment("mill").unwrap().live) - began;
    assert!(moved < 25.0, "{moved} mm of 50");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_no_report_has_shown_yet_is_held_by_a_door() {
    let bench = shop().await;
    let line = Command::Run { line: "G91 G1 X100 F300".into() };
    let began = x(&bench.desk.one_equipment("mill").unwrap().live);
    bench.desk.tell(&bench.ada, "mill", line).await.unwrap();
    assert!(bench.desk.one_equipment("mill").unwrap().live.busy, "it may move");
    bench.says("pins.door", OFF);
    bench.mill_is(|live| live.mode == Mode::Held).await;
    let moved = x(&bench.desk.one_equipment("mill").unwrap().live) - began;
    // The idle mill is asked four times a second, and stopped again after 0.3 s: 1.5 mm.
    assert!(moved < 1.4, "{moved} mm");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_moves_after_the_chain_was_open_until_somebody_says_that_it_is_clear() {
    let bench = shop().await;
    let job = bench.desk.start_job(&bench.ada, bench.bring(LONG).await).await.unwrap().id;
    bench.mill_is(|live| live.mode == Mode::Running && 0.0 < live.feed).await;
    bench.says("pins.chain", OFF);
    bench.job_is(&job, JobState::over).await;
    bench.mill_is(|live| live.mode == Mode::Idle).await;
    let opened =
        bench.entry(|fact| matches!(fact, Fact::StopChain { happened: ChainEvent::Opened { .. } }));
    opened.await;
    bench.alarm_is("house.stop-chain", AlarmState::Unacknowledged).await;
    assert_eq!(bench.jog().await.unwrap_err().code(), "rule.stop_chain");
    assert_eq!(bench.desk.clear(&bench.ada, None).await.unwrap_err().code(), "rule.stop_chain");

    bench.says("pins.chain", ON);
    bench.alarm_is("house.stop-chain", AlarmState::ReturnedUnacknowledged).await;
    assert_eq!(bench.jog().await.unwrap_err().code(), "rule.not_cleared");
    let start = bench.desk.start_job(&bench.ada, bench.bring(SHORT).await).await;
    assert_eq!(start.unwrap_err().code(), "rule.not_cleared");
    // A house that opened now would still wait for a person.
    let state = bench.desk.ledger().state().clone();
    let again = Rules::new(Declared::of(&bench.settings), bench.desk.points().clone(), &state);
    assert_eq!(again.uncleared(), ["lathe", "mill", "pins"]);

    assert_eq!(bench.desk.clear(&bench.ada, Some("mill")).await.unwrap().machines, ["mill"]);
    bench.jog().await.unwrap();
    assert_eq!(bench.desk.clear(&bench.ada, None).await.unwrap().machines, ["lathe", "pins"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_clears_a_machine_does_not_clear_it_of_an_opening_that_came_meanwhile() {
    let bench = shop().await;
    let rules = bench.desk.rules();
    let known = rules.openings();
    bench.says("pins.chain", OFF);
    bench.alarm_is("house.stop-chain", AlarmState::Unacknowledged).await;
    bench.says("pins.chain", ON);
    bench.alarm_is("house.stop-chain", AlarmState::ReturnedUnacknowledged).await;
    assert!(!rules.cleared("mill", known));
    assert!(rules.uncleared().contains(&"mill".to_owned()));
    // However the entries came into the book: a house that opened now would know.
    let told = |fact: &Fact| matches!(fact, Fact::StopChain { happened: ChainEvent::Opened { machines, .. } } if *machines == ["mill"]);
    bench.entry(told).await;
    assert!(rules.cleared("mill", rules.openings()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_permitted_is_neither_queued_nor_started() {
    let bench = shop().await;
    bench.says("pins.exhaust", OFF);
    let refused = bench.desk.start_job(&bench.ada, bench.bring(SHORT).await).await.unwrap_err();
    assert_eq!(refused.code(), "rule.permissive");
    assert_eq!(
        refused.to_string(),
        "permissive `exhaust-runs` is not met: `pins.exhaust` is off, and must be on"
    );
    assert!(bench.desk.ledger().state().jobs.is_empty());
    assert_eq!(bench.verdict("exhaust-runs"), RuleVerdict::Refuses);
    // Only starts need it.
    bench.jog().await.unwrap();
    bench.mill_is(|live| live.mode == Mode::Jogging).await;
    bench.mill_is(|live| live.mode == Mode::Idle).await;
    bench.says("pins.exhaust", ON);
    let job = bench.desk.start_job(&bench.ada, bench.bring(SHORT).await).await.unwrap().id;
    bench.job_is(&job, |state| state == JobState::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_rule_asks_at_the_desk_by_its_name() {
    let bench = shop().await;
    bench.says("pins.exhaust", OFF);
    bench.says("pins.exhaust", ON);
    let asked =
        bench.entry(|fact| matches!(fact, Fact::Asked { by, .. } if by.name == "rule dust"));
    let Fact::Asked { request: Request::Tell { machine, command }, .. } = asked.await.fact else {
        panic!("it tells a machine something");
    };
    assert_eq!(
        (machine.as_str(), command),
        ("pins", Command::Write { tag: "dust".into(), value: ON })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_shelved_with_a_reason_and_a_critical_one_never() {
    let bench = shop().await;
    let ask = |minutes, reason: &str| {
        let reason = reason.to_owned();
        headstock_config::api::ShelveAlarm { minutes, reason }
    };
    let code = |it: Result<_, crate::desk::Refused>| it.err().map(|it| it.code());
    let desk = &bench.desk;
    assert_eq!(
        code(desk.shelve(&bench.ada, "mill.offline", ask(0, "x")).await),
        Some("desk.words")
    );
    assert_eq!(
        code(desk.shelve(&bench.ada, "mill.offline", ask(5, " ")).await),
        Some("desk.words")
    );
    assert_eq!(
        code(desk.shelve(&bench.ada, "mll.offline", ask(5, "x")).await),
        Some("desk.unknown_alarm")
    );
    assert_eq!(
        code(desk.shelve(&bench.ada, "house.stop-chain", ask(5, "x")).await),
        Some("desk.alarm_state")
    );
    let shelved = desk.shelve(&bench.ada, "lathe.offline", ask(5, "new cable")).await.unwrap();
    assert_eq!((shelved.state, shelved.shelved_until.is_some()), (AlarmState::Shelved, true));
    let back = desk.unshelve(&bench.ada, "lathe.offline").await.unwrap();
    assert_ne!(back.state, AlarmState::Shelved);
    assert_eq!(code(desk.unshelve(&bench.ada, "lathe.offline").await), Some("desk.alarm_state"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_to_an_alarm_that_would_change_nothing() {
    let bench = shop().await;
    let desk = &bench.desk;
    let code = |it: Result<_, crate::desk::Refused>| it.err().map(|it| it.code());
    let service = |in_service| {
        let reason = "its sensor".to_owned();
        headstock_config::api::AlarmService { in_service, reason }
    };
    let nothing = Some("desk.alarm_state");
    for alarm in ["door-open", "mill.offline"] {
        assert_eq!(code(desk.acknowledge(&bench.ada, alarm).await), nothing);
        assert_eq!(code(desk.reset_alarm(&bench.ada, alarm).await), nothing);
        assert_eq!(code(desk.alarm_service(&bench.ada, alarm, service(true)).await), nothing);
    }
    desk.alarm_service(&bench.ada, "mill.offline", service(false)).await.unwrap();
    desk.alarm_service(&bench.ada, "mill.offline", service(true)).await.unwrap();
}

/// What is asked of a driver that must be permitted at that moment.
type Watch = Arc<dyn Fn(&Command) + Send + Sync>;

/// A driver whose commands are looked at.
struct Witness {
    inner: Box<dyn Driver>,
    watch: Watch,
}

impl Driver for Witness {
    fn greet(&mut self, now: Instant, out: &mut Outbox) {
        self.inner.greet(now, out);
    }
    fn hear(&mut self, now: Instant, bytes: &[u8], out: &mut Outbox) {
        self.inner.hear(now, bytes, out);
    }
    fn obey(&mut self, now: Instant, command: Command, out: &mut Outbox) -> Result<(), Refusal> {
        (self.watch)(&command);
        self.inner.obey(now, command, out)
    }
    fn begin(&mut self, now: Instant, program: Program, out: &mut Outbox) -> Result<(), Refusal> {
        self.inner.begin(now, program, out)
    }
    fn appetite(&self) -> usize {
        self.inner.appetite()
    }
    fn feed(&mut self, now: Instant, line: ProgramLine, out: &mut Outbox) {
        self.inner.feed(now, line, out);
    }
    fn finish(&mut self, now: Instant, out: &mut Outbox) {
        self.inner.finish(now, out);
    }
    fn stop(&mut self, now: Instant, how: Stop, out: &mut Outbox) {
        self.inner.stop(now, how, out);
    }
    fn deadline(&self) -> Option<Instant> {
        self.inner.deadline()
    }
    fn tick(&mut self, now: Instant, out: &mut Outbox) {
        self.inner.tick(now, out);
    }
    fn farewell(&mut self, now: Instant, out: &mut Outbox) {
        self.inner.farewell(now, out);
    }
    fn cut(&mut self, now: Instant, reason: &str, out: &mut Outbox) {
        self.inner.cut(now, reason, out);
    }
    fn live(&self) -> &Live {
        self.inner.live()
    }
    fn progress(&self) -> Option<Progress> {
        self.inner.progress()
    }
    fn unanswered_bytes(&self) -> usize {
        self.inner.unanswered_bytes()
    }
}

/// Every combination of the three inputs that the trial switches, as a number.
const STATES: u64 = 8;

/// Whether a command may reach the mill while the inputs are so.
fn may_pass(state: u64, command: &Command) -> bool {
    let [chain, door, exhaust] = [state & 1, state & 2, state & 4].map(|it| it != 0);
    match command {
        Command::Jog { .. } | Command::Home { .. } | Command::Probe { .. } => chain && door,
        Command::Run { .. } | Command::Resume => chain && door && exhaust,
        _ => true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_reaches_the_machine_that_is_blocked_at_that_moment() {
    // The present and the one before: a change between the last look and the driver is nobody's.
    let inputs = Arc::new(AtomicU64::new(0));
    let wrong: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::new(AtomicU64::new(0));
    let watch: Watch = {
        let (inputs, wrong, seen) = (inputs.clone(), wrong.clone(), seen.clone());
        Arc::new(move |command| {
            let both = inputs.load(Ordering::SeqCst);
            let (now, before) = (both % STATES, both / STATES);
            seen.fetch_add(1, Ordering::SeqCst);
            if !may_pass(now, command) && !may_pass(before, command) {
                wrong.lock().unwrap().push(format!("{command:?} at {before} and {now}"));
            }
        })
    };
    let shop = SHOP.replace("latch = true", "latch = false");
    let bench = Workbench::declared(0.0, &shop, move |inner| {
        Box::new(Witness { inner, watch: watch.clone() })
    })
    .await;
    let bench = Arc::new(bench);
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let commands = [
        Command::Run { line: "G4 P0".into() },
        Command::Jog { by: [Some(0.01), None, None], feed: 6000.0, absolute: false },
        Command::Override { which: headstock_config::command::Override::Feed, percent: 100 },
        Command::Zero { system: None, at: NO_AXIS },
    ];
    let names = ["pins.chain", "pins.door", "pins.exhaust"];
    let (mut state, mut refused) = (0, 0);
    for _ in 0..300 {
        let bit = random(3);
        let before = state;
        // More often as it should be than not.
        let on = random(4) != 0;
        state = if on { state | 1 << bit } else { state & !(1 << bit) };
        inputs.store(before * STATES + state, Ordering::SeqCst);
        bench.says(names[bit as usize], Value::Flag(on));
        let asks = (0..4).map(|_| {
            let (bench, command) = (bench.clone(), commands[random(4) as usize].clone());
            tokio::spawn(async move { bench.desk.tell(&bench.ada, "mill", command).await })
        });
        let asks: Vec<_> = asks.collect();
        if random(2) == 0 {
            bench.desk.clear(&bench.ada, None).await.ok();
        }
        for ask in asks {
            refused += u64::from(ask.await.unwrap().is_err());
        }
    }
    assert_eq!(*wrong.lock().unwrap(), [""; 0]);
    let seen = seen.load(Ordering::SeqCst);
    assert!(50 < seen && 50 < refused, "{seen} were seen, {refused} were refused");
}
