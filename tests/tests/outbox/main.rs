//! The outbox between real processes: relays that are killed at each step, servers that hang, and transactions that roll back
//! meanwhile. Each committed row has its effect once, and no other ever has.
//!
//! `MILLSTREAM_FAULT_SCALE` multiplies the rows.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod paused;
mod stage;

use std::time::Duration;

use millstream_store::{Error, Store};
use millstream_tests::Proxy;
use stage::{SendReceipt, Stage, wait_until};

async fn killed_before_the_push(stage: Stage) {
    let proxy = Proxy::to(stage.redis.port()).await.unwrap();
    let mut relay = stage.relay(&proxy.redis_url()).await;
    // So that the server knows the script, and what is on its way is the batch itself.
    stage.push(0..1, true).await;
    wait_until("the first is relayed", async || stage.is_empty().await).await;
    proxy.blackhole();
    stage.push(1..10, true).await;
    wait_until("a batch is written down", async || stage.has_batch_under_way().await).await;
    relay.kill().await;

    let mut other = stage.relay(&stage.redis.url()).await;
    stage.push(10..20, true).await;
    wait_until("all is relayed", async || stage.is_empty().await).await;
    // What the dead relay had sent arrives now.
    proxy.heal();
    stage.push(20..30, true).await;
    wait_until("all is relayed", async || stage.is_empty().await).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.relayed().await, (0..30).collect::<Vec<_>>());
    other.kill().await;
}

#[tokio::test]
async fn a_relay_killed_between_batch_and_push_loses_and_doubles_nothing_on_postgres() {
    killed_before_the_push(Stage::postgres().await).await;
}

#[tokio::test]
async fn a_relay_killed_between_batch_and_push_loses_and_doubles_nothing_on_sqlite() {
    killed_before_the_push(Stage::sqlite().await).await;
}

async fn killed_after_the_push(stage: Stage) {
    let proxy = Proxy::to(stage.redis.port()).await.unwrap();
    let mut relay = stage.relay_without_reply(&proxy).await;
    relay.kill().await;

    let mut other = stage.relay(&stage.redis.url()).await;
    stage.push(10..20, true).await;
    wait_until("all is relayed", async || stage.is_empty().await).await;
    assert_eq!(stage.relayed().await, (0..20).collect::<Vec<_>>());
    other.kill().await;
}

#[tokio::test]
async fn a_relay_killed_between_push_and_delete_doubles_nothing_on_postgres() {
    killed_after_the_push(Stage::postgres().await).await;
}

#[tokio::test]
async fn a_relay_killed_between_push_and_delete_doubles_nothing_on_sqlite() {
    killed_after_the_push(Stage::sqlite().await).await;
}

#[tokio::test]
async fn rows_committed_while_no_relay_runs_or_redis_hangs_are_relayed_later() {
    let stage = Stage::postgres().await;
    stage.push(0..10, true).await;
    let mut relay = stage.relay(&stage.redis.url()).await;
    wait_until("all is relayed", async || stage.is_empty().await).await;
    stage.redis.stop();
    stage.push(10..20, true).await;
    // Longer than a reply is waited for, so that its outcome is unknown.
    tokio::time::sleep(Duration::from_secs(6)).await;
    stage.redis.cont();
    wait_until("all is relayed", async || stage.is_empty().await).await;
    assert_eq!(stage.relayed().await, (0..20).collect::<Vec<_>>());
    relay.kill().await;
}

/// Four writers, of whose transactions every fourth rolls back; two relays, of which one is killed every 300 ms.
async fn killed_over_and_over(stage: Stage) {
    const WRITERS: i64 = 4;
    let of_each = 5_000 * stage::scale();
    let writers = (0..WRITERS).map(|writer| {
        let store = stage.store.clone();
        tokio::spawn(async move {
            let first = writer * of_each;
            for start in (first..first + of_each).step_by(50) {
                let is_kept = start / 50 % 4 != 3;
                write(&store, start..start + 50, is_kept).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut relays = [stage.relay(&stage.redis.url()).await, stage.relay(&stage.redis.url()).await];
    let mut turn = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        relays[turn % 2].kill().await;
        relays[turn % 2] = stage.relay(&stage.redis.url()).await;
        turn += 1;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    wait_until("all is relayed", async || stage.is_empty().await).await;
    let mut relayed = stage.relayed().await;
    relayed.sort_unstable();
    let wanted: Vec<i64> = (0..WRITERS * of_each).filter(|order| order / 50 % 4 != 3).collect();
    assert!(relayed == wanted, "{} relayed, {} committed", relayed.len(), wanted.len());
    for relay in &mut relays {
        relay.kill().await;
    }
}

async fn write(store: &Store, orders: std::ops::Range<i64>, is_kept: bool) {
    loop {
        let orders = orders.clone();
        let done = store.transaction(async move |tx| {
            for order in orders.clone() {
                tx.push(SendReceipt { order }).await?;
            }
            if is_kept { Ok(()) } else { Err(Error::TransactionOver) }
        });
        match done.await {
            Ok(()) => return assert!(is_kept),
            Err(Error::TransactionOver) => return assert!(!is_kept),
            // No connection in time on a busy machine: nothing has begun.
            Err(Error::Exhausted { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_killed_over_and_over_relay_what_was_committed_once_and_nothing_else_on_postgres() {
    killed_over_and_over(Stage::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_killed_over_and_over_relay_what_was_committed_once_and_nothing_else_on_sqlite() {
    killed_over_and_over(Stage::sqlite().await).await;
}
