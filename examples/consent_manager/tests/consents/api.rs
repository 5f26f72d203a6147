use axum::{body::Body, http::Request};
use consent_manager::{ExportSubject, Exported, Ledger, Record, erase_old_exports, export_subject};
use http_body_util::BodyExt;
use millstream_queue::Job;
use millstream_store::{Data, Id, Relay, Time};
use millstream_worker::Worker;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::stage::{Stage, no, on_both, yes};

fn grant(subject: &str) -> Value {
    json!({
        "subject": subject, "purpose": "news", "version": 1, "method": "web_form", "actor": subject,
        "source": "https://example.org/signup",
    })
}

async fn good(stage: &Stage, method: &str, path: &str, body: Option<Value>) -> Value {
    let (status, answer) = stage.ask(method, path, body).await;
    assert!(status.is_success(), "{method} {path}: {status} {answer}");
    answer
}

async fn lines(stage: &Stage, path: &str) -> Vec<Value> {
    let response = stage.router().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A worker and a relay in this process, until the token is cancelled.
fn worker(stage: &Stage) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let worker = Worker::new(stage.client.clone(), stage.ledger.clone()).handle(export_subject);
    let worker = worker.run_until(stop.clone().cancelled_owned());
    let relay = Relay::new(stage.client.clone(), stage.ledger.store().clone());
    let relay = relay.run_until(stop.clone().cancelled_owned());
    let running = tokio::spawn(async move {
        let (worked, relayed) = tokio::join!(worker, relay);
        worked.unwrap();
        relayed.unwrap();
    });
    (stop, running)
}

