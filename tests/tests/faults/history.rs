//! The history after many jobs whose recorder and database were killed over and over.

use std::time::Duration;

use millstream_queue::{Client, State};
use millstream_store::{Recorder, Store};
use millstream_tests::{Postgres, Process, Redis};
use tokio::time::{interval, sleep};

use crate::{
    probe::{self, Act, QUEUE, probe},
    stage::{Operator, eventually, says, scale, worker},
};

const JOBS: u32 = 200_000;
/// Of so many jobs one ends in each other way.
const OF: u32 = 1_000;

/// What the job of this number does, how it ends, and in how many runs.
fn fate(number: u32) -> (Act, State, u32) {
    match number % OF {
        0 => (Act::Fail, State::Dead, 3),
        1 => (Act::Die, State::Dead, 1),
        2 => (Act::Cancel, State::Cancelled, 1),
        3 => (Act::RetryAtOnce, State::Completed, 2),
        4 => (Act::Snooze { ms: 20 }, State::Completed, 2),
        _ => (Act::Quiet, State::Completed, 1),
    }
}

/// A recorder in a process of its own: this test program again, told by its environment to be one.
async fn recorder(redis: &Redis, client: &Client, database: &str) -> Process {
    let process = Process::builder(std::env::current_exe().unwrap())
        .args(["--exact", "history::this_process_as_a_recorder", "--nocapture", "--test-threads=1"])
        .env("RECORDER_REDIS", redis.url())
        .env("RECORDER_NAMESPACE", client.namespace())
        .env("RECORDER_DATABASE", database)
        .spawn()
        .unwrap();
    says(&process, "recording").await;
    process
}

/// Nothing in a test run; a recorder in a process that [`recorder`] started.
#[test]
fn this_process_as_a_recorder() {
    let Ok(redis) = std::env::var("RECORDER_REDIS") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move {
        let client = Client::builder(&redis).namespace(std::env::var("RECORDER_NAMESPACE").unwrap()).await.unwrap();
        let url = std::env::var("RECORDER_DATABASE").unwrap();
        let store = loop {
            match Store::connect(&url).await {
                Ok(store) => break store,
                Err(_) => sleep(Duration::from_millis(50)).await, // it was started while the database was away
            }
        };
        println!("recording");
        let recorder = Recorder::new(client, store).queues([QUEUE]).claim_after(Duration::from_secs(1));
        recorder.run_until(std::future::pending()).await.unwrap();
    });
}

/// Runs all jobs under faults, and compares the history with what happened.
async fn equals_what_happened(database: &str, mut fault: impl AsyncFnMut(u64)) {
    let redis = Redis::start().await.unwrap();
    let store = Store::connect(database).await.unwrap();
    store.migrate().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let operator = Operator::of(&redis).await;
    let _workers = [
        worker(&redis, &client, &[("PROBE_CONCURRENCY", "64")]).await,
        worker(&redis, &client, &[("PROBE_CONCURRENCY", "64")]).await,
    ];
    let mut recording = recorder(&redis, &client, database).await;
    let jobs = JOBS * scale();
    let pushing = tokio::spawn({
        let client = client.clone();
        async move {
            let mut pace = interval(Duration::from_millis(400));
            for first in (0..jobs).step_by(JOBS as usize / 20) {
                pace.tick().await;
                let some = first..first + JOBS / 20;
                client.push_all(some.map(|number| probe(&number.to_string(), fate(number).0))).await.unwrap();
            }
        }
    });

    let keys = client.keys(QUEUE);
    let mut struck = 0;
    let mut beat = interval(Duration::from_millis(1500));
    for round in 0.. {
        beat.tick().await;
        // At work, as long as there is any.
        let unrecorded = async || operator.ask::<u64>(&["XLEN", &keys.done()]).await > 0;
        while !unrecorded().await && !pushing.is_finished() {
            sleep(Duration::from_millis(5)).await;
        }
        recording.kill().await;
        struck += 1;
        fault(round).await;
        recording = recorder(&redis, &client, database).await;
        let waiting = operator.ask::<u64>(&["ZCARD", &keys.later()]).await;
        let ready = operator.ask::<u64>(&["XLEN", &keys.ready(millstream_queue::Lane::Normal)]).await;
        if pushing.is_finished() && waiting + ready == 0 {
            break;
        }
    }
    pushing.await.unwrap();
    assert!(struck > 3, "the recorder was killed at work {struck} times only");
    eventually("all is recorded", async || operator.ask::<u64>(&["XLEN", &keys.done()]).await == 0).await;
    recording.kill().await;

    let history = || store.history().queue(QUEUE);
    assert_eq!(history().count().await.unwrap(), u64::from(jobs), "each job has one row");
    let mut runs = 0;
    for state in [State::Completed, State::Dead, State::Cancelled] {
        let ended = (0..jobs).filter(|number| fate(*number).1 == state).count();
        assert_eq!(history().state(state).count().await.unwrap(), ended as u64, "{state:?}");
    }
    for number in 0..jobs {
        runs += u64::from(fate(number).2);
    }
    let buckets = store.history().statistics().queue(QUEUE).await.unwrap();
    let counted: u64 = buckets.iter().map(|bucket| bucket.runs()).sum();
    assert_eq!(counted, runs, "each run is counted once");
    let counters: (u64, u64) = operator.ask(&["HMGET", &keys.control(), "done:outcomes", "done:bytes"]).await;
    assert_eq!(counters, (0, 0));
    assert_eq!(store.count_rejected().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_equals_what_happened_however_often_postgres_and_the_recorder_are_killed() {
    // A commit is in the server's files when it is answered, so that a crash of the server loses none.
    let postgres = Postgres::start_with(&["synchronous_commit=on"]).await.unwrap();
    let postgres = tokio::sync::Mutex::new(postgres);
    let url = postgres.lock().await.url();
    equals_what_happened(&url, async |round| {
        if round % 2 == 0 {
            let mut postgres = postgres.lock().await;
            postgres.crash().await;
            postgres.restart().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_equals_what_happened_however_often_the_recorder_into_sqlite_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("history.db").display());
    equals_what_happened(&url, async |_| {}).await;
}
