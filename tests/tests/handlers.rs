//! What handlers may be, and what reaches them.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use chrono::Utc;
use millstream_queue::{Job, Lane, State};
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Context, Worker};
use probe::{Act, Outcomes, QUEUE, Running, probe};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Runs a worker until its first outcome is there.
async fn first_outcome<S: Send + Sync + 'static>(
    client: &millstream_queue::Client,
    worker: Worker<S>,
) -> millstream_queue::Outcome {
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.lease(probe::LEASE).run_until(stopped));
    let outcome = Outcomes::of(client).next().await;
    drop(stop);
    running.await.unwrap().unwrap();
    outcome
}

#[derive(Serialize, Deserialize)]
struct Square {
    of: u64,
}
impl Job for Square {
    const KIND: &'static str = "square";
    const QUEUE: &'static str = QUEUE;
    const ATTEMPTS: u32 = 1;
}

#[tokio::test]
async fn a_blocking_handler_runs_off_the_runtime_and_returns_its_result() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.push(Square { of: 7 }).await.unwrap();
    let runtime_thread = std::thread::current().id();
    let square = move |job: Square, _: Context<()>| {
        assert_ne!(std::thread::current().id(), runtime_thread);
        std::thread::sleep(Duration::from_millis(5));
        Ok(job.of * job.of)
    };
    let outcome = first_outcome(&client, Worker::new(client.clone(), ()).handle_blocking(square)).await;
    assert_eq!((outcome.state, outcome.result.as_deref()), (State::Completed, Some(&b"49"[..])));
}

#[tokio::test]
async fn a_panic_of_a_blocking_handler_is_a_failed_attempt() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.push(Square { of: 7 }).await.unwrap();
    let panics = |_: Square, _: Context<()>| -> worker::Result { panic!("out of paper") };
    let outcome = first_outcome(&client, Worker::new(client.clone(), ()).handle_blocking(panics)).await;
    assert_eq!(outcome.state, State::Dead);
    assert_eq!(outcome.error.as_deref(), Some("the handler panicked: out of paper"));
}

#[tokio::test]
async fn a_job_past_its_expiry_is_not_run_but_recorded_as_expired() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let (worker, mut said) = probe::worker(&client);
    let mut outcomes = Outcomes::of(&client);
    let expired = client.push(probe("late", Act::Succeed)).expires(Utc::now() - Duration::from_secs(1)).await.unwrap();
    let fresh =
        client.push(probe("in time", Act::Succeed)).expires(Utc::now() + Duration::from_secs(3600)).await.unwrap();
    let worker = Running::start(worker.concurrency(QUEUE, 1));
    let mut ends = [outcomes.next().await, outcomes.next().await];
    ends.sort_by_key(|outcome| outcome.state as u8);
    assert_eq!((ends[0].id, ends[0].state), (fresh, State::Completed));
    assert_eq!((ends[1].id, ends[1].state, ends[1].started_us), (expired, State::Expired, None));
    assert!(!said.heard_so_far().iter().any(|line| line.contains("late")));
    worker.stop().await;
}

/// Version 1 had one `name`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Greet {
    first: String,
    last: String,
}
impl Job for Greet {
    const KIND: &'static str = "greet";
    const QUEUE: &'static str = QUEUE;
    const VERSION: u32 = 2;
    const ATTEMPTS: u32 = 1;

    fn upcast(payload: serde_json::Value, version: u32) -> Result<serde_json::Value, String> {
        assert_eq!(version, 1);
        let name = payload["name"].as_str().ok_or("a greeting of version 1 has a name")?;
        let (first, last) = name.split_once(' ').unwrap_or((name, ""));
        Ok(serde_json::json!({ "first": first, "last": last }))
    }
}

async fn greet(job: Greet, _: Context<()>) -> worker::Result<String> {
    Ok(format!("{} / {}", job.first, job.last))
}

/// Enqueues a greeting in version 1, as a program before the deployment did.
async fn first_outcome_of_an_old_greeting(body: &str) -> millstream_queue::Outcome {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let mut conn = client.connection().await.unwrap();
    redis::cmd("XADD").arg(lane).arg(&["*", "kind", "greet", "body", body]).exec_async(&mut conn).await.unwrap();
    first_outcome(&client, Worker::new(client.clone(), ()).handle(greet)).await
}

#[tokio::test]
async fn an_older_payload_is_upcast_before_the_handler_sees_it() {
    let outcome = first_outcome_of_an_old_greeting(r#"{"name":"Ada Lovelace"}"#).await;
    assert_eq!(outcome.state, State::Completed, "{:?}", outcome.error);
    assert_eq!(outcome.result.as_deref(), Some(&br#""Ada / Lovelace""#[..]));
}

#[tokio::test]
async fn an_older_payload_that_can_not_be_upcast_is_a_failed_attempt_with_the_reason() {
    let outcome = first_outcome_of_an_old_greeting("{}").await;
    assert_eq!(outcome.state, State::Dead);
    let error = outcome.error.unwrap();
    assert!(error.contains("version 1") && error.contains("has a name"), "{error}");
}
