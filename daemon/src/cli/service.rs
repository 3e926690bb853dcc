//! The daemon in the foreground.

use headstock_config::explain::Explain;
use headstock_config::places::{NoPlace, Surroundings};

use super::args::{Common, DaemonWords};
use super::config;
use super::exit::Exit;
use super::trouble::Trouble;
use crate::house::{self, DaemonArgs};
use crate::journal;

/// Runs it until somebody ends it. What is wrong with its configuration is told as everywhere.
pub(super) fn daemon(words: DaemonWords, common: &Common) -> Result<Exit, Trouble> {
    let file = Surroundings::of_this_process().config_file(common.config.as_deref());
    config::read(&file)?;
    let DaemonWords { state_dir, trace } = words;
    let args = DaemonArgs { config: common.config.clone(), state_dir, traces: trace };
    house::run(&args).map(|()| Exit::Done).map_err(|error| {
        explained::<NoPlace>(&error, Exit::WrongWords)
            .or_else(|| explained::<journal::OpenError>(&error, Exit::Failed))
            .unwrap_or_else(|| unexplained(&error))
    })
}

fn explained<E: Explain + Send + Sync + 'static>(
    error: &anyhow::Error,
    exit: Exit,
) -> Option<Trouble> {
    let cause: &E = error.downcast_ref()?;
    let (means, remedy) = (cause.means(), cause.remedy());
    Some(Trouble::new(exit, cause.code(), format!("{error:#}"), &means, &remedy))
}

fn unexplained(error: &anyhow::Error) -> Trouble {
    let remedy = "look at the lines above; `headstock doctor` looks the box over";
    Trouble::new(Exit::Failed, "house", format!("{error:#}"), "the daemon does not run", remedy)
}
