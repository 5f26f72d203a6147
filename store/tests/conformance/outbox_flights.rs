//! Two batches on their way at once.

use std::collections::BTreeSet;

use diesel_async::RunQueryDsl;
use millstream_queue::{Lane, MessageOptions, MessageRef, OutboxBatch, Target};
use millstream_store::{Data, Relay, Store, query};
use uuid::Uuid;

use crate::{
    database::{on_both, sql},
    outbox_batches::outbox_id,
    relaying::{Relaying, emptied, orders, redis},
};

/// Receipts with the orders from 0, those of `high` for another lane.
async fn fill(store: &Store, rows: i64, high: &BTreeSet<i64>) {
    for first in (0..rows).step_by(1000) {
        let values: Vec<String> = (first..rows.min(first + 1000))
            .map(|order| {
                let options = if high.contains(&order) { "'{\"lane\":\"high\"}'" } else { "NULL" };
                format!("('queue:mail', 'send_receipt', '{{\"order\":{order}}}', {options})")
            })
            .collect();
        let insert =
            format!("INSERT INTO millstream_outbox (target, kind, body, options) VALUES {}", values.join(", "));
        let written = store.write(query!(|conn: Db| diesel::sql_query(insert).execute(conn).await));
        written.await.expect("written");
    }
}

on_both! {
    async fn a_relay_that_takes_over_begins_with_the_older_of_two_batches(database: Database) {
        for arrived in 0..=2 {
            let (store, client) = (database.migrated().await, redis().await);
            let forget = query!(|conn: Db| diesel::sql_query("DELETE FROM millstream_outbox_batches").execute(conn).await);
            store.write(forget).await.expect("forgotten");
            fill(&store, 6, &BTreeSet::new()).await;
            let first = sql(&store, "SELECT min(seq) FROM millstream_outbox").await.expect("a number");
            let died = format!(
                "INSERT INTO millstream_outbox_batches (target, batch, members) VALUES ('queue:mail', 2, \
                 '{{\"batch\":[[{},{}]],\"before\":[[{first},{}]]}}') RETURNING batch",
                first + 2,
                first + 3,
                first + 1
            );
            sql(&store, &died).await.expect("written down");
            if arrived > 0 {
                let (key, outbox) = (client.keys("mail").outbox(), outbox_id(&store).await);
                let mut conn = client.connection().await.expect("a connection");
                let _: u64 =
                    redis::cmd("HSET").arg(key).arg(outbox).arg(arrived).query_async(&mut conn).await.expect("arrived");
            }
            let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
            emptied(&store).await;
            relaying.stop().await;
            assert_eq!(orders(&client).await, (2 * arrived..6).collect::<Vec<_>>(), "{arrived} had arrived");
        }
    }

    async fn a_batch_behind_one_that_redis_refused_in_part_waits_until_that_is_set_aside(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        // Of the first batch, of the second and of the last.
        let high = BTreeSet::from([7, 600, 1500, 5999]);
        fill(&store, 6000, &high).await;
        let mut conn = client.connection().await.expect("a connection");
        let lane = client.keys("mail").ready(Lane::High);
        let _: () = redis::cmd("SET").arg(lane).arg("no stream").query_async(&mut conn).await.expect("set");
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, (0..6000).filter(|order| !high.contains(order)).collect::<Vec<_>>());
        let aside = "SELECT count(*) FROM millstream_outbox_rejected WHERE reason LIKE '%WRONGTYPE%' \
                     AND options LIKE '%high%'";
        assert_eq!(sql(&store, aside).await.expect("a count"), high.len() as i64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_sent_behind_another_does_nothing_before_that_has_arrived_completely() {
    let client = redis().await;
    let batch = |number: u64, lane: &str| -> OutboxBatch {
        let mut batch = client.outbox_batch("books", &Target::Queue("mail".into()), number);
        let options = MessageOptions::parse(Some(&format!("{{\"lane\":{lane:?}}}"))).expect("options");
        let (id, body, created_at) = (Uuid::now_v7(), format!("{{\"order\":{number}}}"), chrono::Utc::now());
        batch.push(MessageRef { id, kind: "send_receipt", body: &body, options: &options, created_at }).expect("one");
        batch
    };
    let relay = async |batch: OutboxBatch| client.relay(batch).await.expect("sent");

    let early = relay(batch(2, "normal").after(1)).await;
    assert!(early.is_early && early.last == 0 && !early.is_complete(2), "{early:?}");
    assert!(relay(batch(1, "normal")).await.is_complete(1));
    assert!(relay(batch(2, "normal").after(1)).await.is_complete(2));
    let again = relay(batch(2, "normal").after(1)).await;
    assert!(again.is_complete(2) && again.last == 2, "{again:?}");

    let mut conn = client.connection().await.expect("a connection");
    let lane = client.keys("mail").ready(Lane::High);
    let _: () = redis::cmd("SET").arg(lane).arg("no stream").query_async(&mut conn).await.expect("set");
    assert_eq!(relay(batch(3, "high")).await.refused.len(), 1);
    let early = relay(batch(4, "normal").after(3)).await;
    assert!(early.is_early && early.last == 3, "{early:?}");
    assert_eq!(relay(batch(3, "high")).await.refused.len(), 1, "what was refused is still known");
    assert!(relay(batch(4, "normal")).await.is_complete(4));
    assert!(relay(batch(5, "normal").after(4)).await.is_complete(5));
    assert_eq!(orders(&client).await, [1, 2, 4, 5]);
}
