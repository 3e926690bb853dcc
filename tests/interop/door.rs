//! Clients that others wrote at our door for Modbus, in a whole house.

use std::time::Duration;

use headstock_config::ledger::{Fact, Request};
use headstock_config::load;
use headstock_config::point::{Point, Value};
use headstock_daemon::house::{Ground, House};
use headstock_drivers::modbus::frame::Mbap;
use headstock_drivers::registry;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::peers::{Script, mbpoll, poll, python};

const PATIENCE: Duration = Duration::from_secs(30);

const SHOP: &str = r#"
[web]
listen = "127.0.0.1:0"

[modbus_server]
listen = "127.0.0.1:0"
unit = 5

[[machine]]
id = "kiln"
driver = "modbus-tcp"
port = "sim:modbus-tcp"
profile = "omron-e5cc"

[[machine]]
id = "gone"
driver = "modbus-tcp"
port = "127.0.0.1:1"
tag = [ { name = "level", area = "input", address = 0 } ]

[[modbus_server.tag]]
point = "kiln.setpoint"
area = "holding"
address = 0
type = "f32"
write = true

[[modbus_server.tag]]
point = "kiln.setpoint"
area = "holding"
address = 10
type = "i16"

[[modbus_server.tag]]
point = "kiln.setpoint"
area = "holding"
address = 20
type = "i16"
write = true

[[modbus_server.tag]]
point = "kiln.setpoint"
area = "holding"
address = 21
type = "i16"
write = true

[[modbus_server.tag]]
point = "gone.level"
area = "input"
address = 0
type = "u16"

[[modbus_server.tag]]
point = "gone.level"
area = "input"
address = 1
type = "u16"
quality = 2
"#;

