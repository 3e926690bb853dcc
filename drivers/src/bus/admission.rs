//! Whether a bus can do what is declared: judged before anything is opened.
//!
//! Every request has a cost (its time on the wire) and a period; the sum of cost ÷ period is the
//! share of time for which the bus is busy. Above 1 it cannot be met, whatever the order; above
//! 0.7 a few repeats or a dead device make it late. Source of the limits: Liu and Layland 1973 for
//! the former, a workshop's practice for the latter.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use headstock_config::explain::Explain;
use headstock_config::machine::Machine;
use headstock_config::tag::Tag;

use super::{Dialect, Place};
use crate::Refusal;

/// Above this share a bus has no time to spare.
const TIGHT: f64 = 0.7;

/// What is asked of a bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// By machine and period, the largest share first.
    pub rows: Vec<Row>,
}

/// What one machine's tags of one period ask of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The machine's id.
    pub machine: String,
    /// How often.
    pub period: Duration,
    /// Requests each time.
    pub requests: usize,
    /// What they take together.
    pub cost: Duration,
}

impl Row {
    /// Share of the bus's time, 1 being all of it.
    pub fn share(&self) -> f64 {
        self.cost.as_secs_f64() / self.period.as_secs_f64().max(1e-9)
    }
}

/// Why a bus cannot do what is declared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// More is asked for than there is time.
    #[error(
        "the bus of `{}` would have to be busy {:.0} % of the time:\n{}",
        first(.0), percent(.0.share()), .0
    )]
    Overloaded(Demand),
    /// A value that is declared for a stop cannot be written.
    #[error("machine `{machine}`: tag `{tag}`: `{key}` cannot be written: {why}")]
    Value {
        /// The machine's id.
        machine: String,
        /// The tag's name.
        tag: String,
        /// `hold`, `stop` or `safe`.
        key: &'static str,
        /// What the language says to it.
        why: Refusal,
    },
}

impl Explain for Unfit {
    fn code(&self) -> &'static str {
        match self {
            Self::Overloaded(_) => "config.bus.overloaded",
            Self::Value { .. } => "config.tag.value",
        }
    }

    fn means(&self) -> String {
        "the configuration is not used as long as anything in it is wrong".into()
    }

    fn remedy(&self) -> String {
        match self {
            Self::Overloaded(_) => {
                "raise `period_ms` of the rows at the top, raise `baud`, or use a second adapter"
                    .into()
            }
            Self::Value { .. } => "write a value that fits the tag's type and range".into(),
        }
    }
}

/// Judges a bus. The demand, if it can be met.
pub fn judge<D: Dialect>(dialect: &D, machines: &[Machine]) -> Result<Demand, Vec<Unfit>> {
    let demand = Demand::of(dialect, machines);
    let mut unfit = Vec::new();
    if 1.0 < demand.share() {
        unfit.push(Unfit::Overloaded(demand.clone()));
    }
    for (index, machine) in machines.iter().enumerate() {
        for (tag, declared) in machine.tags.iter().enumerate() {
            let place = Place { machine: index, tag };
            unfit.extend(values(dialect, place, machine, declared));
        }
    }
    if unfit.is_empty() { Ok(demand) } else { Err(unfit) }
}

/// The values of a tag that could not be written when they must be.
fn values<D: Dialect>(dialect: &D, place: Place, machine: &Machine, tag: &Tag) -> Vec<Unfit> {
    // What counts as `stop` because it is declared as `safe` is told once.
    let stop = tag.stop.as_ref().filter(|_| tag.stop != tag.safe);
    let declared = [("hold", tag.hold.as_ref()), ("stop", stop), ("safe", tag.safe.as_ref())];
    let refused = declared.into_iter().filter_map(|(key, value)| {
        let why = dialect.write(place, value?).err()?;
        Some(Unfit::Value { machine: machine.id.clone(), tag: tag.name.clone(), key, why })
    });
    refused.collect()
}

