use std::{collections::HashMap, time::Duration};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{
    Client, Event, Job, Lane, MessageOptions, MessageRef, OutboxBatch, Priority, Target, Unique, keys,
};
use millstream_store::{Data, Error, Isolation, Outbox, Relay, Store, millstream_outbox, query};
use millstream_tests::{namespace, shared_redis};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    database::{on_both, sql},
    packs::until,
    relaying::Relaying,
};

#[derive(Serialize, Deserialize)]
struct SendReceipt {
    order: i64,
}

impl Job for SendReceipt {
    const KIND: &'static str = "send_receipt";
    const QUEUE: &'static str = "mail";
}

#[derive(Serialize, Deserialize)]
struct OrderPaid {
    order: i64,
}

impl Event for OrderPaid {
    const NAME: &'static str = "order_paid";
}

async fn redis() -> Client {
    let server = shared_redis().await.expect("a Redis");
    Client::builder(&server).namespace(namespace()).await.expect("a client")
}

/// The field of each entry of a stream, in order.
async fn field(client: &Client, stream: &str, name: &str) -> Vec<String> {
    let mut conn = client.connection().await.expect("a connection");
    let entries: Vec<(String, HashMap<String, String>)> =
        redis::cmd("XRANGE").arg(stream).arg("-").arg("+").query_async(&mut conn).await.expect("entries");
    entries.into_iter().map(|(_, fields)| fields[name].clone()).collect()
}

/// The orders whose receipts were relayed, in order.
async fn orders(client: &Client) -> Vec<i64> {
    let bodies = field(client, &client.keys("mail").ready(Lane::Normal), "body").await;
    bodies.iter().map(|body| serde_json::from_str::<SendReceipt>(body).expect("a receipt").order).collect()
}

async fn push(store: &Store, order: i64) -> Uuid {
    store.transaction(async move |tx| tx.push(SendReceipt { order }).await).await.expect("pushed")
}

async fn waiting(store: &Store) -> u64 {
    store.outbox().await.expect("a status").waiting
}

async fn emptied(store: &Store) {
    until(async || waiting(store).await == 0).await;
}

