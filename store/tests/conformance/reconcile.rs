use std::path::PathBuf;

use millstream_queue::{Client, Job, State};
use millstream_store::{Report, Store, Trouble};
use millstream_tests::Redis;
use serde::{Deserialize, Serialize};

use crate::{
    database::{on_both, sql},
    packs::{Queue, outcome, run, until},
    state::sql_write,
};

#[derive(Serialize, Deserialize)]
pub(crate) struct Resize {
    pub(crate) photo: u32,
}
impl Job for Resize {
    const KIND: &'static str = "resize";
    const QUEUE: &'static str = "photos";
}

async fn push(client: &Client, count: u32) {
    client.push_all((0..count).map(|photo| Resize { photo })).await.expect("pushed");
}

pub(crate) async fn compared(store: &Store, queue: &Queue) -> Report {
    store.reconcile(&queue.client).await.expect("compared")
}

/// What was found, and that all fits once it is accepted.
async fn found_once(store: &Store, queue: &Queue) -> Report {
    let report = compared(store, queue).await;
    assert_eq!(compared(store, queue).await.findings.len(), report.findings.len(), "it stays until it is accepted");
    store.accept_losses().await.expect("accepted");
    let left = compared(store, queue).await;
    assert!(left.is_clean(), "{left}");
    report
}

pub(crate) async fn do_on(queue: &Queue, command: &str, arguments: &[&str]) {
    let mut conn = queue.client.connection().await.expect("a connection");
    redis::cmd(command).arg(arguments).exec_async(&mut conn).await.expect("done");
}

/// The append-only file that grows.
fn tail_of_aof(redis: &Redis) -> PathBuf {
    let folder = std::fs::read_dir(redis.dir().join("appendonlydir")).expect("the folder");
    let mut files = folder.map(|entry| entry.expect("an entry").path());
    files.find(|path| path.to_string_lossy().ends_with(".incr.aof")).expect("a file that grows")
}

