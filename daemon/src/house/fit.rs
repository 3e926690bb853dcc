//! Whether the buses of a configuration can do what is declared: asked before a house opens, and
//! by `headstock config check`. The configuration itself cannot tell: it knows no protocols.

use std::path::Path;

use headstock_config::explain::Explain;
use headstock_config::load::Problem;
use headstock_config::machine::Machine;
use headstock_drivers::bus::admission::Demand;

use super::plug;
use crate::machine::bus;

/// What a configuration asks of its buses, by the names of their machines; or what is wrong with
/// it, as problems of its file.
pub fn buses(file: &Path, machines: &[Machine]) -> Result<Vec<(String, Demand)>, Vec<Problem>> {
    let mut demands = Vec::new();
    let mut problems = Vec::new();
    for bus in plug::buses(machines) {
        match bus::judge(bus.kind, &bus.machines) {
            Ok(demand) => demands.push((bus.name(), demand)),
            Err(unfit) => problems.extend(unfit.iter().map(|it| {
                let file = file.display().to_string();
                Problem::of_file(it.code(), file, it.to_string()).with_hint(Some(it.remedy()))
            })),
        }
    }
    if problems.is_empty() { Ok(demands) } else { Err(problems) }
}

/// What a person should know of buses that have little time to spare, one line each.
pub fn warnings(demands: &[(String, Demand)]) -> Vec<String> {
    let tight = demands.iter().filter(|(_, demand)| demand.tight());
    let line = |(name, demand): &(String, Demand)| {
        let percent = 100.0 * demand.share();
        format!(
            "the bus of {name} will be busy {percent:.0} % of the time; above 70 % a dead device or a few repeats make it late"
        )
    };
    tight.map(line).collect()
}

#[cfg(test)]
mod tests {
    use headstock_config::load;
    use headstock_drivers::registry;

    use super::*;

    fn judged(period_ms: u64) -> Result<Vec<(String, Demand)>, Vec<Problem>> {
        let text = format!(
            "[[machine]]\nid = \"drive\"\ndriver = \"modbus-rtu\"\nport = \"/dev/ttyS9\"\n\
             [[machine.tag]]\nname = \"speed\"\narea = \"holding\"\naddress = 1\nperiod_ms = {period_ms}\n"
        );
        let settings = load::parse(&text, "t.toml", &registry::names()).unwrap();
        buses(Path::new("t.toml"), &settings.machines)
    }

    #[test]
    fn what_a_bus_cannot_do_is_a_problem_of_the_configuration() {
        let problems = judged(10).unwrap_err();
        assert_eq!(problems[0].code, "config.bus.overloaded");
        assert!(problems[0].message.starts_with("the bus of `drive` would have to be busy"));
        let tight = judged(35).unwrap();
        assert_eq!(warnings(&tight).len(), 1);
        assert!(warnings(&judged(1_000).unwrap()).is_empty());
    }
}