impl Demand {
    /// What a language asks of a bus.
    pub fn of<D: Dialect>(dialect: &D, machines: &[Machine]) -> Self {
        let polls = dialect.polls().into_iter().map(|poll| {
            let cost = dialect.cost(&poll.request);
            (poll.machine, poll.period, cost)
        });
        let beats = (0..machines.len()).filter_map(|machine| {
            let (period, request) = dialect.heartbeat(machine, 0)?;
            Some((machine, period, dialect.cost(&request)))
        });
        let mut rows: Vec<Row> = Vec::new();
        for (machine, period, cost) in polls.chain(beats) {
            let id = machines.get(machine).map_or("", |it| it.id.as_str());
            match rows.iter_mut().find(|row| row.machine == id && row.period == period) {
                Some(row) => {
                    row.requests += 1;
                    row.cost += cost;
                }
                None => rows.push(Row { machine: id.into(), period, requests: 1, cost }),
            }
        }
        rows.sort_by(|one, other| other.share().total_cmp(&one.share()));
        Self { rows }
    }

    /// Share of the bus's time, 1 being all of it.
    pub fn share(&self) -> f64 {
        self.rows.iter().map(Row::share).sum()
    }

    /// It can be met, with little to spare.
    pub fn tight(&self) -> bool {
        TIGHT < self.share()
    }
}

impl Display for Demand {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "  {:<24} {:>9} {:>8} {:>9} {:>7}",
            "machine", "every", "requests", "take", "share"
        )?;
        for row in &self.rows {
            let (every, take) = (milliseconds(row.period), milliseconds(row.cost));
            let share = format!("{:.1} %", percent(row.share()));
            write!(
                out,
                "\n  {:<24} {every:>9} {:>8} {take:>9} {share:>7}",
                row.machine, row.requests
            )?;
        }
        Ok(())
    }
}

fn first(demand: &Demand) -> &str {
    demand.rows.first().map_or("", |row| row.machine.as_str())
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", 1000.0 * time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use headstock_config::point::Value;
    use headstock_config::tag::{Area, Kind, Order, Register, Source};

    use super::*;
    use crate::modbus::Modbus;

    fn meter(id: &str, unit: u8, period_ms: u64) -> Machine {
        let register = Register {
            area: Area::Holding,
            address: 0,
            kind: Kind::U16,
            order: Order::Abcd,
            bit: 0,
            length: 1,
            read_back: true,
        };
        let source = Source::Register(register);
        let tag = Tag { name: "speed".into(), source, period_ms, ..Tag::default() };
        let mut machine = Machine {
            id: id.into(),
            driver: "modbus-rtu".into(),
            baud: 9_600,
            tags: vec![tag],
            ..Machine::default()
        };
        machine.bus.unit = unit;
        machine
    }

    fn judged(machines: &[Machine]) -> Result<Demand, Vec<Unfit>> {
        judge(&Modbus::new(machines), machines)
    }

    #[test]
    fn what_cannot_be_met_is_refused_with_the_numbers() {
        let machines = [meter("fast", 1, 25), meter("slow", 2, 1_000)];
        let unfit = judged(&machines).unwrap_err();
        let said = unfit[0].to_string();
        assert!(said.contains("busy 114 % of the time"), "{said}");
        assert!(
            said.contains("fast                         25 ms        1     28 ms 111.7 %"),
            "{said}"
        );
        assert_eq!(unfit[0].code(), "config.bus.overloaded");
        let met = judged(&[meter("fast", 1, 35), meter("slow", 2, 1_000)]).unwrap();
        assert!(met.tight());
        assert!(!judged(&[meter("slow", 2, 1_000)]).unwrap().tight());
    }

    #[test]
    fn a_stop_that_could_not_be_written_is_found_before_it_is_needed() {
        let mut machine = meter("drive", 1, 1_000);
        machine.tags[0].range = Some([0.0, 400.0]);
        machine.tags[0].stop = Some(Value::Number(-1.0));
        machine.tags[0].hold = Some(Value::Number(0.0));
        let unfit = judged(&[machine]).unwrap_err();
        let said: Vec<String> = unfit.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("machine `drive`: tag `speed`: `stop` cannot be written: "));
    }
}
