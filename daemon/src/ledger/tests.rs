//! The writer on a disk that fills up and is emptied again.

use std::sync::Arc;
use std::time::Duration;

use headstock_config::ledger::{Fact, State};

use super::room::Room;
use super::{Handle, Health, start_with};
use crate::journal::simulated::Simulated;
use crate::journal::{Journal, Options};
use crate::store::Store;

/// Longest wait for something that takes a moment.
const MOMENT: Duration = Duration::from_secs(20);
const ROOM: usize = 256 * 1024;

fn house_on(disk: &Simulated, folder: &std::path::Path) -> (Handle, std::thread::JoinHandle<()>) {
    let options =
        Options { segment_bytes: 8 * 1024, reserve_bytes: ROOM as u64 / 4, ..Options::default() };
    let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
    let (store, state): (Store, State) = Store::open(folder);
    start_with(journal, store, state, Room::new(Duration::from_millis(1)))
}

async fn write(ledger: &Handle) -> u64 {
    ledger.write(Fact::TokenRevoked { name: "nobody".into() }).await.unwrap()
}

#[tokio::test]
async fn low_space_ends_when_the_disk_has_room_again_and_not_before() {
    let (disk, folder) = (Simulated::default(), tempfile::tempdir().unwrap());
    disk.set_capacity(ROOM);
    let (ledger, thread) = house_on(&disk, &folder.path().join("view"));
    let mut health = ledger.health();
    let filled = async {
        while *health.borrow() == Health::Ok {
            write(&ledger).await;
        }
    };
    tokio::time::timeout(MOMENT, filled).await.expect("the disk fills up");
    // The reserve does not fit, however often it is tried.
    for _ in 0..20 {
        write(&ledger).await;
        assert_eq!(*health.borrow(), Health::LowSpace);
    }
    disk.set_capacity(4 * ROOM);
    let room = health.wait_for(|health| *health == Health::Ok);
    tokio::time::timeout(MOMENT, room).await.expect("there is room again").unwrap();
    let last = write(&ledger).await;
    assert_eq!(ledger.state().applied, last);
    drop(ledger);
    thread.join().unwrap();
}
