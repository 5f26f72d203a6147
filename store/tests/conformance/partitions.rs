//! Partitions that several recorders need at the same time.

use chrono::{TimeDelta, Utc};
use millstream_queue::Outcome;
use millstream_store::History;

use crate::{
    database::{Database, sql},
    packs::{Queue, outcome, until},
};

const WEEKS: u128 = 20;
const OF_EACH: u128 = 50;

async fn all_pages(history: History) -> Vec<u128> {
    let mut seen = Vec::new();
    let mut page = history.clone().limit(300).await.expect("a page");
    loop {
        seen.extend(page.rows.iter().map(|row| row.id.as_u128()));
        let Some(next) = page.next else { return seen };
        page = history.clone().limit(300).after(&next).await.expect("a page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorders_that_make_the_same_partitions_at_once_record_each_job_once() {
    let database = Database::postgres().await;
    let store = database.migrated().await;
    let now = Utc::now();
    // Each has a queue of the same jobs' weeks, and connections and knowledge of its own.
    let mut recordings = Vec::new();
    let mut queues = Vec::new();
    for recorder in 0..4_u128 {
        let queue = Queue::new().await;
        for week in 0..WEEKS {
            let enqueued = now - TimeDelta::weeks(week as i64);
            let job = |number: u128| Outcome {
                enqueued_ms: enqueued.timestamp_millis(),
                finished_us: enqueued.timestamp_micros() + number as i64,
                ..outcome(1 + number + OF_EACH * (week + WEEKS * recorder))
            };
            queue.finish(&(0..OF_EACH).map(job).collect::<Vec<_>>()).await;
        }
        queues.push((queue, database.store().await));
    }
    for (queue, store) in &queues {
        recordings.push(queue.recorder(store).await);
    }
    until(async || {
        for (queue, _) in &queues {
            if queue.packs().await > 0 {
                return false;
            }
        }
        true
    })
    .await;
    for recording in recordings {
        recording.stop().await;
    }
    let all = 4 * WEEKS * OF_EACH;
    assert_eq!(store.count_rejected().await.expect("a count"), 0);
    assert_eq!(sql(&store, "SELECT count(*) FROM millstream_attempts").await.expect("a count"), all as i64);
    let mut seen = all_pages(store.history()).await;
    assert_eq!(seen.len() as u128, all);
    seen.sort_unstable();
    assert_eq!(seen, (1..=all).collect::<Vec<_>>());
    // Who is not let have its turn in time leaves rows to the partition for other times; not all can be.
    let weekly = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'millstream_jobs'::regclass";
    assert!(sql(&store, weekly).await.expect("a count") > 2, "partitions were made");
}
