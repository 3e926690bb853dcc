//! The house's heart: it beats while the house goes round and its ledger answers.
//!
//! Those who drive outputs look at it, on threads of their own, and put them into their safe state
//! when it has stopped. Whether that has happened can only be written down afterwards.

use std::time::Duration;

use headstock_config::event::Event;
use headstock_config::ledger::Fact;
use headstock_drivers::link::pins::Heart;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;

/// How often it beats.
const BEAT: Duration = Duration::from_secs(1);

/// Puts it into the set of tasks.
pub(super) fn spawn(
    tasks: &mut JoinSet<&'static str>,
    desk: &Desk,
    heart: &Heart,
    closing: &CancellationToken,
) {
    let (desk, heart, closing) = (desk.clone(), heart.clone(), closing.clone());
    tasks.spawn(async move {
        closing.run_until_cancelled(keep(desk, heart)).await;
        "the heart"
    });
}

async fn keep(desk: Desk, heart: Heart) {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let alive = timeout(heart.patience(), desk.ledger().alive()).await == Ok(true);
        if alive && heart.beats() {
            tell(&desk, &heart);
        }
    }
}

/// It had stopped, and beats again.
fn tell(desk: &Desk, heart: &Heart) {
    let seconds = heart.patience().as_secs();
    let text = format!(
        "the house was silent for more than {seconds} s: outputs were put into their safe state, \
         and stay there until somebody sets them"
    );
    for machine in desk.equipment().into_iter().filter(|it| drives(&it.driver)) {
        let said = Event::Message { text: text.clone() };
        if desk.ledger().note(Fact::Machine { machine: machine.id, said }).is_err() {
            tracing::warn!("{text}");
        }
    }
}

/// Whether machines with this driver may have outputs of this box.
fn drives(driver: &str) -> bool {
    matches!(driver, "gpio" | "i2c")
}
