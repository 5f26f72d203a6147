//! The books of what leaves a queue's streams, while everything that may delete an entry does so at once: workers that are
//! killed and rescued from, that stop and hand back, retries, delays, unique keys, cancels, revivals and a recorder.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use millstream_queue::{Client, Conflict, Filter, Lane, Priority, State, Unique, keys::WORKERS};
use millstream_store::{Recorder, Report, Store, Trouble};
use millstream_tests::{Database, Process, shared_redis};
use probe::{Act, Outcomes, PATIENCE, QUEUE, Running, assert_empty, balance, probe};
use tokio::{sync::oneshot, time::sleep};

const ROUNDS: u32 = 24;
const PAUSE: Duration = Duration::from_millis(250);
const KEY: Unique = Unique::until_finished().by(&["name"]);

/// What the job of this number does.
fn act(number: u32) -> Act {
    match number % 40 {
        0 => Act::Fail,
        1 => Act::Die,
        2 => Act::Cancel,
        3 => Act::RetryAtOnce,
        4 => Act::RetryIn { ms: 200 },
        5 => Act::Snooze { ms: 200 },
        6..=9 => Act::Sleep { ms: 300 },
        _ => Act::Quiet,
    }
}

/// One round of all that can be asked of a queue.
async fn push(client: &Client, round: u32) {
    let numbers = round * 400..(round + 1) * 400;
    for (at, priority) in [Priority::High, Priority::Normal, Priority::Low].into_iter().enumerate() {
        let some = numbers.clone().filter(|number| *number as usize % 3 == at);
        client.push_all(some.map(|number| probe(&number.to_string(), act(number)))).priority(priority).await.unwrap();
    }
    for conflict in [Conflict::Replace, Conflict::Debounce, Conflict::Replace] {
        let unique = KEY.on_conflict(conflict);
        client.push(probe("unique", Act::Quiet)).unique(unique).await.unwrap();
        client.push(probe("unique later", Act::Quiet)).after(PAUSE).unique(unique).await.unwrap();
    }
    // The last one outlives all requests to cancel, and kills three workers.
    if round % 6 == 4 {
        client.push(probe("poison", Act::Abort)).await.unwrap();
    }
    let doomed = client.push(probe("cancelled", Act::Sleep { ms: 5_000 })).await.unwrap();
    client.cancel(QUEUE, doomed).await.unwrap();
    if round % 8 == 5 {
        client.cancel_all(QUEUE).await.unwrap();
    }
    let dead = client.dead_letters(QUEUE);
    if round % 8 == 3 {
        dead.delete_all(&Filter::default()).await.unwrap();
    } else {
        dead.retry_all(&Filter::default()).await.unwrap();
    }
}

/// Worker processes, which jobs kill too.
struct Fleet {
    url: String,
    client: Client,
    processes: Vec<Process>,
}

impl Fleet {
    fn start(url: &str, client: &Client) -> Self {
        let processes = (0..3).map(|_| Self::process(url, client)).collect();
        Self { url: url.to_owned(), client: client.clone(), processes }
    }

    fn process(url: &str, client: &Client) -> Process {
        probe::process(url, client, &[("PROBE_CONCURRENCY", "16"), ("PROBE_GRACE_MS", "100")])
    }

    /// In turn one is killed, and one is asked to stop, which hands back what it can't finish in time.
    async fn turmoil(&mut self) {
        for turn in 0.. {
            sleep(Duration::from_millis(500)).await;
            let process = &mut self.processes[turn % 3];
            if turn % 2 == 0 {
                process.kill().await;
            } else {
                process.shut_down(PATIENCE).await;
            }
            self.replace_the_dead();
        }
    }

    fn replace_the_dead(&mut self) {
        for process in &mut self.processes {
            if process.try_exited().is_some() {
                *process = Self::process(&self.url, &self.client);
            }
        }
    }
}

async fn compared(store: &Store, client: &Client) -> Report {
    store.reconcile(client).await.unwrap()
}

