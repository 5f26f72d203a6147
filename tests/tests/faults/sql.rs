//! The database of the history away while jobs run.

use std::time::{Duration, Instant};

use millstream_queue::{Client, Lane, State};
use millstream_store::{Recorder, Store};
use millstream_tests::{Postgres, Redis};
use tokio::{sync::oneshot, time::interval};

use crate::{
    probe::{self, Act, QUEUE, probe},
    stage::{Operator, eventually, scale, worker},
};

const ROUNDS: u32 = 100;
const JOBS: u32 = 1_000;

/// Pushes a round of jobs and waits until each is finished.
async fn run_a_round(client: &Client, operator: &Operator) -> Duration {
    let began = Instant::now();
    client.push_all((0..JOBS).map(|_| probe("round", Act::Quiet))).await.unwrap();
    let normal = client.keys(QUEUE).ready(Lane::Normal);
    eventually("a round's end", async || operator.ask::<u64>(&["XLEN", &normal]).await == 0).await;
    began.elapsed()
}

/// A hundred rounds spread over `length`, so that the bound of what waits for a recorder is not met; the jobs a second
/// while they ran.
async fn run_for(length: Duration, client: &Client, operator: &Operator) -> f64 {
    let (mut pace, mut busy) = (interval(length / ROUNDS), Duration::ZERO);
    for _ in 0..ROUNDS {
        pace.tick().await;
        busy += run_a_round(client, operator).await;
    }
    f64::from(ROUNDS * JOBS) / busy.as_secs_f64()
}

/// Jobs run while the database is away, and when it is back its history has every one of them.
async fn jobs_run_while(away: impl AsyncFnOnce(&mut Postgres), back: impl AsyncFnOnce(&mut Postgres)) {
    let redis = Redis::start().await.unwrap();
    let mut postgres = Postgres::start().await.unwrap();
    let store = Store::connect(&postgres.url()).await.unwrap();
    store.migrate().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let operator = Operator::of(&redis).await;
    let _worker = worker(&redis, &client, &[("PROBE_CONCURRENCY", "64")]).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let recorder = Recorder::new(client.clone(), store.clone()).queues([QUEUE]);
    let recording = tokio::spawn(recorder.run_until(async move { drop(stopped.await) }));
    let length = Duration::from_secs(2) * scale();
    let usual = run_for(length, &client, &operator).await;

    away(&mut postgres).await;
    let without = run_for(3 * length, &client, &operator).await;
    back(&mut postgres).await;

    println!("{usual:.0} jobs/s with Postgres, {without:.0} jobs/s without");
    let done = client.keys(QUEUE).done();
    eventually("all is recorded", async || operator.ask::<u64>(&["XLEN", &done]).await == 0).await;
    let completed = store.history().queue(QUEUE).state(State::Completed).count().await.unwrap();
    assert_eq!(completed, u64::from(2 * ROUNDS * JOBS));
    assert_eq!(store.history().count().await.unwrap(), completed, "something else was recorded");
    drop(stop);
    recording.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_on_while_postgres_hangs_and_the_history_catches_up() {
    jobs_run_while(async |postgres| postgres.freeze().await.unwrap(), async |postgres| postgres.thaw().await.unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_on_while_postgres_is_down_and_the_history_catches_up() {
    jobs_run_while(async |postgres| postgres.end().await, async |postgres| postgres.restart().await.unwrap()).await;
}
