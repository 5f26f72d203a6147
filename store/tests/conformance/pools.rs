use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use futures::future::join_all;
use millstream_store::{Error, PoolMetrics, Store};
use millstream_tests::{Postgres, Proxy};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    database::{Database, on_both},
    log::Log,
    packs::until,
};

/// Takes a raw connection and holds it until the sender is dropped.
async fn hold(store: &Store) -> Result<mpsc::Sender<()>, Error> {
    let (held, is_held) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let store = store.clone();
    tokio::spawn(async move {
        if store.name().starts_with("postgres") {
            match store.raw_postgres().await {
                Ok(_client) => {
                    let _ = held.send(Ok(()));
                    let _ = tokio::task::spawn_blocking(move || released.recv()).await;
                }
                Err(error) => drop(held.send(Err(error))),
            }
        } else {
            let held = Arc::new(Mutex::new(Some(held)));
            let told = held.clone();
            let worked = store.raw_sqlite(move |_| {
                told.lock().expect("whole").take().expect("once").send(Ok(())).expect("waited for");
                let _ = released.recv();
                Ok(())
            });
            if let Err(error) = worked.await {
                drop(held.lock().expect("whole").take().expect("not held").send(Err(error)));
            }
        }
    });
    is_held.await.expect("an answer").map(|()| release)
}

fn raw(store: &Store) -> PoolMetrics {
    store.metrics().pools.into_iter().find(|pool| pool.pool == "raw").expect("the raw pool")
}

