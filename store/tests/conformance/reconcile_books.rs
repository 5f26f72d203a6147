//! The books of what leaves a queue's streams: what others than Millstream delete, and what they must not be blamed for.

use std::{future::IntoFuture, time::Duration};

use millstream_queue::{Conflict, Lane, Unique};
use millstream_store::{Report, Store, Trouble};
use uuid::Uuid;

use crate::{
    database::on_both,
    packs::{Queue, outcome},
    reconcile::{Resize, compared, do_on},
    state::sql_write,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A queue whose books are open.
async fn booked(store: &Store) -> Queue {
    let queue = Queue::new().await;
    let report = compared(store, &queue).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.unbooked, ["photos: its books begin with this look"]);
    fits(store, &queue).await;
    queue
}

async fn fits(store: &Store, queue: &Queue) {
    let report = compared(store, queue).await;
    assert!(report.is_clean(), "{report}");
    assert!(report.unbooked.is_empty(), "{:?}", report.unbooked);
}

/// The one mismatch of this trouble.
fn found(report: &Report, trouble: Trouble, count: u64, words: &str) {
    let mut of_it = report.findings.iter().filter(|one| one.trouble == trouble);
    let one = of_it.next().unwrap_or_else(|| panic!("{trouble:?} is expected: {report}"));
    assert_eq!((one.count, one.queue.as_deref(), of_it.count()), (count, Some("photos"), 0), "{report}");
    assert!(one.to_string().contains(words), "{words:?} is expected: {report}");
}

/// It is found, however often one looks, until it is accepted.
async fn found_alone(store: &Store, queue: &Queue, trouble: Trouble, count: u64, words: &str) {
    for _ in 0..2 {
        let report = compared(store, queue).await;
        assert_eq!(report.findings.len(), 1, "{report}");
        found(&report, trouble, count, words);
    }
    store.accept_losses().await.expect("accepted");
    fits(store, queue).await;
}

async fn push(queue: &Queue, count: u32) {
    queue.client.push_all((0..count).map(|photo| Resize { photo })).await.expect("pushed");
}

async fn answer<T: redis::FromRedisValue>(queue: &Queue, command: &str, arguments: &[&str]) -> T {
    let mut conn = queue.client.connection().await.expect("a connection");
    redis::cmd(command).arg(arguments).query_async(&mut conn).await.expect("an answer")
}

/// The id of the stream's entry at this place.
async fn entry(queue: &Queue, stream: &str, at: usize) -> String {
    let entries: Vec<(String, Vec<redis::Value>)> = answer(queue, "XRANGE", &[stream, "-", "+"]).await;
    entries[at].0.clone()
}

