//! Who may ask for what is as the table of routes says.

use headstock_config::people::Role;
use serde_json::json;

use super::super::routes::{ROUTES, Route, Takes};
use super::Trial;

const ROLES: [Role; 4] = [Role::Viewer, Role::Operator, Role::Maintainer, Role::Admin];

/// A request of a route that nothing but the role speaks against.
fn request(route: &Route, file: &str, job: &str) -> (String, String) {
    let id = match route.path.split('/').nth(3) {
        Some("equipment") => "mill",
        Some("files") => file,
        Some("jobs") => job,
        Some("alarms") => "mill.offline",
        Some("points") => "mill.mode",
        _ => "somebody",
    };
    let path = route.path.replace("{id}", id).replace("{name}", id);
    let query = match (route.method, route.path) {
        ("POST", "/api/v1/files") => "?name=b.nc",
        (_, "/api/v1/files/{id}/preflight") => "?machine=mill",
        _ => "",
    };
    let body = match route.takes {
        Takes::Nothing => json!(null),
        Takes::Bytes => json!("G0 X1"),
        Takes::Json("Command") => json!({ "command": "hold" }),
        Takes::Json("LookFor") => json!({ "serial": false, "network": false, "i2c": false }),
        Takes::Json("StopScope") => json!({ "scope": "mill", "how": "hold" }),
        Takes::Json("StartJob") => json!({ "machine": "mill", "file": file }),
        Takes::Json("Decide") => json!({ "decision": "done", "reason": "tried" }),
        Takes::Json("Note") => json!({ "text": "tried" }),
        Takes::Json("SetPoint") => json!({ "value": true }),
        Takes::Json("MakeToken") => json!({ "name": "another", "role": "viewer" }),
        Takes::Json("ShelveAlarm") => json!({ "minutes": 5, "reason": "tried" }),
        Takes::Json("AlarmService") => json!({ "in_service": true, "reason": "tried" }),
        Takes::Json("ClearScope") => json!({}),
        Takes::Json(other) => panic!("a body for {other} is missing here"),
    };
    (path + query, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_route_is_served_to_those_it_is_meant_for() {
    let trial = Trial::open().await;
    trial.idle().await;
    let file = trial.upload().await;
    let job = trial.post("/api/v1/jobs", json!({ "machine": "mill", "file": file })).await;
    let job = job.with(201)["id"].as_str().unwrap().to_owned();
    trial.until(&format!("/api/v1/jobs/{job}"), |it| it["state"] == "completed").await;
    for role in ROLES {
        let token = trial.token(&format!("{role:?}"), role).await;
        for route in ROUTES {
            let (path, body) = request(route, &file, &job);
            let answer = trial.over_tcp(&token, route.method, &path, &body).await;
            let code =
                if answer.status < 400 { String::new() } else { answer.refused(answer.status) };
            let what = format!("{role:?} {route:?}: {} {code}", answer.status);
            assert!(!code.starts_with("web.") || code == "web.not_a_websocket", "{what}");
            match route.least {
                Some(least) if role < least => assert!(400 <= answer.status, "{what}"),
                _ => assert_ne!(answer.status, 403, "{what}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_network_sees_only_what_is_open() {
    let trial = Trial::open().await;
    for route in ROUTES {
        let (path, body) = request(route, "f", "j1");
        for (token, code) in [("", "web.no_token"), ("guessed", "web.unknown_token")] {
            let answer = trial.over_tcp(token, route.method, &path, &body).await;
            match route.least {
                None => assert_eq!(answer.status, 200, "{route:?}"),
                Some(_) => {
                    assert_eq!(answer.refused(401), code, "{route:?}");
                    let asked = answer.headers["www-authenticate"].to_str().unwrap();
                    assert!(asked.starts_with("Bearer"));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_names_its_bearer_until_it_is_revoked() {
    let trial = Trial::open().await;
    let me = trial.get("/api/v1/auth/me").await;
    assert_eq!(me["role"], "admin");
    let token = trial.token("cam", Role::Operator).await;
    let ask = || trial.over_tcp(&token, "GET", "/api/v1/auth/me", "");
    assert_eq!(ask().await.with(200), json!({ "name": "cam", "role": "operator" }));
    let listed = trial.get("/api/v1/auth/tokens").await;
    assert_eq!(listed[0]["name"], "cam");
    assert!(!listed.to_string().contains(&token));
    // Nor what it is known by.
    super::super::openapi::tests::check("Token", &listed[0]);
    let digest = blake3::hash(token.as_bytes()).to_hex().to_string();
    for path in ["/api/v1/auth/tokens", "/api/v1/events"] {
        assert!(!trial.get(path).await.to_string().contains(&digest), "{path}");
    }
    trial.ask("DELETE", "/api/v1/auth/tokens/cam", "").await.with(204);
    assert_eq!(ask().await.refused(401), "web.unknown_token");
    let again = trial.ask("DELETE", "/api/v1/auth/tokens/cam", "").await;
    assert_eq!(again.refused(404), "desk.unknown_token");
}
