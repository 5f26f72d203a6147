use std::{sync::Mutex, time::Duration};

use chrono::Utc;
use millstream_queue::{Backoff, Job, Outcome, State};
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Context, Worker};
use serde::{Deserialize, Serialize};

use crate::{
    probe::{self, Outcomes, QUEUE, assert_empty},
    stage::{HOUR, Stop, TASK, Task, start},
};

#[tokio::test]
async fn an_attempt_is_cut_off_at_the_jobs_deadline_and_none_follows() {
    let (client, mut outcomes, worker) =
        start(async |_: Task, _| -> worker::Result { std::future::pending().await }).await;
    let deadline = Utc::now() + Duration::from_millis(300);
    client.push(TASK).deadline(deadline).await.unwrap();
    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.attempt), (State::Dead, 1));
    assert!(outcome.error.as_ref().unwrap().starts_with("timed out at its deadline, after "), "{outcome:?}");
    let late_us = outcome.finished_us - deadline.timestamp_micros();
    assert!((-1_000..5_000_000).contains(&late_us), "{late_us} µs after its deadline");
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_job_whose_next_attempt_would_be_too_late_is_dead_at_once() {
    let (client, mut outcomes, worker) = start(async |_: Task, _| -> worker::Result { Err("no luck".into()) }).await;
    let push = client.push(TASK).backoff(Backoff::Constant(2 * HOUR)).deadline(Utc::now() + HOUR);
    push.await.unwrap();
    let outcome = outcomes.next().await;
    assert_eq!(outcome.state, State::Dead);
    assert_eq!(outcome.error.as_deref(), Some("no luck (no further attempt before its deadline)"));
    worker.stop().await;
}

#[derive(Serialize, Deserialize)]
struct Brief;
impl Job for Brief {
    const KIND: &'static str = "brief";
    const QUEUE: &'static str = QUEUE;
    const DEADLINE: Option<Duration> = Some(Duration::from_millis(50));
}
#[derive(Serialize, Deserialize)]
struct Fresh;
impl Job for Fresh {
    const KIND: &'static str = "fresh";
    const QUEUE: &'static str = QUEUE;
    const EXPIRY: Option<Duration> = Some(Duration::from_millis(50));
}

/// Runs a job that waited for longer than its type allows, unless its push said otherwise.
async fn outcomes_of_late<J: Job>(
    first: J,
    second: J,
    extend: impl Fn(millstream_queue::Push<'_, J>) -> millstream_queue::Push<'_, J>,
) -> [Outcome; 2] {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.push(first).await.unwrap();
    extend(client.push(second)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await; // time is what this is about
    let worker = Stop::run(Worker::new(client.clone(), ()).handle(async |_: J, _| Ok(())).concurrency(QUEUE, 1));
    let mut outcomes = Outcomes::of(&client);
    let ended = [outcomes.next().await, outcomes.next().await];
    worker.stop().await;
    ended
}

#[tokio::test]
async fn a_job_past_its_types_deadline_is_dead_without_a_start() {
    let [late, extended] = outcomes_of_late(Brief, Brief, |push| push.deadline(Utc::now() + HOUR)).await;
    assert_eq!((late.state, late.started_us), (State::Dead, None));
    assert_eq!(late.error.as_deref(), Some("its deadline had passed before attempt 1 could start"));
    assert_eq!(extended.state, State::Completed);
}

#[tokio::test]
async fn a_job_past_its_types_expiry_is_expired() {
    let [late, extended] = outcomes_of_late(Fresh, Fresh, |push| push.expires(Utc::now() + HOUR)).await;
    assert_eq!((late.state, late.started_us), (State::Expired, None));
    assert_eq!(extended.state, State::Completed);
}

#[derive(Serialize, Deserialize)]
struct Picky;
impl Job for Picky {
    const KIND: &'static str = "picky";
    const QUEUE: &'static str = QUEUE;
    const BACKOFF: Backoff = Backoff::Constant(HOUR);
    fn backoff(attempt: u32, error: &str) -> Option<Duration> {
        (error == "slow down").then(|| 2 * HOUR * attempt)
    }
}

#[tokio::test]
async fn the_delay_after_a_failure_is_the_pushs_or_the_job_types_choice_or_its_constant() {
    let errors = Mutex::new(vec!["slow down", "other", "slow down"]);
    let handler = move |_: Picky, _: Context<()>| {
        let error = errors.lock().unwrap().pop().unwrap();
        async move { worker::Result::<()>::Err(error.into()) }
    };
    let (client, mut outcomes, worker) = start(handler).await;
    for (push, delay) in [
        (client.push(Picky), 2 * HOUR),
        (client.push(Picky), HOUR),
        (client.push(Picky).backoff(Backoff::Constant(3 * HOUR)), 3 * HOUR),
    ] {
        push.await.unwrap();
        let outcome = outcomes.next().await;
        assert_eq!(outcome.next_ms.unwrap() - outcome.finished_us / 1000, delay.as_millis() as i64);
    }
    worker.stop().await;
}

#[tokio::test]
async fn an_outcome_tells_when_its_run_came_into_the_lane_where_that_was_not_the_push() {
    let fails_once = async |_: Task, cx: Context<()>| -> worker::Result {
        if cx.attempt() == 1 { Err("no luck".into()) } else { Ok(()) }
    };
    let (client, mut outcomes, worker) = start(fails_once).await;
    client.push(TASK).await.unwrap();
    let (failed, completed) = (outcomes.next().await, outcomes.next().await);
    assert_eq!((failed.state, failed.ready_ms), (State::Failed, None));
    assert_eq!((completed.state, completed.enqueued_ms), (State::Completed, failed.enqueued_ms));
    let (due, ready) = (failed.next_ms.unwrap(), completed.ready_ms.unwrap());
    assert!((due..due + 5_000).contains(&ready), "due at {due}, ready at {ready}");

    client.push(TASK).after(Duration::from_millis(100)).await.unwrap();
    let delayed = outcomes.next().await;
    assert!(delayed.ready_ms.unwrap() >= delayed.enqueued_ms + 100, "{delayed:?}");
    worker.stop().await;
}