on_both! {
    async fn a_waiting_entry_that_somebody_deletes_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        push(&queue, 5).await;
        fits(&store, &queue).await;
        let lane = queue.client.keys("photos").ready(Lane::Normal);
        let middle = entry(&queue, &lane, 2).await;
        do_on(&queue, "XDEL", &[&lane, &middle]).await;
        push(&queue, 5).await;
        found_alone(&store, &queue, Trouble::TakenFromLane, 1, "1 entries of normal were deleted").await;
        do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "6"]).await;
        found_alone(&store, &queue, Trouble::TakenFromLane, 3, "XTRIM").await;
    }

    async fn a_pending_entry_that_somebody_deletes_is_reported_once(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        push(&queue, 3).await;
        let lane = queue.client.keys("photos").ready(Lane::Normal);
        do_on(&queue, "XGROUP", &["CREATE", &lane, "workers", "0"]).await;
        do_on(&queue, "XREADGROUP", &["GROUP", "workers", "w1", "STREAMS", &lane, ">"]).await;
        fits(&store, &queue).await;
        do_on(&queue, "XDEL", &[&lane, &entry(&queue, &lane, 0).await]).await;
        for _ in 0..2 {
            let report = compared(&store, &queue).await;
            assert_eq!(report.findings.len(), 1, "{report}");
            found(&report, Trouble::TakenFromLane, 1, "entries of normal were deleted by others");
        }
        // Accepted or not: a job is in somebody's hands, and will be lost if he dies.
        store.accept_losses().await.expect("accepted");
        found(&compared(&store, &queue).await, Trouble::TakenFromLane, 1, "in the hands of workers");
    }

    async fn a_pack_of_outcomes_that_somebody_deletes_is_reported_and_blamed_on_no_job(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        queue.finish(&[outcome(1), outcome(2)]).await;
        let deleted = queue.finish(&[outcome(3)]).await;
        queue.finish(&[outcome(4)]).await;
        compared(&store, &queue).await;
        do_on(&queue, "XDEL", &[&queue.client.keys("photos").done(), &deleted]).await;
        queue.record_into(&store).await;
        let report = compared(&store, &queue).await;
        found(&report, Trouble::TakenFromDone, 1, "1 packs of outcomes were deleted by others than a recorder");
        found(&report, Trouble::OutcomesGone, 1, "");
        assert_eq!(report.findings.len(), 2, "{report}");
        do_on(&queue, "HSET", &[&queue.client.keys("photos").control(), "done:outcomes", "0"]).await;
        found_alone(&store, &queue, Trouble::TakenFromDone, 1, "--accept-losses").await;
    }

    async fn what_recorders_pushes_and_cancels_delete_is_in_the_books(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        for id in 0..20 {
            queue.finish(&[outcome(id)]).await;
        }
        queue.record_into(&store).await;
        fits(&store, &queue).await;
        for conflict in [Conflict::Replace, Conflict::Debounce] {
            let unique = Unique::until_finished().on_conflict(conflict);
            for _ in 0..3 {
                queue.client.push(Resize { photo: 7 }).unique(unique).await.expect("pushed");
            }
        }
        fits(&store, &queue).await;
        push(&queue, 30).await;
        let id = queue.client.push(Resize { photo: 1 }).await.expect("pushed");
        queue.client.cancel("photos", id).await.expect("cancelled");
        queue.client.cancel_all("photos").await.expect("cancelled");
        let lane = queue.client.keys("photos").ready(Lane::Normal);
        assert_eq!(answer::<u64>(&queue, "XLEN", &[&lane]).await, 0);
        queue.record_into(&store).await;
        fits(&store, &queue).await;
    }

    async fn a_lane_that_is_deleted_and_filled_anew_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        push(&queue, 5).await;
        queue.client.cancel_all("photos").await.expect("cancelled");
        push(&queue, 3).await;
        fits_but_for_outcomes(&store, &queue).await;
        do_on(&queue, "DEL", &[&queue.client.keys("photos").ready(Lane::Normal)]).await;
        push(&queue, 50).await;
        queue.record_into(&store).await;
        found_alone(&store, &queue, Trouble::RedisLost, 3, "DEL or RENAME").await;
    }

    async fn a_namespace_of_the_version_before_is_not_blamed_for_what_nobody_counted(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let keys = queue.client.keys("photos");
        let lane = keys.ready(Lane::Normal);
        push(&queue, 9).await;
        do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "4"]).await;
        assert_eq!(compared(&store, &queue).await.unbooked, ["photos: its books begin with this look"]);
        fits(&store, &queue).await;

        // A worker of that version comes, which deletes what it finishes and counts nothing.
        do_on(&queue, "HSET", &[&keys.alive(), "w1", "1", "w1:fin", "12"]).await;
        do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "3"]).await;
        for _ in 0..2 {
            let report = compared(&store, &queue).await;
            assert!(report.is_clean(), "{report}");
            assert_eq!(report.unbooked, ["photos: 1 of its workers and recorders have not signed its books"]);
            do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "2"]).await;
        }
        do_on(&queue, "HDEL", &[&keys.alive(), "w1", "w1:fin"]).await;
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.unbooked, ["photos: its books begin with this look"]);
        fits(&store, &queue).await;

        // A watermark of that version.
        let before = r#"{"done":[0,[0,0]],"high":[0,[0,0]],"low":[0,[0,0]],"normal":[9,[1,0]],"suspect":[0,[0,0]]}"#;
        sql_write(&store, &format!("UPDATE millstream_watermarks SET streams = '{before}'")).await;
        do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "1"]).await;
        assert!(compared(&store, &queue).await.is_clean());
        do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "0"]).await;
        found_alone(&store, &queue, Trouble::TakenFromLane, 1, "").await;
    }

    async fn a_recorder_of_the_version_before_is_not_blamed(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        let done = queue.client.keys("photos").done();
        let pack = queue.finish(&[outcome(1)]).await;
        do_on(&queue, "XREADGROUP", &["GROUP", "recorder", "recorder-old", "STREAMS", &done, ">"]).await;
        do_on(&queue, "XACK", &[&done, "recorder", &pack]).await;
        do_on(&queue, "XDEL", &[&done, &pack]).await;
        do_on(&queue, "HSET", &[&queue.client.keys("photos").control(), "done:outcomes", "0"]).await;
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.unbooked, ["photos: 1 of its workers and recorders have not signed its books"]);
    }

    async fn books_that_are_deleted_are_reported_and_begun_anew(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        push(&queue, 5).await;
        queue.client.cancel_all("photos").await.expect("cancelled");
        queue.record_into(&store).await;
        fits(&store, &queue).await;
        do_on(&queue, "DEL", &[&queue.client.keys("photos").books()]).await;
        found_alone(&store, &queue, Trouble::RedisLost, 1, "the key `books` was deleted").await;
    }

    async fn flushall_is_told_by_the_streams_and_not_by_the_books(database: Database) {
        let store = database.migrated().await;
        let redis = millstream_tests::Redis::start().await.expect("a Redis");
        let queue = Queue::on(&redis.url()).await;
        push(&queue, 9).await;
        do_on(&queue, "XTRIM", &[&queue.client.keys("photos").ready(Lane::Normal), "MAXLEN", "6"]).await;
        compared(&store, &queue).await;
        queue.client.cancel_all("photos").await.expect("cancelled");
        queue.record_into(&store).await;
        fits(&store, &queue).await;
        do_on(&queue, "FLUSHALL", &[]).await;
        let report = compared(&store, &queue).await;
        assert!(report.findings.iter().all(|one| one.trouble == Trouble::RedisLost), "{report}");
        assert!(report.findings.iter().all(|one| one.cause.contains("FLUSHALL")), "{report}");
    }

    async fn delayed_jobs_and_dead_letters_that_somebody_deletes_are_reported(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        let keys = queue.client.keys("photos");
        let pushes = (0..5).map(|photo| queue.client.push(Resize { photo }).after(HOUR).into_future());
        let ids = futures::future::try_join_all(pushes).await.expect("pushed");
        queue.client.cancel("photos", ids[0]).await.expect("cancelled");
        fits_but_for_outcomes(&store, &queue).await;
        queue.record_into(&store).await;
        fits(&store, &queue).await;
        let two = [ids[1].to_string(), ids[2].to_string()];
        do_on(&queue, "ZREM", &[&keys.later(), &two[0], &two[1]]).await;
        do_on(&queue, "HDEL", &[&keys.later_jobs(), &two[0], &two[1]]).await;
        found_alone(&store, &queue, Trouble::TakenFromLater, 2, "2 delayed jobs were deleted by others").await;

        // What another program puts among the dead is nobody's loss as long as it is there.
        for id in ["one", "two", "three"] {
            do_on(&queue, "ZADD", &[&keys.dead(), "1", id]).await;
            do_on(&queue, "HSET", &[&keys.dead_jobs(), id, "no job"]).await;
        }
        fits(&store, &queue).await;
        do_on(&queue, "DEL", &[&keys.dead(), &keys.dead_jobs()]).await;
        found_alone(&store, &queue, Trouble::TakenFromDead, 3, "3 dead letters were deleted by others").await;
    }

    async fn books_of_what_waits_that_are_deleted_blame_nobody_for_jobs_that_are_there(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let keys = queue.client.keys("photos");
        let id = queue.client.push(Resize { photo: 7 }).after(HOUR).await.expect("pushed");
        // Pushed by a client of the version before.
        do_on(&queue, "DEL", &[&keys.books()]).await;
        compared(&store, &queue).await;
        fits(&store, &queue).await;
        queue.client.cancel("photos", id).await.expect("cancelled");
        queue.record_into(&store).await;
        fits(&store, &queue).await;
        do_on(&queue, "DEL", &[&keys.books()]).await;
        found_alone(&store, &queue, Trouble::RedisLost, 1, "the key `books` was deleted").await;
    }

    async fn a_delayed_job_or_dead_letter_of_which_one_half_is_left_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = booked(&store).await;
        let keys = queue.client.keys("photos");
        let id = queue.client.push(Resize { photo: 7 }).after(HOUR).await.expect("pushed");
        queue.client.push(Resize { photo: 8 }).after(HOUR).await.expect("pushed");
        fits(&store, &queue).await;
        do_on(&queue, "HDEL", &[&keys.later_jobs(), &id.to_string()]).await;
        found_twice(&store, &queue, Trouble::Halved, "delayed jobs").await;
        do_on(&queue, "ZREM", &[&keys.later(), &id.to_string()]).await;
        found_alone(&store, &queue, Trouble::TakenFromLater, 1, "").await;
        do_on(&queue, "ZADD", &[&keys.dead(), "1", &Uuid::from_u128(1).to_string()]).await;
        found_twice(&store, &queue, Trouble::Halved, "dead letters").await;
    }
}

async fn found_twice(store: &Store, queue: &Queue, trouble: Trouble, words: &str) {
    for _ in 0..2 {
        let report = compared(store, queue).await;
        assert_eq!(report.findings.len(), 1, "{report}");
        found(&report, trouble, 1, words);
    }
}

/// Outcomes wait for a recorder, and all else fits.
async fn fits_but_for_outcomes(store: &Store, queue: &Queue) {
    let report = compared(store, queue).await;
    assert!(report.findings.iter().all(|one| one.trouble == Trouble::NotRecorded), "{report}");
}
