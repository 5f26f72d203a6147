use finance::{LedgerError, NewAccount, NewTransfer, Transfer, open, reverse, transfer};
use futures::future::join_all;
use millstream_store::{Data, Error, Time, query};
use millstream_tests::{Database, on_both};
use uuid::Uuid;

use crate::books::{account, assert_balanced, balance, books, funded, order, transfers};

on_both! {
    async fn of_fifty_transfers_at_once_exactly_those_that_the_account_covers_succeed(database: Database) {
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 20_000).await;
        let spent = join_all((0..50).map(|_| transfer(&store, order(&wallet, &source, 1000)))).await;
        let (done, refused): (Vec<_>, Vec<_>) = spent.into_iter().partition(Result::is_ok);
        assert_eq!(done.len(), 20);
        for error in refused.into_iter().map(Result::unwrap_err) {
            assert!(matches!(error, LedgerError::Insufficient { amount: 1000, .. }), "{error}");
        }
        assert_eq!(balance(&store, &wallet).await, 0);
        assert_balanced(&store).await;
    }

    async fn transfers_to_and_fro_at_once_all_go_through(database: Database) {
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 1_000_000).await;
        let other = open(&store, account("other")).await.unwrap();
        transfer(&store, order(&source, &other, 1_000_000)).await.unwrap();
        let there = (0..20).map(|_| transfer(&store, order(&wallet, &other, 7)));
        let back = (0..20).map(|_| transfer(&store, order(&other, &wallet, 5)));
        for done in join_all(there.chain(back)).await {
            done.unwrap();
        }
        assert_eq!(balance(&store, &wallet).await, 1_000_000 - 40);
        assert_balanced(&store).await;
    }

    async fn a_key_makes_one_transfer_however_often_it_is_sent(database: Database) {
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 5000).await;
        let keyed = |amount| NewTransfer { key: Some("order-7".into()), ..order(&wallet, &source, amount) };
        let sent = join_all((0..10).map(|_| transfer(&store, keyed(100)))).await;
        let sent: Vec<_> = sent.into_iter().map(Result::unwrap).collect();
        assert_eq!(sent.iter().filter(|done| !done.repeated).count(), 1);
        assert!(sent.iter().all(|done| done.transfer == sent[0].transfer));
        let error = transfer(&store, keyed(200)).await.unwrap_err();
        assert!(matches!(&error, LedgerError::KeyTaken { key } if key == "order-7"), "{error}");
        assert_eq!(balance(&store, &wallet).await, 4900);
    }

    async fn a_reversal_takes_a_transfer_back_once(database: Database) {
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 5000).await;
        let first = transfer(&store, order(&wallet, &source, 1200)).await.unwrap().transfer;
        let backs = join_all((0..5).map(|_| reverse(&store, first.id.0))).await;
        let backs: Vec<_> = backs.into_iter().map(Result::unwrap).collect();
        assert_eq!(backs.iter().filter(|done| !done.repeated).count(), 1);
        assert_eq!(backs[0].transfer.reverses, Some(first.id));
        assert_eq!(balance(&store, &wallet).await, 5000);
        let error = reverse(&store, backs[0].transfer.id.0).await.unwrap_err();
        assert!(error.to_string().contains("is itself the reversal"), "{error}");
        assert!(matches!(reverse(&store, Uuid::nil()).await, Err(LedgerError::Missing { .. })));
        assert_balanced(&store).await;
    }

    async fn what_makes_no_sense_is_refused_and_changes_nothing(database: Database) {
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 5000).await;
        let dollars = open(&store, NewAccount { currency: "USD".into(), ..account("dollars") }).await.unwrap();
        let ok = order(&wallet, &source, 1);
        for (wrong, reason) in [
            (NewTransfer { amount: 0, ..ok.clone() }, "is not positive"),
            (NewTransfer { amount: -5, ..ok.clone() }, "is not positive"),
            (NewTransfer { amount: i64::MIN, ..ok.clone() }, "is not positive"),
            (NewTransfer { amount: 5001, ..ok.clone() }, "has not enough"),
            (NewTransfer { amount: i64::MAX, ..ok.clone() }, "has not enough"),
            (order(&source, &wallet, i64::MAX), "can't hold"),
            (NewTransfer { to: wallet.id.0, ..ok.clone() }, "can't pay itself"),
            (NewTransfer { to: Uuid::nil(), ..ok.clone() }, "there is no account 00000000"),
            (order(&wallet, &dollars, 1), "EUR can't be transferred to an account in USD"),
            (NewTransfer { memo: "a\0b".into(), ..ok.clone() }, "none of them NUL"),
            (NewTransfer { memo: "x".repeat(501), ..ok.clone() }, "0 to 500 characters"),
            (NewTransfer { key: Some(String::new()), ..ok.clone() }, "1 to 200 characters"),
        ] {
            let error = transfer(&store, wrong.clone()).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{wrong:?}: {error}");
        }
        for (wrong, reason) in [
            (NewAccount { name: "  ".into(), ..account("") }, "1 to 200 characters"),
            (NewAccount { currency: "eur".into(), ..account("x") }, "is no currency"),
            (NewAccount { kind: "wish".into(), ..account("x") }, "is not asset"),
        ] {
            let error = open(&store, wrong.clone()).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{wrong:?}: {error}");
        }
        assert_eq!(transfers(&store).await, 1);
        assert_eq!(balance(&store, &wallet).await, 5000);
    }

    async fn the_database_holds_the_books_together_whoever_writes(database: Database) {
        use diesel::prelude::*;
        use diesel_async::RunQueryDsl;

        diesel::table! { transfers (memo) { memo -> Text, amount -> BigInt } }
        let store = books(&database).await;
        let (source, wallet) = funded(&store, 5000).await;
        let update = query!(|conn: Db| diesel::update(transfers::table).set(transfers::amount.eq(1)).execute(conn).await);
        let delete = query!(|conn: Db| diesel::delete(transfers::table).execute(conn).await);
        for error in [store.write(update).await.unwrap_err(), store.write(delete).await.unwrap_err()] {
            assert!(error.to_string().contains("reverse it by another one"), "{error}");
        }
        // Past the checks in code.
        let raw = Transfer {
            id: millstream_store::Id::new(),
            key: None,
            from_account: wallet.id,
            to_account: source.id,
            currency: "EUR".into(),
            amount: 5001,
            memo: String::new(),
            reverses: None,
            created_at: Time::now(),
        };
        for wrong in [raw.clone(), Transfer { currency: "USD".into(), amount: 1, ..raw.clone() }, Transfer { amount: -1, ..raw }] {
            assert!(matches!(store.insert(&wrong).await, Err(Error::Query(_))), "{wrong:?}");
        }
        assert_balanced(&store).await;
        assert_eq!(balance(&store, &wallet).await, 5000);
    }
}
