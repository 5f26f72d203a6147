//! Replies of the server that never arrive: what was delivered or applied meanwhile is neither lost nor done twice.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use millstream_queue::{Client, Lane, State};
use millstream_tests::{Proxy, Redis};
use probe::{Act, Outcomes, QUEUE, Running, assert_empty, probe};

/// A server, a client on the straight way, and a worker whose way leads through a proxy.
async fn start() -> (Redis, Proxy, Client, Running, probe::Said) {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let client = probe::client(&redis.url()).await;
    let through_proxy = Client::builder(&proxy.redis_url()).namespace(client.namespace()).await.unwrap();
    let (worker, mut said) = probe::worker(&through_proxy);
    let worker = Running::start(worker);
    client.push(probe("before", Act::Succeed)).await.unwrap();
    said.wait_for("ended before").await;
    (redis, proxy, client, worker, said)
}

/// Entries that the server has handed out and not seen acknowledged.
async fn pending(client: &Client) -> u64 {
    let mut conn = client.connection().await.unwrap();
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let mut look = redis::cmd("XPENDING");
    let (count, ..): (u64, redis::Value, redis::Value, redis::Value) =
        look.arg(lane).arg("workers").query_async(&mut conn).await.unwrap();
    count
}

async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(probe::PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn jobs_whose_delivery_was_lost_on_the_way_are_read_again_and_run_once() {
    let (_redis, proxy, client, worker, mut said) = start().await;
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.state, State::Completed);
    wait_until("the first job is acknowledged", async || pending(&client).await == 0).await;

    proxy.drop_replies();
    let id = client.push(probe("unseen", Act::Succeed)).await.unwrap();
    wait_until("the server hands the job out", async || pending(&client).await == 1).await;
    assert!(said.heard_so_far().is_empty(), "the delivery was not lost");
    proxy.heal();

    let outcome = outcomes.next_end().await;
    assert_eq!((outcome.id, outcome.state, outcome.attempt), (id, State::Completed, 1));
    worker.stop().await;
    assert_empty(&client).await;
    let runs = said.heard_so_far().iter().filter(|line| line.starts_with("started unseen")).count();
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn a_finish_whose_reply_was_lost_is_sent_again_without_harm() {
    let (_redis, proxy, client, worker, mut said) = start().await;
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.state, State::Completed);
    let id = client.push(probe("again", Act::Sleep { ms: 150 })).await.unwrap();
    said.wait_for("started again attempt 1 run 1").await;

    proxy.drop_replies();
    let outcome = outcomes.next().await; // the finish was applied
    assert_eq!((outcome.id, outcome.state), (id, State::Completed));
    proxy.heal();

    client.push(probe("after", Act::Succeed)).await.unwrap();
    let after = outcomes.next_end().await;
    assert_eq!(after.result.as_deref(), Some(&br#""after""#[..]), "the outcome was kept twice: {after:?}");
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_worker_whose_connections_are_reset_over_and_over_loses_and_doubles_nothing() {
    let (_redis, proxy, client, worker, _said) = start().await;
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.state, State::Completed);
    const JOBS: usize = 1_000;
    client.push_all((0..JOBS).map(|i| probe(&format!("{i}"), Act::Sleep { ms: 2 }))).await.unwrap();
    let mut ended = std::collections::HashSet::new();
    while ended.len() < JOBS {
        let outcome = outcomes.next_end().await;
        assert_eq!(outcome.state, State::Completed);
        assert!(ended.insert(outcome.id), "{} ended twice", outcome.id);
        if ended.len() % 100 == 0 {
            proxy.reset();
        }
    }
    worker.stop().await;
    assert_empty(&client).await;
}
