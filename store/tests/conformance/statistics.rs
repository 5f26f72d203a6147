use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use millstream_queue::{Outcome, State};
use millstream_store::{Error, Recorder, Retention, Sketch, Statistics, Store};
use uuid::Uuid;

use crate::{
    database::{on_both, sql},
    packs::{Queue, Recording, outcome, run},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The beginning of the hour that began `hours` ago.
fn hours_ago(hours: i64) -> DateTime<Utc> {
    let now = Utc::now().timestamp();
    DateTime::from_timestamp(now - now % 3600 - hours * 3600, 0).expect("in range")
}

/// A completed run that could start at `ready`, waited and ran for so many milliseconds.
fn timed(id: u128, ready: DateTime<Utc>, wait: i64, run: i64) -> Outcome {
    let ready_ms = ready.timestamp_millis();
    let started_us = (ready_ms + wait) * 1000;
    let (started, finished_us) = (Some(started_us), started_us + run * 1000);
    Outcome { enqueued_ms: ready_ms, started_us: started, finished_us, ..outcome(id) }
}

/// Whether the sketch tells the percentiles of exactly these milliseconds, to 2 %.
fn tells(sketch: &Sketch, mut millis: Vec<i64>) {
    millis.sort_unstable();
    assert_eq!(sketch.count(), millis.len() as u64);
    for share in [0.5, 0.95, 0.99] {
        let exact = millis[((millis.len() - 1) as f64 * share) as usize] as f64;
        let told = sketch.quantile(share).expect("there are some").as_secs_f64() * 1e3;
        assert!((told - exact).abs() <= exact * 0.0201, "{share}: {told} for {exact}");
    }
}

async fn total(store: &Store, asked: impl Fn(Statistics) -> Statistics) -> u64 {
    let all = store.history().statistics().since(hours_ago(1000));
    asked(all).await.expect("statistics").iter().map(|bucket| bucket.runs()).sum()
}

on_both! {
    async fn percentiles_are_those_of_the_data_to_two_percent(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let hour = hours_ago(3);
        // From a millisecond to minutes, in no order.
        let times = |index: i64| (1 + index * index * 7919 % 90_000, 1 + index * 6_700_417 % 250_000);
        let outcomes: Vec<Outcome> = (0..2000_i64)
            .map(|index| timed(index as u128 + 1, hour + TimeDelta::milliseconds(index * 500), times(index).0, times(index).1))
            .collect();
        for pack in outcomes.chunks(300) {
            queue.finish(pack).await;
        }
        queue.finish(&[Outcome { kind: "palette".into(), ..timed(9000, hour, 1, 1) }]).await;
        queue.record_into(&store).await;
        for _ in 0..2 {
            let all = store.history().statistics().kind("resize").since(hour).until(hour + HOUR).await.expect("statistics");
            let [bucket] = &all[..] else { panic!("{all:?}") };
            assert_eq!((bucket.start, &*bucket.kind, &*bucket.queue), (hour, "resize", "photos"));
            assert_eq!((bucket.count(State::Completed), bucket.runs()), (2000, 2000));
            tells(&bucket.wait, (0..2000).map(|index| times(index).0).collect());
            tells(&bucket.run_time, (0..2000).map(|index| times(index).1).collect());
            // Folding changes no answer.
            store.prune(&Retention::forever()).await.expect("folded");
        }
        // Each minute by itself.
        let minutes = store.history().statistics().kind("resize").since(hour).until(hour + HOUR).bucket(MINUTE);
        for bucket in minutes.await.expect("statistics") {
            let ended = |outcome: &&Outcome| {
                let ended = DateTime::from_timestamp_micros(outcome.finished_us).expect("in range");
                bucket.start <= ended && ended < bucket.start + MINUTE
            };
            let times = outcomes.iter().filter(ended).map(|outcome| (outcome.finished_us - outcome.started_us.expect("it started")) / 1000);
            tells(&bucket.run_time, times.collect());
        }
    }

    async fn a_delay_is_no_wait_and_a_run_that_never_started_has_none(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let hour = hours_ago(2);
        let delayed = timed(1, hour + MINUTE, 40, 10);
        let pushed_ms = (hour - DAY).timestamp_millis();
        let ready_ms = Some(delayed.enqueued_ms);
        queue.finish(&[
            Outcome { enqueued_ms: pushed_ms, ready_ms, ..delayed },
            Outcome { started_us: None, state: State::Expired, ..timed(2, hour, 0, 0) },
            Outcome { started_us: None, state: State::Crashed, ..timed(3, hour, 0, 0) },
        ]).await;
        queue.record_into(&store).await;
        let all = store.history().statistics().since(hour).await.expect("statistics");
        assert_eq!(all.len(), 1);
        tells(&all[0].wait, vec![40]);
        tells(&all[0].run_time, vec![10]);
        let counts = [State::Completed, State::Expired, State::Crashed, State::Dead].map(|state| all[0].count(state));
        assert_eq!((counts, all[0].runs()), ([1, 1, 1, 0], 3));
        let of_state = store.history().statistics().since(hour).state(State::Expired).await.expect("statistics");
        assert_eq!((of_state[0].runs(), of_state[0].wait.count()), (1, 0));
    }

    async fn a_run_is_counted_once_however_often_it_is_delivered(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let now = Utc::now() - MINUTE;
        let story = |id| [
            Outcome { state: State::Failed, ..timed(id, now, 5, 5) },
            Outcome { run: 2, ready_ms: Some(now.timestamp_millis()), ..timed(id, now, 5, 5) },
        ];
        for ids in [1..60, 1..60, 30..150_u128] {
            // Twice within one batch too, among new ones.
            let pack: Vec<Outcome> = ids.flat_map(story).collect();
            queue.finish(&pack).await;
            queue.finish(&pack[..20]).await;
            queue.record_into(&store).await;
        }
        assert_eq!(total(&store, |all| all.state(State::Failed)).await, 149);
        assert_eq!(total(&store, |all| all.state(State::Completed)).await, 149);
        assert_eq!(sql(&store, "SELECT count(*) FROM millstream_attempts").await.expect("a count"), 2 * 149);
    }

    async fn recorders_and_folders_at_once_lose_no_run(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let other = database.store().await;
        let recorders = [queue.recorder(&store).await, queue.recorder(&other).await, queue.recorder(&store).await];
        let stopped = tokio_util::sync::CancellationToken::new();
        let folders = [store.clone(), other.clone()].map(|store| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                while !stopped.is_cancelled() {
                    store.prune(&Retention::forever()).await.expect("folded");
                }
            })
        });
        for pack in 0..60_i64 {
            let hour = hours_ago(47 + pack % 4);
            let kind = |index: i64| ["resize", "palette"][(index % 2) as usize].to_owned();
            let outcome = |index| Outcome { kind: kind(index), ..timed((pack * 50 + index) as u128, hour + MINUTE * 2, index, 3) };
            let outcomes: Vec<Outcome> = (0..50).map(outcome).collect();
            queue.finish(&outcomes).await;
            queue.finish(&outcomes).await;
        }
        queue.drained().await;
        for recorder in recorders {
            recorder.stop().await;
        }
        stopped.cancel();
        for folder in folders {
            folder.await.expect("no panic");
        }
        store.prune(&Retention::forever()).await.expect("folded");
        assert_eq!(total(&store, |all| all).await, 3000);
        assert_eq!(total(&store, |all| all.kind("palette")).await, 1500);
        // 4 hours of 2 kinds, of which some are in minutes yet: one row each.
        assert_eq!(sql(&store, "SELECT count(*) FROM millstream_statistics").await.expect("a count"), 8);
    }

    async fn statistics_balance_with_the_runs_however_recorders_die(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        for pack in 0..60_u128 {
            let first = |id| Outcome { state: State::Failed, ..timed(id, hours_ago(1), 1, 1) };
            queue.finish(&(0..20).map(|id| first(pack * 10 + id)).collect::<Vec<_>>()).await;
            if pack % 6 == 0 {
                let recording = queue.recorder(&store).await;
                tokio::time::sleep(Duration::from_millis(pack as u64 % 7 * 3)).await;
                recording.abort();
            }
        }
        let recorder = Recorder::new(queue.client.clone(), store.clone()).claim_after(Duration::from_millis(100));
        let recording = Recording::start(recorder).await;
        queue.drained().await;
        recording.stop().await;
        let runs = sql(&store, "SELECT count(*) FROM millstream_attempts").await.expect("a count");
        assert_eq!((runs, total(&store, |all| all).await), (610, 610));
    }

    async fn minutes_become_hours_and_late_runs_are_added(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let (old, young) = (hours_ago(72), hours_ago(24));
        for round in 0..3_u128 {
            let runs = (0..60).flat_map(|minute| {
                let at = |hour: DateTime<Utc>| hour + MINUTE * minute;
                let id = round * 1000 + u128::from(minute);
                [timed(id, at(old), 1, 1), timed(id + 500, at(young), 1, 1)]
            });
            queue.finish(&runs.collect::<Vec<_>>()).await;
            queue.record_into(&store).await;
            store.prune(&Retention::forever()).await.expect("folded");
            assert_eq!(sql(&store, "SELECT count(*) FROM millstream_statistics").await.expect("a count"), 61);
            assert_eq!(total(&store, |all| all.bucket(DAY)).await, (round as u64 + 1) * 120);
        }
        let minutes = |hour: DateTime<Utc>| store.history().statistics().since(hour).until(hour + HOUR).bucket(MINUTE);
        let counts = async |hour| minutes(hour).await.expect("statistics").iter().map(|minute| minute.runs()).collect::<Vec<_>>();
        assert_eq!(counts(old).await, [180]);
        assert_eq!(counts(young).await, [3; 60]);
    }

    async fn questions_without_an_answer_are_told(database: Database) {
        let store = database.migrated().await;
        let ask = || store.history().statistics();
        assert!(ask().await.expect("no statistics yet").is_empty());
        assert!(ask().since(hours_ago(0)).until(hours_ago(5)).await.expect("no time").is_empty());
        for odd in [Duration::ZERO, MINUTE / 60, MINUTE * 7, MINUTE * 90, HOUR + MINUTE, Duration::from_millis(60_001), Duration::MAX] {
            let error = ask().bucket(odd).await.expect_err("refused");
            assert!(matches!(&error, Error::List { parameter, .. } if parameter == "bucket"), "{odd:?}: {error}");
        }
        let error = ask().since(hours_ago(24 * 8)).bucket(MINUTE).await.expect_err("too many");
        assert!(error.to_string().contains("at most 10000"), "{error}");
        let all_time = ask().since(DateTime::<Utc>::MIN_UTC).until(DateTime::<Utc>::MAX_UTC);
        assert!(matches!(all_time.clone().await, Err(Error::List { .. })));
    }

    async fn strange_times_are_counted_too(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.finish(&[
            Outcome { enqueued_ms: i64::MAX, started_us: Some(i64::MIN), finished_us: i64::MAX, ..outcome(1) },
            Outcome { enqueued_ms: i64::MIN, ready_ms: Some(i64::MIN), finished_us: i64::MIN, ..run(2, 1, State::Dead) },
            Outcome { kind: "NUL \0".into(), ..timed(3, hours_ago(1), 0, 0) },
        ]).await;
        queue.record_into(&store).await;
        store.prune(&Retention::forever()).await.expect("folded");
        assert_eq!(sql(&store, "SELECT CAST(sum(runs) AS bigint) FROM millstream_statistics").await.expect("a sum"), 3);
        let named = store.history().statistics().kind("NUL \0").since(hours_ago(2)).await.expect("statistics");
        assert_eq!((named.len(), &*named[0].kind), (1, "NUL \u{FFFD}"));
        assert_eq!(store.history().id(Uuid::from_u128(1)).count().await.expect("a count"), 1);
    }
}
