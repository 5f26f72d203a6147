use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use millstream_store::{Data, Error, Id, Isolation, List, Store, Tx, query};

use crate::{
    database::on_both,
    packs::until,
    shop::{Contact, contacts, opened, shop},
};

async fn count(store: &Store) -> u64 {
    store.count::<Contact>(List::new()).await.expect("a count")
}

/// A handler of a web server, whose future must be `Send`.
fn handler(store: &Store, name: String) -> Pin<Box<dyn Future<Output = Result<Contact, Error>> + Send + '_>> {
    Box::pin(async move {
        let row = Contact::new(&name);
        let inserted = store
            .transaction(async move |tx| {
                let row = tx.insert(&row).await?;
                tx.transaction(async move |tx| tx.get::<Contact>(row.id).await).await
            })
            .await?;
        Ok(inserted.expect("inserted"))
    })
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not enough")]
    NotEnough,
    #[error(transparent)]
    Store(#[from] Error),
}

on_both! {
    async fn a_transaction_is_kept_whole_or_not_at_all(database: Database) {
        let store = shop(&database).await;
        let kept = store.transaction(async move |tx| {
            let one = tx.insert(&Contact::aged("one", 1)).await?;
            assert_eq!(tx.get(one.id).await?, Some(one.clone()), "it sees its own writes");
            tx.insert(&Contact::aged("two", 2)).await?;
            Ok::<_, Error>(one)
        });
        assert_eq!(kept.await.expect("kept").name, "one");
        assert_eq!(count(&store).await, 2);

        // An application's own error rolls back too, and comes out as it is.
        let refused = store.transaction(async move |tx| {
            tx.insert(&Contact::new("three")).await?;
            Err::<(), _>(Refusal::NotEnough)
        });
        assert!(matches!(refused.await, Err(Refusal::NotEnough)));
        let failed = store.transaction(async move |tx| {
            tx.insert(&Contact::new("three")).await?;
            tx.insert(&Contact::aged("four", -1)).await
        });
        assert!(matches!(failed.await, Err(Error::Query(_))));
        assert_eq!(count(&store).await, 2);
        assert!(matches!(handler(&store, "five".into()).await, Ok(Contact { version: 1, .. })));
        let spawned = tokio::spawn({
            let store = store.clone();
            async move { handler(&store, "six".into()).await }
        });
        spawned.await.expect("no panic").expect("kept");
        assert_eq!(count(&store).await, 4);
    }

    async fn a_nested_transaction_is_undone_alone(database: Database) {
        let store = shop(&database).await;
        let done = store.transaction(async move |tx| {
            tx.insert(&Contact::new("outer")).await?;
            let failed = tx.transaction(async move |tx| {
                tx.insert(&Contact::new("inner")).await?;
                tx.insert(&Contact::aged("bad", -1)).await
            });
            assert!(failed.await.is_err());
            tx.transaction(async move |tx| {
                tx.insert(&Contact::new("kept")).await?;
                let gone = tx.transaction(async move |tx| {
                    tx.insert(&Contact::new("innermost")).await?;
                    Err::<(), Error>(Error::TransactionOver)
                });
                gone.await.expect_err("as it was returned");
                Ok::<_, Error>(())
            })
            .await?;
            // Dropped half-way, at whatever statement.
            for micros in [0, 50, 200, 1_000, 5_000] {
                let dropped = tx.transaction(async move |tx| {
                    for _ in 0..50 {
                        tx.insert(&Contact::new("dropped")).await?;
                    }
                    Err::<(), Error>(Error::TransactionOver)
                });
                let _ = tokio::time::timeout(Duration::from_micros(micros), dropped).await;
                assert_eq!(tx.count::<Contact>(List::new().search("dropped")).await?, 0);
            }
            tx.insert(&Contact::new("last")).await?;
            Ok::<_, Error>(())
        });
        done.await.expect("kept");
        let names = store.list::<Contact>(List::new()).await.expect("a list").rows;
        let names: Vec<_> = names.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["outer", "kept", "last"]);
    }

    async fn a_cancelled_transaction_never_leaves_its_connection_inside_it(database: Database) {
        let store = Store::builder(&database.url).pool_size(1).await.expect("a store");
        let store = opened(store).await;
        for round in 0..60u64 {
            let work = store.transaction(async move |tx| {
                for _ in 0..20 {
                    tx.insert(&Contact::new("cancelled")).await?;
                }
                std::future::pending::<Result<(), Error>>().await
            });
            let _ = tokio::time::timeout(Duration::from_micros(round * 120), work).await;
            if round % 10 == 0 {
                // The next one gets the connection outside of the transaction, and sees nothing of it.
                assert_eq!(count(&store).await, 0);
                let kept = store.transaction(async move |tx| {
                    let row = tx.insert(&Contact::new("kept")).await?;
                    tx.erase::<Contact>(row.id).await
                });
                assert!(kept.await.expect("kept"));
            }
        }
        until(async || store.leases().is_empty()).await;
        assert_eq!(count(&store).await, 0);
    }

    async fn a_panic_rolls_back(database: Database) {
        let store = Store::builder(&database.url).pool_size(1).await.expect("a store");
        let store = opened(store).await;
        let panicking = tokio::spawn({
            let store = store.clone();
            async move {
                store
                    .transaction(async move |tx| {
                        tx.insert(&Contact::new("panic")).await?;
                        panic!("as the test wants it");
                        #[allow(unreachable_code, reason = "it gives the closure its type")]
                        Ok::<(), Error>(())
                    })
                    .await
            }
        });
        assert!(panicking.await.expect_err("it panicked").is_panic());
        store.insert(&Contact::new("after")).await.expect("the connection is free");
        assert_eq!(count(&store).await, 1);
    }

    async fn conflicting_transactions_are_tried_again_until_all_are_done(database: Database) {
        let store = shop(&database).await;
        let id = store.insert(&Contact::aged("counter", 0)).await.expect("inserted").id;
        let tries = Arc::new(AtomicU32::new(0));
        let adding = (0..8).map(|_| {
            let (store, tries) = (store.clone(), tries.clone());
            tokio::spawn(async move {
                for _ in 0..5 {
                    let tries = tries.clone();
                    let added = store.transaction(async move |tx| {
                        tries.fetch_add(1, Ordering::Relaxed);
                        let age: Option<i64> =
                            tx.read(query!(|conn: Db| contacts::table.find(id).select(contacts::age).first(conn).await)).await?;
                        let age = age.map(|age| age + 1);
                        tx.write(query!(|conn: Db| {
                            diesel::update(contacts::table.find(id)).set(contacts::age.eq(age)).execute(conn).await
                        }))
                        .await
                    });
                    added.await.expect("tried until it was kept");
                }
            })
        });
        for added in join_all(adding).await {
            added.expect("no panic");
        }
        assert_eq!(store.get::<Contact>(id).await.expect("read").expect("there").age, Some(40));
        assert!(AtomicU32::load(&tries, Ordering::Relaxed) >= 40);
    }

    async fn a_transaction_in_which_a_statement_failed_is_never_said_to_be_kept(database: Database) {
        let store = shop(&database).await;
        let swallowed = store.transaction(async move |tx| {
            tx.insert(&Contact::new("before")).await?;
            let _ = tx.insert(&Contact::aged("bad", -1)).await;
            Ok::<_, Error>(())
        });
        // Postgres drops all of it, SQLite only the statement; neither says one thing and does the other.
        match swallowed.await {
            Ok(()) => assert_eq!(count(&store).await, 1),
            Err(error) => {
                assert!(matches!(error, Error::TransactionFailed), "{error}");
                assert_eq!(count(&store).await, 0);
            }
        }
    }

    async fn a_failure_that_a_nested_transaction_handles_dooms_nothing_around_it(database: Database) {
        let store = shop(&database).await;
        let done = store.transaction(async move |tx| {
            tx.transaction(async move |tx| {
                tx.insert(&Contact::new("outer")).await?;
                let inner = tx.transaction(async move |tx| tx.insert(&Contact::aged("bad", -1)).await.map(drop));
                inner.await.expect_err("its age is refused");
                tx.insert(&Contact::new("behind")).await.map(drop)
            })
            .await
        });
        done.await.expect("kept");
        assert_eq!(count(&store).await, 2);
    }

    async fn a_handle_that_is_kept_is_refused(database: Database) {
        let store = shop(&database).await;
        let kept: Arc<std::sync::Mutex<Option<Tx>>> = Arc::default();
        let slot = kept.clone();
        let done = store.transaction(async move |tx| {
            tx.insert(&Contact::new("one")).await?;
            *slot.lock().expect("whole") = Some(tx);
            Ok::<_, Error>(())
        });
        done.await.expect("kept");
        let tx = kept.lock().expect("whole").take().expect("the handle");
        let error = tx.insert(&Contact::new("late")).await.expect_err("refused");
        assert!(matches!(error, Error::TransactionOver), "{error}");
        assert_eq!(count(&store).await, 1);
    }

    async fn a_transaction_that_waits_for_its_own_pool_ends_in_an_error(database: Database) {
        let store = Store::builder(&database.url).pool_size(1).checkout_timeout(Duration::from_millis(300));
        let store = opened(store.await.expect("a store")).await;
        let inner = store.clone();
        let nested = store.transaction_at(Isolation::ReadCommitted, async move |tx| {
            tx.insert(&Contact::new("outer")).await?;
            inner.insert(&Contact::new("by a second connection")).await
        });
        let error = nested.await.expect_err("there is no second connection");
        assert!(error.to_string().contains("take no second one while holding one"), "{error}");
        assert!(error.to_string().contains("transactions.rs:"), "{error}");
        assert_eq!(count(&store).await, 0);
        assert_eq!(store.get::<Contact>(Id::new()).await.expect("the pool is whole"), None);
    }
}
