//! `headstock daemon`: the house as a service. Reads the configuration, opens, tells the service
//! manager, waits for a signal, closes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use headstock_config::load;
use headstock_config::places::{Places, Surroundings};
use headstock_drivers::registry;
use headstock_systemd::Manager;
use tokio::signal::unix::{SignalKind, signal};

use super::{Ground, House, fit, watch};

/// Threads that serve the doors. The workers are the first threads that a runtime starts.
const WORKERS: usize = 2;
/// SCHED_FIFO priority of those: above ordinary work, below every machine.
const PRIORITY: i32 = 5;

/// The configuration is not one that a house can be opened with.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadConfiguration(String);

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct DaemonArgs {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--trace`.
    pub traces: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(args: &DaemonArgs) -> Result<()> {
    let ground = ground(args)?;
    let runtime = runtime()?;
    let result = runtime.block_on(serve(ground, args.traces.clone()));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// The runtime of everything but the machines on serial lines.
///
/// Its workers carry requests from the doors to the machines, a stop among them, so they come
/// before ordinary work where the system permits it; what takes long (disks, analysis) runs on
/// threads that the runtime starts later, and those are ordinary.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    let started = AtomicUsize::new(0);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(WORKERS).thread_name("house").enable_all();
    builder.on_thread_start(move || {
        if started.fetch_add(1, Ordering::Relaxed) < WORKERS {
            // Without the right to it a busy box answers later; `doctor` says so.
            headstock_drivers::link::os::realtime(PRIORITY).ok();
        }
    });
    builder.build().context("cannot start the runtime")
}

fn ground(args: &DaemonArgs) -> Result<Ground> {
    let around = Surroundings::of_this_process();
    let file = around.config_file(args.config.as_deref());
    let settings = match load::load(&file, &registry::names()) {
        Ok(settings) => settings,
        Err(problems) => return Err(BadConfiguration(load::render(&problems)).into()),
    };
    match fit::buses(&file, &settings.machines) {
        Ok(demands) => fit::warnings(&demands).iter().for_each(|it| tracing::warn!("{it}")),
        Err(problems) => return Err(BadConfiguration(load::render(&problems)).into()),
    }
    let Places { state_dir, socket } =
        Places::find(&settings.daemon, args.state_dir.as_deref(), &around)?;
    Ok(Ground { settings, state_dir, socket })
}

async fn serve(ground: Ground, traces: Option<PathBuf>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut house = House::open_recorded(ground, traces).await?;
    let manager = Manager::of_this_process().unwrap_or_else(|error| {
        tracing::warn!(%error, "the service manager cannot be reached");
        Manager::none()
    });
    tell(manager.ready(&format!("listening on {}", house.web)));
    let desk = house.desk.clone();
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        broken = house.broken() => Some(broken),
        // Beside the signals: they are heard however long a look at the house takes.
        () = watch::beat(&desk, || tell(manager.watchdog())) => None,
    };
    drop(desk);
    tell(manager.stopping("machines are being brought to rest"));
    house.close().await;
    match ended {
        None => Ok(()),
        Some(broken) => bail!("{broken}; the house was closed"),
    }
}

/// A service manager that does not hear us will act by its own rules; nothing is lost meanwhile.
fn tell(told: std::io::Result<()>) {
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager did not hear");
    }
}
