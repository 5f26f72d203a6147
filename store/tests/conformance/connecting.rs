use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use millstream_store::{Error, Store};
use millstream_tests::shared_postgres;

use crate::database::{Database, on_both};

/// The refusal of `url`, which must come with its cause in time and without the password.
async fn refusal(url: &str) -> String {
    let started = Instant::now();
    let error = Store::connect(url).await.expect_err("refused");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(matches!(error, Error::Unreachable { .. } | Error::Url { .. }), "{error:?}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    error.to_string()
}

on_both! {
    async fn health_names_version_durability_and_latency(database: Database) {
        let store = database.store().await;
        let health = store.health().await.expect("healthy");
        assert!(health.version.starts_with("Postgres 1") || health.version.starts_with("SQLite 3."), "{health:?}");
        assert!(health.durability.contains("fsync") || health.durability == "journal_mode wal", "{health:?}");
        assert!(health.latency > Duration::ZERO);
    }

    async fn a_dropped_query_leaves_its_connection_usable(database: Database) {
        let store = Store::builder(&database.url).pool_size(1).await.expect("a store");
        store.migrate().await.expect("migrations");
        for _ in 0..50 {
            let asked = tokio::time::timeout(Duration::from_micros(200), store.history().count()).await;
            drop(asked);
        }
        assert_eq!(store.history().count().await.expect("a count"), 0);
    }

    async fn more_callers_than_connections_take_turns(database: Database) {
        let store = Store::builder(&database.url).pool_size(2).await.expect("a store");
        store.migrate().await.expect("migrations");
        let callers = (0..20).map(|_| tokio::spawn({
            let store = store.clone();
            async move { store.history().count().await }
        }));
        for asked in futures::future::join_all(callers).await {
            assert_eq!(asked.expect("no panic").expect("a turn"), 0);
        }
    }
}

#[tokio::test]
async fn a_closed_port_is_named_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number");
    let refusal = refusal(&format!("postgres://ann:s3cret@{free}/x")).await;
    assert!(refusal.contains("refused"), "{refusal}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its number");
    let refusal = refusal(&format!("postgres://ann:s3cret@{address}/x")).await;
    assert!(refusal.contains("no answer within 2 s"), "{refusal}");
}

#[tokio::test]
async fn an_unknown_host_database_and_user_are_named() {
    let named = refusal("postgres://ann:s3cret@no-such-host.invalid/x").await;
    assert!(named.contains("no-such-host.invalid"), "{named}");
    let server = shared_postgres().await.expect("a Postgres");
    let other = server.rsplit_once('/').expect("a path").0.to_owned() + "/no_such_database";
    let named = refusal(&other).await;
    assert!(named.contains(r#"database "no_such_database" does not exist"#), "{named}");
    let named = refusal(&server.replace("postgres://postgres", "postgres://nobody:s3cret")).await;
    assert!(named.contains(r#"role "nobody" does not exist"#), "{named}");
}

#[tokio::test]
async fn debug_never_shows_a_password() {
    let server = shared_postgres().await.expect("a Postgres");
    let url = server.replacen("postgres@", "postgres:s3cret@", 1);
    let builder = Store::builder(&url);
    assert!(!format!("{builder:?}").contains("s3cret"));
    let store = builder.await.expect("a server that trusts everyone");
    assert!(!format!("{store:?} {:?}", store.history()).contains("s3cret"), "{store:?}");
}

#[tokio::test]
async fn files_that_are_no_database_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "this is no database, but it is long enough to be read as the header of one ".repeat(9))
        .expect("written");
    let refused = refusal(&format!("sqlite://{}", file.display())).await;
    assert!(refused.contains("not a database"), "{refused}");
    let refused = refusal(&format!("sqlite://{}/no/such/folder.db", folder.path().display())).await;
    assert!(refused.contains("does not exist; create it"), "{refused}");
    let refused = refusal(&format!("sqlite://{}", folder.path().display())).await;
    assert!(refused.contains("unable to open"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_process_that_writes_is_waited_for() {
    let database = Database::sqlite().await;
    let (one, two) = (database.migrated().await, database.store().await);
    let writers = [one, two].map(|store| {
        tokio::spawn(async move {
            for _ in 0..20 {
                store.revert_last_migration().await.expect("no lock in the way");
                store.migrate().await.expect("no lock in the way");
            }
        })
    });
    for writer in writers {
        writer.await.expect("no panic");
    }
}
