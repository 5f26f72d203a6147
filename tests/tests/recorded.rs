//! What a real worker's jobs leave in the history, by what their types declare.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use millstream_queue::{Client, History, Job, State};
use millstream_store::{JobRecord, Recorder, Store};
use millstream_tests::{Database, on_both, shared_redis};
use millstream_worker::{self as worker, Context, Failure, Worker};
use probe::{PATIENCE, QUEUE};
use serde::{Deserialize, Serialize};

/// Job types that differ in what the history keeps of them.
macro_rules! kept {
    ($($name:ident $kind:literal $history:ident)+) => {$(
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct $name {
            user: u32,
            fails: bool,
        }

        impl Job for $name {
            const KIND: &'static str = $kind;
            const QUEUE: &'static str = QUEUE;
            const HISTORY: History = History::$history;
            const SEARCHABLE: &'static [&'static str] = &["user"];
        }

        impl $name {
            /// One job that completes with a result, and one that dies.
            async fn push(client: &Client) {
                client.push($name { user: 7, fails: false }).await.unwrap();
                client.push($name { user: 8, fails: true }).await.unwrap();
            }

            async fn run(job: $name, _: Context<()>) -> worker::Result<u32> {
                if job.fails { Err(Failure::dead("hopeless")) } else { Ok(job.user * 6) }
            }
        }
    )+};
}

kept! { Whole "whole" All  Facts "facts" Facts  Failing "failing" Failures  Unseen "unseen" Nothing }

/// Runs two jobs of each type, and records what they leave.
async fn recorded(store: &Store) -> Client {
    store.migrate().await.unwrap();
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let (stop_recorder, recorder_stopped) = tokio::sync::oneshot::channel::<()>();
    let (stop_worker, worker_stopped) = tokio::sync::oneshot::channel::<()>();
    // It runs before the worker declares anything.
    let recorder = Recorder::new(client.clone(), store.clone()).queues([QUEUE]);
    recorder.register().await.unwrap();
    let recorder = tokio::spawn(recorder.run_until(async move { drop(recorder_stopped.await) }));
    let worker =
        Worker::new(client.clone(), ()).handle(Whole::run).handle(Facts::run).handle(Failing::run).handle(Unseen::run);
    let worker = tokio::spawn(worker.lease(probe::LEASE).run_until(worker_stopped));
    Unseen::push(&client).await;
    Whole::push(&client).await;
    Facts::push(&client).await;
    Failing::push(&client).await;
    let all_recorded = async {
        while store.history().count().await.unwrap() < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_recorded).await.expect("five jobs in the history");
    drop(stop_worker);
    worker.await.unwrap().unwrap();
    // The worker has handed in all it had; a recorder that stops has recorded what it read.
    let all_read = async {
        while client.unrecorded(QUEUE).await.unwrap().outcomes > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_read).await.expect("everything is recorded");
    drop(stop_recorder);
    recorder.await.unwrap().unwrap();
    client
}

/// Its only row in the state.
async fn only<J: Job>(store: &Store, state: State) -> JobRecord {
    let mut page = store.history().job::<J>().state(state).await.unwrap();
    assert_eq!(page.rows.len(), 1, "{} {state:?}", J::KIND);
    page.rows.remove(0)
}

async fn found<J: Job>(store: &Store, user: u32) -> u64 {
    let found = store.history().job::<J>().field("user", user);
    let count = found.clone().count().await.unwrap();
    assert_eq!(found.await.unwrap().rows.len() as u64, count);
    count
}

on_both! {
    async fn a_job_type_decides_what_the_history_keeps_and_is_searched_by(database: Database) {
        let store = Store::connect(&database.url).await.unwrap();
        let client = recorded(&store).await;

        let whole = only::<Whole>(&store, State::Completed).await;
        assert_eq!(whole.payload::<Whole>().unwrap(), Whole { user: 7, fails: false });
        assert_eq!(whole.result_bytes(), Some(&b"42"[..]));
        let dead = only::<Whole>(&store, State::Dead).await;
        assert_eq!((dead.error.as_deref(), dead.payload_bytes().is_some()), (Some("hopeless"), true));

        for state in [State::Completed, State::Dead] {
            let facts = only::<Facts>(&store, state).await;
            assert_eq!((facts.payload_bytes(), facts.result_bytes()), (None, None), "{state:?}");
            assert_eq!(store.history().attempts(facts.id).await.unwrap().len(), 1);
        }
        assert_eq!(only::<Facts>(&store, State::Dead).await.error.as_deref(), Some("hopeless"));

        let failing = only::<Failing>(&store, State::Dead).await;
        assert_eq!(failing.payload::<Failing>().unwrap(), Failing { user: 8, fails: true });
        assert_eq!(store.history().job::<Failing>().count().await.unwrap(), 1);
        assert_eq!(store.history().job::<Unseen>().count().await.unwrap(), 0);

        // Declared by the worker alone, and found where a payload was kept.
        assert_eq!(client.searchable(QUEUE).await.unwrap().len(), 4);
        assert_eq!([found::<Whole>(&store, 7).await, found::<Whole>(&store, 8).await], [1, 1]);
        assert_eq!([found::<Failing>(&store, 7).await, found::<Failing>(&store, 8).await], [0, 1]);
        assert_eq!([found::<Facts>(&store, 7).await, found::<Unseen>(&store, 8).await], [0, 0]);
    }
}
