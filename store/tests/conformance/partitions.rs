//! Partitions that several recorders need at the same time.

use chrono::{TimeDelta, Utc};
use millstream_queue::Outcome;
use millstream_store::{History, Retention};

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
    // Those weeks and the one to come; none of the jobs had to go to the partition for other times.
    let weekly = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'millstream_jobs'::regclass";
    assert_eq!(sql(&store, weekly).await.expect("a count"), WEEKS as i64 + 2);
    for table in ["millstream_jobs_other", "millstream_attempts_other"] {
        assert_eq!(sql(&store, &format!("SELECT count(*) FROM {table}")).await.expect("a count"), 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_whose_rows_lie_with_the_other_times_gets_its_partition_later() {
    let (database, queue) = (Database::postgres().await, Queue::new().await);
    let store = database.migrated().await;
    let enqueued = Utc::now() - TimeDelta::weeks(3);
    let job = |number: u128| Outcome {
        enqueued_ms: enqueued.timestamp_millis(),
        finished_us: enqueued.timestamp_micros() + number as i64,
        ..outcome(number)
    };
    // Someone reads the partition for other times for so long that no other can be attached.
    let mut client = store.raw_postgres().await.expect("a client");
    let reading = client.transaction().await.expect("a transaction");
    reading.query("SELECT FROM millstream_jobs_other", &[]).await.expect("read");
    queue.finish(&(1..=500).map(job).collect::<Vec<_>>()).await;
    queue.record_into(&database.store().await).await;
    let other = "SELECT count(*) FROM millstream_jobs_other";
    assert_eq!(sql(&store, other).await.expect("a count"), 500, "recording goes on");
    // A pass that finds the reader still there leaves them where they are.
    database.store().await.prune(&Retention::forever()).await.expect("pruned");
    assert_eq!(sql(&store, other).await.expect("a count"), 500);
    reading.rollback().await.expect("ended");

    // Others write and read the same week meanwhile.
    let recording = queue.recorder(&database.store().await).await;
    queue.finish(&(501..=600).map(job).collect::<Vec<_>>()).await;
    let passes = [database.store().await, database.store().await];
    let forever = Retention::forever();
    for pruned in futures::future::join_all(passes.iter().map(|store| store.prune(&forever))).await {
        pruned.expect("pruned");
    }
    queue.drained().await;
    recording.stop().await;
    for table in ["millstream_jobs", "millstream_attempts"] {
        assert_eq!(sql(&store, &format!("SELECT count(*) FROM {table}_other")).await.expect("a count"), 0, "{table}");
        assert_eq!(sql(&store, &format!("SELECT count(*) FROM {table}")).await.expect("a count"), 600, "{table}");
    }
    let mut seen = all_pages(store.history()).await;
    seen.sort_unstable();
    assert_eq!(seen, (1..=600).collect::<Vec<_>>());
}
