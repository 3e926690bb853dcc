//! One stage of closing: threads that are told to end together, and those of them that are late.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often one looks whether threads have ended.
const LOOK: Duration = Duration::from_millis(5);

/// Threads that end when `closing` is cancelled.
#[derive(Default)]
pub(super) struct Stage {
    /// Tells them to end.
    pub(super) closing: CancellationToken,
    threads: Vec<(String, JoinHandle<()>)>,
}

impl Stage {
    /// Takes a thread in that ends with this stage.
    pub(super) fn take(&mut self, name: impl Into<String>, thread: JoinHandle<()>) {
        self.threads.push((name.into(), thread));
    }

    /// Tells the threads to end, and waits for them until then at most.
    pub(super) async fn close(&self, until: Instant) {
        self.closing.cancel();
        while self.late().next().is_some() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Names of threads that have not ended.
    pub(super) fn late(&self) -> impl Iterator<Item = &str> {
        let late = self.threads.iter().filter(|(_, thread)| !thread.is_finished());
        late.map(|(name, _)| name.as_str())
    }
}
