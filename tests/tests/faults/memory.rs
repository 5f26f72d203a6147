//! A server at its maxmemory.

use std::time::{Duration, Instant};

use millstream_queue::{Error, State};
use millstream_tests::Redis;
use tokio::time::sleep;

use crate::{
    probe::{self, Act, LEASE, Outcomes, QUEUE, assert_empty, probe},
    stage::{Load, Operator, complains_in_bounds, each_completes_once, says, worker},
};

fn is_out_of_memory(error: &Error) -> bool {
    error.server_code().as_deref() == Some("OOM") && error.to_string().contains("maxmemory")
}

#[tokio::test(flavor = "multi_thread")]
async fn at_maxmemory_pushes_are_refused_clearly_while_jobs_complete_and_nobody_is_fenced() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let workers = [worker(&redis, &client, &[]).await, worker(&redis, &client, &[]).await];
    let operator = Operator::of(&redis).await;
    let held = client.push(probe("held", Act::Sleep { ms: 3_500 })).await.unwrap();
    let retried = client.push(probe("retried", Act::RetryAtOnce)).after(Duration::from_millis(800)).await.unwrap();
    let load = Load::start(&client, 2);
    sleep(Duration::from_millis(500)).await;

    operator.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let full_at = Instant::now();
    for keyed in [false, true] {
        let push = client.push(probe("refused", Act::Quiet));
        let error = if keyed { push.id("refused").await } else { push.await }.unwrap_err();
        assert!(is_out_of_memory(&error), "{error}");
    }
    let error = client.push_all((0..10).map(|_| probe("refused", Act::Quiet))).await.unwrap_err();
    let Error::PartlyPushed { stored: 0, source } = error else { panic!("{error}") };
    assert!(is_out_of_memory(&source), "{source}");
    let delayed = client.push_all((0..10).map(|_| probe("refused", Act::Quiet))).after(Duration::from_secs(1));
    let error = delayed.await.unwrap_err();
    assert!(error.to_string().contains("maxmemory"), "{error}");
    sleep((3 * LEASE).saturating_sub(full_at.elapsed())).await; // the fault itself

    operator.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let pushed = load.stop().await;
    assert!(!pushed.errors.is_empty() && pushed.errors.iter().all(is_out_of_memory), "{:?}", pushed.errors);
    let ids = [pushed.ids, vec![held, retried]].concat();
    each_completes_once(&client, &ids, 0).await;
    let mut outcomes = Outcomes::of(&client);
    for _ in 0..=ids.len() {
        assert_eq!(outcomes.next().await.crash, 0, "a worker was fenced");
    }
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_worker_that_starts_at_maxmemory_drains_the_queue() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    client.push(probe("waits", Act::Succeed)).await.unwrap();
    client.push(probe("retried", Act::RetryAtOnce)).await.unwrap();
    let operator = Operator::of(&redis).await;
    operator.ask::<()>(&["SREM", &millstream_queue::keys::queues(client.namespace()), QUEUE]).await;
    operator.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let process = worker(&redis, &client, &[]).await;
    says(&process, "ended waits").await;
    says(&process, "ended retried").await;

    let mut outcomes = Outcomes::of(&client);
    for _ in 0..2 {
        assert_eq!(outcomes.next_end().await.state, State::Completed);
    }
    // A recorder may register too: it is what empties `done`.
    client.record(QUEUE).await.unwrap();
    complains_in_bounds(&process);
    assert_empty(&client).await;
}
