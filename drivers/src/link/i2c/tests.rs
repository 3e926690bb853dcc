//! The carrier against a pretend bus.

use headstock_config::load;
use headstock_config::point::Value;

use super::*;
use crate::bus::{Errand, Place, Poll, Write};
use crate::sim::say;

const MACHINES: &str = r#"
[[machine]]
id = "climate"
driver = "i2c"
port = "sim:i2c#shop"
chip = "bme280"
[[machine]]
id = "expander"
driver = "i2c"
port = "sim:i2c#shop"
chip = "mcp23017"
[[machine.tag]]
name = "lamp"
channel = "a0"
output = true
safe = false
[[machine.tag]]
name = "button"
channel = "b7"
scale = -1.0
offset = 1.0
[[machine]]
id = "room"
driver = "i2c"
port = "sim:i2c#shop"
chip = "sht31"
timeout_ms = 100
[[machine]]
id = "volts"
driver = "i2c"
port = "sim:i2c#shop"
chip = "ads1115"
[[machine]]
id = "power"
driver = "i2c"
port = "sim:i2c#shop"
chip = "ina219"
[[machine]]
id = "far"
driver = "i2c"
port = "sim:i2c#shop"
chip = "vl53l0x"
timeout_ms = 100
[[machine]]
id = "knobs"
driver = "i2c"
port = "sim:i2c#shop"
chip = "pcf8591"
address = 0x4a
[[machine.tag]]
name = "speed"
channel = "dac"
scale = 0.01
safe = 0.0
[[machine.tag]]
name = "knob"
channel = "a2"
"#;

const CLIMATE: usize = 0;
const EXPANDER: usize = 1;
const ROOM: usize = 2;
const FAR: usize = 5;
const KNOBS: usize = 6;

struct Bench {
    _bus: sim::Bus,
    carrier: I2cCarrier,
    chips: Chips,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new(heart: Heart) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let mut machines = load::parse(MACHINES, "t.toml", &["i2c"]).unwrap().machines;
        machines.iter_mut().for_each(|it| it.port = Port::Path(path.clone()));
        let bus = sim::pretend(&path, 0.0, &machines).unwrap();
        let mut carrier = I2cCarrier::new(&machines, heart);
        carrier.open().await.unwrap();
        Self { _bus: bus, carrier, chips: Chips::new(&machines), path, _folder: folder }
    }

    fn say(&self, words: &str) -> String {
        say(&self.path, words).unwrap()
    }

    /// Everything that a machine tells when it is polled.
    async fn poll(&mut self, machine: usize) -> Result<Vec<Reading>, Fault> {
        let mut out = Vec::new();
        for Poll { request, .. } in self.chips.polls().iter().filter(|it| it.machine == machine) {
            let answer = self.carrier.perform(machine, request, Errand::default()).await?;
            self.chips.read(Instant::now(), request, &answer, &mut out);
        }
        out.sort_by_key(|it| it.place);
        Ok(out)
    }

    async fn numbers(&mut self, machine: usize) -> Vec<f64> {
        let told = self.poll(machine).await.unwrap();
        told.iter().map(|it| it.value.as_ref().and_then(Value::number).unwrap()).collect()
    }

    async fn write(&mut self, machine: usize, tag: usize, value: Value) -> Result<Value, Fault> {
        let write = self.chips.write(Place { machine, tag }, &value).unwrap();
        let Write { requests, verify, expected, .. } = write;
        for request in &requests {
            self.carrier.perform(machine, request, Errand::default()).await?;
        }
        let Some(verify) = verify else { return Ok(expected) };
        let answer = self.carrier.perform(machine, &verify, Errand::default()).await?;
        let mut out = Vec::new();
        self.chips.read(Instant::now(), &verify, &answer, &mut out);
        Ok(out.remove(0).value.unwrap())
    }
}

