use chrono::{DateTime, Utc};
use millstream_queue::{Job, Lane, Outcome, State};
use millstream_store::{Cursor, Error, JobRecord};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    database::on_both,
    packs::{NOON, Queue, outcome, run},
};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Resize {
    photo: u32,
}

impl Job for Resize {
    const KIND: &'static str = "resize";
    const QUEUE: &'static str = "photos";
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("in range")
}

fn ids(rows: &[JobRecord]) -> Vec<u128> {
    rows.iter().map(|row| row.id.as_u128()).collect()
}

on_both! {
    async fn a_row_tells_everything_of_its_job(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let full = Outcome {
            lane: Lane::Suspect,
            version: 3,
            run: 4,
            attempt: 2,
            crash: 2,
            state: State::Failed,
            error: Some("naïve 数据 error".into()),
            result: Some(b"[]".to_vec()),
            next_ms: Some(NOON / 1000 + 60_000),
            started_us: Some(NOON + 123_456),
            ..outcome(1)
        };
        queue.finish(std::slice::from_ref(&full)).await;
        queue.record_into(&store).await;

        let page = store.history().id(Uuid::from_u128(1)).await.expect("a page");
        assert_eq!(page.next, None);
        let [job] = &page.rows[..] else { panic!("one row") };
        assert_eq!((job.id, &*job.queue, &*job.kind), (full.id, "photos", "resize"));
        assert_eq!((job.version, job.lane, job.state), (3, Lane::Suspect, State::Failed));
        assert_eq!((job.run, job.attempt, job.crash), (4, 2, 2));
        assert_eq!(job.enqueued_at, time(NOON));
        assert_eq!((job.first_started_at, job.started_at), (Some(time(NOON + 123_456)), Some(time(NOON + 123_456))));
        assert_eq!((job.finished_at, job.next_at), (time(NOON + 1_000_000), Some(time(NOON + 60_000_000))));
        assert_eq!((&*job.worker, job.error.as_deref()), ("w1", Some("naïve 数据 error")));
        assert_eq!(job.payload::<Resize>().expect("its payload"), Resize { photo: 7 });
        assert_eq!(job.result::<Vec<u8>>().expect("its result"), Vec::<u8>::new());
        assert!(matches!(job.result::<String>(), Err(Error::Decode { what: "result", .. })));

        let [attempt] = &store.history().attempts(full.id).await.expect("attempts")[..] else { panic!("one run") };
        assert_eq!((attempt.job_id, attempt.run, attempt.attempt, attempt.crash), (full.id, 4, 2, 2));
        assert_eq!((attempt.state, &*attempt.worker), (State::Failed, "w1"));
        assert_eq!((attempt.started_at, attempt.finished_at), (job.started_at, job.finished_at));
        assert_eq!((attempt.next_at, &attempt.error), (job.next_at, &job.error));
    }

    async fn what_the_job_type_leaves_out_is_told_apart(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.finish(&[Outcome { payload: None, ..outcome(1) }]).await;
        queue.record_into(&store).await;
        let page = store.history().await.expect("a page");
        assert!(matches!(page.rows[0].payload::<Resize>(), Err(Error::NotKept { what: "payload", .. })));
        assert!(matches!(page.rows[0].result::<u8>(), Err(Error::NotKept { what: "result", .. })));
    }

    async fn each_filter_lets_through_what_it_names(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.finish(&[
            Outcome { finished_us: NOON, ..outcome(1) },
            Outcome { finished_us: NOON + 1, kind: "palette".into(), worker: "w2".into(), ..outcome(2) },
            Outcome { finished_us: NOON + 2, error: Some("Disk is 100% full".into()), ..run(3, 1, State::Dead) },
            Outcome { finished_us: NOON + 3, error: Some(r"no C:\photos_7 here".into()), ..run(4, 1, State::Failed) },
        ]).await;
        queue.record_into(&store).await;
        let all = || store.history();

        for (history, expected) in [
            (all(), vec![4, 3, 2, 1]),
            (all().id(Uuid::from_u128(2)), vec![2]),
            (all().job::<Resize>(), vec![4, 3, 1]),
            (all().kind("palette"), vec![2]),
            (all().queue("photos"), vec![4, 3, 2, 1]),
            (all().queue("mail"), vec![]),
            (all().state(State::Dead), vec![3]),
            (all().worker("w2"), vec![2]),
            (all().since(time(NOON + 1)), vec![4, 3, 2]),
            (all().until(time(NOON + 1)), vec![1]),
            (all().since(time(NOON + 1)).until(time(NOON + 3)).job::<Resize>(), vec![3]),
            (all().since(DateTime::<Utc>::MIN_UTC).until(DateTime::<Utc>::MAX_UTC), vec![4, 3, 2, 1]),
            (all().error_contains("disk IS"), vec![3]),
            (all().error_contains("100%"), vec![3]),
            (all().error_contains("1%0"), vec![]),
            (all().error_contains("_7"), vec![4]),
            (all().error_contains("o_"), vec![]),
            (all().error_contains(r":\p"), vec![4]),
            (all().error_contains(""), vec![4, 3]),
            (all().kind("' OR 1=1--"), vec![]),
            (all().kind("nul\0"), vec![]),
            (all().error_contains("nul\0"), vec![]),
        ] {
            let what = format!("{history:?}");
            assert_eq!(history.clone().count().await.expect("a count"), expected.len() as u64, "{what}");
            assert_eq!(ids(&history.await.expect("a page").rows), expected, "{what}");
        }
    }

    async fn pages_follow_one_another_without_gap_or_repeat(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        // Threes share a time, so that the id decides between them.
        let outcomes: Vec<Outcome> =
            (1..=30).map(|id: u32| Outcome { finished_us: NOON + i64::from(id / 3), ..outcome(id.into()) }).collect();
        queue.finish(&outcomes).await;
        queue.record_into(&store).await;

        let mut seen = Vec::new();
        let mut page = store.history().limit(7).await.expect("a page");
        loop {
            seen.extend(ids(&page.rows));
            let Some(next) = page.next else { break };
            let next: Cursor = next.to_string().parse().expect("a cursor survives a URL");
            page = store.history().limit(7).after(&next).await.expect("a page");
        }
        assert_eq!(seen, (1..=30).rev().collect::<Vec<u128>>());
    }

    async fn limits_are_held(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let outcomes: Vec<Outcome> = (1..=60).map(outcome).collect();
        queue.finish(&outcomes).await;
        queue.record_into(&store).await;
        for (limit, rows) in [(0, 1), (1, 1), (60, 60), (u16::MAX, 60)] {
            assert_eq!(store.history().limit(limit).await.expect("a page").rows.len(), rows);
        }
        assert_eq!(store.history().await.expect("a page").rows.len(), 50);
        assert_eq!(store.history().count().await.expect("a count"), 60);
    }
}
