use std::time::Duration;

use millstream_queue::{Outcome, State};
use millstream_store::{JobRecord, Recorder, Store};
use redis::streams::StreamInfoConsumersReply;
use uuid::Uuid;

use crate::{
    database::on_both,
    packs::{NOON, Queue, Recording, outcome, run, until},
};

async fn job(store: &Store, id: u128) -> JobRecord {
    let page = store.history().id(Uuid::from_u128(id)).await.expect("a page");
    page.rows.into_iter().next().expect("the job")
}

async fn runs(store: &Store, id: u128) -> Vec<u32> {
    let attempts = store.history().attempts(Uuid::from_u128(id)).await.expect("attempts");
    attempts.into_iter().map(|attempt| attempt.run).collect()
}

on_both! {
    async fn a_pack_delivered_twice_is_recorded_once(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let pack = [run(1, 1, State::Failed), run(1, 2, State::Completed), outcome(2)];
        for _ in 0..2 {
            queue.finish(&pack).await;
            queue.record_into(&store).await;
            assert_eq!(store.history().count().await.expect("a count"), 2);
            assert_eq!(runs(&store, 1).await, [1, 2]);
            assert_eq!((job(&store, 1).await.state, job(&store, 1).await.run), (State::Completed, 2));
        }
        // And twice within one batch.
        queue.finish(&[run(3, 1, State::Dead)]).await;
        queue.finish(&[run(3, 1, State::Dead)]).await;
        queue.record_into(&store).await;
        assert_eq!(runs(&store, 3).await, [1]);
        assert_eq!(queue.counters().await, (0, 0));
    }

    async fn the_row_follows_the_highest_run_in_any_order_of_arrival(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let story = [run(1, 1, State::Failed), run(1, 2, State::Crashed), run(1, 3, State::Snoozed)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let id = order.iter().fold(1, |id, step| id * 10 + step) as u128;
            for step in order {
                queue.finish(&[Outcome { id: Uuid::from_u128(id), ..story[step].clone() }]).await;
                queue.record_into(&store).await;
            }
            let job = job(&store, id).await;
            assert_eq!((job.state, job.run, job.error.as_deref()), (State::Snoozed, 3, Some("run 3 went wrong")));
            assert_eq!(job.first_started_at.map(|at| at.timestamp_micros()), story[0].started_us, "{order:?}");
            assert_eq!(job.started_at.map(|at| at.timestamp_micros()), story[2].started_us, "{order:?}");
            assert_eq!(runs(&store, id).await, [1, 2, 3]);
        }
    }

    async fn a_terminal_state_is_never_left(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let later = [State::Failed, State::Dead, State::Interrupted, State::Cancelled];
        queue.finish(&[run(1, 2, State::Completed)]).await;
        queue.record_into(&store).await;
        for (number, state) in later.into_iter().enumerate() {
            queue.finish(&[run(1, 3 + number as u32, state)]).await;
            queue.record_into(&store).await;
            assert_eq!((job(&store, 1).await.state, job(&store, 1).await.run), (State::Completed, 2));
        }
        assert_eq!(runs(&store, 1).await, [2, 3, 4, 5, 6]);

        // In one batch the first end decides, and an end decides over a higher run that is none.
        queue.finish(&[run(2, 3, State::Failed), run(2, 2, State::Dead), run(2, 4, State::Completed)]).await;
        queue.record_into(&store).await;
        assert_eq!((job(&store, 2).await.state, job(&store, 2).await.run), (State::Dead, 2));
    }

    async fn a_payload_that_a_later_run_leaves_out_is_kept(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let without = |run| Outcome { payload: None, ..run };
        queue.finish(&[run(1, 1, State::Failed)]).await;
        queue.finish(&[without(run(2, 2, State::Completed))]).await;
        queue.record_into(&store).await;
        queue.finish(&[without(run(1, 2, State::Completed)), run(2, 1, State::Failed)]).await;
        queue.record_into(&store).await;
        for id in [1, 2] {
            let job = job(&store, id).await;
            assert_eq!((job.state, job.payload_bytes().is_some()), (State::Completed, true), "job {id}");
        }
    }

    async fn strange_values_are_kept_and_stop_nobody(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let payload = |id, bytes: &[u8]| Outcome { payload: Some(bytes.to_vec()), ..outcome(id) };
        let long_number = format!("0.{}", "1".repeat(20_000)).into_bytes();
        let strange: [&[u8]; 8] = [
            br#"{"name":"a\u0000b"}"#, br#""\ud800""#, &[0xff, 0x00, 0xfe], b"", b"1e400", b"not json", b"\0",
            &long_number,
        ];
        let mut pack: Vec<Outcome> = (1..).zip(strange).map(|(id, bytes)| payload(id, bytes)).collect();
        pack.push(Outcome { error: Some("NUL \0 inside".into()), worker: "w\0".into(), ..run(20, 1, State::Dead) });
        pack.push(Outcome { kind: "k".repeat(10_000), ..outcome(21) });
        pack.push(Outcome { enqueued_ms: i64::MAX, started_us: Some(i64::MIN), finished_us: i64::MAX, ..outcome(22) });
        pack.push(Outcome { run: u32::MAX, attempt: u32::MAX, crash: u32::MAX, version: u32::MAX, ..outcome(23) });
        pack.extend((100..200).map(outcome));
        queue.finish(&pack).await;
        queue.record_into(&store).await;

        assert_eq!(store.history().count().await.expect("a count"), pack.len() as u64);
        for (id, bytes) in (1..).zip(strange) {
            assert_eq!(job(&store, id).await.payload_bytes(), Some(bytes), "payload {id}");
        }
        assert_eq!(job(&store, 20).await.error.as_deref(), Some("NUL \u{FFFD} inside"));
        assert_eq!(job(&store, 21).await.kind, "k".repeat(512));
        assert_eq!(job(&store, 22).await.finished_at.to_rfc3339(), "9999-12-31T23:59:59.999999+00:00");
        assert_eq!(job(&store, 23).await.run, u32::MAX);
    }

    async fn a_pack_that_cannot_be_read_is_set_aside(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        queue.finish(&[outcome(1)]).await;
        queue.append(3, b"\x93garbage").await;
        queue.finish(&[outcome(2)]).await;
        queue.record_into(&store).await;
        assert_eq!(store.history().count().await.expect("a count"), 2);
        assert_eq!(queue.counters().await, (0, 0));
        assert_eq!(store.count_rejected().await.expect("a count"), 1);
    }

    async fn thousands_are_recorded_and_counted_down(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        for pack in 0..20_u128 {
            let outcomes: Vec<Outcome> = (0..500).map(|index| outcome(pack * 500 + index + 1)).collect();
            queue.finish(&outcomes).await;
        }
        assert_eq!(queue.counters().await.0, 10_000);
        queue.record_into(&store).await;
        assert_eq!(store.history().count().await.expect("a count"), 10_000);
        assert_eq!(queue.counters().await, (0, 0));
    }

    async fn several_recorders_share_the_work(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let recorders = [queue.recorder(&store).await, queue.recorder(&database.store().await).await];
        for pack in 0..50_u128 {
            // Every job has two runs, in packs that different recorders may take, the later one first.
            let (first, second) = (pack * 2, pack * 2 + 1);
            queue.finish(&(1..50).map(|id| run(id + 100 * second, 2, State::Completed)).collect::<Vec<_>>()).await;
            queue.finish(&(1..50).map(|id| run(id + 100 * second, 1, State::Failed)).collect::<Vec<_>>()).await;
            queue.finish(&(1..50).map(|id| run(id + 100 * first, 1, State::Completed)).collect::<Vec<_>>()).await;
        }
        queue.drained().await;
        for recorder in recorders {
            recorder.stop().await;
        }
        assert_eq!(store.history().state(State::Completed).count().await.expect("a count"), 50 * 2 * 49);
        assert_eq!(store.history().count().await.expect("a count"), 50 * 2 * 49);
    }

    async fn what_a_dead_recorder_held_is_taken_over(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let keys = queue.client.keys("photos");
        queue.finish(&[outcome(1)]).await;
        let mut conn = queue.client.connection().await.expect("a connection");
        let _: redis::Value = redis::cmd("XREADGROUP")
            .arg(&["GROUP", "recorder", "dead", "STREAMS", &keys.done(), ">"])
            .query_async(&mut conn)
            .await
            .expect("read by one that never acknowledges");
        let recorder = Recorder::new(queue.client.clone(), store.clone()).claim_after(Duration::from_millis(100));
        let recording = Recording::start(recorder).await;
        queue.drained().await;
        assert_eq!(job(&store, 1).await.finished_at.timestamp_micros(), NOON + 1_000_000);

        // Its consumer goes too, once it has been silent for long enough.
        until(async || {
            let mut conn = queue.client.connection().await.expect("a connection");
            let group: StreamInfoConsumersReply = redis::cmd("XINFO")
                .arg(&["CONSUMERS", &keys.done(), "recorder"])
                .query_async(&mut conn)
                .await
                .expect("consumers");
            group.consumers.iter().all(|consumer| consumer.name != "dead")
        }).await;
        recording.stop().await;
    }
}
