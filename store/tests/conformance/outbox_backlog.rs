//! The outbox when more waits than one batch takes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use diesel_async::RunQueryDsl;
use millstream_queue::{Client, Job, Lane};
use millstream_store::{Data, Isolation, Relay, Store, query};
use serde::{Deserialize, Serialize};

use crate::{
    database::{on_both, sql},
    relaying::{Relaying, emptied, field, redis},
};

#[derive(Serialize, Deserialize)]
struct SendReceipt {
    key: u64,
    number: u64,
}

impl Job for SendReceipt {
    const KIND: &'static str = "send_receipt";
    const QUEUE: &'static str = "mail";
}

#[derive(Serialize, Deserialize)]
struct DrawThumbnail {
    number: u64,
}

impl Job for DrawThumbnail {
    const KIND: &'static str = "draw_thumbnail";
    const QUEUE: &'static str = "photos";
}

/// The payloads in a queue, in order.
async fn payloads<J: Job>(client: &Client) -> Vec<J> {
    let bodies = field(client, &client.keys(J::QUEUE).ready(Lane::Normal), "body").await;
    bodies.iter().map(|body| serde_json::from_str(body).expect("a payload")).collect()
}

/// Rows of two queues by turns, a thousand of each in one statement.
async fn fill(store: &Store, rows: u64) {
    for first in (0..rows).step_by(1000) {
        let both = |number| {
            format!(
                "('queue:mail', 'send_receipt', '{{\"key\":0,\"number\":{number}}}'), \
                 ('queue:photos', 'draw_thumbnail', '{{\"number\":{number}}}')"
            )
        };
        let values: Vec<String> = (first..rows.min(first + 1000)).map(both).collect();
        let insert = format!("INSERT INTO millstream_outbox (target, kind, body) VALUES {}", values.join(", "));
        let written = store.write(query!(|conn: Db| diesel::sql_query(insert).execute(conn).await));
        written.await.expect("written");
    }
}

on_both! {
    async fn a_backlog_of_two_queues_is_relayed_once_and_in_order(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        fill(&store, 7000).await;
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        let receipts: Vec<_> = payloads::<SendReceipt>(&client).await.iter().map(|job| job.number).collect();
        let thumbnails: Vec<_> = payloads::<DrawThumbnail>(&client).await.iter().map(|job| job.number).collect();
        assert!(receipts == (0..7000).collect::<Vec<_>>(), "{} receipts", receipts.len());
        assert!(thumbnails == receipts, "{} thumbnails", thumbnails.len());
        let left = sql(&store, "SELECT count(*) FROM millstream_outbox_batches WHERE members IS NOT NULL");
        assert_eq!(left.await.expect("a count"), 0);
    }

    async fn rows_of_a_key_keep_their_order_while_batches_follow_each_other(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        fill(&store, 5000).await;
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        let numbers: Arc<[AtomicU64; 4]> = Arc::default();
        let writers = (0..6_u64).map(|writer| {
            let (store, numbers) = (store.clone(), numbers.clone());
            tokio::spawn(async move {
                for turn in 0..60 {
                    let key = 1 + (writer + turn) % 3;
                    let numbers = numbers.clone();
                    let written = store.transaction_at(Isolation::ReadCommitted, async move |tx| {
                        // From here on no other transaction of this key has a number until this one has committed.
                        tx.push(SendReceipt { key: key + 10, number: 0 }).ordered_by(key).await?;
                        let number = numbers[key as usize].fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        tx.push(SendReceipt { key, number }).ordered_by(key).await
                    });
                    written.await.expect("written");
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("written");
        }
        emptied(&store).await;
        relaying.stop().await;
        let relayed = payloads::<SendReceipt>(&client).await;
        assert_eq!(relayed.len(), 5000 + 2 * 6 * 60);
        for key in 0..=3 {
            let of_one: Vec<u64> = relayed.iter().filter(|job| job.key == key).map(|job| job.number).collect();
            assert!(of_one.is_sorted() && !of_one.is_empty(), "key {key}: {of_one:?}");
        }
    }

    async fn rows_that_have_arrived_and_were_not_deleted_are_not_sent_again(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        fill(&store, 5).await;
        // As a relay leaves it that dies while it deletes the rows of its first batch and sends the second one.
        let died = "INSERT INTO millstream_outbox_batches (target, batch, members) \
                    VALUES ('queue:mail', 2, '{\"batch\":[[5,5],[7,7]],\"arrived\":[[1,1],[3,3]]}') RETURNING batch";
        sql(&store, died).await.expect("written down");
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        let numbers: Vec<_> = payloads::<SendReceipt>(&client).await.iter().map(|job| job.number).collect();
        assert_eq!(numbers, [2, 3, 4]);
    }
}
