//! Clients that hang up before they have been answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use headstock_config::job::JobState;
use tokio::io::{AsyncWriteExt, duplex};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::connection::converse;
use super::super::error::Failure;
use super::super::hall::Hall;
use super::super::who::Peer;
use super::super::{Door, filter, to_its_end};
use crate::workbench::{SHORT, Workbench};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_client_hangs_up_while_it_is_written_down_runs_all_the_same() {
    let bench = Workbench::new(0.0).await;
    let body = serde_json::to_string(&bench.bring(SHORT).await).unwrap();
    let door = Door {
        desk: bench.desk.clone(),
        settings: Arc::new(bench.settings.clone()),
        opened: Instant::now(),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let hall = Arc::new(Hall::new(door, address, CancellationToken::new()));
    let (mut client, stream) = duplex(4096);
    let peer = Peer::User(bench.ada.clone());
    let talk = converse(stream, filter(hall.clone()), peer, CancellationToken::new());
    let length = body.len();
    let request =
        format!("POST /api/v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    client.write_all(request.as_bytes()).await.unwrap();
    let talk = bench.stalled(talk).await;
    drop(client);
    talk.await.unwrap();
    bench.disk.stall(false);
    let done = bench.job_is("j1", JobState::over).await;
    assert_eq!(done.state, JobState::Completed);
    hall.deeds.close();
    hall.deeds.wait().await;
}

#[tokio::test]
async fn a_deed_that_fails_badly_is_answered_all_the_same() {
    async fn deed() -> Result<(), Failure> {
        panic!("as a mistake in the desk would")
    }
    let failure = to_its_end(&TaskTracker::new(), deed()).await.unwrap_err();
    assert_eq!(failure.response("1").status(), 500);
}
