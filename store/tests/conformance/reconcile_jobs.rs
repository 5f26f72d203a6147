//! Jobs of which Redis and SQL say different things.

use chrono::{TimeDelta, Utc};
use millstream_queue::{Entry, Lane, State, Stored};
use millstream_store::{Relay, Store, Trouble};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    database::on_both,
    packs::{NOON, Queue, outcome, run, until},
    reconcile::{compared, do_on},
    relaying::Relaying,
    state::sql_write,
};

#[derive(Serialize, Deserialize)]
struct Resize {
    photo: u32,
}
impl millstream_queue::Job for Resize {
    const KIND: &'static str = "resize";
    const QUEUE: &'static str = "photos";
}

/// A queue that has been watched for long.
async fn watched(store: &Store) -> Queue {
    let queue = Queue::new().await;
    assert!(compared(store, &queue).await.is_clean());
    sql_write(store, "UPDATE millstream_watermarks SET first_at = '2020-01-01T00:00:00.000000Z'").await;
    queue
}

fn job(id: u128, kind: &str) -> Entry {
    Entry::new(kind, br#"{"photo":7}"#.to_vec(), Uuid::from_u128(id), NOON / 1000)
}

fn minutes_ago(minutes: i64) -> i64 {
    (Utc::now() - TimeDelta::minutes(minutes)).timestamp_millis()
}

/// Puts a job into `later` or among the dead.
async fn put(queue: &Queue, (set, jobs): (String, String), at_ms: i64, entry: &Entry) {
    let mut conn = queue.client.connection().await.expect("a connection");
    let (id, packed) = (entry.id.to_string(), Stored { lane: Lane::Normal, entry, error: Some("no") }.pack());
    redis::pipe().zadd(set, &id, at_ms).hset(jobs, &id, packed).exec_async(&mut conn).await.expect("put");
}

/// Puts a job into its lane.
async fn put_ready(queue: &Queue, entry: &Entry) {
    let mut conn = queue.client.connection().await.expect("a connection");
    let mut add = redis::cmd("XADD");
    add.arg(queue.client.keys("photos").ready(Lane::Normal)).arg("*");
    entry.each_field(true, |name, value| {
        add.arg(name).arg(value);
    });
    add.exec_async(&mut conn).await.expect("added");
}

/// The one finding, which is of this trouble and these jobs.
async fn finds(store: &Store, queue: &Queue, trouble: Trouble, jobs: &[u128]) {
    let report = compared(store, queue).await;
    let [finding] = &*report.findings else { panic!("one finding is expected: {report}") };
    let mut ids = finding.ids.clone();
    ids.sort_unstable();
    let expected: Vec<Uuid> = jobs.iter().copied().map(Uuid::from_u128).collect();
    assert_eq!((finding.trouble, finding.count, ids), (trouble, jobs.len() as u64, expected), "{report}");
}

on_both! {
    async fn a_dead_letter_is_reported_once_its_row_is_deleted(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        queue.finish(&[run(7, 1, State::Dead), run(8, 1, State::Dead)]).await;
        queue.record_into(&store).await;
        let keys = queue.client.keys("photos");
        for (id, kind) in [(7, "resize"), (8, "resize"), (9, "of_which_nothing_is_kept")] {
            put(&queue, (keys.dead(), keys.dead_jobs()), minutes_ago(5), &job(id, kind)).await;
        }
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
        // All rows of its kind are gone with it: the statistics still tell that it was kept.
        sql_write(&store, "DELETE FROM millstream_jobs").await;
        finds(&store, &queue, Trouble::DeadNotInSql, &[7, 8]).await;
    }

    async fn a_dead_letter_whose_outcome_is_on_its_way_is_no_mismatch(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        queue.finish(&[outcome(6)]).await;
        queue.record_into(&store).await;
        let keys = queue.client.keys("photos");
        put(&queue, (keys.dead(), keys.dead_jobs()), minutes_ago(5), &job(7, "resize")).await;
        queue.finish(&[run(7, 1, State::Dead)]).await;
        // Nobody records it, so nothing is said of it but that.
        let report = compared(&store, &queue).await;
        assert!(report.findings.iter().all(|one| one.trouble == Trouble::NotRecorded), "{report}");
        let (report, ()) = futures::join!(compared(&store, &queue), queue.record_into(&store));
        assert!(report.findings.iter().all(|one| one.trouble == Trouble::NotRecorded), "{report}");
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
    }

    async fn dropped_outcomes_are_reported_and_blamed_on_no_job(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        queue.finish(&[run(7, 1, State::Dead)]).await;
        queue.record_into(&store).await;
        let keys = queue.client.keys("photos");
        put(&queue, (keys.dead(), keys.dead_jobs()), minutes_ago(5), &job(8, "resize")).await;
        do_on(&queue, "HSET", &[&keys.control(), "done:dropped", "4"]).await;
        let report = compared(&store, &queue).await;
        let [finding] = &*report.findings else { panic!("one finding is expected: {report}") };
        assert_eq!((finding.trouble, finding.count), (Trouble::Dropped, 4), "{report}");
    }

    async fn what_the_recorder_set_aside_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        queue.append(1, b"no pack").await;
        queue.record_into(&store).await;
        let report = found_once_more(&store, &queue).await;
        assert_eq!(report, (Trouble::Rejected, 1));
    }

    async fn a_job_that_has_ended_and_waits_again_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        queue.finish(&[outcome(7), outcome(8), outcome(9)]).await;
        queue.record_into(&store).await;
        // Another job under the id of a caller's key, and one that SQL doesn't know yet.
        let mut other = job(9, "resize");
        other.at_ms += 1;
        put_ready(&queue, &other).await;
        put_ready(&queue, &job(10, "resize")).await;
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
        let keys = queue.client.keys("photos");
        put_ready(&queue, &job(7, "resize")).await;
        put(&queue, (keys.later(), keys.later_jobs()), minutes_ago(-60), &job(8, "resize")).await;
        finds(&store, &queue, Trouble::EndedYetWaiting, &[7, 8]).await;
    }

    async fn a_job_that_is_due_and_in_no_place_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        let mut waiting = [run(7, 1, State::Failed), run(8, 1, State::Snoozed), run(9, 1, State::Parked)];
        for one in &mut waiting {
            one.next_ms = Some(minutes_ago(10));
        }
        queue.finish(&waiting).await;
        queue.finish(&[outcome(1)]).await;
        queue.record_into(&store).await;
        let keys = queue.client.keys("photos");
        put_ready(&queue, &Entry { run: 2, ..job(7, "resize") }).await;
        put_ready(&queue, &Entry { run: 2, ..job(8, "resize") }).await;
        put(&queue, (keys.later(), keys.later_jobs()), minutes_ago(10), &job(9, "resize")).await;
        let lane = keys.ready(Lane::Normal);
        do_on(&queue, "XGROUP", &["CREATE", &lane, "workers", "0"]).await;
        do_on(&queue, "XREADGROUP", &["GROUP", "workers", "w1", "COUNT", "1", "STREAMS", &lane, ">"]).await;
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");

        // The stream goes on: only its entries are lost, which the books tell until it is accepted.
        do_on(&queue, "XGROUP", &["DESTROY", &lane, "workers"]).await;
        do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "0"]).await;
        do_on(&queue, "ZREM", &[&keys.later(), &Uuid::from_u128(9).to_string()]).await;
        do_on(&queue, "HDEL", &[&keys.later_jobs(), &Uuid::from_u128(9).to_string()]).await;
        let report = compared(&store, &queue).await;
        let mut taken: Vec<_> = report.findings.iter().map(|one| (one.trouble, one.count)).collect();
        taken.sort_by_key(|(_, count)| *count);
        let expected = [(Trouble::TakenFromLater, 1), (Trouble::TakenFromLane, 2), (Trouble::WaitingNotInRedis, 3)];
        assert_eq!(taken, expected, "{report}");
        store.accept_losses().await.expect("accepted");
        finds(&store, &queue, Trouble::WaitingNotInRedis, &[7, 8, 9]).await;

        // Where completions are not kept, it may have completed since.
        sql_write(&store, "DELETE FROM millstream_jobs WHERE state = 'completed'").await;
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
    }

    async fn a_lane_that_is_trimmed_under_its_workers_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        let lane = queue.client.keys("photos").ready(Lane::Normal);
        for id in 1..=3 {
            put_ready(&queue, &job(id, "resize")).await;
        }
        do_on(&queue, "XGROUP", &["CREATE", &lane, "workers", "0"]).await;
        do_on(&queue, "XGROUP", &["CREATE", &lane, "others", "0"]).await;
        for group in ["workers", "others"] {
            do_on(&queue, "XREADGROUP", &["GROUP", group, "w1", "STREAMS", &lane, ">"]).await;
        }
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
        do_on(&queue, "XTRIM", &[&lane, "MAXLEN", "1"]).await;
        assert_eq!(found_once_more(&store, &queue).await, (Trouble::TakenFromLane, 2));
    }

    async fn an_outbox_that_nobody_relays_is_reported(database: Database) {
        let store = database.migrated().await;
        let queue = watched(&store).await;
        store.transaction(async move |tx| tx.push(Resize { photo: 1 }).await).await.expect("pushed");
        let report = compared(&store, &queue).await;
        assert!(report.is_clean(), "{report}");
        sql_write(&store, "UPDATE millstream_outbox SET created_at = '2026-01-01T00:00:00.000000Z'").await;
        assert_eq!(found_once_more(&store, &queue).await, (Trouble::OutboxWaits, 1));
        let relaying = Relaying::start(Relay::new(queue.client.clone(), store.clone()));
        sql_write(&store, "INSERT INTO millstream_outbox (target, kind, body) VALUES ('nowhere', 'resize', '{}')").await;
        until(async || store.outbox().await.is_ok_and(|status| (status.waiting, status.rejected) == (0, 1))).await;
        relaying.stop().await;
        assert_eq!(found_once_more(&store, &queue).await, (Trouble::OutboxRejected, 1));
    }
}

/// The one finding, however often it is looked for and whatever losses are accepted.
async fn found_once_more(store: &Store, queue: &Queue) -> (Trouble, u64) {
    store.accept_losses().await.expect("accepted");
    let (first, second) = (compared(store, queue).await, compared(store, queue).await);
    let [finding] = &*second.findings else { panic!("one finding is expected: {second}") };
    assert_eq!(first.findings.len(), 1, "{first}");
    (finding.trouble, finding.count)
}
