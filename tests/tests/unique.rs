//! Unique jobs in the hands of workers: who holds a key, and when it is free.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use chrono::Utc;
use millstream_queue::{Client, Conflict, State, Unique};
use millstream_tests::shared_redis;
use probe::{Act, Outcomes, PATIENCE, Probe, QUEUE, Running, Said, assert_empty, probe};
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const FINISHED: Unique = Unique::until_finished().by(&["name"]);
const STARTED: Unique = Unique::until_started().by(&["name"]);
const TIME: Unique = Unique::for_time(HOUR).by(&["name"]);
const LONG: Act = Act::Sleep { ms: 600_000 };

async fn start() -> (Client, Outcomes, Running, Said) {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let (worker, said) = probe::worker(&client);
    (client.clone(), Outcomes::of(&client), Running::start(worker), said)
}

/// Pushes a job by the name of `job` whose only use is to ask who holds the key; it waits if nobody does.
async fn holder(client: &Client, job: &str, unique: Unique) -> Uuid {
    client.push(probe(job, Act::Succeed)).after(HOUR).unique(unique).await.unwrap()
}

async fn push(client: &Client, job: Probe, unique: Unique) -> Uuid {
    client.push(job).unique(unique).await.unwrap()
}

#[tokio::test]
async fn a_key_until_the_end_is_held_while_the_job_runs_and_free_once_it_is_done() {
    let (client, mut outcomes, worker, mut said) = start().await;
    let id = push(&client, probe("one", Act::Sleep { ms: 500 }), FINISHED).await;
    said.wait_for("started one attempt 1 run 1").await;
    assert_eq!(holder(&client, "one", FINISHED).await, id);
    // Not even a replacement takes the place of what runs.
    assert_eq!(holder(&client, "one", FINISHED.on_conflict(Conflict::Replace)).await, id);
    assert_eq!(outcomes.next_end().await.state, State::Completed);
    assert_ne!(holder(&client, "one", FINISHED).await, id);
    client.cancel_all(QUEUE).await.unwrap();
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_key_until_the_start_is_free_while_the_job_runs() {
    let (client, _outcomes, worker, mut said) = start().await;
    let first = push(&client, probe("one", LONG), STARTED).await;
    said.wait_for("started one attempt 1 run 1").await;
    let second = push(&client, probe("one", LONG), STARTED).await;
    assert_ne!(first, second);
    said.wait_for("started one attempt 1 run 1").await;
    client.cancel_all(QUEUE).await.unwrap();
    worker.stop().await;
}

#[tokio::test]
async fn a_key_for_a_time_stays_when_the_job_completes_and_is_free_when_it_does_not() {
    let (client, mut outcomes, worker, _said) = start().await;
    let completed = push(&client, probe("done", Act::Succeed), TIME).await;
    assert_eq!(outcomes.next_end().await.state, State::Completed);
    assert_eq!(holder(&client, "done", TIME).await, completed);
    for (name, act, state) in [("dead", Act::Die, State::Dead), ("off", Act::Cancel, State::Cancelled)] {
        let id = push(&client, probe(name, act), TIME).await;
        assert_eq!(outcomes.next_end().await.state, state);
        assert_ne!(holder(&client, name, TIME).await, id);
    }
    let expired = client.push(probe("late", Act::Succeed)).unique(TIME).expires(Utc::now() - HOUR).await.unwrap();
    assert_eq!(outcomes.next_end().await.state, State::Expired);
    assert_ne!(holder(&client, "late", TIME).await, expired);
    worker.stop().await;
}

#[tokio::test]
async fn a_key_is_held_through_retries_and_snoozes_and_free_at_death() {
    let (client, mut outcomes, worker, _said) = start().await;
    for (name, act) in [("snoozed", Act::Snooze { ms: 3_600_000 }), ("retried", Act::RetryIn { ms: 3_600_000 })] {
        let id = push(&client, probe(name, act), FINISHED).await;
        assert!(!outcomes.next().await.state.is_terminal());
        assert_eq!(holder(&client, name, FINISHED).await, id);
        // A waiting retry takes a new payload, and keeps its id and the number of its runs.
        let replace = FINISHED.on_conflict(Conflict::Debounce);
        assert_eq!(push(&client, probe(name, Act::Succeed), replace).await, id);
        let end = outcomes.next_end().await;
        assert_eq!((end.id, end.state, end.run, end.attempt), (id, State::Completed, 2, 1));
    }
    let id = push(&client, probe("failing", Act::Fail), FINISHED).await;
    assert_eq!(outcomes.next_end().await.state, State::Dead);
    assert_ne!(holder(&client, "failing", FINISHED).await, id);
    worker.stop().await;
}

#[tokio::test]
async fn a_key_goes_with_a_job_whose_worker_died() {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let mut doomed = probe::process(&url, &client, &[]);
    let id = push(&client, probe("held", LONG), FINISHED).await;
    doomed.wait_for_line(PATIENCE, |line| line.ends_with("started held attempt 1 run 1")).await.unwrap();
    let (worker, mut said) = probe::worker(&client);
    let worker = Running::start(worker);
    doomed.kill().await;
    said.wait_for("started held attempt 1 run 2").await;
    assert_eq!(holder(&client, "held", FINISHED).await, id);
    client.cancel(QUEUE, id).await.unwrap();
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next_end().await.state, State::Cancelled);
    assert_ne!(holder(&client, "held", FINISHED).await, id);
    worker.stop().await;
}