on_both! {
    async fn consents_are_given_asked_for_and_withdrawn_over_http(stage: Stage) {
        let text = good(&stage, "PUT", "/texts/calls/1", Some(json!({ "title": "Calls", "body": "We call." }))).await;
        assert_eq!((&text["version"], text["sha256"].as_str().unwrap().len()), (&json!(1), 64));
        let (status, record) = stage.ask("POST", "/grants", Some(grant("ann"))).await;
        assert_eq!((status.as_u16(), &record["action"], &record["seq"]), (201, &json!("granted"), &json!(1)));
        assert_eq!(good(&stage, "GET", "/consents/ann/news", None).await["action"], "granted");

        let mut withdrawal = grant("ann");
        withdrawal.as_object_mut().unwrap().remove("version");
        let (status, record) = stage.ask("POST", "/withdrawals", Some(withdrawal)).await;
        assert_eq!((status.as_u16(), &record["version"]), (201, &json!(1)));
        assert_eq!(good(&stage, "GET", "/consents/ann/news", None).await["action"], "withdrawn");
        let id = record["id"].as_str().unwrap();
        assert_eq!(good(&stage, "GET", &format!("/records/{id}"), None).await, record);

        let whole = good(&stage, "GET", "/verify", None).await;
        assert_eq!(whole, json!({ "verdict": "whole", "length": 2, "hash": record["hash"] }));
        let known = format!("/verify?length=2&hash={}", "a".repeat(64));
        assert_eq!(good(&stage, "GET", &known, None).await["verdict"], "broken");
    }

    async fn lists_take_filters_sorts_and_cursors(stage: Stage) {
        for number in 0..7 {
            stage.ledger.grant(yes(&format!("subject-{number}"))).await.unwrap();
        }
        stage.ledger.withdraw(no("subject-3")).await.unwrap();
        let granted = good(&stage, "GET", "/consents?action=granted&purpose=news", None).await;
        assert_eq!(granted["rows"].as_array().unwrap().len(), 6);

        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = good(&stage, "GET", &format!("/records?sort=-at&limit=3{after}"), None).await;
            seen.extend(page["rows"].as_array().unwrap().iter().map(|row| row["seq"].as_i64().unwrap()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, [8, 7, 6, 5, 4, 3, 2, 1]);

        for (limit, rows) in [("1000000000", 8), ("18446744073709551615", 8), ("0", 1), ("2", 2)] {
            let page = good(&stage, "GET", &format!("/records?limit={limit}"), None).await;
            assert_eq!(page["rows"].as_array().unwrap().len(), rows, "{limit}");
        }
        let found = good(&stage, "GET", "/texts?q=once%20a%20week&sort=-version", None).await;
        assert_eq!(found["rows"][0]["purpose"], "news");
    }

    async fn all_records_stream_as_lines_that_prove_themselves(stage: Stage) {
        for number in 0..700 {
            stage.ledger.grant(yes(&format!("subject-{}", number % 9))).await.unwrap();
        }
        let all = lines(&stage, "/records.ndjson").await;
        assert_eq!(all.len(), 700, "more than a page");
        let mut previous = json!("0".repeat(64));
        for record in &all {
            assert_eq!(record["previous"], previous);
            previous = record["hash"].clone();
        }
        let of_one = lines(&stage, "/records.ndjson?subject=subject-4").await;
        assert_eq!(of_one.len(), 78);
        let first: Record = stage.ledger.record(Id(of_one[0]["id"].as_str().unwrap().parse().unwrap())).await.unwrap();
        assert_eq!((serde_json::to_value(&first).unwrap(), first.digest()), (of_one[0].clone(), first.hash));
        assert!(lines(&stage, "/records.ndjson?subject=nobody").await.is_empty());
    }

    async fn an_export_is_made_by_a_job_and_holds_all_of_a_subject(stage: Stage) {
        stage.ledger.grant(yes("ann")).await.unwrap();
        stage.ledger.grant(yes("bob")).await.unwrap();
        let withdrawn = stage.ledger.withdraw(no("ann")).await.unwrap();
        let (status, asked) = stage.ask("POST", "/exports", Some(json!({ "subject": "ann" }))).await;
        assert_eq!(status.as_u16(), 202);
        let path = format!("/exports/{}", asked["id"].as_str().unwrap());
        let (status, waiting) = stage.ask("GET", &format!("{path}?wait=0"), None).await;
        assert_eq!((status.as_u16(), waiting), (202, asked.clone()), "no worker runs yet");

        let (stop, running) = worker(&stage);
        let document = good(&stage, "GET", &format!("{path}?wait=30"), None).await;
        let of = |part: &str| document[part].as_array().unwrap().len();
        assert_eq!((of("records"), of("consents"), of("texts")), (2, 1, 1));
        assert_eq!(document["records"][1], serde_json::to_value(&withdrawn).unwrap());
        assert_eq!(document["chain"], json!({ "length": 3, "hash": withdrawn.hash }));

        // The export's id is that of its job, whose result can be awaited too.
        let job = asked["id"].as_str().unwrap().parse().unwrap();
        let exported: Exported = stage.client.result(ExportSubject::QUEUE, job).await.unwrap();
        assert_eq!(exported.bytes, document.to_string().len());
        stop.cancel();
        running.await.unwrap();

        assert_eq!(erase_old_exports(&stage.ledger, Time::now()).await.unwrap(), 0);
        let tomorrow = Time(Time::now().0 + chrono::TimeDelta::days(1));
        assert_eq!(erase_old_exports(&stage.ledger, tomorrow).await.unwrap(), 1);
        assert_eq!(stage.ask("GET", &path, None).await.0.as_u16(), 404);
    }

    async fn an_export_that_would_be_too_large_is_refused(stage: Stage) {
        let one = stage.ledger.grant(yes("ann")).await.unwrap();
        let more = (2..=10_001).map(|seq| Record {
            seq,
            id: Id::new(),
            previous: format!("after {seq}"),
            hash: format!("of {seq}"),
            ..one.clone()
        });
        stage.ledger.store().insert_many(more.collect()).await.unwrap();
        let (status, answer) = stage.ask("POST", "/exports", Some(json!({ "subject": "ann" }))).await;
        let reason = answer["error"].as_str().unwrap();
        assert!(status.as_u16() == 422 && reason.contains("10001 records"), "{status} {reason}");
        assert_eq!(lines(&stage, "/records.ndjson?subject=ann").await.len(), 10_001, "where they can be read");
    }

    async fn the_tables_can_be_taken_back(stage: Stage) {
        stage.ledger.grant(yes("ann")).await.unwrap();
        let store = stage.ledger.store().clone();
        let migrations = Ledger::migrator(&store);
        assert_eq!(migrations.down(1).await.unwrap().len(), 1);
        stage.sql("SELECT 1 FROM records").await.expect_err("no table");
        assert_eq!(migrations.up().await.unwrap().len(), 1);
        Ledger::open(store).await.unwrap();
    }
}