/// A house with a kiln that is there and a tank that is not, and a door for Modbus.
struct Shop {
    house: House,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let settings = load::parse(SHOP, "shop.toml", &registry::names());
        let settings = settings.unwrap_or_else(|it| panic!("{}", load::render(&it)));
        let socket = state_dir.join("headstock.sock");
        let ground = Ground { settings, state_dir: state_dir.clone(), socket };
        let house = House::open(ground).await.unwrap();
        let at = std::fs::read_to_string(state_dir.join("modbus.addr")).unwrap();
        let port = at.rsplit_once(':').unwrap().1.parse().unwrap();
        let shop = Self { house, port, _dir: dir };
        shop.point("kiln.setpoint", |it| it.value == Some(Value::Number(0.0))).await;
        shop
    }

    async fn point(&self, name: &str, wanted: impl Fn(&Point) -> bool) -> Point {
        let looking = async {
            loop {
                match self.house.desk.points().one(name) {
                    Some(point) if wanted(&point) => return point,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        seen.unwrap_or_else(|_| panic!("{:?}", self.house.desk.points().one(name)))
    }

    /// Whether the book says that somebody of this name asked for a write.
    async fn asked_by(&self, name: &str) -> usize {
        let book = self.house.desk.ledger().read(1, 10_000).await.unwrap();
        let asked = |fact: &Fact| match fact {
            Fact::Asked { by, request: Request::Tell { .. } } => by.name == name,
            _ => false,
        };
        book.iter().filter(|it| asked(&it.fact)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_reads_and_writes_points_and_is_told_what_cannot_be_believed() {
    let Some(python) = python() else { return };
    let shop = Shop::open().await;
    let port = shop.port.to_string();
    let mut client = Script::start(&python, "client.py", &[&port]);
    let mut ask = |line: &str| tokio::task::block_in_place(|| client.ask(line));
    let write = r#"["write_registers", [0, [17315, 32768]], {"device_id": 5}]"#;
    assert_eq!(ask(write), json!({"done": true}), "327.0 °C");
    shop.point("kiln.setpoint", |it| it.value == Some(Value::Number(327.0))).await;
    let read = r#"["read_holding_registers", [0], {"count": 2, "device_id": 5}]"#;
    assert_eq!(ask(read), json!({"words": [17315, 32768]}));
    let read = r#"["read_holding_registers", [10], {"device_id": 255}]"#;
    assert_eq!(ask(read), json!({"words": [327]}));
    let hot = r#"["write_registers", [0, [17820, 16384]], {"device_id": 5}]"#;
    assert_eq!(ask(hot), json!({"exception": 3}), "5000 °C are out of the tag's range");
    let rows = [
        (r#"["write_register", [10, 1], {"device_id": 5}]"#, 2),
        (r#"["write_register", [0, 1], {"device_id": 5}]"#, 3),
        (r#"["read_holding_registers", [1], {"count": 2, "device_id": 5}]"#, 2),
        (r#"["read_input_registers", [0], {"device_id": 5}]"#, 4),
        (r#"["read_input_registers", [0], {"device_id": 7}]"#, 11),
    ];
    for (line, exception) in rows {
        assert_eq!(ask(line), json!({ "exception": exception }), "{line}");
    }
    let marked = ask(r#"["read_input_registers", [1], {"count": 2, "device_id": 5}]"#);
    assert_eq!(marked, json!({"words": [0, 0]}), "bad, and marked so");
    assert_eq!(shop.asked_by("modbus-server").await, 2, "what is no whole point never gets there");
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mbpoll_reads_and_writes_points() {
    let Some(mbpoll) = mbpoll() else { return };
    let shop = Shop::open().await;
    let port = shop.port.to_string();
    let run = |words: &[&str]| {
        let common = ["-m", "tcp", "-p", &port, "-0", "-a", "5"];
        tokio::task::block_in_place(|| poll(&mbpoll, &[&common[..], words].concat()))
    };
    let written = run(&["-r", "0", "-t", "4:float", "-B", "127.0.0.1", "250.5"]);
    assert!(written.contains("Written 1"), "{written}");
    shop.point("kiln.setpoint", |it| it.value == Some(Value::Number(251.0))).await;
    let read = run(&["-r", "10", "-t", "4", "-1", "127.0.0.1"]);
    assert!(read.contains("[10]: \t251"), "{read}");
    let bad = run(&["-r", "0", "-t", "3", "-1", "127.0.0.1"]);
    assert!(bad.contains("failed"), "{bad}");
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_values_none_is_written_where_one_would_be_refused() {
    let shop = Shop::open().await;
    let mut client = TcpStream::connect(("127.0.0.1", shop.port)).await.unwrap();
    // 100 °C, and 5000 °C, which are out of the tag's range.
    let pdu = vec![16, 0, 20, 0, 2, 4, 0, 100, 0x13, 0x88];
    client.write_all(&Mbap { transaction: 1, unit: 5, pdu }.bytes()).await.unwrap();
    let mut answer = [0; 9];
    let came = tokio::time::timeout(PATIENCE, client.read_exact(&mut answer)).await;
    came.unwrap().unwrap();
    assert_eq!(answer[7..], [0x90, 3]);
    let setpoint = shop.point("kiln.setpoint", |_| true).await;
    assert_eq!(setpoint.value, Some(Value::Number(0.0)));
    // Both, one after the other.
    let pdu = vec![16, 0, 20, 0, 2, 4, 0, 100, 0, 150];
    client.write_all(&Mbap { transaction: 2, unit: 5, pdu }.bytes()).await.unwrap();
    shop.point("kiln.setpoint", |it| it.value == Some(Value::Number(150.0))).await;
    shop.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_knocks_wrongly_is_shown_out_and_the_others_are_served() {
    let shop = Shop::open().await;
    let mut hostile = TcpStream::connect(("127.0.0.1", shop.port)).await.unwrap();
    hostile.write_all(b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, hostile.read_to_end(&mut said)).await;
    assert!(closed.is_ok() && said.is_empty(), "{said:?}");
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(TcpStream::connect(("127.0.0.1", shop.port)).await.unwrap());
    }
    // The first of them have places, in whatever state the rest is left.
    let read = Mbap { transaction: 7, unit: 5, pdu: vec![3, 0, 10, 0, 1] };
    crowd[0].write_all(&read.bytes()[..3]).await.unwrap();
    crowd[0].write_all(&read.bytes()[3..]).await.unwrap();
    let mut answer = [0; 11];
    let came = tokio::time::timeout(PATIENCE, crowd[0].read_exact(&mut answer)).await;
    came.unwrap().unwrap();
    assert_eq!(answer, [0, 7, 0, 0, 0, 5, 5, 3, 2, 0, 0]);
    let mut last = crowd.pop().unwrap();
    let over = tokio::time::timeout(PATIENCE, last.read(&mut answer)).await.unwrap();
    assert!(over.is_err() || over.is_ok_and(|read| read == 0), "there is room for a few only");
    shop.house.close().await;
}
