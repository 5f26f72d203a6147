//! A server whose append-only file finds no more space.

use std::{
    future::IntoFuture,
    time::{Duration, Instant},
};

use futures::future::join_all;
use millstream_queue::{Error, State};
use millstream_tests::{Redis, SmallDisk};
use tokio::time::sleep;

use crate::{
    probe::{self, Act, LEASE, Outcomes, assert_empty, probe},
    stage::{Load, Operator, complains_in_bounds, each_completes_once, eventually, says, worker},
};

fn is_about_the_disk(error: &Error) -> bool {
    error.server_code().as_deref() == Some("MISCONF") && error.to_string().contains("AOF")
}

async fn a_full_disk_is_ridden_out(disk: SmallDisk) {
    let redis =
        Redis::builder().aof(true).disk(disk).args(["--auto-aof-rewrite-percentage", "0"]).start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let workers = [worker(&redis, &client, &[]).await, worker(&redis, &client, &[]).await];
    let operator = Operator::of(&redis).await;
    let held = client.push(probe("held", Act::Sleep { ms: 1_500 })).await.unwrap();
    tokio::select! {
        () = says(&workers[0], "started held attempt 1 run 1") => {}
        () = says(&workers[1], "started held attempt 1 run 1") => {}
    }
    let load = Load::start(&client, 2);
    sleep(Duration::from_millis(300)).await;

    redis.fill_disk().unwrap();

    eventually("the server refuses even PING", async || {
        operator.try_ask::<String>(&["PING"]).await.is_err_and(|error| error.code() == Some("MISCONF"))
    })
    .await;
    // More at once than the pool has connections: each is refused with the cause, none waits for the pool.
    let began = Instant::now();
    for refused in join_all((0..20).map(|_| client.push(probe("refused", Act::Quiet)).into_future())).await {
        let error = refused.unwrap_err();
        assert!(is_about_the_disk(&error), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "the refusals took {:?}", began.elapsed());
    let rate = operator.rate_over(3 * LEASE).await; // the fault itself
    assert!(rate < 100.0, "{rate} reads and scripts a second while all are refused");

    redis.free_disk().unwrap();
    let pushed = load.stop().await;
    assert!(!pushed.errors.is_empty() && pushed.errors.iter().all(is_about_the_disk), "{:?}", pushed.errors);
    assert!(pushed.slowest < Duration::from_secs(2), "a push took {:?}", pushed.slowest);
    let ids = [pushed.ids, vec![held]].concat();
    each_completes_once(&client, &ids, 0).await;
    let mut outcomes = Outcomes::of(&client);
    for _ in 0..=ids.len() {
        let outcome = outcomes.next().await;
        assert_eq!((outcome.state, outcome.run), (State::Completed, 1), "a worker was fenced");
    }
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_too_full_for_the_append_only_file_is_ridden_out() {
    a_full_disk_is_ridden_out(SmallDisk::of(4 * 1024 * 1024)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_append_only_file_that_may_not_grow_is_ridden_out() {
    a_full_disk_is_ridden_out(SmallDisk::FileLimit).await;
}