on_both! {
    async fn all_fits_while_jobs_come_and_outcomes_go(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let recording = queue.recorder(&store).await;
        let (client, done) = (queue.client.clone(), tokio_util::sync::CancellationToken::new());
        let finishing = tokio::spawn({
            let (queue, done) = (Queue { client: client.clone() }, done.clone());
            async move {
                let mut id = 0;
                while !done.is_cancelled() {
                    id += 1;
                    queue.finish(&[outcome(id)]).await;
                    push(&queue.client, 20).await;
                }
            }
        });
        let looks = (0..3).map(|_| async {
            for _ in 0..15 {
                let report = compared(&store, &queue).await;
                assert!(report.is_clean(), "{report}");
            }
        });
        futures::future::join_all(looks).await;
        done.cancel();
        finishing.await.expect("no panic");
        queue.drained().await;
        recording.stop().await;
        assert!(compared(&store, &queue).await.is_clean());
    }

    async fn a_truncated_end_of_the_append_only_file_is_reported_with_its_count(database: Database) {
        let store = database.migrated().await;
        let mut redis = Redis::builder().aof(true).start().await.expect("a Redis");
        let queue = Queue::on(&redis.url()).await;
        push(&queue.client, 5).await;
        let length = std::fs::metadata(tail_of_aof(&redis)).expect("a file").len();
        push(&queue.client, 7).await;
        assert!(compared(&store, &queue).await.is_clean());
        redis.kill().await;
        let file = std::fs::OpenOptions::new().write(true).open(tail_of_aof(&redis)).expect("opened");
        file.set_len(length).expect("cut");
        redis.restart().await.expect("it starts again");
        until(async || queue.client.queues().await.is_ok()).await;
        let report = found_once(&store, &queue).await;
        let finding = report.findings.iter().find(|one| one.trouble == Trouble::RedisLost).expect("found");
        assert_eq!((finding.count, finding.queue.as_deref()), (7, Some("photos")), "{report}");
        assert!(finding.cause.contains("append-only file"), "{report}");
        assert!(report.to_string().contains("lost at least 7 acknowledged entries of normal"), "{report}");
    }

    async fn flushall_is_reported(database: Database) {
        let store = database.migrated().await;
        let redis = Redis::start().await.expect("a Redis");
        let queue = Queue::on(&redis.url()).await;
        push(&queue.client, 9).await;
        assert!(compared(&store, &queue).await.is_clean());
        do_on(&queue, "FLUSHALL", &[]).await;
        push(&queue.client, 2).await;
        let report = found_once(&store, &queue).await;
        let finding = report.findings.iter().find(|one| one.trouble == Trouble::RedisLost).expect("found");
        assert_eq!(finding.count, 7, "{report}");
        assert!(finding.cause.contains("FLUSHALL"), "{report}");
    }

    async fn outcomes_deleted_by_hand_are_reported(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.finish(&[outcome(1), outcome(2), outcome(3)]).await;
        let waiting = compared(&store, &queue).await;
        assert_eq!(waiting.findings.len(), 1, "{waiting}");
        assert_eq!((waiting.findings[0].trouble, waiting.findings[0].count), (Trouble::NotRecorded, 3), "{waiting}");
        do_on(&queue, "DEL", &[&queue.client.keys("photos").done()]).await;
        let report = compared(&store, &queue).await;
        let finding = report.findings.iter().find(|one| one.trouble == Trouble::OutcomesGone).expect("found");
        assert_eq!(finding.count, 3, "{report}");
        assert!(report.findings.iter().any(|one| one.trouble == Trouble::RedisLost), "{report}");
        do_on(&queue, "HSET", &[&queue.client.keys("photos").control(), "done:outcomes", "0"]).await;
        found_once(&store, &queue).await;
    }

    async fn a_database_of_an_older_backup_is_reported(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        compared(&store, &queue).await;
        let version = sql(&store, "SELECT version FROM millstream_watermarks").await.expect("a number");
        for _ in 0..3 {
            assert!(compared(&store, &queue).await.is_clean());
        }
        sql_write(&store, &format!("UPDATE millstream_watermarks SET version = {version}")).await;
        let report = found_once(&store, &queue).await;
        assert_eq!(report.findings[0].trouble, Trouble::SqlLost, "{report}");
        assert!(report.findings[0].cause.contains("older backup"), "{report}");
        sql_write(&store, "DELETE FROM millstream_watermarks").await;
        assert_eq!(found_once(&store, &queue).await.findings[0].trouble, Trouble::SqlLost);
    }

    async fn a_job_that_waits_in_sql_alone_is_reported(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        compared(&store, &queue).await;
        let next_ms = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).timestamp_millis();
        let mut retry = run(7, 1, State::Failed);
        retry.next_ms = Some(next_ms);
        queue.finish(&[retry.clone()]).await;
        let (later, jobs) = (queue.client.keys("photos").later(), queue.client.keys("photos").later_jobs());
        do_on(&queue, "ZADD", &[&later, &next_ms.to_string(), &retry.id.to_string()]).await;
        do_on(&queue, "HSET", &[&jobs, &retry.id.to_string(), "a job"]).await;
        queue.record_into(&store).await;
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
        do_on(&queue, "DEL", &[&later, &jobs]).await;
        let report = compared(&store, &queue).await;
        assert_eq!(report.findings.len(), 2, "{report}");
        assert_eq!((report.findings[0].trouble, &*report.findings[0].ids), (Trouble::WaitingNotInRedis, &[retry.id][..]));
        assert_eq!((report.findings[1].trouble, report.findings[1].count), (Trouble::TakenFromLater, 1), "{report}");
    }

    async fn what_a_recorder_saw_is_reported_after_redis_grew_again(database: Database) {
        let store = database.migrated().await;
        let redis = Redis::start().await.expect("a Redis");
        let queue = Queue::on(&redis.url()).await;
        push(&queue.client, 3).await;
        let marked = || sql(&store, "SELECT coalesce(max(version), 0) FROM millstream_watermarks");
        let recording = queue.recorder(&store).await;
        until(async || marked().await.is_ok_and(|version| version > 0)).await;
        do_on(&queue, "FLUSHALL", &[]).await;
        let before = marked().await.expect("a number");
        until(async || marked().await.is_ok_and(|version| version > before)).await;
        push(&queue.client, 50).await;
        recording.stop().await;
        let report = found_once(&store, &queue).await;
        assert!(report.findings.iter().any(|one| one.trouble == Trouble::RedisLost && one.count == 3), "{report}");
    }
}
