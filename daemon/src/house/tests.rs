//! A house on a disk that does not answer any more.

use std::sync::Arc;

use crate::desk::Desk;
use crate::files::Files;
use crate::journal::simulated::Simulated;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_house_closes_in_time_although_its_disk_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Simulated::default();
    let options = Options { reserve_bytes: 0, ..Options::default() };
    let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options).unwrap();
    let (store, state) = Store::open(&folder.path().join("view"));
    let (ledger, book) = ledger::start(journal, store, state);
    let files = Files::open(folder.path().join("files"), 1024).unwrap();
    let points = Points::of(&[]);
    let keeper = Keeper::start(points.clone(), folder.path(), 1 << 20, ledger.health()).unwrap();
    let house = House {
        desk: Desk::new(ledger.clone(), BTreeMap::new(), files, points),
        web: ([127, 0, 0, 1], 0).into(),
        ledger,
        tasks: JoinSet::new(),
        hands: JoinSet::new(),
        machines: Stage::default(),
        guard: Stage::default(),
        buses: Stage::default(),
        book,
        keeper,
        doors_closing: CancellationToken::new(),
        guard_over: CancellationToken::new(),
        _pretenders: Vec::new(),
    };
    disk.stall(true);
    let began = tokio::time::Instant::now();
    let closed = tokio::time::timeout(2 * PATIENCE, house.close()).await;
    disk.stall(false);
    assert!(closed.is_ok());
    assert!(began.elapsed() < PATIENCE + Duration::from_secs(1), "{:?}", began.elapsed());
}
