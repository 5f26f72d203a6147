use std::time::Duration;

use millstream_queue::{Client, Outcome};
use millstream_store::{Recorder, Store};
use millstream_tests::{Postgres, Redis, namespace, shared_redis};
use uuid::Uuid;

use crate::{
    database::{Database, on_both},
    packs::{Queue, Recording, outcome, until},
};

on_both! {
    async fn a_recorder_registers_before_the_first_push_and_finds_new_queues(database: Database) {
        let store = database.migrated().await;
        let url = shared_redis().await.expect("a Redis");
        let client = Client::builder(&url).namespace(namespace()).await.expect("a client");
        let recorder = Recorder::new(client.clone(), store.clone()).queues(["photos"]);
        recorder.register().await.expect("registered");
        assert_eq!(client.queues().await.expect("the registry"), ["photos"]);

        let queue = Queue { client: client.clone() };
        queue.finish(&[outcome(1)]).await;
        // Not known to the recorder by name, only by the registry.
        client.record("mail").await.expect("registered");
        let recording = Recording::start(recorder).await;
        queue.drained().await;
        recording.stop().await;
    }

    async fn a_name_that_no_queue_can_have_is_refused(database: Database) {
        let store = database.migrated().await;
        let url = shared_redis().await.expect("a Redis");
        let client = Client::builder(&url).namespace(namespace()).await.expect("a client");
        let recorder = Recorder::new(client, store).queues(["a{b}"]);
        let error = recorder.register().await.expect_err("refused");
        assert!(error.to_string().contains("a{b}"), "{error}");
    }

    async fn groups_lost_to_flushall_come_back(database: Database) {
        let store = database.migrated().await;
        let redis = Redis::start().await.expect("a Redis");
        let queue = Queue::on(&redis.url()).await;
        let recorder = Recorder::new(queue.client.clone(), store.clone()).queues(["photos"]);
        let recording = Recording::start(recorder).await;
        queue.finish(&[outcome(1)]).await;
        queue.drained().await;
        let mut conn = queue.client.connection().await.expect("a connection");
        let _: () = redis::cmd("FLUSHALL").query_async(&mut conn).await.expect("flushed");
        queue.finish(&[outcome(2)]).await;
        until(async || store.history().count().await.expect("a count") == 2).await;
        queue.drained().await;
        recording.stop().await;
    }

    async fn nothing_is_acknowledged_before_it_is_recorded(database: Database) {
        let (store, queue) = (database.store().await, Queue::new().await);
        queue.finish(&[outcome(1), outcome(2)]).await;
        // Without tables nothing can be written; the recorder waits for whoever migrates.
        let recording = queue.recorder(&store).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((queue.packs().await, queue.counters().await.0), (1, 2));
        store.migrate().await.expect("migrations");
        queue.drained().await;
        recording.stop().await;
        assert_eq!(store.history().count().await.expect("a count"), 2);
    }

    async fn a_recorder_that_is_dropped_loses_nothing(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        for id in 0..40 {
            queue.finish(&[outcome(id)]).await;
            if id % 10 == 0 {
                queue.recorder(&store).await.abort();
            }
        }
        let recorder = Recorder::new(queue.client.clone(), store.clone()).claim_after(Duration::from_millis(100));
        let recording = Recording::start(recorder).await;
        queue.drained().await;
        recording.stop().await;
        assert_eq!(store.history().count().await.expect("a count"), 40);
        assert_eq!(queue.counters().await, (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_backends_are_replaced() {
    let server = Postgres::start().await.expect("a Postgres");
    let url = server.database("frozen").await.expect("a database");
    let store = Store::connect(&url).await.expect("a store");
    store.migrate().await.expect("migrations");
    let queue = Queue::new().await;
    let recording = queue.recorder(&store).await;
    queue.finish(&[outcome(1)]).await;
    queue.drained().await;

    // A backend that is terminated under the recorder is replaced.
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a second connection");
    tokio::spawn(connection);
    client
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millstream'")
        .await
        .expect("terminated");
    for id in 2..10 {
        queue.finish(&[outcome(id)]).await;
    }
    queue.drained().await;
    recording.stop().await;
    assert_eq!(store.history().count().await.expect("a count"), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_restarts_gets_every_outcome_once() {
    let mut server = Postgres::start().await.expect("a Postgres");
    let store = Store::connect(&server.url()).await.expect("a store");
    store.migrate().await.expect("migrations");
    let queue = Queue::new().await;
    let recording = queue.recorder(&store).await;
    for round in 0..3 {
        for id in 0..20 {
            queue.finish(&[outcome(round * 20 + id)]).await;
        }
        server.restart().await.expect("restarted");
    }
    queue.drained().await;
    recording.stop().await;
    assert_eq!(store.history().count().await.expect("a count"), 60);
    assert_eq!(queue.counters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_restarts_is_waited_for() {
    let database = Database::sqlite().await;
    let store = database.migrated().await;
    let mut redis = Redis::builder().aof(true).start().await.expect("a Redis");
    let queue = Queue::on(&redis.url()).await;
    let recording = queue.recorder(&store).await;
    queue.finish(&[outcome(1)]).await;
    queue.drained().await;
    redis.kill().await;
    redis.restart().await.expect("restarted");
    until(async || queue.client.queues().await.is_ok()).await;
    queue.finish(&[outcome(2)]).await;
    queue.drained().await;
    recording.stop().await;
    assert_eq!(store.history().count().await.expect("a count"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_is_set_aside_alone() {
    let database = Database::postgres().await;
    let (store, queue) = (database.migrated().await, Queue::new().await);
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
        .batch_execute("ALTER TABLE millstream_attempts ADD CHECK (worker <> 'cursed')")
        .await
        .expect("a rule of the operator's own");
    let mut outcomes: Vec<Outcome> = (1..=99).map(outcome).collect();
    outcomes.insert(42, Outcome { worker: "cursed".into(), ..outcome(1000) });
    queue.finish(&outcomes).await;
    queue.record_into(&store).await;
    assert_eq!(store.history().count().await.expect("a count"), 99);
    assert_eq!(store.count_rejected().await.expect("a count"), 1);

    let row = client.query_one("SELECT job_id, reason, body FROM millstream_rejected", &[]).await.expect("it is there");
    assert_eq!(row.get::<_, Uuid>(0), Uuid::from_u128(1000));
    assert!(row.get::<_, &str>(1).contains("millstream_attempts_worker_check"), "{}", row.get::<_, &str>(1));
    assert_eq!(Outcome::decode_pack(row.get(2)).expect("a pack"), [outcomes.remove(42)]);
}
