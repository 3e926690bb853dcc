//! A desk to be tried at: a pretend mill, a lathe that is not plugged in, and a book on a disk that
//! can be made to take its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headstock_config::api::StartJob;
use headstock_config::job::{Job, JobState};
use headstock_config::load;
use headstock_config::machine::{Live, Mode};
use headstock_config::people::{Person, Role};
use headstock_config::point::{Quality, Value};
use headstock_config::settings::Settings;
use headstock_drivers::grbl::sim::{self, Sim};
use headstock_drivers::{Driver, registry};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alarms::Keeper;
use crate::desk::Desk;
use crate::files::Files;
use crate::journal::simulated::Simulated;
use crate::journal::{Journal, Options};
use crate::points::{News, Points};
use crate::rules::{Declared, Rules};
use crate::store::Store;
use crate::{alarms, ledger, machine, rules};

/// Longest wait for something that takes a moment.
pub(crate) const MOMENT: Duration = Duration::from_secs(20);

/// A program that is soon over.
pub(crate) const SHORT: &str = "G21 G90 G94 G17 G54\nG0 X1\nG0 X0\nM30\n";

/// A program that takes a minute in real time.
pub(crate) const LONG: &str = "G21 G90 G94 G17 G54\nG1 X10 F10\nX0\nM30\n";

pub(crate) struct Workbench {
    pub(crate) desk: Desk,
    pub(crate) disk: Simulated,
    pub(crate) settings: Settings,
    /// Somebody who may do everything.
    pub(crate) ada: Person,
    _mill: Sim,
    _tasks: [JoinSet<&'static str>; 2],
    closing: CancellationToken,
    _folder: TempDir,
}

impl Workbench {
    /// A bench whose mill is idle. `time_scale` as the pretend device has it.
    pub(crate) async fn new(time_scale: f64) -> Self {
        Self::declared(time_scale, "", |driver| driver).await
    }

    /// The same in a workshop with more in its configuration: rules, alarms, and devices on buses
    /// that are not there but as points, which the trial reports. `watched` sees what drivers see.
    pub(crate) async fn declared(
        time_scale: f64,
        more: &str,
        watched: impl Fn(Box<dyn Driver>) -> Box<dyn Driver>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("mill.tty");
        let options =
            sim::Options { link: Some(link.clone()), time_scale, ..sim::Options::default() };
        let mill = sim::start(options).unwrap();
        let text = format!(
            "[[machine]]\nid = \"lathe\"\ndriver = \"grbl\"\nport = {:?}\n\
             [[machine]]\nid = \"mill\"\ndriver = \"grbl\"\nport = {link:?}\nspinup_s = 0.1\n{more}",
            folder.path().join("lathe.tty"),
        );
        let settings = load::parse(&text, "t.toml", &registry::names()).unwrap();
        let disk = Simulated::default();
        let options = Options { reserve_bytes: 0, ..Options::default() };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
        let (store, state) = Store::open(&folder.path().join("view"));
        let (ledger, _) = ledger::start(journal, store, state);
        let closing = CancellationToken::new();
        let points = Points::of(&settings.machines);
        let rules = Rules::new(Declared::of(&settings), points.clone(), &ledger.state());
        let mut machines = BTreeMap::new();
        for declared in settings.machines.clone() {
            let kind = registry::find(&declared.driver).unwrap();
            let Some(driver) = kind.driver(&declared) else { continue };
            let (id, driver) = (declared.id.clone(), watched(driver));
            let started =
                machine::start(declared, driver, ledger.clone(), closing.clone(), None).unwrap();
            machines.insert(id, started.0.ruled_by(rules.clone()));
        }
        let files = Files::open(folder.path().join("files"), 1024 * 1024).unwrap();
        let alarms = alarms::definition::of(&settings);
        let handles = machines.clone();
        let desk = Desk::with_rules(ledger, machines, files, points, alarms, rules.clone());
        let mut tasks = JoinSet::new();
        let mut hands = JoinSet::new();
        let ends = rules::Closing { doors: &closing, guard: &closing, guard_over: &closing };
        rules::start(&rules, handles, &desk, [&mut tasks, &mut hands], ends).unwrap();
        tasks.spawn({
            let (keeper, closing) = (Keeper::new(&desk, settings.alarms.clone()), closing.clone());
            async move {
                closing.run_until_cancelled(keeper.keep()).await;
                "the keeper"
            }
        });
        let ada = Person { name: "ada".into(), role: Role::Admin };
        let bench = Self {
            desk,
            disk,
            settings,
            ada,
            _mill: mill,
            _tasks: [tasks, hands],
            closing,
            _folder: folder,
        };
        bench.ready().await;
        bench
    }

    /// A device on a bus says something.
    pub(crate) fn says(&self, point: &str, value: Value) {
        let id = self.desk.points().id(point).unwrap();
        let (value, quality) = (Some(value), Quality::Good);
        self.desk.points().report([News { id, value, quality, at: Instant::now(), why: None }]);
    }

    async fn ready(&self) {
        let (_, mut entries) = self.desk.ledger().follow(|_| ());
        let introduced = async {
            while self.desk.one_equipment("mill").unwrap().controller.is_none() {
                entries.recv().await.unwrap();
            }
        };
        tokio::time::timeout(MOMENT, introduced).await.expect("it introduces itself");
        self.mill_is(|live| live.mode == Mode::Idle).await;
    }

    /// Waits until the mill is as wished.
    pub(crate) async fn mill_is(&self, wished: impl Fn(&Live) -> bool) {
        let (_, mut live) = self.desk.watch_machines().find(|(id, _)| id == "mill").unwrap();
        let seen = tokio::time::timeout(MOMENT, live.wait_for(wished)).await.is_ok();
        assert!(seen, "{:?}", self.desk.one_equipment("mill"));
    }

    /// Brings a program; what it takes to run it on the mill.
    pub(crate) async fn bring(&self, program: &str) -> StartJob {
        let mut incoming = self.desk.begin_upload(&self.ada, "part.nc").unwrap();
        incoming.write(program.as_bytes()).unwrap();
        let file = self.desk.finish_upload(&self.ada, "part.nc", incoming).await.unwrap().id;
        StartJob { machine: "mill".into(), file, dry_run: false }
    }

    /// Makes the disk stall, does something and waits until that waits for the disk.
    pub(crate) async fn stalled<T: Send + 'static>(
        &self,
        deed: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.disk.stall(true);
        let doing = tokio::spawn(deed);
        let waits = async {
            while !self.disk.stalls() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(MOMENT, waits).await.expect("it is written down");
        doing
    }

    /// Waits until a job is in a state like this.
    pub(crate) async fn job_is(&self, id: &str, wished: impl Fn(JobState) -> bool) -> Job {
        let (mut now, mut entries) = self.desk.ledger().follow(|state| state.job(id).cloned());
        let waiting = async {
            loop {
                match now {
                    Some(job) if wished(job.state) => return job,
                    _ => drop(entries.recv().await.unwrap()),
                }
                now = self.desk.job(id).ok();
            }
        };
        let waited = tokio::time::timeout(MOMENT, waiting).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.desk.job(id)))
    }
}

impl Drop for Workbench {
    fn drop(&mut self) {
        self.disk.stall(false);
        self.closing.cancel();
    }
}
