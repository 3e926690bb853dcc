//! Looking around through the door.

use headstock_config::people::Role;
use headstock_drivers::grbl::sim;
use serde_json::{Value, json};

use super::super::openapi::tests::check;
use super::Trial;

#[tokio::test(flavor = "multi_thread")]
async fn a_mill_that_no_machine_has_is_found_and_proposed() {
    let trial = Trial::open().await;
    let port = trial.folder.path().join("other");
    let options = sim::Options { link: Some(port.clone()), ..sim::Options::default() };
    let _mill = sim::start(options).unwrap();
    let path = "/api/v1/discover";
    assert_eq!(trial.get(path).await["began_ms"], Value::Null);
    let wish = json!({ "network": false, "i2c": false, "ask": true, "ports": [port] });

    let begun = trial.post(path, wish.clone()).await.with(202);
    assert_eq!(begun["running"], true);
    assert_eq!(trial.post(path, wish.clone()).await.refused(409), "desk.looking");
    let token = trial.token("eye", Role::Viewer).await;
    let seen = trial.over_tcp(&token, "POST", path, &wish.to_string()).await;
    assert_eq!(seen.refused(403), "desk.forbidden");

    let found = trial.until(path, |it| it["running"] == false).await;
    check("Discovery", &found);
    let mill = &found["findings"][0];
    assert_eq!((&mill["where"], &mill["sure"]), (&json!(port), &json!("certain")), "{found:#}");
    let config = mill["config"].as_str().unwrap();
    // `mill` is the id of a machine here.
    assert!(config.starts_with("[[machine]]\nid = \"mill-2\"\ndriver = \"grbl\"\n"), "{config}");
    headstock_config::load::parse(config, "pasted.toml", &["grbl"]).unwrap();
}