on_both! {
    async fn what_is_committed_is_relayed_once_and_what_is_rolled_back_never(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        let id = push(&store, 1).await;
        let refused = store.transaction(async move |tx| {
            tx.push(SendReceipt { order: 2 }).await?;
            Err::<(), _>(Error::TransactionOver)
        });
        refused.await.expect_err("rolled back");
        let kept = store.transaction(async move |tx| {
            tx.push(SendReceipt { order: 3 }).await?;
            let undone = tx.transaction(async move |tx| {
                tx.push(SendReceipt { order: 4 }).await?;
                Err::<(), _>(Error::TransactionOver)
            });
            undone.await.expect_err("undone");
            tx.push(SendReceipt { order: 5 }).await
        });
        kept.await.expect("kept");
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 3, 5]);
        let ids = field(&client, &client.keys("mail").ready(Lane::Normal), "id").await;
        assert_eq!(ids[0], id.to_string());
    }

    async fn an_event_keeps_its_subject_and_its_order(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        for order in 0..50 {
            let subject = order % 3;
            let id = store.transaction(async move |tx| tx.publish(OrderPaid { order }).subject(subject).await);
            id.await.expect("published");
        }
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        let log = keys::event_log(client.namespace(), "order_paid");
        let wanted: Vec<String> = (0..50).map(|order| format!("{{\"order\":{order}}}")).collect();
        assert_eq!(field(&client, &log, "data").await, wanted);
        assert_eq!(field(&client, &log, "subject").await[4], "1");
        assert_eq!(field(&client, &log, "type").await[0], "order_paid");
    }

    async fn options_do_what_they_do_in_a_direct_push(database: Database) {
        const ONE: Unique = Unique::until_finished();
        let (store, client) = (database.migrated().await, redis().await);
        let pushed = store.transaction(async move |tx| {
            tx.push(SendReceipt { order: 1 }).unique(ONE).await?;
            tx.push(SendReceipt { order: 1 }).unique(ONE).tags(["again"]).await?;
            tx.push(SendReceipt { order: 2 }).id("two").await?;
            tx.push(SendReceipt { order: 2 }).id("two").await?;
            tx.push(SendReceipt { order: 3 }).after(Duration::from_secs(3600)).await?;
            tx.push(SendReceipt { order: 4 }).priority(Priority::High).attempts(3).await
        });
        pushed.await.expect("pushed");
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 2]);
        let keys = client.keys("mail");
        assert_eq!(field(&client, &keys.ready(Lane::High), "opt").await, [r#"{"attempts":3}"#]);
        let mut conn = client.connection().await.expect("a connection");
        let later: u64 = redis::cmd("ZCARD").arg(keys.later()).query_async(&mut conn).await.expect("a number");
        assert_eq!(later, 1);
        // A direct push meets what the outbox has left.
        let first = field(&client, &keys.ready(Lane::Normal), "id").await[0].clone();
        let same = client.push(SendReceipt { order: 1 }).unique(ONE).await.expect("kept out");
        assert_eq!(same.to_string(), first);
        client.push(SendReceipt { order: 2 }).id("two").await.expect("kept out");
        assert_eq!(orders(&client).await, [1, 2]);
    }

    async fn plain_diesel_and_plain_sql_write_to_it_too(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        let row = Outbox::job(SendReceipt { order: 1 }).tags(["plain"]).row().expect("a row");
        let asynchronous = store.write(query!(|conn: Db| {
            diesel::insert_into(millstream_outbox::table).values(row).execute(conn).await
        }));
        asynchronous.await.expect("inserted");
        if let Some(path) = database.url.strip_prefix("sqlite://") {
            let mut conn = diesel::SqliteConnection::establish(path).expect("a connection");
            let row = Outbox::job(SendReceipt { order: 2 }).row().expect("a row");
            let insert = diesel::insert_into(millstream_outbox::table).values(row);
            diesel::RunQueryDsl::execute(insert, &mut conn).expect("inserted");
        } else {
            push(&store, 2).await;
        }
        let plain = "INSERT INTO millstream_outbox (target, kind, body) \
                     VALUES ('queue:mail', 'send_receipt', '{\"order\":3}') RETURNING seq";
        sql(&store, plain).await.expect("inserted");
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 2, 3]);
    }

    async fn what_can_never_be_relayed_is_set_aside_and_stops_nobody(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        push(&store, 1).await;
        for (target, kind, body, options) in [
            ("mail", "k", "{}", "{}"),
            ("queue:mail", "k", "{", "{}"),
            ("queue:mail", "", "{}", "{}"),
            ("queue:mail", "k", "{}", "{\"dely\":1}"),
            ("queue:mail", "k", "{}", "no json"),
            ("topic:paid", "other", "{}", "{}"),
            ("queue:{x}", "k", "{}", "{}"),
        ] {
            let insert = format!(
                "INSERT INTO millstream_outbox (target, kind, body, options) \
                 VALUES ('{target}', '{kind}', '{body}', '{options}') RETURNING seq"
            );
            sql(&store, &insert).await.expect("inserted");
        }
        push(&store, 2).await;
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 2]);
        assert_eq!(store.outbox().await.expect("a status").rejected, 7);
        let typo = "SELECT count(*) FROM millstream_outbox_rejected WHERE reason LIKE '%dely%'";
        assert_eq!(sql(&store, typo).await.expect("a count"), 1);
    }

    async fn what_a_push_refuses_is_refused_before_anything_is_written(database: Database) {
        #[derive(Serialize, Deserialize)]
        struct Large(String);
        impl Job for Large {
            const KIND: &'static str = "large";
        }
        let store = database.migrated().await;
        let kept = store.transaction(async move |tx| {
            let large = tx.push(Large("x".repeat(1024 * 1024))).await.expect_err("too large");
            assert!(matches!(large, Error::Queue(millstream_queue::Error::TooLarge { .. })), "{large}");
            let tag = tx.push(SendReceipt { order: 1 }).tags([""]).await.expect_err("a bad tag");
            assert!(matches!(tag, Error::Queue(millstream_queue::Error::Tag { .. })), "{tag}");
            let time = tx.push(SendReceipt { order: 1 }).after(Duration::MAX).await.expect_err("too late");
            assert!(matches!(time, Error::Queue(millstream_queue::Error::Time { .. })), "{time}");
            tx.push(SendReceipt { order: 2 }).await
        });
        kept.await.expect("the transaction goes on");
        assert_eq!(waiting(&store).await, 1);
    }

    async fn a_full_outbox_refuses_and_takes_again_once_it_was_relayed(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        Relaying::start(Relay::new(client.clone(), store.clone()).most_waiting(10)).stop().await;
        for order in 0..10 {
            push(&store, order).await;
        }
        let full = store.transaction(async move |tx| tx.push(SendReceipt { order: 11 }).await).await;
        assert!(matches!(full, Err(Error::OutboxFull)), "{full:?}");
        let status = store.outbox().await.expect("a status");
        assert!(!status.is_healthy(Duration::from_secs(60)) && status.most == 10);
        assert!(status.to_prometheus().contains("} 10\n"), "{}", status.to_prometheus());
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        until(async || store.transaction(async move |tx| tx.push(SendReceipt { order: 12 }).await).await.is_ok()).await;
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12]);
    }

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

    async fn one_job_that_redis_refuses_does_not_take_the_others_with_it(database: Database) {
        let (store, client) = (database.migrated().await, redis().await);
        let mut conn = client.connection().await.expect("a connection");
        let high = client.keys("mail").ready(Lane::High);
        let _: () = redis::cmd("SET").arg(&high).arg("no stream").query_async(&mut conn).await.expect("spoilt");
        push(&store, 1).await;
        let spoilt = store.transaction(async move |tx| {
            tx.push(SendReceipt { order: 2 }).priority(Priority::High).await
        });
        spoilt.await.expect("pushed");
        push(&store, 3).await;
        let relaying = Relaying::start(Relay::new(client.clone(), store.clone()));
        emptied(&store).await;
        relaying.stop().await;
        assert_eq!(orders(&client).await, [1, 3]);
        let reasons = "SELECT count(*) FROM millstream_outbox_rejected WHERE reason LIKE '%WRONGTYPE%'";
        assert_eq!(sql(&store, reasons).await.expect("a count"), 1);
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

async fn outbox_id(store: &Store) -> String {
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
