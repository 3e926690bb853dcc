//! Looking around: by the daemon, which knows what it owns, or alone where none runs.

use std::thread;
use std::time::Duration;

use headstock_config::discover::{Discovery, LookFor, LookOnBus};
use headstock_config::load::{self, Problem};
use headstock_config::places::Surroundings;
use headstock_config::settings::Settings;
use headstock_drivers::registry;
use headstock_tui::view;

use super::args::{Common, DiscoverWords};
use super::exit::Exit;
use super::trouble::Trouble;
use super::{Call, say};
use crate::desk::Looking;

/// How often the daemon is asked how far it is.
const LOOKS: Duration = Duration::from_millis(300);

pub(super) fn discover(words: DiscoverWords, common: &Common) -> Result<Exit, Trouble> {
    let wish = wish(words);
    let call = Call::open(common)?;
    let found = match call.client.post::<Discovery>("discover", &wish) {
        Ok(begun) => follow(&call, begun)?,
        // A daemon that is there and does not answer knows what it owns; nobody else does.
        Err(trouble) if trouble.exit == Exit::Unreachable && nobody_is_there(&trouble) => {
            alone(wish, common)?
        }
        Err(trouble) => return Err(trouble),
    };
    call.show(&found, view::discover::list);
    Ok(Exit::Done)
}

fn wish(words: DiscoverWords) -> LookFor {
    let DiscoverWords { ask, port, modbus, baud, units } = words;
    let modbus = modbus.map(|port| LookOnBus { port, baud, units: units.0 });
    // Whoever names a bus or a port is not after everything else.
    let (serial, all) = (modbus.is_none(), modbus.is_none() && port.is_empty());
    LookFor { serial, network: all, i2c: all, ask, ports: port, modbus }
}

/// Waits for the daemon's look around, and says on stderr what it does.
fn follow(call: &Call, begun: Discovery) -> Result<Discovery, Trouble> {
    let mut now = begun;
    let mut told: Vec<String> = Vec::new();
    while now.running {
        for doing in now.doing.iter().filter(|it| !told.contains(it)) {
            say::aside(doing);
        }
        told.extend(now.doing);
        thread::sleep(LOOKS);
        now = call.client.get("discover")?;
    }
    Ok(now)
}

fn nobody_is_there(trouble: &Trouble) -> bool {
    !matches!(trouble.error.code.as_str(), "cli.lost" | "cli.silent")
}

/// Without a daemon: what the configuration names is left alone all the same, so a configuration
/// that cannot be read is a reason to open nothing.
fn alone(wish: LookFor, common: &Common) -> Result<Discovery, Trouble> {
    say::aside("no daemon runs; looking from here");
    let file = Surroundings::of_this_process().config_file(common.config.as_deref());
    let settings = match load::load(&file, &registry::names()) {
        Ok(settings) => settings,
        Err(_) if common.config.is_none() && !file.exists() => Settings::default(),
        Err(problems) => return Err(unknown_owners(&problems)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        let means = "nothing was opened";
        Trouble::new(Exit::Failed, "cli.runtime", error, means, "check the limits of this user")
    })?;
    let looking = Looking::default();
    runtime.block_on(looking.alone(wish, &settings.machines));
    Ok(looking.now())
}

fn unknown_owners(problems: &[Problem]) -> Trouble {
    Trouble::new(
        Exit::WrongWords,
        "cli.configuration",
        format!(
            "the configuration is wrong, so nobody knows whose port is whose:\n{}",
            load::render(problems)
        ),
        "no port was opened: opening one can reset the board behind it",
        "mend it (`headstock config check`), then look around again",
    )
}
