//! What answers on I2C buses that no machine of the configuration has.

use std::path::PathBuf;

use headstock_config::discover::Sure;
use tokio::sync::mpsc::Sender;

use super::super::i2c_scan::{self, Found as Answers};
use super::{Found, News, Owned, Proposal, say};

/// Looks at every bus, one after the other.
pub(super) async fn look(buses: Vec<PathBuf>, owned: &Owned, news: &Sender<News>) {
    for bus in buses {
        let place = bus.display().to_string();
        if let Some(machine) = owned.owner(&bus) {
            let what = format!("{place}: machine `{machine}` is on it; it was not scanned");
            say(news, News::Remark(what)).await;
            continue;
        }
        let doing = format!("reading from every address of {place}");
        say(news, News::Doing(doing.clone())).await;
        let scanned = tokio::task::spawn_blocking(move || i2c_scan::scan(&bus)).await;
        match scanned {
            Ok(Ok(found)) => {
                for it in found {
                    say(news, News::Found(told(&place, &it))).await;
                }
            }
            Ok(Err(why)) => say(news, News::Remark(format!("{place}: {why}"))).await,
            Err(_) => say(news, News::Remark(format!("{place}: scanning it broke off"))).await,
        }
        say(news, News::Done(doing)).await;
    }
}

fn told(bus: &str, it: &Answers) -> Found {
    let address = it.address;
    let what = i2c_scan::usually(address);
    let place = format!("{bus} at {address:#04x}");
    let note = it.claimed.then(|| {
        "a driver of the kernel has it; unbind that before a machine here can have it".to_owned()
    });
    let known = !it.claimed && what != "not known";
    let proposal = known.then(|| Proposal::Chip { port: bus.to_owned(), address });
    Found { what, place, sure: Sure::Guess, note, proposal }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::discover::proposal::Ids;
    use crate::i2c::sim;

    #[tokio::test]
    async fn a_chip_that_answers_is_proposed_by_what_usually_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let _bus = sim::Bus::open(&path, 1.0, &[("bme280", 0x76)]).unwrap();
        let (news, mut told) = channel(64);
        look(vec![path.clone()], &Owned::default(), &news).await;
        drop(news);
        let mut found = Vec::new();
        while let Some(it) = told.recv().await {
            if let News::Found(it) = it {
                found.push(it.named(&mut Ids::default()));
            }
        }
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.starts_with("bme280"), "{found:?}");
        let config = found[0].config.clone().unwrap();
        assert!(config.contains("chip = \"bme280\"\naddress = 0x76\n"), "{config}");
    }
}
