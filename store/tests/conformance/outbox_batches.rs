//! Relays that die, race and come late: each row has its effect once, in its order.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, MessageOptions, MessageRef, OutboxBatch, Target};
use millstream_store::{Data, Error, Isolation, Relay, Store, query};
use uuid::Uuid;

use crate::{
    database::{on_both, sql},
    packs::until,
    relaying::{Relaying, SendReceipt, emptied, orders, push, redis},
};

on_both! {
    async fn several_relays_relay_each_row_once_and_keep_the_order_of_a_key(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        let mut relays = Vec::new();
        for _ in 0..4 {
            relays.push(Relaying::start(Relay::new(client.clone(), database.store().await)));
        }
        let writers = (0..4).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    let order = writer * 1000 + number;
                    let done = store.transaction(async move |tx| {
                        tx.push(SendReceipt { order }).ordered_by("all").await?;
                        if number % 5 == 4 { Err(Error::TransactionOver) } else { Ok(()) }
                    });
                    assert_eq!(done.await.is_ok(), number % 5 != 4);
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("written");
        }
        emptied(&store).await;
        for relay in relays {
            relay.stop().await;
        }
        let relayed = orders(&client).await;
        for writer in 0..4 {
            let of_one: Vec<i64> = relayed.iter().copied().filter(|order| order / 1000 == writer).collect();
            let wanted: Vec<i64> = (0..100).filter(|n| n % 5 != 4).map(|n| writer * 1000 + n).collect();
            assert_eq!(of_one, wanted);
        }
    }

    async fn a_batch_that_was_written_down_and_never_sent_is_sent_by_another_relay(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        push(&store, 1).await;
        push(&store, 2).await;
        let died = "INSERT INTO millstream_outbox_batches (target, batch, members) VALUES ('queue:mail', 7, '[1]') \
                    RETURNING batch";
        sql(&store, died).await.expect("written down");
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 2]);
        assert_eq!(sql(&store, "SELECT batch FROM millstream_outbox_batches").await.expect("a number"), 8);
    }

    async fn a_batch_that_was_sent_and_not_struck_out_has_one_effect_however_late_it_returns(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        let id = push(&store, 1).await;
        let died = "INSERT INTO millstream_outbox_batches (target, batch, members) VALUES ('queue:mail', 1, '[1]') \
                    RETURNING batch";
        sql(&store, died).await.expect("written down");
        let outbox = outbox_id(&store).await;
        let old = || first_batch(&client, &outbox, id, 1);
        assert_eq!(client.relay(old()).await.expect("sent").last, 0);
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        push(&store, 2).await;
        emptied(&store).await;
        assert_eq!(client.relay(old()).await.expect("ignored").last, 2);
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 2]);
    }

    async fn numbers_that_redis_lost_or_the_database_forgot_lose_no_rows(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        for order in 1..4 {
            push(&store, order).await;
            emptied(&store).await;
        }
        let mut conn = client.connection().await.expect("a connection");
        let key = client.keys("mail").outbox();
        let _: u64 = redis::cmd("DEL").arg(&key).query_async(&mut conn).await.expect("lost");
        push(&store, 4).await;
        emptied(&store).await;
        // As after the restore of an older backup.
        let outbox = outbox_id(&store).await;
        let _: u64 = redis::cmd("HSET").arg(&key).arg(outbox).arg(100).query_async(&mut conn).await.expect("ahead");
        push(&store, 5).await;
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 2, 3, 4, 5]);
    }

    async fn a_backlog_of_many_batches_is_relayed_in_order(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        for first in (0..3000).step_by(500) {
            let written = store.transaction(async move |tx| {
                for order in first..first + 500 {
                    tx.push(SendReceipt { order }).await?;
                }
                Ok::<_, Error>(())
            });
            written.await.expect("written");
        }
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, (0..3000).collect::<Vec<_>>());
    }
}

pub(crate) async fn outbox_id(store: &Store) -> String {
    #[derive(QueryableByName)]
    struct Facts {
        #[diesel(sql_type = diesel::sql_types::Text)]
        id: String,
    }
    let ask = query!(|conn: Db| diesel::sql_query("SELECT id FROM millstream_outbox_state").get_result(conn).await);
    let facts: Facts = store.read(ask).await.expect("an id");
    facts.id
}

/// One receipt as the batch with the number 1.
fn first_batch(client: &Client, outbox: &str, id: Uuid, order: i64) -> OutboxBatch {
    let mut batch = client.outbox_batch(outbox, &Target::Queue("mail".into()), 1);
    let (body, options) = (format!("{{\"order\":{order}}}"), MessageOptions::default());
    let created_at = chrono::DateTime::default();
    batch.push(MessageRef { id, kind: "send_receipt", body: &body, options: &options, created_at }).expect("a receipt");
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_commits_late_with_a_low_number_is_relayed() {
    let database = crate::database::Database::postgres().await;
    let (store, client) = (database.migrated().await, redis().await);
    let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
    let other = store.clone();
    let late = client.clone();
    let long = store.transaction_at(Isolation::ReadCommitted, async move |tx| {
        tx.push(SendReceipt { order: 1 }).await?;
        for order in 2..20 {
            push(&other, order).await;
        }
        until(async || orders(&late).await.len() == 18).await;
        Ok::<_, Error>(())
    });
    long.await.expect("committed");
    until(async || orders(&client).await.len() == 19).await;
    assert_eq!(orders(&client).await.last(), Some(&1));
    relaying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_listening_connection_is_killed_relays_all_the_same() {
    let database = crate::database::Database::postgres().await;
    let (store, client) = (database.migrated().await, redis().await);
    let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
    let listening = "FROM pg_stat_activity WHERE query = 'LISTEN millstream_outbox' AND datname = current_database()";
    for order in 0..3 {
        until(async || sql(&store, &format!("SELECT count(*) {listening}")).await.expect("a count") == 1).await;
        let kill = format!("SELECT count(pg_terminate_backend(pid)) {listening}");
        assert_eq!(sql(&store, &kill).await.expect("killed"), 1);
        push(&store, order).await;
        until(async || orders(&client).await.len() as i64 == order + 1).await;
    }
    relaying.stop().await;
}
