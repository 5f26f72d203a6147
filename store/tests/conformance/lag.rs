//! What waits for a recorder, its health, and what it set aside.

use std::time::{Duration, Instant};

use millstream_queue::{Outcome, Overflow, State};
use millstream_store::{Error, Recorder, RecorderPhase, Store};
use millstream_tests::Redis;
use uuid::Uuid;

use crate::{
    database::{Database, on_both},
    log::Log,
    packs::{Queue, Recording, outcome, run, until},
};

/// A rule of the operator's own: the database refuses runs of the worker `cursed`.
async fn curse(store: &Store) {
    if store.name().starts_with("postgres") {
        let rule = "ALTER TABLE millstream_attempts ADD CONSTRAINT curse CHECK (worker <> 'cursed')";
        store.raw_postgres().await.expect("a client").batch_execute(rule).await.expect("a rule");
    } else {
        let rule = "CREATE UNIQUE INDEX curse ON millstream_attempts (worker <> 'cursed') WHERE worker = 'cursed'";
        store.raw_sqlite(move |conn| conn.execute_batch(rule)).await.expect("a rule");
    }
}

async fn lift(store: &Store) {
    if store.name().starts_with("postgres") {
        let lift = "ALTER TABLE millstream_attempts DROP CONSTRAINT curse";
        store.raw_postgres().await.expect("a client").batch_execute(lift).await.expect("lifted");
    } else {
        store.raw_sqlite(|conn| conn.execute_batch("DROP INDEX curse")).await.expect("lifted");
    }
}

#[tokio::test]
async fn what_waits_is_counted_and_its_age_is_known() {
    let queue = Queue::new().await;
    let waits = queue.client.unrecorded("photos").await.expect("an answer");
    assert_eq!((waits.outcomes, waits.bytes, waits.limit, waits.dropped), (0, 0, 1_000_000, 0));
    assert_eq!((waits.oldest, waits.is_high(), &*waits.queue), (None, false, "photos"));

    queue.finish(&[outcome(1), outcome(2)]).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    queue.finish(&[outcome(3)]).await;
    queue.client.limit_unrecorded("photos", 6, Overflow::Drop).await.expect("a bound");
    let waits = queue.client.unrecorded("photos").await.expect("an answer");
    assert_eq!((waits.outcomes, waits.limit, waits.is_high()), (3, 6, true));
    assert!(waits.bytes > 100 && waits.oldest >= Some(Duration::from_millis(20)), "{waits:?}");
    assert!(queue.client.unrecorded("a{b}").await.is_err());
    let never = queue.client.unrecorded("never").await.expect("an answer");
    assert_eq!((never.outcomes, never.oldest), (0, None));
}