async fn assert_fits(store: &Store, client: &Client) {
    let report = compared(store, client).await;
    assert!(report.is_clean(), "{report}");
}

async fn waiting(client: &Client) -> u64 {
    let (keys, mut conn) = (client.keys(QUEUE), client.connection().await.unwrap());
    let mut ask = redis::pipe();
    ask.zcard(keys.later()).xlen(keys.done());
    for lane in Lane::ALL {
        ask.xlen(keys.ready(lane));
    }
    ask.query_async::<Vec<u64>>(&mut conn).await.unwrap().iter().sum()
}

async fn books_balance_through_turmoil(database: Database) {
    let url = shared_redis().await.unwrap();
    let store = Store::connect(&database.url).await.unwrap();
    store.migrate().await.unwrap();
    let client = probe::client(&url).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let recorder = Recorder::new(client.clone(), store.clone()).queues([QUEUE]);
    let recording = tokio::spawn(recorder.run_until(async move { drop(stopped.await) }));
    assert_fits(&store, &client).await;

    let mut fleet = Fleet::start(&url, &client);
    let pushing = async {
        for round in 0..ROUNDS {
            push(&client, round).await;
            assert_fits(&store, &client).await;
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = pushing => {}
        () = fleet.turmoil() => {}
    }
    let finishing = async {
        while waiting(&client).await > 0 {
            fleet.replace_the_dead();
            assert_fits(&store, &client).await;
            sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, finishing).await.expect("all is run and recorded");
    let report = compared(&store, &client).await;
    assert!(report.is_clean() && report.unbooked.is_empty(), "{report} {:?}", report.unbooked);
    for (place, found, noted) in balance(&client).await {
        assert_eq!(found, noted, "{place}");
        assert!(found > 0 || place == "later", "{place} was used");
    }

    // What nobody but the books can know: one of many entries is gone.
    for mut process in fleet.processes {
        process.shut_down(PATIENCE).await;
    }
    client.push_all((0..100).map(|number| probe(&number.to_string(), Act::Quiet))).await.unwrap();
    assert_fits(&store, &client).await;
    let mut conn = client.connection().await.unwrap();
    let trimmed: i64 = redis::cmd("XTRIM")
        .arg(client.keys(QUEUE).ready(Lane::Normal))
        .arg("MAXLEN")
        .arg(99)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(trimmed, 1);
    let report = compared(&store, &client).await;
    let [taken] = &*report.findings else { panic!("one finding is expected: {report}") };
    assert_eq!((taken.trouble, taken.count), (Trouble::TakenFromLane, 1), "{report}");
    assert!(taken.cause.contains("XTRIM"), "{report}");
    stop.send(()).unwrap();
    recording.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_lanes_balances_in_postgres_while_workers_are_killed_and_all_else_happens() {
    books_balance_through_turmoil(Database::postgres().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_lanes_balances_in_sqlite_while_workers_are_killed_and_all_else_happens() {
    books_balance_through_turmoil(Database::sqlite().unwrap()).await;
}

#[tokio::test]
async fn an_entry_that_was_acknowledged_by_hand_ends_once_and_is_in_the_books() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let (worker, mut said) = probe::worker(&client);
    let worker = Running::start(worker);
    client.push(probe("held", Act::Sleep { ms: 500 })).await.unwrap();
    said.wait_for("started held attempt 1 run 1").await;
    let (lane, mut conn) = (client.keys(QUEUE).ready(Lane::Normal), client.connection().await.unwrap());
    let entries: Vec<(String, Vec<String>)> =
        redis::cmd("XRANGE").arg(&lane).arg("-").arg("+").query_async(&mut conn).await.unwrap();
    let acknowledged: i64 =
        redis::cmd("XACK").arg(&lane).arg(WORKERS).arg(&entries[0].0).query_async(&mut conn).await.unwrap();
    assert_eq!(acknowledged, 1);
    assert_eq!(Outcomes::of(&client).next().await.state, State::Completed);
    worker.stop().await;
    assert_empty(&client).await;
}
