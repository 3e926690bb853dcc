//! Words about alarms.

use clap::Subcommand;

/// What can be done with an alarm.
#[derive(Debug, Subcommand)]
pub enum AlarmVerb {
    /// Show everything about one: why it comes, what it means, what to do now
    Show {
        /// The alarm's id
        alarm: String,
    },
    /// Acknowledge one: somebody knows
    Ack {
        /// The alarm's id
        alarm: String,
    },
    /// Put one aside for a time; it comes back by itself
    Shelve {
        /// The alarm's id
        alarm: String,
        /// For how long, 1 to 480
        #[arg(long, default_value_t = 60, value_name = "N")]
        minutes: u64,
        /// Why, for the history
        #[arg(long, value_name = "TEXT", default_value = "no reason given")]
        reason: String,
    },
    /// Take one back from the shelf
    Unshelve {
        /// The alarm's id
        alarm: String,
    },
    /// Reset one that latches, after it is over and acknowledged
    Reset {
        /// The alarm's id
        alarm: String,
    },
    /// Take one out of use until somebody puts it back
    Disable {
        /// The alarm's id
        alarm: String,
        /// Why, for the history
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Put one into use again
    Enable {
        /// The alarm's id
        alarm: String,
        /// Why, for the history
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}
