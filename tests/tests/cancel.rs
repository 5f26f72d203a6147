//! Jobs that are called off while they wait, run, move or end.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use millstream_queue::{Cancelled, Client, Filter, Job, Lane, State};
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Context, Worker};
use probe::{Act, Outcomes, PATIENCE, QUEUE, Running, Said, assert_empty, probe};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const LONG: Act = Act::Sleep { ms: 600_000 };

async fn start() -> (Client, Outcomes, Running, Said) {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let (worker, said) = probe::worker(&client);
    (client.clone(), Outcomes::of(&client), Running::start(worker), said)
}

/// Marks a job whose signal gets lost: nobody is told.
async fn mark_silently(client: &Client, id: Uuid) {
    let mut conn = client.connection().await.unwrap();
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut conn).await.unwrap();
    let (keys, now_ms) = (client.keys(QUEUE), seconds * 1000 + micros / 1000);
    let mut mark = redis::pipe();
    mark.cmd("ZADD").arg(keys.cancel()).arg(now_ms + 1).arg(id.to_string());
    mark.cmd("HSET").arg(keys.control()).arg("cancel").arg(1);
    mark.exec_async(&mut conn).await.unwrap();
}

async fn no_mark_is_left(client: &Client) {
    let look = async {
        let mut conn = client.connection().await.unwrap();
        let marks = client.keys(QUEUE).cancel();
        while redis::cmd("ZCARD").arg(&marks).query_async::<u64>(&mut conn).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("marks are forgotten once they can meet nobody");
    let mut conn = client.connection().await.unwrap();
    let mut look = redis::cmd("HEXISTS");
    look.arg(client.keys(QUEUE).control()).arg("cancel");
    let cleared = async { while look.query_async::<bool>(&mut conn).await.unwrap() {} };
    tokio::time::timeout(PATIENCE, cleared).await.expect("and so is that there were any");
}

async fn pause(client: &Client, is_paused: bool) {
    let mut conn = client.connection().await.unwrap();
    let mut set = redis::cmd(if is_paused { "HSET" } else { "HDEL" });
    set.arg(client.keys(QUEUE).control()).arg("paused");
    if is_paused {
        set.arg(1);
    }
    set.exec_async(&mut conn).await.unwrap();
}

#[tokio::test]
async fn a_running_job_is_dropped_at_once_and_recorded_as_cancelled() {
    let (client, mut outcomes, worker, mut said) = start().await;
    let id = client.push(probe("doomed", LONG)).await.unwrap();
    said.wait_for("started doomed attempt 1 run 1").await;
    assert_eq!(client.cancel(QUEUE, id).await.unwrap(), Cancelled { ended: 0, requested: 1 });
    let outcome = outcomes.next().await;
    assert_eq!((outcome.id, outcome.state, outcome.run), (id, State::Cancelled, 1));
    assert!(outcome.started_us.is_some());
    no_mark_is_left(&client).await;
    worker.stop().await;
    assert_empty(&client).await;
}

#[derive(Serialize, Deserialize)]
struct Tidy;
impl Job for Tidy {
    const KIND: &'static str = "tidy";
    const QUEUE: &'static str = QUEUE;
}

#[derive(Serialize, Deserialize)]
struct Compute;
impl Job for Compute {
    const KIND: &'static str = "compute";
    const QUEUE: &'static str = QUEUE;
}

#[derive(Default)]
struct Marks {
    started: tokio::sync::Notify,
    has_tidied: AtomicBool,
}

async fn tidy(_: Tidy, cx: Context<Arc<Marks>>) -> worker::Result {
    cx.app.started.notify_one();
    cx.cancelled().await;
    cx.app.has_tidied.store(true, Ordering::SeqCst);
    Ok(())
}

fn compute(_: Compute, cx: Context<Arc<Marks>>) -> worker::Result {
    cx.app.started.notify_one();
    while !cx.is_cancelled() {
        std::thread::sleep(Duration::from_millis(1));
    }
    cx.app.has_tidied.store(true, Ordering::SeqCst);
    Ok(())
}

#[tokio::test]
async fn a_handler_may_tidy_up_when_its_job_is_called_off() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    for is_blocking in [false, true] {
        let marks = Arc::new(Marks::default());
        let worker = Worker::new(client.clone(), marks.clone()).handle(tidy).handle_blocking(compute);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(worker.run_until(stopped));
        let mut outcomes = Outcomes::of(&client);
        let id = if is_blocking { client.push(Compute).await } else { client.push(Tidy).await }.unwrap();
        marks.started.notified().await;
        client.cancel(QUEUE, id).await.unwrap();
        let mut outcome = outcomes.next().await;
        while outcome.id != id {
            outcome = outcomes.next().await;
        }
        assert_eq!(outcome.state, State::Cancelled);
        assert!(marks.has_tidied.load(Ordering::SeqCst));
        drop(stop);
        running.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_marked_job_is_dropped_when_a_worker_meets_it() {
    let (client, mut outcomes, worker, mut said) = start().await;
    pause(&client, true).await;
    // An id that tells no time can't be looked up in its lane.
    let id = client.push(probe("never", Act::Succeed)).id("never").await.unwrap();
    assert_eq!(client.cancel(QUEUE, id).await.unwrap(), Cancelled { ended: 0, requested: 1 });
    client.push(probe("other", Act::Succeed)).await.unwrap();
    pause(&client, false).await;
    let mut ends = HashMap::new();
    for _ in 0..2 {
        let outcome = outcomes.next().await;
        ends.insert(outcome.id, (outcome.state, outcome.started_us.is_some()));
    }
    assert_eq!(ends.remove(&id), Some((State::Cancelled, false)));
    assert!(ends.into_values().all(|end| end == (State::Completed, true)));
    assert!(!said.heard_so_far().iter().any(|line| line.contains("never")));
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_marked_job_is_not_retried() {
    let (client, mut outcomes, worker, mut said) = start().await;
    let id = client.push(probe("failing", Act::FailAfter { ms: 300 })).await.unwrap();
    said.wait_for("started failing attempt 1 run 1").await;
    mark_silently(&client, id).await;
    assert_eq!(outcomes.next().await.state, State::Failed);
    let cancelled = outcomes.next().await;
    assert_eq!((cancelled.id, cancelled.state, cancelled.run), (id, State::Cancelled, 2));
    assert_eq!((cancelled.started_us, cancelled.attempt), (None, 2));
    no_mark_is_left(&client).await;
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_marked_job_is_not_promoted() {
    let (client, mut outcomes, worker, _said) = start().await;
    let id = client.push(probe("delayed", Act::Succeed)).after(Duration::from_millis(400)).await.unwrap();
    client.push(probe("held", LONG)).await.unwrap(); // keeps the mark from being void
    mark_silently(&client, id).await;
    let cancelled = outcomes.next().await;
    assert_eq!((cancelled.id, cancelled.state, cancelled.run), (id, State::Cancelled, 1));
    assert_eq!(client.cancel_all(QUEUE).await.unwrap().requested, 1);
    assert_eq!(outcomes.next().await.state, State::Cancelled);
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_marked_job_does_not_come_back_after_a_crash_nor_after_a_stop() {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let mut outcomes = Outcomes::of(&client);
    for (is_killed, first) in [(true, State::Crashed), (false, State::Interrupted)] {
        let mut process = probe::process(&url, &client, &[("PROBE_GRACE_MS", "0")]);
        let id = client.push(probe("held", LONG)).await.unwrap();
        process.wait_for_line(PATIENCE, |line| line.ends_with("started held attempt 1 run 1")).await.unwrap();
        mark_silently(&client, id).await;
        let (rescuer, mut said) = probe::worker(&client);
        let rescuer = Running::start(rescuer);
        if is_killed {
            let _ = process.kill().await;
        } else {
            process.term()
        }
        assert_eq!(outcomes.next().await.state, first);
        let cancelled = outcomes.next().await;
        assert_eq!((cancelled.id, cancelled.state, cancelled.run), (id, State::Cancelled, 2));
        assert!(said.heard_so_far().is_empty());
        rescuer.stop().await;
    }
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_cancel_that_races_completion_retry_and_revival_leaves_one_end_of_each_job() {
    let (client, mut outcomes, worker, _said) = start().await;
    let acts = [Act::Succeed, Act::Fail, Act::RetryAtOnce, Act::Sleep { ms: 20 }];
    let mut ids = Vec::new();
    for i in 0..200 {
        ids.push(client.push(probe("racer", acts[i % acts.len()].clone())).await.unwrap());
    }
    let by_id = async {
        for id in ids.iter().step_by(3) {
            client.cancel(QUEUE, *id).await.unwrap();
        }
    };
    let by_filter = async {
        for _ in 0..5 {
            client.cancel_all(QUEUE).filter(Filter::all().kind("probe")).await.unwrap();
        }
    };
    let letters = client.dead_letters(QUEUE);
    let all = Filter::all();
    let revive = async {
        let mut revived = 0;
        for _ in 0..20 {
            revived += letters.retry_all(&all).await.unwrap();
            tokio::task::yield_now().await;
        }
        revived
    };
    let delete = async {
        for _ in 0..5 {
            letters.delete_all(&all).await.unwrap();
        }
    };
    let ((), (), revived, ()) = tokio::join!(by_id, by_filter, revive, delete);

    let mut ends = HashMap::new();
    for _ in 0..ids.len() + revived as usize {
        let outcome = outcomes.next_end().await;
        assert_eq!(ends.insert(outcome.id, outcome.state), None, "{} ended twice", outcome.id);
    }
    assert!(ids.iter().all(|id| ends.contains_key(id)));
    worker.stop().await;
    assert_empty(&client).await;
    let mut conn = client.connection().await.unwrap();
    let suspects: u64 =
        redis::cmd("XLEN").arg(client.keys(QUEUE).ready(Lane::Suspect)).query_async(&mut conn).await.unwrap();
    assert_eq!(suspects, 0);
}
