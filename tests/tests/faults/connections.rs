//! Connections that are killed over and over.

use std::time::Duration;

use millstream_tests::Redis;
use tokio::time::{Instant, sleep};

use crate::{
    probe::{self, assert_empty},
    stage::{Load, Operator, complains_in_bounds, each_completes_once, scale, worker},
};

#[tokio::test(flavor = "multi_thread")]
async fn killing_every_connection_five_times_a_second_loses_and_doubles_nothing() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    // An everyday lease: with one of a second, a beat that is cut off a few times running would be as good as lost.
    let settings = [("PROBE_LEASE_MS", "10000")];
    let workers = [worker(&redis, &client, &settings).await, worker(&redis, &client, &settings).await];
    let operator = Operator::of(&redis).await;
    let load = Load::start(&client, 2);
    let until = Instant::now() + Duration::from_secs(12) * scale();
    while Instant::now() < until {
        operator.ask::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        sleep(Duration::from_millis(200)).await;
    }
    let pushed = load.stop().await;
    assert!(!pushed.errors.is_empty(), "no push met a killed connection");
    each_completes_once(&client, &pushed.ids, 0).await;
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}