fn near(said: &[f64], wanted: &[f64], by: f64) {
    let all = said.len() == wanted.len();
    let near = said.iter().zip(wanted).all(|(one, other)| (one - other).abs() <= by);
    assert!(all && near, "{said:?} is not {wanted:?}");
}

#[tokio::test]
async fn every_chip_tells_what_its_world_is_like() {
    let mut bench = Bench::new(Heart::default()).await;
    near(&bench.numbers(CLIMATE).await, &[21.5, 45.0, 1_013.0], 0.05);
    near(&bench.numbers(ROOM).await, &[21.5, 45.0], 0.01);
    near(&bench.numbers(3).await, &[0.5, 1.0, 1.5, 2.0], 0.000_2);
    near(&bench.numbers(4).await, &[24.0, 0.8, 19.2], 0.001);
    near(&bench.numbers(FAR).await, &[420.0], 0.5);
    bench.say("set 76 temperature -12.5");
    bench.say("set 76 pressure 987");
    bench.say("set 4a a2 77");
    near(&bench.numbers(CLIMATE).await, &[-12.5, 45.0, 987.0], 0.05);
    near(&bench.numbers(KNOBS).await, &[0.0, 77.0], 0.0);
}

#[tokio::test]
async fn outputs_are_driven_read_back_and_left_safe() {
    let mut bench = Bench::new(Heart::default()).await;
    assert_eq!(bench.say("get 20 a0"), "0");
    assert_eq!(bench.write(EXPANDER, 0, Value::Flag(true)).await, Ok(Value::Flag(true)));
    assert_eq!(bench.say("get 20 a0"), "1");
    bench.say("set 20 b7 0");
    near(&bench.numbers(EXPANDER).await, &[1.0, 1.0], 0.0);
    assert_eq!(bench.write(KNOBS, 0, Value::Number(1.28)).await, Ok(Value::Number(1.28)));
    assert_eq!(bench.say("get 4a dac"), "128");
    bench.carrier.close().await;
    assert_eq!([bench.say("get 20 a0"), bench.say("get 4a dac")], ["0", "0"]);
}

#[tokio::test]
async fn a_chip_that_does_not_answer_is_told_so_and_the_others_go_on() {
    let mut bench = Bench::new(Heart::default()).await;
    bench.say("fault 76 nack");
    assert_eq!(bench.poll(CLIMATE).await, Err(Fault::Absent("0x76".into())));
    near(&bench.numbers(ROOM).await, &[21.5, 45.0], 0.01);
    bench.say("fault 76 off");
    assert_eq!(bench.numbers(CLIMATE).await.len(), 3);
    bench.say("fault 44 slow");
    assert_eq!(bench.poll(ROOM).await, Err(Fault::Silence(100)));
    near(&bench.numbers(FAR).await, &[420.0], 0.5);
    bench.say("fault 29 slow");
    assert_eq!(bench.poll(FAR).await, Err(Fault::Silence(100)));
}

#[tokio::test]
async fn what_cannot_be_believed_is_not_told() {
    let mut bench = Bench::new(Heart::default()).await;
    bench.say("fault 44 bad-crc");
    assert!(matches!(bench.poll(ROOM).await, Err(Fault::Garbled(_))));
    bench.say("fault 76 wrong-id");
    let unlike = bench.poll(CLIMATE).await;
    assert!(matches!(&unlike, Err(Fault::Unlike(why)) if why.contains("BME680")), "{unlike:?}");
    bench.say("fault bus stuck");
    assert!(matches!(bench.poll(3).await, Err(Fault::Silence(_))));
    bench.say("fault bus off");
    assert_eq!(bench.numbers(3).await.len(), 4);
}

#[tokio::test]
async fn an_expander_that_lost_its_power_is_noticed_and_comes_back_safe() {
    let mut bench = Bench::new(Heart::default()).await;
    bench.write(EXPANDER, 0, Value::Flag(true)).await.unwrap();
    bench.say("fault 20 reset");
    assert!(matches!(bench.poll(EXPANDER).await, Err(Fault::Unlike(_))));
    near(&bench.numbers(EXPANDER).await, &[0.0, 0.0], 0.0);
    assert_eq!(bench.say("get 20 a0"), "0");
}

