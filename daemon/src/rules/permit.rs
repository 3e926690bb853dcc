//! Leave to do something, asked for when a request is handed to a machine, and once more by the
//! machine's own task at the moment at which it takes it: what waited in a queue meanwhile is judged
//! by how things are then. A bus asks a third time, when the first byte would leave
//! (`machine/bus/judge.rs`).

use headstock_config::machine::Machine;

use super::judge::{Asker, Interlocked, Wish};
use super::shared::Rules;

/// Who asks for something, and the rules that it is judged by.
#[derive(Clone, Default)]
pub struct Permit {
    rules: Rules,
    asker: Asker,
}

impl Permit {
    /// For somebody who asks.
    pub fn of(rules: &Rules, asker: Asker) -> Self {
        Self { rules: rules.clone(), asker }
    }

    /// What stands against it at this moment, if anything.
    pub fn holds(&self, machine: &Machine, wish: &Wish<'_>) -> Result<(), Interlocked> {
        self.rules.judge(&self.asker, &machine.id, wish)
    }
}