on_both! {
    async fn an_exhausted_pool_says_who_holds_it_and_recovers(database: Database) {
        let store = Store::builder(&database.url).raw_pool_size(2).checkout_timeout(Duration::from_millis(300));
        let store = store.await.expect("a store");
        let held = [hold(&store).await.expect("one"), hold(&store).await.expect("two")];
        let started = Instant::now();
        let error = hold(&store).await.expect_err("there is no third");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert!(matches!(error, Error::Exhausted { pool: "raw", size: 2, .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("pools.rs:") && said.contains("raise the pool's size"), "{said}");
        assert_eq!((raw(&store).timed_out, raw(&store).waiting, store.leases().len()), (1, 0, 2));
        drop(held);
        hold(&store).await.expect("a free one");
    }

    async fn nested_gets_at_ten_times_the_concurrency_end_in_bounded_errors(database: Database) {
        let store = Store::builder(&database.url).raw_pool_size(2).checkout_timeout(Duration::from_millis(500));
        let store = store.await.expect("a store");
        // Both connections are opened before, for which a busy machine may take long.
        let opened = [hold(&store).await, hold(&store).await];
        drop(opened.map(|held| held.expect("a connection")));
        until(async || raw(&store).in_use == 0).await;
        let started = Instant::now();
        let nested = (0..20).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let _outer = hold(&store).await?;
                hold(&store).await.map(drop)
            })
        });
        for done in join_all(nested).await {
            match done.expect("no panic") {
                Ok(()) | Err(Error::Exhausted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        until(async || raw(&store).in_use == 0).await;
        hold(&store).await.expect("the pool recovers");
    }

    async fn a_connection_held_too_long_is_reported_once_with_its_place(database: Database) {
        let store = Store::builder(&database.url).leak_after(Duration::from_millis(40)).await.expect("a store");
        let held = hold(&store).await.expect("a connection");
        until(async || raw(&store).leaked == 1).await;
        let lease = store.leases().into_iter().next().expect("its lease");
        assert!(lease.place.file().ends_with("pools.rs"), "{lease:?}");
        assert!(lease.held > Duration::from_millis(40), "{lease:?}");
        tokio::time::sleep(Duration::from_millis(100)).await; // several looks
        assert_eq!(raw(&store).leaked, 1);
        drop(held);
        until(async || store.leases().is_empty()).await;
    }

    async fn metrics_count_what_happened_and_speak_prometheus(database: Database) {
        let store = Store::builder(&database.url).raw_pool_size(1).await.expect("a store");
        let held = hold(&store).await.expect("a connection");
        let waiter = tokio::spawn({
            let store = store.clone();
            async move { hold(&store).await.map(drop) }
        });
        until(async || raw(&store).waiting == 1).await;
        let busy = raw(&store);
        assert_eq!((busy.max_size, busy.size, busy.idle, busy.in_use), (1, 1, 0, 1));
        drop(held);
        waiter.await.expect("no panic").expect("its turn");
        until(async || raw(&store).in_use == 0).await;
        let calm = raw(&store);
        assert_eq!((calm.waiting, calm.timed_out, calm.created, calm.broken), (0, 0, 1, 0), "{calm:?}");
        assert_eq!((calm.wait_time.count, calm.use_time.count), (2, 2));
        assert!(calm.use_time.sum > Duration::ZERO && calm.wait_time.quantile(1.0).is_some());

        let text = store.metrics().to_prometheus();
        assert!(text.contains("# TYPE millstream_pool_wait_seconds histogram"), "{text}");
        for (name, value) in [("connections", 1), ("connections_created_total", 1), ("wait_seconds_count", 2)] {
            let start = format!("millstream_pool_{name}{{database=\"");
            let of_raw = |line: &&str| line.starts_with(&start) && line.contains("pool=\"raw\"");
            let line = text.lines().find(of_raw).unwrap_or_else(|| panic!("{name} in:\n{text}"));
            assert!(line.ends_with(&format!(" {value}")), "{line}");
        }
    }

    async fn healthy_pools_tell_their_latency(database: Database) {
        let store = database.store().await;
        let pools = store.check_pools().await;
        assert!(pools.len() >= 2);
        for pool in pools {
            assert!(pool.is_healthy() && pool.latency > Duration::ZERO, "{pool:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unhealthy_pools_tell_the_reason_in_bounded_time_and_recover() {
    let server = Postgres::start().await.expect("a Postgres");
    let port =
        server.url().rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok()).expect("a port");
    let proxy = Proxy::to(port).await.expect("a proxy");
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    let store = Store::connect(&url).await.expect("a store");
    assert!(store.check_pools().await.iter().all(|pool| pool.is_healthy()));

    proxy.blackhole();
    let started = Instant::now();
    for pool in store.check_pools().await {
        assert!(pool.reason.as_ref().is_some_and(|reason| reason.contains("no answer")), "{pool:?}");
        assert!(pool.latency > Duration::from_secs(1), "{pool:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    proxy.reset();
    proxy.heal();
    until(async || store.check_pools().await.iter().all(|pool| pool.is_healthy())).await;
    // Those that fell silent were closed and replaced.
    assert!(store.metrics().pools.iter().any(|pool| pool.broken > 0), "{:?}", store.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_transaction_that_is_left_open_is_rolled_back() {
    let database = Database::postgres().await;
    let store = Store::builder(&database.url).raw_pool_size(1).await.expect("a store");
    for abandon in ["INSERT INTO sums VALUES (1)", "SELECT no_such_column"] {
        let client = store.raw_postgres().await.expect("a client");
        client.batch_execute("CREATE TABLE IF NOT EXISTS sums (sum int)").await.expect("a table");
        let _ = client.batch_execute(&format!("BEGIN; {abandon}")).await;
        drop(client);
        let client = store.raw_postgres().await.expect("a client");
        let left = client.query_one("SELECT count(*), now() = statement_timestamp() FROM sums", &[]).await;
        let left = left.expect("outside of a failed transaction");
        assert_eq!(left.get::<_, i64>(0), 0);
    }
    assert_eq!(raw(&store).created, 1, "the same connection all along");
}

#[tokio::test(flavor = "multi_thread")]
async fn rusqlite_works_on_the_same_file_with_the_same_library() {
    let database = Database::sqlite().await;
    let store = database.migrated().await;
    let version: String =
        store.raw_sqlite(|conn| conn.query_row("SELECT sqlite_version()", [], |row| row.get(0))).await.expect("it");
    assert_eq!(store.health().await.expect("healthy").version, format!("SQLite {version}"));

    // What is left open is rolled back, even where nobody waits for it any more.
    let work = store.raw_sqlite(|conn| {
        conn.execute_batch("CREATE TABLE sums (sum INTEGER); BEGIN IMMEDIATE; INSERT INTO sums VALUES (1)")
    });
    let _ = tokio::time::timeout(Duration::from_nanos(1), work).await;
    until(async || store.leases().is_empty()).await;
    let count = store.raw_sqlite(|conn| conn.query_row("SELECT count(*) FROM sums", [], |row| row.get(0)));
    assert_eq!(count.await.unwrap_or(0i64), 0);
    store.migrate().await.expect("no lock in the way");
    let nested = store.raw_sqlite({
        let (store, runtime) = (store.clone(), Handle::current());
        move |_| Ok(runtime.block_on(store.raw_sqlite(|conn| conn.execute_batch("SELECT 1"))).is_ok())
    });
    assert!(nested.await.expect("it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_connections_of_the_other_database_are_refused() {
    let (postgres, sqlite) = (Database::postgres().await, Database::sqlite().await);
    let error = sqlite.store().await.raw_postgres().await.expect_err("not Postgres");
    assert!(matches!(error, Error::WrongDatabase { needed: "Postgres", .. }), "{error}");
    let error = postgres.store().await.raw_sqlite(|_| Ok(())).await.expect_err("not SQLite");
    assert!(matches!(error, Error::WrongDatabase { needed: "SQLite", .. }), "{error}");
}

#[tokio::test]
async fn the_log_names_where_a_leaked_connection_was_taken() {
    let (log, _guard) = Log::hear(tracing::Level::INFO);
    let database = Database::postgres().await;
    let store = Store::builder(&database.url).leak_after(Duration::from_millis(40)).await.expect("a store");
    let line = line!() + 1;
    let _client = store.raw_postgres().await.expect("a client");
    until(async || log.text().contains(&format!("pools.rs:{line}:"))).await;
    assert!(log.text().contains("held for too long"), "{}", log.text());
}
