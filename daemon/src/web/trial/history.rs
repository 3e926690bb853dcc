//! Jobs that have been over for so long that nobody keeps them in memory.

use headstock_config::job::{Job, JobEvent};
use headstock_config::ledger::Fact;
use serde_json::{Value, json};

use super::Trial;
use crate::store::FINISHED_JOBS;

/// More finished jobs than are kept in memory.
const MANY: u64 = FINISHED_JOBS as u64 + 20;

fn job(number: u64) -> Job {
    let machine = if number == 5 { "lathe" } else { "mill" };
    let job = json!({
        "id": format!("j{number}"), "machine": machine, "file": "0123456789abcdef",
        "file_name": "part.nc", "by": "ada", "state": "queued", "dry_run": false, "from_line": 1,
        "lines": 10, "lines_acked": 0, "estimate_s": 1.0, "queued_ms": 0, "started_ms": null,
        "ended_ms": null, "held_ms": 0, "held_since_ms": null, "reason": null,
        "interruption": null, "checkpoint": null, "follows": null, "followed_by": null,
        "notes": [], "refused_lines": 0,
    });
    serde_json::from_value(job).unwrap()
}

impl Trial {
    /// Jobs that were queued and given up at once.
    async fn give_up_many(&self) {
        let ledger = self.house.desk.ledger();
        let facts = (1..=MANY).flat_map(|number| {
            let queued = JobEvent::Queued { job: Box::new(job(number)) };
            let cancelled = JobEvent::Cancelled { by: "ada".into(), lines_acked: 0 };
            [queued, cancelled].map(|happened| Fact::Job { job: format!("j{number}"), happened })
        });
        let facts: Vec<Fact> = facts.collect();
        for some in facts.chunks(200) {
            let written = some.iter().map(|fact| ledger.write(fact.clone()));
            futures_util::future::try_join_all(written).await.unwrap();
        }
    }
}

fn ids(jobs: &Value) -> Vec<&str> {
    jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_long_ago_can_be_looked_up_listed_and_remarked_on() {
    let trial = Trial::open().await;
    trial.give_up_many().await;
    assert!(trial.house.desk.job("j2").is_err(), "it is not in memory any more");
    assert_eq!(trial.get("/api/v1/jobs/j2").await["state"], "cancelled");
    let all = trial.get("/api/v1/jobs?limit=1000").await;
    assert_eq!(ids(&all), (1..=MANY).rev().map(|it| format!("j{it}")).collect::<Vec<_>>());
    let page = trial.get("/api/v1/jobs?limit=2&before=j4").await;
    assert_eq!(ids(&page), ["j3", "j2"]);
    assert_eq!(ids(&trial.get("/api/v1/jobs?machine=lathe").await), ["j5"]);
    assert_eq!(ids(&trial.get("/api/v1/jobs?state=held").await), [""; 0]);

    let noted = trial.post("/api/v1/jobs/j2/notes", json!({ "text": "kept" })).await.with(201);
    assert!(noted["notes"][0].as_str().unwrap().ends_with(": kept"));
    assert_eq!(trial.get("/api/v1/jobs/j2").await["notes"], noted["notes"]);
    let hold = trial.post("/api/v1/jobs/j2/hold", json!({})).await;
    assert_eq!(hold.refused(409), "desk.job_state");
    for unknown in ["j0", "j9999", "nonsense"] {
        let path = format!("/api/v1/jobs/{unknown}");
        assert_eq!(trial.ask("GET", &path, "").await.refused(404), "desk.unknown_job");
    }
}
