//! The writer, and a house around it, on a disk that fills up and is emptied again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headstock_config::api::StartJob;
use headstock_config::job::JobState;
use headstock_config::ledger::{Fact, State};
use headstock_config::load;
use headstock_config::machine::Mode;
use headstock_config::people::{Person, Role};
use headstock_drivers::grbl::sim;
use headstock_drivers::registry;
use tokio_util::sync::CancellationToken;

use super::room::Room;
use super::{Handle, Health, start_with};
use crate::desk::{Desk, Refused};
use crate::files::Files;
use crate::journal::simulated::Simulated;
use crate::journal::{Journal, Options};
use crate::machine;
use crate::small_disk;
use crate::store::Store;

/// Longest wait for something that takes a moment.
const MOMENT: Duration = Duration::from_secs(20);
const ROOM: usize = 256 * 1024;

fn ledger_on(disk: &Simulated, folder: &Path) -> (Handle, std::thread::JoinHandle<()>) {
    let options =
        Options { segment_bytes: 8 * 1024, reserve_bytes: ROOM as u64 / 4, ..Options::default() };
    let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
    let (store, state): (Store, State) = Store::open(folder);
    start_with(journal, store, state, Room::new(Duration::from_millis(1)))
}

async fn write(ledger: &Handle) -> u64 {
    ledger.write(Fact::TokenRevoked { name: "nobody".into() }).await.unwrap()
}

/// Writes until only the reserve is left.
async fn fill(ledger: &Handle) {
    let health = ledger.health();
    let filled = async {
        while *health.borrow() == Health::Ok {
            write(ledger).await;
        }
    };
    tokio::time::timeout(MOMENT, filled).await.expect("the disk fills up");
    assert_eq!(*health.borrow(), Health::LowSpace);
}

async fn room_again(ledger: &Handle) {
    let mut health = ledger.health();
    let room = health.wait_for(|health| *health == Health::Ok);
    tokio::time::timeout(MOMENT, room).await.expect("there is room again").unwrap();
}

#[tokio::test]
async fn low_space_ends_when_the_disk_has_room_again_and_not_before() {
    let (disk, folder) = (Simulated::default(), tempfile::tempdir().unwrap());
    disk.set_capacity(ROOM);
    let (ledger, thread) = ledger_on(&disk, &folder.path().join("view"));
    let health = ledger.health();
    fill(&ledger).await;
    // The reserve does not fit, however often it is tried.
    for _ in 0..20 {
        write(&ledger).await;
        assert_eq!(*health.borrow(), Health::LowSpace);
    }
    disk.set_capacity(4 * ROOM);
    room_again(&ledger).await;
    let last = write(&ledger).await;
    assert_eq!(ledger.state().applied, last);
    drop(ledger);
    thread.join().unwrap();
}

/// On a real file system of 16 MiB.
#[test]
fn on_a_full_disk_no_job_and_no_file_is_begun_until_there_is_room() {
    let test = "ledger::tests::on_a_full_disk_no_job_and_no_file_is_begun_until_there_is_room";
    small_disk::run("16m", test, |folder| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(a_house_on_a_full_disk(folder));
    });
}

async fn a_house_on_a_full_disk(folder: &Path) {
    let (link, journal) = (folder.join("mill.tty"), folder.join("journal"));
    let options = sim::Options { link: Some(link.clone()), time_scale: 0.0, ..Default::default() };
    let pretender = sim::start(options).unwrap();
    let text = format!("[[machine]]\nid = \"mill\"\ndriver = \"grbl\"\nport = {link:?}\n");
    let mill = load::parse(&text, "t.toml", &registry::names()).unwrap().machines.remove(0);
    let driver = registry::find("grbl").unwrap().driver(&mill).unwrap();
    let options =
        Options { segment_bytes: 64 * 1024, reserve_bytes: 1024 * 1024, ..Options::default() };
    let (store, state) = Store::open(&folder.join("view"));
    let room = Room::new(Duration::from_millis(50));
    let (ledger, book) =
        start_with(Journal::open(&journal, options).unwrap().0, store, state, room);
    let closing = CancellationToken::new();
    let (handle, thread) =
        machine::start(mill, driver, ledger.clone(), closing.clone(), None).unwrap();
    let files = Files::open(folder.join("files"), 1024 * 1024).unwrap();
    let desk = Desk::new(
        ledger.clone(),
        [("mill".to_owned(), handle)].into(),
        files,
        crate::points::Points::default(),
    );
    let ada = Person { name: "ada".into(), role: Role::Operator };

    let mut incoming = desk.begin_upload(&ada, "part.nc").unwrap();
    incoming.write(b"G21 G90\nG0 X1\nM30\n").unwrap();
    let file = desk.finish_upload(&ada, "part.nc", incoming).await.unwrap().id;
    let ask = || StartJob { machine: "mill".into(), file: file.clone(), dry_run: false };
    let mut live = desk.watch_machines().next().unwrap().1;
    live.wait_for(|live| live.mode == Mode::Idle).await.unwrap();
    while !journal.join("reserve").exists() {
        tokio::task::yield_now().await;
    }

    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 16 * 1024 * 1024]).expect_err("it is larger than the disk");
    fill(&ledger).await;
    let refused = desk.start_job(&ada, ask()).await.unwrap_err();
    assert!(matches!(refused, Refused::DiskFull), "{refused}");
    let refused = desk.begin_upload(&ada, "other.nc").map(drop).unwrap_err();
    assert!(matches!(refused, Refused::DiskFull), "{refused}");

    std::fs::remove_file(ballast).unwrap();
    room_again(&ledger).await;
    assert!(journal.join("reserve").exists());
    desk.begin_upload(&ada, "other.nc").unwrap();
    let ((), mut entries) = ledger.follow(|_| ());
    let job = desk.start_job(&ada, ask()).await.unwrap().id;
    while desk.job(&job).unwrap().state != JobState::Completed {
        tokio::time::timeout(MOMENT, entries.recv()).await.expect("it goes on").unwrap();
    }
    closing.cancel();
    drop((desk, ledger));
    thread.join().unwrap();
    book.join().unwrap();
    drop(pretender);
}
