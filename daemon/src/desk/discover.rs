//! Looking around at the desk: asked for, written down, done once at a time, told as it goes.
//!
//! The look itself opens only what no machine owns (`headstock_drivers::link::look`); here it is
//! kept what came of it. It holds neither the book nor the machines, so that a house can close
//! while somebody looks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headstock_config::discover::{Discovery, LookFor};
use headstock_config::ledger::Request;
use headstock_config::machine::Machine;
use headstock_config::people::Person;
use headstock_drivers::discover::proposal::Ids;
use headstock_drivers::link::identity::Sysfs;
use headstock_drivers::link::look::{self, News, Owned};
use tokio::sync::mpsc;

use super::{Desk, Refused};
use crate::clock::now_ms;

/// News that may wait to be taken in; taking in is quick.
const NEWS: usize = 64;
/// Things that are kept of one look around.
const FINDINGS_MAX: usize = 1_000;

/// The latest look around. Cheap to clone.
#[derive(Clone, Default)]
pub struct Looking(Arc<Mutex<Discovery>>);

impl Looking {
    /// As it is now.
    pub fn now(&self) -> Discovery {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Discovery> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, unless one goes on.
    fn begin(&self) -> bool {
        let mut latest = self.lock();
        if latest.running {
            return false;
        }
        *latest = Discovery { running: true, began_ms: Some(now_ms()), ..Discovery::default() };
        true
    }

    /// Looks around to the end; `machines` are those of the configuration.
    pub async fn look(&self, wish: LookFor, machines: &[Machine]) {
        let sysfs = Sysfs::default();
        let owned = Owned::by(machines, &sysfs);
        let mut ids = Ids::new(machines.iter().map(|it| it.id.clone()));
        let (news, mut told) = mpsc::channel(NEWS);
        let looks = async move { look::look(&wish, &owned, &sysfs, news).await };
        let takes = async {
            while let Some(it) = told.recv().await {
                take(&mut self.lock(), it, &mut ids);
            }
        };
        tokio::join!(looks, takes);
        let mut latest = self.lock();
        (latest.running, latest.doing) = (false, Vec::new());
        latest.findings.sort_by(|one, other| one.place.cmp(&other.place));
        latest.remarks.sort();
    }

    /// The same at once, for whoever has no daemon.
    pub async fn alone(&self, wish: LookFor, machines: &[Machine]) {
        if self.begin() {
            self.look(wish, machines).await;
        }
    }
}

fn take(latest: &mut Discovery, news: News, ids: &mut Ids) {
    match news {
        News::Doing(what) => latest.doing.push(what),
        News::Done(what) => latest.doing.retain(|it| *it != what),
        News::Remark(what) if latest.remarks.len() < FINDINGS_MAX => latest.remarks.push(what),
        News::Found(found) if latest.findings.len() < FINDINGS_MAX => {
            latest.findings.push(found.named(ids));
        }
        News::Remark(_) | News::Found(_) => (),
    }
}

impl Desk {
    /// The latest look around.
    pub fn discovery(&self) -> Discovery {
        self.inner.looking.now()
    }

    /// Looks around; answers when it has begun.
    pub async fn discover(&self, who: &Person, wish: LookFor) -> Result<Discovery, Refused> {
        let request = Request::Discover { actively: wish.ask, modbus: wish.modbus.clone() };
        self.book(who, request, async {
            if !self.inner.looking.begin() {
                return Err(Refused::Looking);
            }
            let looking = self.inner.looking.clone();
            let machines: Vec<Machine> =
                self.inner.machines.values().map(|it| (*it.declared).clone()).collect();
            tokio::spawn(async move { looking.look(wish, &machines).await });
            Ok(self.discovery())
        })
        .await
    }
}
