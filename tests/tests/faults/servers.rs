//! A server that restarts, freezes, or is busy.

use std::time::{Duration, Instant};

use millstream_queue::{Client, Error, State};
use millstream_tests::{Proxy, Redis};
use tokio::time::sleep;

use crate::{
    probe::{self, Act, LEASE, Outcomes, assert_empty, probe},
    stage::{Load, Operator, complains_in_bounds, each_completes_once, eventually, says, scale, worker},
};

#[tokio::test]
async fn after_a_restart_of_the_server_workers_consume_again_within_five_seconds() {
    let mut redis = Redis::builder().aof(true).args(["--appendfsync", "always"]).start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let workers = [worker(&redis, &client, &[]).await, worker(&redis, &client, &[]).await];
    let before = client.push(probe("before", Act::Sleep { ms: 10 })).await.unwrap();
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.id, before);

    redis.kill().await;
    sleep(2 * LEASE).await; // the fault itself: an outage longer than the lease
    redis.restart().await.unwrap();

    let back = Instant::now();
    eventually("a push after the restart", async || client.push(probe("after", Act::Succeed)).await.is_ok()).await;
    let after = outcomes.next().await;
    assert_eq!((after.state, after.run), (State::Completed, 1));
    assert!(back.elapsed() < Duration::from_secs(5), "consuming again only after {:?}", back.elapsed());
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_freezes_under_load_stores_no_job_twice_and_loses_none() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    // Its pushes give up while the server is frozen, and are sent again.
    let hasty = Client::builder(&redis.url()).namespace(client.namespace());
    let hasty = hasty.response_timeout(Duration::from_millis(300)).await.unwrap();
    let workers = [worker(&redis, &client, &[]).await, worker(&redis, &client, &[]).await];
    let frozen = Duration::from_secs(2) * scale();
    let patient = Client::builder(&redis.url()).namespace(client.namespace());
    let patient = patient.response_timeout(2 * frozen).await.unwrap();
    let (hasty, patient) = (Load::start(&hasty, 4), {
        // Without keys: what is acknowledged is stored once, though the server stood still meanwhile.
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for i in 0..800 {
                ids.push(patient.push(probe(&format!("patient {i}"), Act::Quiet)).await.unwrap());
                sleep(Duration::from_millis(2)).await;
            }
            ids
        })
    });
    sleep(Duration::from_millis(500)).await;
    redis.stop();
    sleep(frozen).await; // the fault itself
    redis.cont();
    sleep(Duration::from_millis(500)).await;
    let pushed = hasty.stop().await;
    assert!(pushed.errors.iter().any(Error::is_indeterminate), "no push was on its way when the server froze");
    let ids = [pushed.ids, patient.await.unwrap()].concat();
    each_completes_once(&client, &ids, 0).await;
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}

#[tokio::test]
async fn an_enqueue_whose_reply_is_dropped_over_and_over_is_one_job() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let client = probe::client(&redis.url()).await;
    let far = Client::builder(&proxy.redis_url()).namespace(client.namespace());
    let far = far.response_timeout(Duration::from_millis(200)).await.unwrap();
    let mut ids = Vec::new();
    for i in 0..5 {
        let push = || far.push(probe("order", Act::Quiet)).id(format!("order:{i}"));
        proxy.drop_replies();
        let error = push().await.unwrap_err();
        let Error::Indeterminate { id, .. } = error else { panic!("{error}") };
        proxy.heal();
        eventually("the push again", async || push().await.is_ok_and(|again| again == id)).await;
        ids.push(id);
    }
    let _worker = worker(&redis, &client, &[]).await;
    each_completes_once(&client, &ids, 0).await;
    assert_empty(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_script_is_a_bounded_failure_and_costs_nobody_a_job() {
    let redis = Redis::builder().args(["--busy-reply-threshold", "100"]).start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let workers = [worker(&redis, &client, &[]).await, worker(&redis, &client, &[]).await];
    let held = client.push(probe("held", Act::Sleep { ms: 1_500 })).await.unwrap();
    tokio::select! {
        () = says(&workers[0], "started held attempt 1 run 1") => {}
        () = says(&workers[1], "started held attempt 1 run 1") => {}
    }
    let (operator, hog) = (Operator::of(&redis).await, Operator::of(&redis).await);
    let busy = tokio::spawn(async move { hog.try_ask::<()>(&["EVAL", "while true do end", "0"]).await });
    eventually("the server is busy", async || {
        operator.try_ask::<String>(&["PING"]).await.is_err_and(|error| error.code() == Some("BUSY"))
    })
    .await;

    let began = Instant::now();
    let error = client.push(probe("refused", Act::Quiet)).await.unwrap_err();
    assert!(error.to_string().contains("BUSY"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "the failure took {:?}", began.elapsed());
    sleep(3 * LEASE).await; // the fault itself: far longer than the lease
    operator.ask::<()>(&["SCRIPT", "KILL"]).await;
    assert!(busy.await.unwrap().is_err());

    let mut outcomes = Outcomes::of(&client);
    let outcome = outcomes.next().await;
    assert_eq!((outcome.id, outcome.state, outcome.run, outcome.crash), (held, State::Completed, 1, 0));
    let after = client.push(probe("after", Act::Succeed)).await.unwrap();
    assert_eq!(outcomes.next().await.id, after);
    workers.iter().for_each(complains_in_bounds);
    assert_empty(&client).await;
}
