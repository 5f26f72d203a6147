//! Operators that delete streams, everything, or the scripts, under load.

use std::time::Duration;

use millstream_queue::{Client, Lane, State};
use millstream_tests::Redis;
use tokio::time::sleep;

use crate::{
    probe::{self, Act, Outcomes, QUEUE, assert_empty, probe},
    stage::{Load, Operator, complains_in_bounds, each_completes_once, scale, worker},
};

/// A worker sends at most this many reads and scripts a second while idle, with a beat every 100 ms as here.
const IDLE: f64 = 30.0;

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_streams_and_everything_under_load_makes_no_hot_loop_and_the_groups_come_back() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let process = worker(&redis, &client, &[]).await;
    let operator = Operator::of(&redis).await;
    let lanes = Lane::ALL.map(|lane| client.keys(QUEUE).ready(lane));
    let load = Load::start(&client, 2);
    for round in 0..5 * scale() {
        sleep(Duration::from_millis(700)).await;
        if round % 2 == 0 {
            let delete = [&["DEL".to_owned()], &lanes[..]].concat();
            operator.ask::<()>(&delete).await;
        } else {
            operator.ask::<()>(&["FLUSHALL"]).await;
        }
    }
    load.stop().await;
    operator.ask::<()>(&["FLUSHALL"]).await;
    client.record(QUEUE).await.unwrap();

    client.push(probe("after", Act::Succeed)).await.unwrap();
    let after = Outcomes::of(&client).next_end().await;
    assert_eq!((after.state, after.result.as_deref()), (State::Completed, Some(&b"\"after\""[..])));
    for lane in &lanes {
        let groups: Vec<redis::Value> = operator.ask(&["XINFO", "GROUPS", lane]).await;
        assert_eq!(groups.len(), 1, "the group of {lane} is not back");
    }
    let rate = operator.rate_over(Duration::from_secs(2)).await;
    assert!(rate < IDLE, "{rate} reads and scripts a second of an idle worker");
    complains_in_bounds(&process);
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_lane_deleted_for_good_is_made_again_and_not_asked_for_in_a_hot_loop() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let process = worker(&redis, &client, &[]).await;
    let operator = Operator::of(&redis).await;
    // Each time while the worker blocks on it.
    for lane in [Lane::High, Lane::Normal, Lane::Low, Lane::Suspect] {
        operator.ask::<()>(&["DEL", &client.keys(QUEUE).ready(lane)]).await;
        sleep(Duration::from_millis(200)).await;
    }
    let rate = operator.rate_over(Duration::from_secs(2)).await;
    assert!(rate < IDLE, "{rate} reads and scripts a second of an idle worker");
    client.push(probe("after", Act::Succeed)).await.unwrap();
    assert_eq!(Outcomes::of(&client).next().await.state, State::Completed);
    complains_in_bounds(&process);
}

/// Pushes batches of delayed jobs, each longer than a pipeline, until `until`; how many were pushed.
async fn push_delayed(client: &Client, until: tokio::time::Instant) -> u64 {
    let mut pushed = 0;
    while tokio::time::Instant::now() < until {
        let jobs = (0..600).map(|i| probe(&format!("delayed {i}"), Act::Quiet));
        pushed += client.push_all(jobs).after(Duration::from_millis(300)).await.expect("all are stored");
        sleep(Duration::from_millis(150)).await;
    }
    pushed
}

#[tokio::test(flavor = "multi_thread")]
async fn flushing_the_scripts_over_and_over_under_load_loses_nothing() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let wide = [("PROBE_CONCURRENCY", "64")];
    let workers = [worker(&redis, &client, &wide).await, worker(&redis, &client, &wide).await];
    let operator = Operator::of(&redis).await;
    let load = Load::start(&client, 2);
    let until = tokio::time::Instant::now() + Duration::from_secs(3) * scale();
    let flushing = async {
        while tokio::time::Instant::now() < until {
            operator.ask::<()>(&["SCRIPT", "FLUSH"]).await;
            sleep(Duration::from_millis(2)).await;
        }
    };
    let (delayed, ()) = tokio::join!(push_delayed(&client, until), flushing);
    let pushed = load.stop().await;
    each_completes_once(&client, &pushed.ids, delayed as usize).await;
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}
