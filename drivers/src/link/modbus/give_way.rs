//! Gives up a request that has been called back, as soon as that is right.
//!
//! ```text
//!  called back: [ waits for its turn ]          at once; one that stops itself waits for so little that
//!                                               it does not
//!               [ sent, nothing has come ]      after the grace on a line, at once over TCP
//!               [ an answer is coming in ]      not before it has
//! ```

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use super::lent::{self, Exchange};
use crate::bus::Haste;

/// Drives `asking` to its end; `None`: it has been given up on the way.
pub(super) async fn unless<T>(
    recall: Option<Pin<&mut (dyn Future<Output = ()> + '_)>>,
    haste: Haste,
    exchange: &Mutex<Exchange>,
    asking: impl Future<Output = T>,
) -> Option<T> {
    let mut asking = pin!(asking);
    let Some(recall) = recall else { return Some(asking.await) };
    let mut way =
        pin!(Way { recall: Some(recall), haste, exchange, sleep: Box::pin(sleep(Duration::ZERO)) });
    std::future::poll_fn(|task| {
        // Asked before, so that nothing is sent that has been called back; and after, since what is
        // under way may have come to where it can be given up.
        if way.as_mut().poll(task).is_ready() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(outcome) = asking.as_mut().poll(task) {
            return Poll::Ready(Some(outcome));
        }
        way.as_mut().poll(task).map(|()| None)
    })
    .await
}

/// Comes when the request has been called back and can be given up.
struct Way<'a, 'b> {
    /// `None`: it has been called back.
    recall: Option<Pin<&'a mut (dyn Future<Output = ()> + 'b)>>,
    haste: Haste,
    exchange: &'a Mutex<Exchange>,
    sleep: Pin<Box<Sleep>>,
}

impl Future for Way<'_, '_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        if let Some(recall) = &mut self.recall {
            ready!(recall.as_mut().poll(task));
            self.recall = None;
        }
        let now = Instant::now();
        let unsent = if self.haste == Haste::Stops { None } else { Some(now) };
        let ends = lent::locked(self.exchange).ends_early_at(now);
        match ends.unwrap_or(unsent) {
            Some(at) if at <= now => Poll::Ready(()),
            Some(at) => {
                self.sleep.as_mut().reset(at.into());
                self.sleep.as_mut().poll(task)
            }
            // What is under way wakes this task.
            None => Poll::Pending,
        }
    }
}
