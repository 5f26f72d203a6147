use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_store::{Data, Error, Isolation, Store, query};
use tokio::sync::oneshot;

use crate::{
    database::{Database, on_both},
    shop::{Label, labels, shop},
};

const LEVELS: [Isolation; 3] = [Isolation::Serializable, Isolation::RepeatableRead, Isolation::ReadCommitted];

/// Sets the row to the token, guarded by it.
async fn write(store: &Store, isolation: Isolation, token: u64) -> Result<(), Error> {
    let set = store.transaction_at(isolation, async move |tx| {
        tx.fence("index", token).await?;
        let uses = i32::try_from(token).expect("small");
        tx.upsert(&Label { name: "index".into(), uses }).await.map(drop)
    });
    set.await
}

async fn written(store: &Store) -> Option<i32> {
    store.get::<Label>("index".to_owned()).await.expect("read").map(|label| label.uses)
}

fn fenced_by(done: Result<(), Error>) -> u64 {
    match done.expect_err("fenced") {
        Error::Fenced { resource, newest, .. } if resource == "index" => newest,
        error => panic!("{error:?}"),
    }
}

on_both! {
    async fn an_older_token_is_refused_and_an_equal_one_is_not(database: Database) {
        let store = shop(&database).await;
        for isolation in LEVELS {
            write(&store, isolation, 5).await.expect("the newest");
        }
        assert_eq!(fenced_by(write(&store, Isolation::ReadCommitted, 4).await), 5);
        write(&store, Isolation::default(), 7).await.expect("newer");
        assert_eq!(fenced_by(write(&store, Isolation::default(), 0).await), 7);
        assert_eq!(written(&store).await, Some(7));
        // What a rolled-back transaction saw is not kept.
        let undone = store.transaction(async move |tx| {
            tx.fence("index", 100).await?;
            Err::<(), _>(Error::TransactionOver)
        });
        undone.await.expect_err("as it was returned");
        write(&store, Isolation::default(), 8).await.expect("100 was never seen");
        let largest = store.transaction(async move |tx| tx.fence("other", i64::MAX as u64).await);
        largest.await.expect("the largest");
        let over = store.transaction(async move |tx| tx.fence("other", i64::MAX as u64 + 1).await);
        assert!(matches!(over.await, Err(Error::State { what: "token", .. })));
    }

    async fn a_fenced_write_of_state_is_refused(database: Database) {
        let store = database.migrated().await;
        let state = store.state("s");
        state.put("k", &1).fence("lock", 3).await.expect("put");
        for done in [state.put("k", &2).fence("lock", 2).await.map(drop), state.delete("k").fence("lock", 2).await.map(drop)] {
            assert!(matches!(done, Err(Error::Fenced { token: 2, newest: 3, .. })), "{done:?}");
        }
        assert_eq!(state.get("k").await.expect("read"), Some(1));
        assert!(state.delete("k").fence("lock", 3).await.expect("deleted"));
        // The fence is one for state and for tables.
        let done = store.transaction(async move |tx| tx.fence("lock", 2).await).await;
        assert!(matches!(done, Err(Error::Fenced { newest: 3, .. })));
    }

    async fn a_transaction_that_swallows_its_refusal_can_not_commit(database: Database) {
        let store = shop(&database).await;
        write(&store, Isolation::default(), 5).await.expect("the newest");
        let later = Label { name: "index".into(), uses: 4 };
        for isolation in LEVELS {
            let (row, tries) = (later.clone(), AtomicU32::new(0));
            let done = store.transaction_at(isolation, async |tx| {
                tries.fetch_add(1, Ordering::Relaxed);
                tx.fence("index", 4).await.ok();
                tx.upsert(&row).await.map(drop)
            });
            assert_eq!(fenced_by(done.await), 5);
            assert_eq!(tries.into_inner(), 1, "nothing is in its way, so it isn't tried again");
            // A refused write of state, before and behind others.
            let row = later.clone();
            let done = store.transaction_at(isolation, async move |tx| {
                tx.upsert(&row).await?;
                tx.state("s").put("k", &1).fence("index", 4).await.ok();
                tx.state("s").put("other", &1).await.map(drop)
            });
            assert_eq!(fenced_by(done.await), 5);
            // A token that is none leaves what follows unguarded too.
            let row = later.clone();
            let done = store.transaction_at(isolation, async move |tx| {
                tx.fence("index", u64::MAX).await.ok();
                tx.upsert(&row).await.map(drop)
            });
            assert!(matches!(done.await, Err(Error::TransactionFailed)));
        }
        assert_eq!(written(&store).await, Some(5));
        assert_eq!(store.state("s").get::<u8>("other").await.expect("read"), None);
        write(&store, Isolation::default(), 6).await.expect("the store goes on");
    }

    async fn a_refusal_that_was_given_up_on_half_way_dooms_too(database: Database) {
        let store = shop(&database).await;
        write(&store, Isolation::default(), 5).await.expect("the newest");
        let done = store.transaction(async move |tx| {
            // Begun, and dropped before anyone has seen what it says.
            let mut fence = Box::pin(tx.fence("index", 4));
            let _ = futures::poll!(&mut fence);
            drop(fence);
            tx.upsert(&Label { name: "index".into(), uses: 4 }).await.map(drop)
        });
        assert_eq!(fenced_by(done.await), 5);
        assert_eq!(written(&store).await, Some(5));
    }

    async fn a_refusal_inside_a_nested_transaction_undoes_that_one(database: Database) {
        let store = shop(&database).await;
        write(&store, Isolation::default(), 5).await.expect("the newest");
        let done = store.transaction(async move |tx| {
            tx.upsert(&Label { name: "before".into(), uses: 1 }).await?;
            // Whether it says so or not.
            for swallowed in [false, true] {
                let nested = tx.transaction(async move |tx| {
                    let fenced = tx.fence("index", 4).await;
                    if !swallowed {
                        fenced?;
                    }
                    tx.upsert(&Label { name: "inside".into(), uses: 1 }).await.map(drop)
                });
                assert_eq!(fenced_by(nested.await), 5);
            }
            tx.upsert(&Label { name: "behind".into(), uses: 1 }).await.map(drop)
        });
        done.await.expect("it was handled");
        for (name, there) in [("before", true), ("inside", false), ("behind", true)] {
            assert_eq!(store.get::<Label>(name.to_owned()).await.expect("read").is_some(), there, "{name}");
        }
        // One that was refused outside is not forgiven by what is undone inside.
        let done = store.transaction(async move |tx| {
            tx.fence("index", 4).await.ok();
            let nested = tx.transaction(async |_| Err::<(), _>(Error::TransactionOver));
            nested.await.expect_err("as it was returned");
            tx.upsert(&Label { name: "inside".into(), uses: 1 }).await.map(drop)
        });
        assert_eq!(fenced_by(done.await), 5);
        let done = store.transaction(async move |tx| {
            tx.fence("index", u64::MAX).await.ok();
            let nested = tx.transaction(async |_| Err::<(), _>(Error::TransactionOver));
            nested.await.expect_err("as it was returned");
            tx.upsert(&Label { name: "inside".into(), uses: 1 }).await.map(drop)
        });
        assert!(matches!(done.await, Err(Error::TransactionFailed)));
    }

    async fn accepted_writes_never_go_back(database: Database) {
        let store = shop(&database).await;
        let writers = (0..6_u64).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut accepted = 0;
                for round in 0..25_u64 {
                    // Tokens rise, and every third is stale.
                    let token = if round % 3 == 2 { round } else { round * 6 + writer + 1 };
                    let isolation = LEVELS[(round % 3) as usize];
                    let done = store.transaction_at(isolation, async move |tx| {
                        tx.fence("index", token).await?;
                        let last = tx.state("log").entry::<u64>("last").await?.map_or(0, |entry| entry.value);
                        assert!(isolation != Isolation::ReadCommitted || last <= token, "{last} then {token}");
                        tx.state("log").keep_versions(1000).put("last", &token).await
                    });
                    match done.await {
                        Ok(_) => accepted += 1,
                        Err(Error::Fenced { newest, .. }) => assert!(newest > token),
                        Err(error) => panic!("{error:?}"),
                    }
                }
                accepted
            })
        });
        let accepted: usize =
            futures::future::join_all(writers).await.into_iter().map(|done| done.expect("no panic")).sum();
        let mut tokens: Vec<u64> = Vec::new();
        for version in store.state("log").versions::<u64>("last").limit(1000).await.expect("versions") {
            tokens.push(version.value.expect("a token"));
        }
        tokens.reverse();
        assert_eq!(tokens.len(), accepted);
        assert!(tokens.is_sorted(), "{tokens:?}");
    }
}