on_both! {
    async fn a_recorder_is_healthy_until_half_of_the_bound_waits(database: Database) {
        let (store, queue) = (database.store().await, Queue::new().await);
        queue.client.limit_unrecorded("photos", 4, Overflow::Pause).await.expect("a bound");
        let recorder = Recorder::new(queue.client.clone(), store.clone());
        let health = recorder.health();
        assert_eq!(health.report().await.phase, RecorderPhase::NotStarted);
        assert_eq!(health.check().await.expect_err("not started").to_string(), "the recorder has not started");

        // Without tables nothing can be written.
        let recording = Recording::start(recorder).await;
        until(async || health.check().await.is_ok()).await;
        queue.finish(&[outcome(1)]).await;
        until(async || health.report().await.trouble.is_some()).await;
        health.check().await.expect("a quarter is no harm");
        queue.finish(&[outcome(2)]).await;
        let error = health.check().await.expect_err("half waits");
        assert!(matches!(error, Error::Unhealthy { .. }));
        assert!(error.to_string().contains("2 outcomes of the queue \"photos\" wait, of at most 4"), "{error}");
        assert!(error.to_string().contains("millstream migrate"), "{error}");

        store.migrate().await.expect("migrations");
        queue.drained().await;
        let report = health.report().await;
        assert!(report.is_healthy() && report.trouble.is_none(), "{report:?}");
        let metrics = health.metrics();
        assert_eq!((metrics.outcomes, metrics.packs, metrics.rejected), (2, 2, 0));
        recording.stop().await;
        assert_eq!(health.check().await.expect_err("stopped").to_string(), "the recorder has ended");
        assert_eq!(store.history().count().await.expect("a count"), 2);
    }

    async fn numbers_are_on_a_page_for_prometheus(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.finish(&[outcome(1), outcome(2)]).await;
        queue.append(1, b"\x93garbage").await;
        let recorder = Recorder::new(queue.client.clone(), store.clone());
        let health = recorder.health();
        let recording = Recording::start(recorder).await;
        queue.drained().await;
        until(async || health.metrics().rejected == 1 && !health.metrics().unrecorded.is_empty()).await;
        recording.stop().await;
        let page = health.metrics().to_prometheus();
        for line in [
            "millstream_recorder_outcomes_total 2",
            "millstream_recorder_packs_total 2",
            "millstream_recorder_rejected_total 1",
            "millstream_recorder_pruned_jobs_total 0",
            "millstream_recorder_write_seconds_bucket{le=\"+Inf\"} ",
            "millstream_unrecorded_limit{queue=\"photos\"} 1000000",
            "millstream_unrecorded_oldest_seconds{queue=\"photos\"} ",
        ] {
            assert!(page.lines().any(|there| there.starts_with(line)), "{line} in {page}");
        }
    }

    async fn what_was_set_aside_is_listed_and_written_after_all(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        curse(&store).await;
        let cursed = |id| Outcome { worker: "cursed".into(), tags: vec!["t".into()], ready_ms: Some(7), ..run(id, 2, State::Dead) };
        queue.finish(&[outcome(1), cursed(2), outcome(3), cursed(4)]).await;
        queue.append(1, b"\x93garbage").await;
        queue.record_into(&store).await;
        // SQLite's rule lets one of them through.
        let refused = if store.name().starts_with("postgres") { vec![2, 4] } else { vec![4] };
        assert_eq!(store.history().count().await.expect("a count"), 4 - refused.len() as u64);

        let all = store.rejected().await.expect("a page");
        assert_eq!((all.rows.len(), all.next), (refused.len() + 1, None));
        let mut paged = Vec::new();
        let mut next = None;
        loop {
            let page = store.rejected().queue("photos").limit(1);
            let page = next.map_or(page.clone(), |next| page.after(next)).await.expect("a page");
            paged.extend(page.rows.iter().map(|row| row.id));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(paged, all.rows.iter().map(|row| row.id).collect::<Vec<_>>());
        assert!(store.rejected().queue("mail").await.expect("a page").rows.is_empty());

        let (packs, outcomes): (Vec<_>, Vec<_>) = all.rows.into_iter().partition(|row| row.job.is_none());
        let mut jobs: Vec<u128> = outcomes.iter().filter_map(|row| row.job).map(|job| job.as_u128()).collect();
        jobs.sort_unstable();
        assert_eq!(jobs, refused);
        assert_eq!((&*packs[0].body, &*packs[0].queue), (&b"\x93garbage"[..], "photos"));
        let of = outcomes[0].job.expect("a job").as_u128();
        assert_eq!(Outcome::decode_pack(&outcomes[0].body).expect("a pack"), [cursed(of)]);

        for row in packs.iter().chain(&outcomes) {
            let error = store.retry_rejected(row.id, &queue.client).await.expect_err("still refused");
            assert!(matches!(&error, Error::Refused { id, .. } if *id == row.id), "{error}");
        }
        lift(&store).await;
        queue.client.declare_searchable("photos", "resize", &["photo"]).await.expect("declared");
        for row in &outcomes {
            assert_eq!(store.retry_rejected(row.id, &queue.client).await.expect("written"), 1);
            assert!(matches!(store.retry_rejected(row.id, &queue.client).await, Err(Error::NotFound { .. })));
        }
        assert!(store.delete_rejected(packs[0].id).await.expect("deleted"));
        assert!(!store.delete_rejected(packs[0].id).await.expect("gone before"));
        assert_eq!((store.count_rejected().await.expect("a count"), store.history().count().await.expect("a count")), (0, 4));
        assert_eq!(store.history().tag("t").count().await.expect("a count"), 2);
        let found = store.history().kind("resize").field("photo", 7).count().await.expect("a count");
        assert_eq!(found, refused.len() as u64);
        let late = store.history().id(Uuid::from_u128(4)).await.expect("a page");
        assert_eq!((late.rows[0].state, &*late.rows[0].worker), (State::Dead, "cursed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_told_in_time() {
    let database = Database::sqlite().await;
    let store = database.migrated().await;
    let mut redis = Redis::builder().start().await.expect("a Redis");
    let queue = Queue::on(&redis.url()).await;
    let recorder = Recorder::new(queue.client.clone(), store);
    let health = recorder.health();
    let recording = Recording::start(recorder).await;
    until(async || health.check().await.is_ok()).await;
    redis.kill().await;
    let started = Instant::now();
    let error = health.check().await.expect_err("it is away");
    assert!(started.elapsed() < Duration::from_secs(2) && error.to_string().starts_with("Redis: "), "{error}");
    recording.abort();
    until(async || health.report().await.phase == RecorderPhase::Ended).await;
}

#[tokio::test]
async fn falling_behind_and_catching_up_are_told_once_each() {
    let (log, _guard) = Log::hear(tracing::Level::DEBUG);
    let database = Database::sqlite().await;
    let (store, queue) = (database.store().await, Queue::new().await);
    queue.client.limit_unrecorded("photos", 4, Overflow::Pause).await.expect("a bound");
    queue.finish(&[outcome(1), outcome(2)]).await;
    let recorder = Recorder::new(queue.client.clone(), store.clone());
    let recording = Recording::start(recorder).await;
    until(async || log.text().contains(" WARN millstream::record: half of the outcomes")).await;
    store.migrate().await.expect("migrations");
    until(async || log.text().contains("less than half")).await;
    recording.stop().await;
    let text = log.text();
    for (message, fields) in [
        (" WARN millstream::record: half of the outcomes", r#"queue="photos" outcomes=2 limit=4"#),
        ("DEBUG millstream::record: outcomes were written", "outcomes=2 packs=1 took_us="),
        (" INFO millstream::record: less than half of the outcomes", r#"queue="photos" outcomes=0 limit=4"#),
    ] {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(message)).collect();
        assert_eq!(lines.len(), 1, "{message} in {text}");
        assert!(lines[0].contains(fields), "{}", lines[0]);
    }
}
