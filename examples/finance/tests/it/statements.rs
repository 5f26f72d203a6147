use chrono::{DateTime, TimeDelta, Utc};
use finance::{
    App, LedgerError, MakeStatement, Month, Statement, Transfer, ask_for, ask_for_all, close, make_statement,
};
use millstream_queue::{Client, Job};
use millstream_store::{Data, Id, List, Store, Time, query};
use millstream_tests::{Database, namespace, on_both, shared_redis};
use millstream_worker::Worker;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::books::{books, funded};

fn month() -> Month {
    Month::before(Utc::now())
}

/// A transfer as it was made back then.
async fn past(store: &Store, from: Id, to: Id, amount: i64, at: DateTime<Utc>) {
    use diesel_async::RunQueryDsl;

    let transfer = Transfer {
        id: Id::new(),
        key: None,
        from_account: from,
        to_account: to,
        currency: "EUR".into(),
        amount,
        memo: String::new(),
        reverses: None,
        created_at: Time(at),
    };
    diesel::table! {
        use diesel::sql_types::*;
        use millstream_store::sql_types::{DbTime, DbUuid};
        transfers (id) {
            id -> DbUuid, from_account -> DbUuid, to_account -> DbUuid, currency -> Text, amount -> BigInt, memo -> Text,
            created_at -> DbTime,
        }
    }
    use diesel::prelude::*;
    store
        .write(query!(|conn: Db| {
            let row = (
                transfers::id.eq(transfer.id),
                transfers::from_account.eq(transfer.from_account),
                transfers::to_account.eq(transfer.to_account),
                transfers::currency.eq(transfer.currency),
                transfers::amount.eq(transfer.amount),
                transfers::memo.eq(transfer.memo),
                transfers::created_at.eq(transfer.created_at),
            );
            diesel::insert_into(transfers::table).values(row).execute(conn).await
        }))
        .await
        .unwrap();
}

on_both! {
    async fn a_statement_tells_its_month_and_nothing_else(database: Database) {
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 1).await; // now: after the month
        let moment = TimeDelta::microseconds(1);
        past(&store, source.id, wallet.id, 1000, month().start() - moment).await;
        past(&store, source.id, wallet.id, 500, month().start()).await;
        past(&store, wallet.id, source.id, 70, month().start() + TimeDelta::days(3)).await;
        past(&store, wallet.id, source.id, 30, month().end() - moment).await;
        past(&store, source.id, wallet.id, 9, month().end()).await;
        let made = close(&store, wallet.id.0, month()).await.unwrap();
        let facts = (made.opening, made.received, made.spent, made.closing, made.transfers);
        assert_eq!(facts, (1000, 500, 100, 1400, 3));
        assert_eq!(close(&store, wallet.id.0, month()).await.unwrap(), made, "made once");
        assert!(matches!(close(&store, Uuid::nil(), month()).await, Err(LedgerError::Missing { .. })));
    }

    async fn however_often_it_is_asked_for_a_statement_is_made_once(database: Database) {
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 1).await;
        past(&store, source.id, wallet.id, 10, month().start()).await;
        let client = Client::builder(&shared_redis().await.unwrap()).namespace(namespace()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = Worker::new(client.clone(), App { store: store.clone() }).handle(make_statement);
        let working = tokio::spawn(worker.run_until(stopped));

        let job = ask_for(&client, wallet.id.0, month()).await.unwrap();
        assert_eq!(ask_for(&client, wallet.id.0, month()).await.unwrap(), job);
        assert_eq!(ask_for_all(&client, &store, month()).await.unwrap(), 2);
        let made: Statement = client.result(MakeStatement::QUEUE, job).await.unwrap();
        assert_eq!((made.account, made.closing), (wallet.id, 10));
        // The same job again, as after a crash.
        let again = client.push(MakeStatement { account: wallet.id.0, month: month() }).await.unwrap();
        assert_eq!(client.result::<Statement>(MakeStatement::QUEUE, again).await.unwrap(), made);
        let missing = ask_for(&client, Uuid::nil(), month()).await.unwrap();
        let error = client.result::<Statement>(MakeStatement::QUEUE, missing).await.unwrap_err();
        assert!(error.to_string().contains("there is no account"), "{error}");
        let other = ask_for(&client, source.id.0, month()).await.unwrap();
        client.result::<Statement>(MakeStatement::QUEUE, other).await.unwrap();
        assert_eq!(store.count::<Statement>(List::new()).await.unwrap(), 2);
        drop(stop);
        working.await.unwrap().unwrap();
    }
}
