//! A house with one pretend mill, ready to be asked things.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headstock_config::api::StartJob;
use headstock_config::file::File;
use headstock_config::job::{Job, JobState};
use headstock_config::ledger::{Entry, Fact};
use headstock_config::load;
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};
use headstock_daemon::desk::Desk;
use headstock_daemon::house::{Ground, House};
use headstock_drivers::grbl::sim::{self, Options, Sim};
use headstock_drivers::registry;

/// Longest that anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mill that outlives the houses that are opened around it.
pub(crate) struct Mill {
    pub(crate) sim: Sim,
    pub(crate) dir: tempfile::TempDir,
}

impl Mill {
    /// Motion runs this many times faster than real.
    pub(crate) fn new(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let link = Some(dir.path().join("mill.tty"));
        let sim = sim::start(Options { link, keep_lines: true, ..options }).unwrap();
        Self { sim, dir }
    }

    pub(crate) fn fast() -> Self {
        Self::new(Options { time_scale: 20.0, ..Options::default() })
    }

    pub(crate) async fn house(&self) -> Open {
        let keys = "driver = \"grbl\"\nspinup_s = 0.1\n";
        Open::around(self.dir.path(), "mill", keys).await
    }
}

/// An open house and somebody who may do everything in it.
pub(crate) struct Open {
    pub(crate) house: House,
    pub(crate) ada: Person,
    /// The id of its one machine.
    machine: &'static str,
}

impl Open {
    /// A house with one machine, which has these keys and listens at `<id>.tty` in the folder.
    pub(crate) async fn around(dir: &Path, machine: &'static str, keys: &str) -> Self {
        let state = dir.join("state");
        let text = format!(
            "[daemon]\nstate_dir = {state:?}\n[web]\nlisten = \"127.0.0.1:0\"\n\
             [[machine]]\nid = {machine:?}\nport = {:?}\n{keys}",
            dir.join(format!("{machine}.tty"))
        );
        let settings = load::parse(&text, "test.toml", &registry::names()).expect("it is correct");
        let socket: PathBuf = state.join("headstock.sock");
        let house = House::open(Ground { settings, state_dir: state, socket }).await.unwrap();
        Self { house, ada: Person { name: "ada".into(), role: Role::Admin }, machine }
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.house.desk
    }

    /// Waits until the machine is in this mode.
    pub(crate) async fn mode(&self, wanted: Mode) {
        let (_, mut live) = self.desk().watch_machines().next().unwrap();
        let seen = tokio::time::timeout(PATIENCE, live.wait_for(|live| live.mode == wanted)).await;
        assert!(seen.is_ok(), "never {wanted:?}, but {:?}", self.desk().equipment());
    }

    /// Waits until the mill is in motion.
    pub(crate) async fn moving(&self) {
        let (_, mut live) = self.desk().watch_machines().next().unwrap();
        let moving = live.wait_for(|live| live.mode == Mode::Running && 0.0 < live.feed);
        assert!(tokio::time::timeout(PATIENCE, moving).await.is_ok(), "it never moved");
    }

    /// Waits until the machine has introduced itself and is idle.
    pub(crate) async fn ready(&self) {
        let known = || self.desk().one_equipment(self.machine).unwrap().controller.is_some();
        let (_, mut entries) = (known(), self.desk().ledger().follow(|_| ()).1);
        let waiting = async {
            while !known() {
                entries.recv().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it introduces itself");
        self.mode(Mode::Idle).await;
    }

    /// Waits for the first fact about which this is true, among those to come.
    pub(crate) async fn until(&self, job: &str, wanted: impl Fn(JobState) -> bool) -> Job {
        let (mut now, mut entries) = self.desk().ledger().follow(|state| state.job(job).cloned());
        let waiting = async {
            loop {
                match now {
                    Some(job) if wanted(job.state) => return job,
                    _ => drop(entries.recv().await.unwrap()),
                }
                now = self.desk().job(job).ok();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.desk().job(job)))
    }

    pub(crate) async fn upload(&self, program: &str) -> File {
        let mut incoming = self.desk().begin_upload(&self.ada, "part.nc").unwrap();
        incoming.write(program.as_bytes()).unwrap();
        self.desk().finish_upload(&self.ada, "part.nc", incoming).await.unwrap()
    }

    pub(crate) async fn start(&self, program: &str) -> String {
        let file = self.upload(program).await.id;
        let ask = StartJob { machine: self.machine.into(), file, dry_run: false };
        self.desk().start_job(&self.ada, ask).await.unwrap().id
    }

    /// Everything in the book.
    pub(crate) async fn book(&self) -> Vec<Entry> {
        self.desk().ledger().read(1, 100_000).await.unwrap()
    }

    pub(crate) async fn facts(&self, wanted: impl Fn(&Fact) -> bool) -> usize {
        self.book().await.iter().filter(|entry| wanted(&entry.fact)).count()
    }
}

/// A square, so many times: long enough to be interrupted.
pub(crate) fn squares(times: usize) -> String {
    let mut text = String::from("G21 G90 G94 G17\nM3 S1000\nG0 X0 Y0\n");
    for _ in 0..times {
        text.push_str("G1 X20 Y0 F1500\nG1 X20 Y20\nG1 X0 Y20\nG1 X0 Y0\n");
    }
    text + "M5\nM30\n"
}