#[tokio::test]
async fn an_expander_that_only_did_not_answer_switches_nothing() {
    let mut bench = Bench::new(Heart::default()).await;
    bench.write(EXPANDER, 0, Value::Flag(true)).await.unwrap();
    bench.say("fault 20 nack 1");
    assert!(matches!(bench.poll(EXPANDER).await, Err(Fault::Absent(_))));
    near(&bench.numbers(EXPANDER).await, &[1.0, 0.0], 0.0);
}

#[tokio::test]
async fn a_write_does_not_wait_for_a_sensor_that_thinks() {
    let mut bench = Bench::new(Heart::default()).await;
    bench.say("fault 44 slow");
    let measure = bench.chips.polls().into_iter().find(|it| it.machine == ROOM).unwrap().request;
    {
        let measuring = bench.carrier.perform(ROOM, &measure, Errand::default());
        tokio::pin!(measuring);
        let begun = futures_poll(measuring.as_mut()).await;
        assert!(begun.is_none(), "it measures");
    }
    bench.write(EXPANDER, 0, Value::Flag(true)).await.unwrap();
    assert_eq!(bench.say("get 20 a0"), "1");
    bench.say("fault 44 off");
    near(&bench.numbers(ROOM).await, &[21.5, 45.0], 0.01);
}

#[tokio::test]
async fn a_sensor_that_thinks_gives_way_to_a_stop_and_is_read_afterwards() {
    let mut bench = Bench::new(Heart::default()).await;
    let measure = bench.chips.polls().into_iter().find(|it| it.machine == ROOM).unwrap().request;
    let mut recall = std::pin::pin!(tokio::task::yield_now());
    let errand = Errand { recall: Some(recall.as_mut()), ..Errand::default() };
    let outcome = bench.carrier.perform(ROOM, &measure, errand).await;
    assert_eq!(outcome, Err(Fault::GaveWay { sent: false }));
    near(&bench.numbers(ROOM).await, &[21.5, 45.0], 0.01);
}

/// What a future comes to if it is asked once.
async fn futures_poll<F: Future + Unpin>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        it = future => Some(it),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test]
async fn outputs_go_safe_when_the_heart_of_the_house_stops() {
    let heart = Heart::new(Duration::from_millis(1_500));
    let mut bench = Bench::new(heart.clone()).await;
    bench.write(EXPANDER, 0, Value::Flag(true)).await.unwrap();
    let told = bench.carrier.unasked().await.unwrap();
    let lamp = told.iter().find(|it| it.place == Place { machine: EXPANDER, tag: 0 }).unwrap();
    assert_eq!((&lamp.value, lamp.quality), (&Some(Value::Flag(false)), Quality::Uncertain));
    assert_eq!(bench.say("get 20 a0"), "0");
    let refused = bench.write(EXPANDER, 0, Value::Flag(true)).await;
    assert!(matches!(refused, Err(Fault::Refused { later: true, .. })), "{refused:?}");
    heart.beats();
    bench.write(EXPANDER, 0, Value::Flag(true)).await.unwrap();
}

#[test]
fn what_the_kernel_says_of_a_transfer_is_told_apart() {
    let kernel = |number| said(&io::Error::from_raw_os_error(number));
    assert_eq!(kernel(libc::ENXIO), WireError::Nack);
    assert_eq!(kernel(libc::EREMOTEIO), WireError::Nack);
    assert_eq!(kernel(libc::ETIMEDOUT), WireError::Stuck);
    assert!(matches!(kernel(libc::ENODEV), WireError::Gone(_)));
    assert!(matches!(kernel(libc::EOPNOTSUPP), WireError::Other(_)));
}
