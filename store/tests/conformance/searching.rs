//! Fields of payloads that job types declare searchable, and what follows a job's row when that moves.

use millstream_queue::{History, Job, Outcome, State};
use millstream_store::{Error, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    database::{Database, on_both, sql},
    packs::{Queue, outcome, run},
};

#[derive(Serialize, Deserialize)]
struct Resize {
    photo: u32,
}

impl Job for Resize {
    const KIND: &'static str = "resize";
    const QUEUE: &'static str = "photos";
    const HISTORY: History = History::All;
    const SEARCHABLE: &'static [&'static str] = &["photo", "order.country"];
}

fn with(id: u128, payload: &str) -> Outcome {
    Outcome { payload: Some(payload.into()), ..outcome(id) }
}

async fn found(history: millstream_store::History) -> Vec<u128> {
    history.await.expect("a page").rows.iter().map(|row| row.id.as_u128()).collect()
}

async fn searched() -> Queue {
    let queue = Queue::new().await;
    queue.client.declare_searchable("photos", "resize", Resize::SEARCHABLE).await.expect("declared");
    queue
}

/// With ids that have the bits of this version.
async fn check_places(database: Database, version: u128) {
    let (store, queue) = (database.migrated().await, searched().await);
    let run = |id: u128, number, state| run(id | version, number, state);
    let tagged = |run: Outcome| Outcome { tags: vec!["t".into(), "t".into()], ..run };
    let bare = |run: Outcome| Outcome { payload: None, ..run };
    queue.finish(&[tagged(run(1, 1, State::Failed)), tagged(run(2, 2, State::Failed))]).await;
    queue.record_into(&store).await;
    let both = async |store: &Store| {
        let field = found(store.history().job::<Resize>().field("photo", 7)).await;
        assert_eq!(found(store.history().tag("t")).await, field);
        assert_eq!(found(store.history()).await, field);
        field
    };
    assert_eq!(both(&store).await, [2, 1].map(|id: u128| id | version));
    // The later run says neither its tags nor its payload.
    queue.finish(&[bare(run(1, 3, State::Completed))]).await;
    queue.record_into(&store).await;
    assert_eq!(both(&store).await, [1, 2].map(|id: u128| id | version));
    // What arrives late moves nothing.
    queue.finish(&[tagged(run(1, 2, State::Failed))]).await;
    queue.record_into(&store).await;
    assert_eq!(both(&store).await, [1, 2].map(|id: u128| id | version));
    // And what only an early run says is found at the place of the later one.
    queue.finish(&[bare(run(3, 5, State::Completed))]).await;
    queue.record_into(&store).await;
    queue.finish(&[tagged(run(3, 1, State::Failed))]).await;
    queue.record_into(&store).await;
    assert_eq!(both(&store).await, [3, 1, 2].map(|id: u128| id | version));
}

on_both! {
    async fn jobs_are_found_by_the_declared_fields_of_their_payload(database: Database) {
        let (store, queue) = (database.migrated().await, searched().await);
        queue.finish(&[
            with(1, r#"{"photo":7,"order":{"country":"ZA"}}"#),
            with(2, r#"{"photo":"7","order":{"country":"za"}}"#),
            with(3, r#"{"photo":7.0,"order":null}"#),
            with(4, r#"{"photo":true,"other":7}"#),
            with(5, "not json"),
            Outcome { payload: None, ..outcome(6) },
            Outcome { kind: "palette".into(), ..with(7, r#"{"photo":7}"#) },
        ]).await;
        queue.record_into(&store).await;
        let all = || store.history().job::<Resize>();
        for (history, expected) in [
            (all().field("photo", 7), vec![3, 1]),
            (all().field("photo", "7"), vec![2]),
            (all().field("photo", true), vec![4]),
            (all().field("photo", 8), vec![]),
            (all().field("order.country", "ZA"), vec![1]),
            (all().field("photo", 7).field("order.country", "ZA"), vec![1]),
            (store.history().kind("resize").field("photo", 7), vec![3, 1]),
            (store.history().kind("palette").field("photo", 7), vec![]),
        ] {
            assert_eq!(history.clone().count().await.expect("a count"), expected.len() as u64, "{history:?}");
            let what = format!("{history:?}");
            assert_eq!(found(history).await, expected, "{what}");
        }
    }

    async fn a_field_that_is_not_declared_is_a_typed_error(database: Database) {
        let store = database.migrated().await;
        let all = || store.history().job::<Resize>();
        for (history, said) in [
            (all().field("user", 7), "SEARCHABLE has only"),
            (store.history().field("photo", 7), "name the job type"),
            (all().field("photo", "x".repeat(501)), "up to 500 bytes"),
            (all().field("photo", "a\0b"), "without NUL"),
        ] {
            let error = history.clone().count().await.expect_err("refused");
            assert!(matches!(error, Error::Unsearchable { .. }) && error.to_string().contains(said), "{error}");
            assert!(history.await.is_err());
        }
    }

    async fn tags_and_fields_follow_their_job_to_its_place(database: Database) {
        check_places(database, 0).await;
    }

    async fn tags_and_fields_follow_a_job_that_has_no_key(database: Database) {
        check_places(database, 7 << 76 | 2 << 62).await;
    }

    async fn texts_of_errors_are_found_after_their_row_changed(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let failed = |run: Outcome, error: &str| Outcome { error: Some(error.into()), ..run };
        queue.finish(&[failed(run(1, 1, State::Failed), "the disk is full"), failed(run(2, 1, State::Failed), "no \"answer\"")]).await;
        queue.record_into(&store).await;
        assert_eq!(found(store.history().error_contains("DISK")).await, [1]);
        queue.finish(&[failed(run(1, 2, State::Failed), "no answer"), run(2, 2, State::Completed)]).await;
        queue.record_into(&store).await;
        assert_eq!(found(store.history().error_contains("disk")).await, [0_u128; 0]);
        assert_eq!(found(store.history().error_contains("answer")).await, [1]);
        assert_eq!(found(store.history().error_contains("\"answer\"")).await, [0_u128; 0]);
    }

    async fn a_job_pushed_again_under_its_key_stays_one_row(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let month = 30 * 86_400_000;
        let again = Outcome { enqueued_ms: outcome(1).enqueued_ms + month, ..outcome(1) };
        for one in [outcome(1), again] {
            queue.finish(&[one]).await;
            queue.record_into(&store).await;
        }
        assert_eq!(found(store.history().id(Uuid::from_u128(1))).await, [1]);
        assert_eq!(sql(&store, "SELECT count(*) FROM millstream_attempts").await.expect("a count"), 1);
    }
}
