//! Pushes that wait for a real replica.

use std::time::{Duration, Instant};

use futures::future::join_all;
use millstream_queue::{Client, Durability, Error, Lane};
use millstream_tests::Redis;

use crate::stage::{Number, Raw, Stage, builder, eventually};

const SOON: Duration = Duration::from_millis(200);

/// A primary with one replica in step.
async fn primary_and_replica() -> (Redis, Redis, Stage, Raw) {
    let primary = Redis::builder().args(["--repl-diskless-sync-delay", "0"]).start().await.expect("a primary");
    let port = primary.port().to_string();
    let replica = Redis::builder().args(["--replicaof", "127.0.0.1", &port]).start().await.expect("a replica");
    let copy = Raw::connect(&replica.url()).await;
    let stage =
        Stage { client: builder(&primary.url()).await.expect("a client"), redis: Raw::connect(&primary.url()).await };
    let in_step = async || stage.redis.ask::<String>(&["INFO", "replication"]).await.contains("state=online");
    eventually("a replica in step", in_step).await;
    (primary, replica, stage, copy)
}

fn wait(replicas: u32, timeout: Duration) -> Durability {
    Durability::WaitReplicas { replicas, timeout }
}

fn lane(client: &Client) -> String {
    client.keys("numbers").ready(Lane::Normal)
}

#[tokio::test]
async fn a_job_is_on_the_replica_when_its_push_returns() {
    let (_primary, _replica, stage, copy) = primary_and_replica().await;
    let durability = wait(1, Duration::from_secs(10));
    for count in 1..=50 {
        stage.client.push(Number(count)).durability(durability).await.unwrap();
        assert_eq!(copy.length(&lane(&stage.client)).await, count as usize);
    }
    let later = stage.client.push(Number(51)).after(Duration::from_secs(600)).durability(durability).await.unwrap();
    assert!(copy.ask::<bool>(&["HEXISTS", &stage.client.keys("numbers").later_jobs(), &later.to_string()]).await);
    assert_eq!(stage.client.push_all((0..5_000).map(Number)).durability(durability).await.unwrap(), 5_000);
    assert_eq!(copy.length(&lane(&stage.client)).await, 5_050);
    // One connection did all that, beside those that are shared.
    assert_eq!(stage.redis.connections("normal", "wait").await, 1);
}

#[tokio::test]
async fn too_few_replicas_in_time_is_an_error_that_says_the_job_is_stored() {
    let (_primary, replica, stage, _copy) = primary_and_replica().await;
    replica.stop();
    let error = stage.client.push(Number(1)).durability(wait(1, SOON)).await.unwrap_err();
    let Error::TooFewReplicas { id, confirmed: 0, wanted: 1, .. } = &error else { panic!("{error}") };
    let text = format!("the job {id} is stored on the primary, but 0 of 1 replicas are known to have it after 200ms");
    assert!(error.to_string().starts_with(&text), "{error}");
    let entries = stage.redis.entries(&lane(&stage.client)).await;
    assert!(entries[0].1.contains(&("id".to_owned(), id.to_string())));

    let error = stage.client.push_all((0..1000).map(Number)).durability(wait(1, SOON)).await.unwrap_err();
    let Error::PartlyPushed { stored, source } = &error else { panic!("{error}") };
    assert!(matches!(**source, Error::TooFewReplicas { .. }), "{source}");
    assert!(!error.is_indeterminate());
    assert_eq!(*stored, 1000, "all that was on its way is stored");

    replica.cont();
    stage.client.push(Number(2)).durability(wait(1, Duration::from_secs(10))).await.unwrap();
    let error = stage.client.push(Number(3)).durability(wait(2, SOON)).await.unwrap_err();
    assert!(matches!(error, Error::TooFewReplicas { confirmed: 1, wanted: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_second_push_under_a_key_waits_for_the_first_ones_job() {
    let (_primary, replica, stage, _copy) = primary_and_replica().await;
    replica.stop();
    let push = || stage.client.push(Number(1)).id("order:7").durability(wait(1, SOON));
    assert!(matches!(push().await, Err(Error::TooFewReplicas { .. })));
    assert!(matches!(push().await, Err(Error::TooFewReplicas { .. })), "nothing was written, but nothing is confirmed");
    replica.cont();
    stage.client.push(Number(1)).id("order:7").durability(wait(1, Duration::from_secs(10))).await.unwrap();
    assert_eq!(stage.redis.length(&lane(&stage.client)).await, 1);
}

#[tokio::test]
async fn who_waits_for_replicas_holds_up_nobody_else() {
    let (primary, replica, stage, _copy) = primary_and_replica().await;
    replica.stop();
    let client = builder(&primary.url()).durability(wait(1, Duration::from_secs(2))).await.unwrap();
    let start = Instant::now();
    let durable = join_all((0..40).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { client.push(Number(number)).await })
    }));
    let plain = async {
        for number in 0..100 {
            client.push(Number(number)).durability(Durability::Primary).await.unwrap();
        }
        start.elapsed()
    };
    let (durable, plain) = tokio::join!(durable, plain);
    assert!(plain < Duration::from_secs(2), "plain pushes took {plain:?}");
    // Forty in three turns of at most sixteen.
    assert!(durable.into_iter().all(|push| matches!(push, Ok(Err(Error::TooFewReplicas { .. })))));
    assert!((Duration::from_secs(6)..Duration::from_secs(12)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(stage.redis.length(&lane(&client)).await, 140);
}

#[tokio::test]
async fn a_dropped_push_leaves_no_answer_to_the_next_one() {
    let (_primary, replica, stage, _copy) = primary_and_replica().await;
    replica.stop();
    let push = async { stage.client.push(Number(0)).durability(wait(1, Duration::from_secs(60))).await };
    assert!(tokio::time::timeout(SOON, push).await.is_err());
    replica.cont();
    for number in 1..5 {
        let id = stage.client.push(Number(number)).durability(wait(1, Duration::from_secs(10))).await.unwrap();
        let entries = stage.redis.entries(&lane(&stage.client)).await;
        assert!(entries.last().unwrap().1.contains(&("id".to_owned(), id.to_string())));
    }
}
