use millstream_queue::{Outcome, Progress, State};
use millstream_store::{JobRecord, Store};
use uuid::Uuid;

use crate::{
    database::on_both,
    packs::{Queue, outcome, run},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn reporting(outcome: Outcome) -> Outcome {
    Outcome {
        tags: vec!["billing".into(), "eu west".into()],
        traceparent: Some(format!("00-{TRACE}-00f067aa0ba902b7-01")),
        log: Some("opened\nclosed".into()),
        progress: Some(Progress::new(3, 10, "resizing")),
        ..outcome
    }
}

async fn job(store: &Store, id: u128) -> JobRecord {
    store.history().id(Uuid::from_u128(id)).await.expect("a page").rows.remove(0)
}

async fn tagged(store: &Store, tag: &str) -> Vec<u128> {
    let page = store.history().tag(tag).await.expect("a page");
    let mut ids: Vec<_> = page.rows.iter().map(|row| row.id.as_u128()).collect();
    ids.sort_unstable();
    ids
}

on_both! {
    async fn a_job_shows_its_tags_and_trace_and_each_attempt_what_it_reported(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let quiet = Outcome { log: None, progress: None, ..reporting(run(1, 2, State::Completed)) };
        queue.finish(&[reporting(run(1, 1, State::Failed)), quiet, outcome(2)]).await;
        queue.record_into(&store).await;

        let (told, plain) = (job(&store, 1).await, job(&store, 2).await);
        assert_eq!((told.tags, told.trace_id.as_deref()), (vec!["billing".into(), "eu west".into()], Some(TRACE)));
        assert_eq!(told.progress, None, "progress is the decisive run's");
        assert_eq!((plain.tags, plain.trace_id, plain.progress), (Vec::<String>::new(), None, None));
        let attempts = store.history().attempts(Uuid::from_u128(1)).await.expect("attempts");
        assert_eq!(attempts[0].log.as_deref(), Some("opened\nclosed"));
        assert_eq!(attempts[0].progress, Some(Progress::new(3, 10, "resizing")));
        assert_eq!((&attempts[1].log, &attempts[1].progress), (&None, &None));
    }

    async fn jobs_are_found_by_tag(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let with = |id, tags: &[&str]| Outcome { tags: tags.iter().map(|tag| (*tag).into()).collect(), ..outcome(id) };
        let many: Vec<_> = (10..300).map(|id| with(id, &["many"])).collect();
        queue.finish(&[with(1, &["a", "b"]), with(2, &["b", "ü\"%_\\"]), outcome(3)]).await;
        queue.finish(&[with(1, &["a", "b"])]).await; // delivered twice
        queue.finish(&many).await;
        queue.record_into(&store).await;
        assert_eq!(tagged(&store, "a").await, [1]);
        assert_eq!(tagged(&store, "b").await, [1, 2]);
        assert_eq!(tagged(&store, "ü\"%_\\").await, [2]);
        assert_eq!(tagged(&store, "B").await, [0_u128; 0]);
        assert_eq!(tagged(&store, "' OR 1=1--").await, [0_u128; 0]);
        assert_eq!(store.history().tag("many").count().await.expect("a count"), 290);
        assert_eq!(store.history().tag("b").kind("resize").state(State::Completed).count().await.expect("a count"), 2);
    }

    async fn the_lives_of_a_dead_job_are_found_by_its_id(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let dead = Uuid::from_u128(1);
        let revived = Outcome { of: Some(dead), ..run(2, 1, State::Completed) };
        queue.finish(&[run(1, 1, State::Dead), revived, run(3, 1, State::Completed)]).await;
        queue.record_into(&store).await;
        let lives = store.history().revived_from(dead).await.expect("a page").rows;
        assert_eq!(lives.iter().map(|job| (job.id, job.revived_from)).collect::<Vec<_>>(), [(Uuid::from_u128(2), Some(dead))]);
    }

    async fn tags_that_only_one_run_tells_are_kept_whatever_the_order(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        // A script that ends a job tells neither tags nor trace; the run that does may be recorded before, with, or after it.
        queue.finish(&[reporting(run(1, 1, State::Failed))]).await;
        queue.finish(&[reporting(run(2, 1, State::Failed)), run(2, 2, State::Dead)]).await;
        queue.finish(&[run(3, 2, State::Dead)]).await;
        queue.record_into(&store).await;
        queue.finish(&[run(1, 2, State::Dead), reporting(run(3, 1, State::Failed))]).await;
        queue.record_into(&store).await;
        for id in [1, 2, 3] {
            let job = job(&store, id).await;
            assert_eq!((job.state, job.tags.len(), job.trace_id.as_deref()), (State::Dead, 2, Some(TRACE)), "job {id}");
        }
        assert_eq!(tagged(&store, "billing").await, [1, 2, 3]);
    }

    async fn strange_reports_are_kept_as_well_as_they_can_be(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let strange = Outcome {
            tags: vec!["NUL \0".into(), String::new(), "x".repeat(10_000)],
            traceparent: Some("no trace \0".into()),
            log: Some("NUL \0".into()),
            progress: Some(Progress::new(u64::MAX, 0, "NUL \0")),
            ..outcome(1)
        };
        queue.finish(&[strange, outcome(2)]).await;
        queue.record_into(&store).await;
        let job = job(&store, 1).await;
        assert_eq!(job.tags, ["NUL \u{FFFD}".to_owned(), String::new(), "x".repeat(512)]);
        assert_eq!((job.trace_id, job.progress), (None, Some(Progress::new(u64::MAX, 0, "NUL \u{FFFD}"))));
        let attempts = store.history().attempts(Uuid::from_u128(1)).await.expect("attempts");
        assert_eq!(attempts[0].log.as_deref(), Some("NUL \u{FFFD}"));
        assert_eq!(store.count_rejected().await.expect("a count"), 0);
    }

    async fn a_database_of_the_first_version_is_upgraded_without_losing_a_row(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let rows: Vec<_> = (1..=200).map(|id| run(id, 1, State::Failed)).collect();
        queue.finish(&rows).await;
        queue.record_into(&store).await;
        // Back to what the first version left behind.
        while store.migrations().await.expect("status").iter().filter(|one| one.applied_at.is_some()).count() > 1 {
            store.revert_last_migration().await.expect("reverted");
        }

        let store = database.migrated().await;
        assert_eq!(store.history().count().await.expect("a count"), 200);
        let attempts = store.history().attempts(Uuid::from_u128(200)).await.expect("attempts");
        assert_eq!((attempts.len(), &attempts[0].log), (1, &None));
        assert_eq!(job(&store, 7).await.tags, Vec::<String>::new());

        // And they go on from there.
        queue.finish(&[reporting(run(7, 2, State::Completed))]).await;
        queue.record_into(&store).await;
        assert_eq!((job(&store, 7).await.state, job(&store, 7).await.tags.len()), (State::Completed, 2));
        assert_eq!(tagged(&store, "billing").await, [7]);
    }
}
