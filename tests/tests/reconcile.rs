//! Redis compared with SQL while real workers run jobs of all fates, and after Redis went back.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::{path::PathBuf, time::Duration};

use millstream_queue::Client;
use millstream_store::{Recorder, Report, Store, Trouble};
use millstream_tests::{Database, Redis};
use probe::{Act, PATIENCE, QUEUE, Running, Said, probe};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

const ROUNDS: u32 = 20;
const OF_A_ROUND: u32 = 300;
/// Until long after the test, so that what waits is compared.
const LONG: u64 = 600_000;

/// What the job of this number does.
fn act(number: u32) -> Act {
    match number % 30 {
        0 => Act::Fail,
        1 => Act::Die,
        2 => Act::Cancel,
        3 => Act::RetryAtOnce,
        4 => Act::RetryIn { ms: 300 },
        5 => Act::Snooze { ms: 200 },
        6 => Act::Sleep { ms: 100 },
        7 if number.is_multiple_of(4) => Act::RetryIn { ms: LONG },
        7 if number % 4 == 2 => Act::Snooze { ms: LONG },
        _ => Act::Quiet,
    }
}

/// Two workers and a recorder.
struct House {
    workers: Vec<(Running, Said)>,
    stop: oneshot::Sender<()>,
    recording: JoinHandle<Result<(), millstream_store::Error>>,
}

impl House {
    fn start(client: &Client, store: &Store) -> Self {
        let worker = |_| {
            let (worker, said) = probe::worker(client);
            (Running::start(worker.concurrency(QUEUE, 16)), said)
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let recorder = Recorder::new(client.clone(), store.clone()).queues([QUEUE]);
        Self { workers: (0..2).map(worker).collect(), stop, recording: tokio::spawn(recorder.run_until(shutdown)) }
    }

    /// Waits until nothing is to do, and stops all.
    async fn finish(self, client: &Client) {
        let mut conn = client.connection().await.unwrap();
        let keys = client.keys(QUEUE);
        let finishing = async {
            loop {
                let soon = (chrono::Utc::now() + chrono::TimeDelta::minutes(1)).timestamp_millis();
                let left: (u64, u64, u64) = redis::pipe()
                    .zcount(keys.later(), "-inf", soon)
                    .xlen(keys.ready(millstream_queue::Lane::Normal))
                    .xlen(keys.done())
                    .query_async(&mut conn)
                    .await
                    .unwrap();
                if left == (0, 0, 0) {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, finishing).await.expect("all is run and recorded");
        for (worker, _) in self.workers {
            worker.stop().await;
        }
        self.stop.send(()).unwrap();
        self.recording.await.unwrap().unwrap();
    }
}

async fn compared(store: &Store, client: &Client) -> Report {
    store.reconcile(client).await.unwrap()
}

async fn assert_fits(store: &Store, client: &Client) {
    let report = compared(store, client).await;
    assert!(report.is_clean(), "{report}");
}

/// The append-only file that grows.
fn tail_of_aof(redis: &Redis) -> PathBuf {
    let files = std::fs::read_dir(redis.dir().join("appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap()
}

async fn fits_under_load_and_tells_when_redis_goes_back(database: Database) {
    let mut redis = Redis::builder().aof(true).start().await.unwrap();
    let store = Store::connect(&database.url).await.unwrap();
    store.migrate().await.unwrap();
    let client = probe::client(&redis.url()).await;
    assert_fits(&store, &client).await;

    let house = House::start(&client, &store);
    let pushing = async {
        for round in 0..ROUNDS {
            let numbers = round * OF_A_ROUND..(round + 1) * OF_A_ROUND;
            client.push_all(numbers.map(|number| probe(&number.to_string(), act(number)))).await.unwrap();
            client.push(probe("delayed", Act::Quiet)).after(Duration::from_millis(500)).await.unwrap();
            client.push(probe("waits", Act::Quiet)).after(Duration::from_millis(LONG)).await.unwrap();
            sleep(Duration::from_millis(250)).await;
        }
    };
    let comparing = async {
        for _ in 0..20 {
            assert_fits(&store, &client).await;
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::join!(pushing, comparing);
    house.finish(&client).await;
    assert_fits(&store, &client).await;

    // Of some jobs Redis forgets that they have ended, of others that they were; those that snoozed are ready once more, which is no loss.
    client.push_all((0..30).map(|number| probe(&number.to_string(), Act::Quiet))).await.unwrap();
    client.push_all((0..5).map(|number| probe(&number.to_string(), Act::Snooze { ms: LONG }))).await.unwrap();
    let length = std::fs::metadata(tail_of_aof(&redis)).unwrap().len();
    client.push_all((0..7).map(|number| probe(&number.to_string(), Act::Quiet))).await.unwrap();
    House::start(&client, &store).finish(&client).await;
    assert_fits(&store, &client).await;
    redis.kill().await;
    std::fs::OpenOptions::new().write(true).open(tail_of_aof(&redis)).unwrap().set_len(length).unwrap();
    redis.restart().await.unwrap();
    let back = async {
        while client.queues().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.unwrap();

    let report = compared(&store, &client).await;
    let lost = report.findings.iter().find(|one| one.trouble == Trouble::RedisLost && one.found.contains("normal"));
    let lost = lost.unwrap_or_else(|| panic!("entries of the lane are lost: {report}"));
    assert_eq!((lost.count, lost.queue.as_deref()), (7, Some(QUEUE)), "{report}");
    assert!(lost.cause.contains("append-only file"), "{report}");
    let again = report.findings.iter().find(|one| one.trouble == Trouble::EndedYetWaiting);
    assert_eq!(again.map(|one| one.count), Some(30), "{report}");
    assert_eq!(report.findings.iter().filter(|one| one.trouble == Trouble::WaitingNotInRedis).count(), 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_fits_postgres_under_load_and_what_it_forgets_is_told() {
    fits_under_load_and_tells_when_redis_goes_back(Database::postgres().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_fits_sqlite_under_load_and_what_it_forgets_is_told() {
    fits_under_load_and_tells_when_redis_goes_back(Database::sqlite().unwrap()).await;
}
