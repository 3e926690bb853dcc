//! The main job through the door, with every answer held to the document.

use headstock_config::people::Role;
use serde_json::{Value, json};

use super::super::openapi::tests::check;
use super::{PROGRAM, Trial};

fn check_all(schema: &str, list: &Value) {
    for item in list.as_array().expect("a list") {
        check(schema, item);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_finished_job() {
    let trial = Trial::open().await;
    trial.idle().await;
    let file = trial.upload().await;
    let machine = trial.until("/api/v1/equipment/mill", |it| !it["controller"].is_null()).await;
    check("Equipment", &machine);
    assert_eq!(machine["port"], "sim:grbl", "as it is declared");
    let settings = trial.get("/api/v1/equipment/mill/settings").await;
    check_all("Setting", &settings);
    let speed = json!({
        "number": 110, "value": "6000.000", "name": "X highest rate", "unit": "mm/min",
    });
    assert!(settings.as_array().unwrap().contains(&speed), "{settings}");
    check("File", &trial.get(&format!("/api/v1/files/{file}")).await);
    let findings = trial.get(&format!("/api/v1/files/{file}/preflight?machine=mill")).await;
    check_all("Finding", &findings);

    let started = trial.post("/api/v1/jobs", json!({ "machine": "mill", "file": file })).await;
    let started = started.with(201);
    check("JobView", &started);
    let brisk = trial.get(&format!("/api/v1/files/{file}")).await["analysis"]["time_s"].as_f64();
    let here = started["estimate_s"].as_f64();
    assert!(brisk < here, "{here:?} s: the pretend mill is slower than the {brisk:?} s at upload");
    let path = format!("/api/v1/jobs/{}", started["id"].as_str().unwrap());
    let done = trial.until(&path, |it| it["state"] == "completed").await;
    check("JobView", &done);
    assert_eq!((&done["progress"], &done["lines_acked"]), (&json!(1.0), &done["lines"]));

    let noted = trial.post(&format!("{path}/notes"), json!({ "text": "good part" })).await;
    assert!(noted.with(201)["notes"][0].as_str().unwrap().ends_with("good part"));
    check_all("JobView", &trial.get("/api/v1/jobs?machine=mill&state=completed&limit=5").await);
    assert_eq!(trial.get("/api/v1/jobs?state=failed").await, json!([]));
    check("System", &trial.get("/api/v1/system").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_back_as_it_was_brought() {
    let trial = Trial::open().await;
    let file = trial.ask("POST", "/api/v1/files?name=gr%C3%B6%C3%9Fe%20%22.nc", PROGRAM).await;
    let file = file.with(201);
    check("File", &file);
    assert_eq!(file["name"], "größe \".nc");
    let path = format!("/api/v1/files/{}", file["id"].as_str().unwrap());
    let content = trial.ask("GET", &format!("{path}/content"), "").await;
    assert_eq!(content.body, PROGRAM.as_bytes());
    assert!(content.headers["content-disposition"].to_str().unwrap().contains("gr%C3%B6"));
    assert_eq!(trial.get("/api/v1/files").await, json!([file]));
    trial.ask("DELETE", &path, "").await.with(204);
    assert_eq!(trial.ask("GET", &path, "").await.refused(404), "desk.unknown_file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_must_not_run_is_refused_with_its_findings() {
    let trial = Trial::open().await;
    trial.idle().await;
    let odd = trial.ask("POST", "/api/v1/files?name=odd.nc", "G21 G90\nG77 X1\n").await;
    let file = odd.with(201)["id"].as_str().unwrap().to_owned();
    let ask = json!({ "machine": "mill", "file": file });
    let answer = trial.post("/api/v1/jobs", ask).await;
    assert_eq!(answer.refused(409), "desk.preflight");
    check_all("Finding", &answer.json()["error"]["details"]);
    assert_eq!(trial.get("/api/v1/jobs").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_says_what_was_confirmed_and_is_timed() {
    let trial = Trial::open().await;
    trial.idle().await;
    let token = trial.token("pendant", Role::Operator).await;
    let path = "/api/v1/equipment/mill/commands";
    let held = trial.over_tcp(&token, "POST", path, "{\"command\":\"hold\"}").await;
    assert_eq!(held.with(202), json!({}));
    let reports = trial.post("/api/v1/stop", json!({ "scope": "all" })).await.with(200);
    check_all("StopReport", &reports);
    assert_eq!((&reports[0]["machine"], &reports[0]["confirmed"]), (&json!("mill"), &json!(true)));
    let one = trial.post("/api/v1/stop", json!({ "scope": "mill", "how": "hold" })).await;
    assert_eq!(one.with(200).as_array().unwrap().len(), 1);
    let nobody = trial.post("/api/v1/stop", json!({ "scope": "lathe" })).await;
    assert_eq!(nobody.refused(404), "desk.unknown_machine");
    let metrics = trial.ask("GET", "/metrics", "").await;
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("headstock_stop_seconds_count 3\n"), "{text}");
}

/// What a person does by hand between two jobs, each as it is asked for over REST.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_worked_by_hand() {
    let trial = Trial::open().await;
    trial.idle().await;
    let path = "/api/v1/equipment/mill";
    let commands = "/api/v1/equipment/mill/commands";
    let tell = async |command: Value| {
        trial.until(path, |it| it["state"] == "idle").await;
        assert_eq!(trial.post(commands, command).await.with(202), json!({}));
    };
    tell(json!({ "command": "setting", "number": 22, "value": "1" })).await;
    trial.until(path, |it| it["controller"]["homing"] == true).await;
    tell(json!({ "command": "home" })).await;
    trial.until(path, |it| it["live"]["homed"] == true).await;
    let at = |place: [f64; 3]| move |it: &Value| it["live"]["machine_position"] == json!(place);
    trial.until(path, at([-1.0; 3])).await;
    tell(json!({ "command": "jog", "by": [-10.0, -5.0, null], "feed": 600.0 })).await;
    trial.until(path, at([-11.0, -6.0, -1.0])).await;
    tell(json!({ "command": "zero", "at": [0.0, 0.0, 0.0] })).await;
    trial.until(path, |it| it["live"]["work_position"] == json!([0.0, 0.0, 0.0])).await;
    tell(json!({ "command": "run", "line": "G0 X-1" })).await;
    trial.until(path, |it| it["live"]["work_position"][0] == -1.0).await;
    tell(json!({ "command": "probe", "by": [null, null, -2.0], "feed": 60.0, "lenient": true }))
        .await;
    trial.until("/api/v1/events?limit=1000", |it| it.to_string().contains("\"probed\"")).await;
    for (which, percent, place) in [("feed", 120, 0), ("rapid", 50, 1), ("spindle", 90, 2)] {
        tell(json!({ "command": "override", "which": which, "percent": percent })).await;
        trial.until(path, |it| it["live"]["overrides"][place] == percent).await;
    }
    let token = trial.token("eye", Role::Viewer).await;
    for command in ["jog_end", "home", "unlock"] {
        let body = json!({ "command": command }).to_string();
        let answer = trial.over_tcp(&token, "POST", commands, &body).await;
        assert_eq!(answer.refused(403), "desk.forbidden", "{command}");
    }
    let write = json!({ "command": "write", "tag": "light", "value": true });
    assert_eq!(trial.post(commands, write).await.refused(409), "machine.unsupported");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_is_read_page_by_page() {
    let trial = Trial::open().await;
    trial.idle().await;
    let last = trial.get("/api/v1/system").await["entry"].as_u64().unwrap();
    let mut numbers = Vec::new();
    loop {
        let after = numbers.last().copied().unwrap_or(0);
        let page = trial.get(&format!("/api/v1/events?after={after}&limit=2")).await;
        check_all("Entry", &page);
        let page = page.as_array().unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        numbers.extend(page.iter().map(|entry| entry["number"].as_u64().unwrap()));
    }
    assert!(last <= *numbers.last().unwrap());
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    assert_eq!(trial.get(&format!("/api/v1/events?after={}", u64::MAX)).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_house_says_how_it_is() {
    let trial = Trial::open().await;
    trial.idle().await;
    let health = trial.over_tcp("", "GET", "/health", "").await.with(200);
    check("Health", &health);
    assert_eq!(health["status"], "ok");
    let document = trial.over_tcp("", "GET", "/api/v1/openapi.json", "").await.with(200);
    assert_eq!(document["openapi"], "3.1.0");
    let head = trial.over_tcp("", "HEAD", "/health", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let metrics = trial.over_tcp("", "GET", "/metrics", "").await;
    assert!(metrics.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = String::from_utf8(metrics.body).unwrap();
    for line in [
        "headstock_machine_state{machine=\"mill\",state=\"idle\"} 1",
        "headstock_machine_state{machine=\"mill\",state=\"alarm\"} 0",
        "headstock_journal_health{state=\"ok\"} 1",
        "headstock_jobs{state=\"running\"} 0",
        "headstock_lines_acked_total{machine=\"mill\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
}
