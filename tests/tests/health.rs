//! Health that proves progress, asked of workers on real servers that are well, frozen, or silent.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use millstream_queue::{Client, Overflow};
use millstream_store::{Recorder, Store};
use millstream_tests::{Proxy, Redis, shared_redis};
use millstream_worker::{Doing, Health, Liveness, Phase};
use probe::{Act, Outcomes, PATIENCE, QUEUE, Running, probe};
use serde_json::Value;
use tower::ServiceExt;

/// Asks until the answer is as wanted.
async fn until(health: &Health, what: &str, wanted: impl Fn(&Liveness) -> bool) -> Liveness {
    let start = Instant::now();
    loop {
        let liveness = health.liveness();
        if wanted(&liveness) {
            return liveness;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come about: {liveness:?}");
        tokio::time::sleep(Duration::from_millis(10)).await; // health is state, not a signal
    }
}

async fn until_doing(health: &Health, doing: Doing) -> Liveness {
    until(health, &format!("{doing:?}"), |liveness| liveness.queues.iter().any(|queue| queue.doing == doing)).await
}

async fn has_read(health: &Health) {
    until(health, "a first read", |liveness| liveness.queues.iter().any(|queue| queue.last_read.is_some())).await;
}

/// The status and the body of an answer.
async fn get(health: &Health, path: &str) -> (u16, Value) {
    let app: Router = Router::new().nest("/probes", health.routes());
    let request = Request::get(format!("/probes{path}")).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn shared_client() -> Client {
    probe::client(&shared_redis().await.unwrap()).await
}

#[tokio::test]
async fn a_worker_is_live_before_it_runs_ready_while_it_runs_and_neither_afterwards() {
    let client = shared_client().await;
    let (worker, _said) = probe::worker(&client);
    let health = worker.health();
    assert_eq!(health.liveness().phase, Phase::NotStarted);
    assert_eq!(get(&health, "/livez").await.0, 200);
    let (status, body) = get(&health, "/readyz").await;
    assert_eq!((status, &body["problems"][0]), (503, &Value::from("the worker has not started")));

    let worker = Running::start(worker);
    has_read(&health).await;
    let report = health.report().await;
    assert!(report.is_live() && report.is_ready() && report.is_healthy(), "{report:?}");
    assert!(report.redis.latency.unwrap() < Duration::from_secs(2));
    let queue = &report.liveness.queues[0];
    assert_eq!((queue.queue.as_str(), queue.in_hand, queue.concurrency), (QUEUE, 0, 16));
    assert!(queue.lease_age.unwrap() < probe::LEASE);
    for path in ["/livez", "/readyz", "/healthz"] {
        let (status, body) = get(&health, path).await;
        assert_eq!((status, &body["status"], &body["phase"]), (200, &"ok".into(), &"running".into()));
        assert_eq!(body["queues"][0]["queue"], QUEUE);
    }

    worker.stop().await;
    assert_eq!(health.liveness().phase, Phase::Ended);
    assert_eq!(get(&health, "/livez").await.0, 503);
    assert_eq!(get(&health, "/readyz").await.0, 503);
}

#[tokio::test]
async fn a_worker_that_stops_is_live_but_not_ready() {
    let client = shared_client().await;
    let (worker, mut said) = probe::worker(&client);
    let health = worker.health();
    let worker = Running::start(worker);
    client.push(probe("long", Act::Sleep { ms: 700 })).await.unwrap();
    said.wait_for("started long attempt 1 run 1").await;
    assert_eq!(health.liveness().queues[0].in_hand, 1);
    let stopping = tokio::spawn(worker.stop());
    until(&health, "stopping", |liveness| liveness.phase == Phase::Stopping).await;
    let report = health.report().await;
    assert!(report.is_live() && !report.is_ready());
    assert_eq!(report.problems(), ["the worker stops"]);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_frozen_redis_makes_a_worker_unready_but_it_stays_live_while_it_backs_off() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let (worker, _said) = probe::worker(&client);
    let health = worker.health();
    let worker = Running::start(worker);
    has_read(&health).await;

    redis.stop();
    let watching = async {
        loop {
            let liveness = health.liveness();
            assert!(liveness.is_live(), "{:?}", liveness.problems());
            if liveness.queues[0].doing == Doing::BackingOff {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, watching).await.expect("the read ends, and its error is logged");
    until_doing(&health, Doing::WaitingForLease).await;
    assert_eq!(get(&health, "/livez").await.0, 200);
    let (status, body) = get(&health, "/readyz").await;
    assert_eq!(status, 503);
    let problem = body["problems"][0].as_str().unwrap();
    assert!(problem.contains(&format!("Redis at 127.0.0.1:{}", redis.port())), "{problem}");

    redis.cont();
    until_doing(&health, Doing::Fetching).await;
    while get(&health, "/readyz").await.0 != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_fetch_loop_that_stands_still_is_not_live_although_redis_answers() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let client = probe::client(&proxy.redis_url()).await;
    let (worker, _said) = probe::worker(&client);
    let health = worker.health();
    let worker = Running::start(worker);
    has_read(&health).await;
    until_doing(&health, Doing::Fetching).await;

    // The read's answer never comes, while new connections, such as the beat's next one, are served.
    proxy.strand();
    let still = until(&health, "standing still", |liveness| !liveness.is_live()).await;
    assert!(still.queues[0].doing_for < Duration::from_secs(5), "found only when the read had given up");
    let another = Client::builder(&proxy.redis_url()).namespace(client.namespace()).await.unwrap();
    another.server_facts().await.expect("Redis answers");
    let (status, body) = get(&health, "/livez").await;
    assert_eq!((status, &body["status"]), (503, &"failed".into()));
    let problem = body["problems"][0].as_str().unwrap();
    assert!(problem.contains(QUEUE) && problem.contains("stands still: Fetching"), "{problem}");

    until(&health, "a fresh connection", Liveness::is_live).await;
    worker.stop().await;
}

#[tokio::test]
async fn half_of_the_outcomes_that_may_wait_for_a_recorder_are_unhealthy_and_all_of_them_pause_the_queue() {
    let client = shared_client().await;
    client.limit_unrecorded(QUEUE, 10, Overflow::Pause).await.unwrap();
    let (worker, _said) = probe::worker(&client);
    let health = worker.health();
    let worker = Running::start(worker);
    let mut outcomes = Outcomes::of(&client);
    for number in 0..4 {
        client.push(probe(&format!("number {number}"), Act::Succeed)).await.unwrap();
        outcomes.next().await;
    }
    assert!(health.report().await.is_healthy());

    client.push(probe("number 4", Act::Succeed)).await.unwrap();
    outcomes.next().await;
    let report = health.report().await;
    assert!(report.is_live() && report.is_ready() && !report.is_healthy());
    let wanted = format!("5 outcomes of the queue {QUEUE:?} wait for a recorder, of at most 10: does one run?");
    assert_eq!(report.problems(), [wanted]);
    assert_eq!(get(&health, "/readyz").await.0, 200);
    assert_eq!(get(&health, "/healthz").await.0, 503);

    for number in 5..10 {
        client.push(probe(&format!("number {number}"), Act::Succeed)).await.unwrap();
        outcomes.next().await;
    }
    assert!(until_doing(&health, Doing::Full).await.is_live());
    worker.stop().await;
}

#[tokio::test]
async fn a_paused_queue_is_live_and_named_as_paused() {
    let client = shared_client().await;
    let (worker, _said) = probe::worker(&client);
    let health = worker.health();
    let worker = Running::start(worker);
    has_read(&health).await;
    let mut conn = client.connection().await.unwrap();
    let control = client.keys(QUEUE).control();
    redis::cmd("HSET").arg(&control).arg("paused").arg(1).exec_async(&mut conn).await.unwrap();
    assert!(until_doing(&health, Doing::Paused).await.is_live());
    redis::cmd("HDEL").arg(&control).arg("paused").exec_async(&mut conn).await.unwrap();
    until_doing(&health, Doing::Fetching).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_with_all_slots_taken_is_live() {
    let client = shared_client().await;
    let (worker, mut said) = probe::worker(&client);
    let health = worker.health();
    let worker = Running::start(worker.concurrency(QUEUE, 1));
    // Longer than any bound on a loop that reads.
    client.push(probe("long", Act::Sleep { ms: 3_500 })).await.unwrap();
    said.wait_for("started long attempt 1 run 1").await;
    until_doing(&health, Doing::WaitingForSlot).await;
    loop {
        let liveness = health.liveness();
        assert!(liveness.is_live(), "{:?}", liveness.problems());
        if liveness.queues[0].doing_for > Duration::from_secs(3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_check_that_fails_is_named_with_its_error() {
    let client = shared_client().await;
    let (worker, _said) = probe::worker(&client);
    let worker = worker
        .check("cache", async || Ok::<_, Infallible>(()))
        .check("sql", async || Err("no such table: users"))
        .check("disk", async || -> Result<(), String> { panic!("a check's own") })
        .check("far away", std::future::pending::<Result<(), String>>);
    let health = worker.health();
    let worker = Running::start(worker);
    has_read(&health).await;
    let report = health.report().await;
    assert!(report.is_live() && !report.is_ready());
    let wanted = [
        r#"check "sql": no such table: users"#,
        r#"check "disk": the check panicked"#,
        r#"check "far away": no answer within 2s"#,
    ];
    assert_eq!(report.problems(), wanted);
    let (status, body) = get(&health, "/readyz").await;
    assert_eq!((status, &body["checks"][0]["name"], &body["checks"][0]["error"]), (503, &"cache".into(), &Value::Null));
    assert_eq!(get(&health, "/livez").await.0, 200);
    worker.stop().await;
}

#[tokio::test]
async fn a_recorder_that_falls_behind_is_a_check_of_the_worker_beside_it() {
    let client = shared_client().await;
    client.limit_unrecorded(QUEUE, 4, Overflow::Pause).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Without tables nothing can be written yet.
    let store = Store::connect(&format!("sqlite://{}", folder.path().join("history.db").display())).await.unwrap();
    let recorder = Recorder::new(client.clone(), store.clone());
    let (recorders, (worker, _said)) = (recorder.health(), probe::worker(&client));
    let worker = worker.check("recorder", move || {
        let recorder = recorders.clone();
        async move { recorder.check().await }
    });
    let health = worker.health();
    let recording = tokio::spawn(recorder.run_until(std::future::pending()));
    let running = Running::start(worker);
    has_read(&health).await;
    let ready = async |wanted: u16| {
        let start = Instant::now();
        loop {
            let (status, body) = get(&health, "/readyz").await;
            if status == wanted {
                return body;
            }
            assert!(start.elapsed() < PATIENCE, "{body}");
        }
    };
    ready(200).await;
    for name in ["one", "two", "three"] {
        client.push(probe(name, Act::Quiet)).await.unwrap();
    }
    let body = ready(503).await;
    let problem = body["problems"][0].as_str().unwrap();
    assert!(problem.starts_with("check \"recorder\": ") && problem.contains("outcomes of the queue"), "{body}");
    store.migrate().await.unwrap();
    ready(200).await;
    recording.abort();
    running.stop().await;
}