/// The older writer has begun, and read, before the newer one commits.
async fn overtaken(isolation: Isolation) {
    let database = Database::postgres().await;
    let store = shop(&database).await;
    write(&store, isolation, 1).await.expect("the first");
    let (begun, has_begun) = oneshot::channel();
    let (go, gone) = oneshot::channel::<()>();
    let (begun, gone) = (std::sync::Mutex::new(Some(begun)), tokio::sync::Mutex::new(Some(gone)));
    let older = store.transaction_at(isolation, async |tx| {
        let read = tx.read(query!(|conn: Db| labels::table.count().get_result::<i64>(conn).await)).await?;
        assert_eq!(read, 1);
        if let Some(begun) = begun.lock().expect("no panic").take() {
            begun.send(()).expect("waited for");
        }
        if let Some(gone) = gone.lock().await.take() {
            gone.await.expect("told to go on");
        }
        tx.fence("index", 2).await?;
        tx.upsert(&Label { name: "index".into(), uses: 2 }).await.map(drop)
    });
    let newer = async {
        has_begun.await.expect("begun");
        write(&store, isolation, 3).await.expect("the newer");
        go.send(()).expect("it waits");
    };
    let (older, ()) = tokio::join!(older, newer);
    assert_eq!(fenced_by(older), 3);
    assert_eq!(written(&store).await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_overtaken_after_it_began_is_refused_at_every_isolation() {
    for isolation in LEVELS {
        overtaken(isolation).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_waits_for_a_newer_one_that_has_not_committed() {
    for isolation in LEVELS {
        let database = Database::postgres().await;
        let store = shop(&database).await;
        write(&store, isolation, 1).await.expect("the first");
        let other = store.clone();
        let newer = store.transaction_at(isolation, async |tx| {
            tx.fence("index", 3).await?;
            let store = other.clone();
            let older = tokio::spawn(async move { write(&store, isolation, 2).await });
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(!older.is_finished(), "it waits for the row");
            tx.upsert(&Label { name: "index".into(), uses: 3 }).await?;
            Ok::<_, Error>(older)
        });
        let older = newer.await.expect("kept");
        assert_eq!(fenced_by(older.await.expect("no panic")), 3);
        assert_eq!(written(&store).await, Some(3));
    }
}
