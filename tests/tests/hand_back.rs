//! What was handed out and must not start here, or was started here already: it goes back, or stays, but never runs twice.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use millstream_queue::{Client, Lane, State, keys::WORKERS};
use millstream_tests::{Proxy, Redis};
use probe::{Act, Outcomes, QUEUE, Running, assert_empty, probe};
use redis::{Value, cmd};

/// A server, and a worker on it that has run a job.
async fn start(url: &str, path: &str) -> (Client, Running, probe::Said) {
    let client = probe::client(url).await;
    let on_path = Client::builder(path).namespace(client.namespace()).await.unwrap();
    let (worker, mut said) = probe::worker(&on_path);
    let worker = Running::start(worker);
    client.push(probe("before", Act::Succeed)).await.unwrap();
    said.wait_for("ended before").await;
    wait_until_pending(&client, 0).await;
    (client, worker, said)
}

/// Waits until so many entries are handed out and not acknowledged.
async fn wait_until_pending(client: &Client, wanted: u64) {
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let waiting = async {
        loop {
            let mut conn = client.connection().await.unwrap();
            let (pending, ..): (u64, Value, Value, Value) =
                cmd("XPENDING").arg(&lane).arg(WORKERS).query_async(&mut conn).await.unwrap();
            if pending == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(probe::PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{wanted} were never pending"));
}

#[tokio::test]
async fn a_job_that_a_stopping_worker_never_saw_goes_back_without_a_crash() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let (client, worker, mut said) = start(&redis.url(), &proxy.redis_url()).await;
    proxy.drop_replies();
    let id = client.push(probe("unseen", Act::Succeed)).await.unwrap();
    wait_until_pending(&client, 1).await;
    tokio::join!(worker.stop(), async { proxy.heal() });
    assert!(said.heard_so_far().is_empty(), "the worker saw the job");

    let (other, _said) = probe::worker(&client);
    let other = Running::start(other);
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.run, 1);
    let outcome = outcomes.next().await;
    assert_eq!((outcome.id, outcome.state), (id, State::Completed));
    assert_eq!((outcome.attempt, outcome.run, outcome.crash), (1, 2, 0), "its worker left, it did not die");
    other.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_hand_back_that_fails_is_tried_until_it_is_done() {
    let redis = Redis::start().await.unwrap();
    let (client, worker, mut said) = start(&redis.url(), &redis.url()).await;
    let keys = client.keys(QUEUE);
    let mut conn = client.connection().await.unwrap();
    // At once, so that the worker reads the job before it learns of the pause, and cannot call the script that hands back.
    let job = r#"{"name":"paused","act":"succeed"}"#;
    redis::pipe()
        .atomic()
        .cmd("ACL")
        .arg("SETUSER")
        .arg("default")
        .arg("-evalsha")
        .arg("-eval")
        .cmd("HSET")
        .arg(keys.control())
        .arg("paused")
        .arg("1")
        .cmd("XADD")
        .arg(keys.ready(Lane::Normal))
        .arg("*")
        .arg("kind")
        .arg("probe")
        .arg("body")
        .arg(job)
        .exec_async(&mut conn)
        .await
        .unwrap();
    wait_until_pending(&client, 1).await;
    cmd("ACL").arg("SETUSER").arg("default").arg("+@all").exec_async(&mut conn).await.unwrap();
    wait_until_pending(&client, 0).await;
    assert!(said.heard_so_far().is_empty(), "a paused queue started a job");

    cmd("HDEL").arg(keys.control()).arg("paused").exec_async(&mut conn).await.unwrap();
    said.wait_for("started paused attempt 1 run 2").await;
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_running_job_that_is_handed_out_once_more_is_not_started_again() {
    let redis = Redis::start().await.unwrap();
    let (client, worker, mut said) = start(&redis.url(), &redis.url()).await;
    let id = client.push(probe("running", Act::Sleep { ms: 1500 })).await.unwrap();
    said.wait_for("started running attempt 1 run 1").await;
    let mut conn = client.connection().await.unwrap();
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    cmd("XGROUP").arg("DESTROY").arg(&lane).arg(WORKERS).exec_async(&mut conn).await.unwrap();
    // The worker makes the group again, from the start of the lane, and is given the job once more.
    let waiting = async {
        loop {
            let mut look = cmd("XPENDING");
            let seen: redis::RedisResult<(u64, Value, Value, Value)> =
                look.arg(&lane).arg(WORKERS).query_async(&mut conn).await;
            if seen.is_ok_and(|(pending, ..)| pending == 1) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(probe::PATIENCE, waiting).await.expect("the job is handed out again");
    client.push(probe("after", Act::Succeed)).await.unwrap();

    let mut outcomes = Outcomes::of(&client);
    let mut ends = vec![outcomes.next_end().await, outcomes.next_end().await, outcomes.next_end().await];
    ends.retain(|outcome| outcome.id == id);
    assert_eq!(ends.len(), 1, "{ends:?}");
    worker.stop().await;
    let lines = said.heard_so_far();
    assert!(!lines.iter().any(|line| line.starts_with("started running")), "{lines:?}");
    assert_empty(&client).await;
}
