//! What a transaction leaves in the outbox, and what becomes of it.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Event, Job, Lane, Priority, Unique, keys};
use millstream_store::{Data, Error, Outbox, Relay, millstream_outbox, query};
use serde::{Deserialize, Serialize};

use crate::{
    database::{on_both, sql},
    packs::until,
    relaying::{Relaying, SendReceipt, emptied, field, orders, push, redis, waiting},
};

#[derive(Serialize, Deserialize)]
struct OrderPaid {
    order: i64,
}

impl Event for OrderPaid {
    const NAME: &'static str = "order_paid";
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
}
