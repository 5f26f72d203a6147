use std::time::Duration;

use millstream_store::{Data, Error, Store};
use serde::{Deserialize, Serialize};

use crate::{
    database::{on_both, sql},
    packs::{Queue, until},
};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Theme {
    dark: bool,
    size: f64,
}

fn theme(size: f64) -> Theme {
    Theme { dark: true, size }
}

/// The words of a refusal before anything is written.
fn refused<T: std::fmt::Debug>(done: Result<T, Error>) -> String {
    let error = done.expect_err("refused");
    assert!(matches!(error, Error::State { .. }), "{error:?}");
    error.to_string()
}

async fn rows(store: &Store) -> i64 {
    sql(store, "SELECT count(*) FROM millstream_state").await.expect("a count")
}

on_both! {
    async fn a_value_is_put_read_and_deleted(database: Database) {
        let store = database.migrated().await;
        let settings = store.state("settings");
        assert_eq!(settings.get::<Theme>("ann").await.expect("read"), None);
        let first = settings.put("ann", &theme(1.5)).await.expect("put");
        let second = settings.put("ann", &theme(2.5)).await.expect("put");
        assert!(second > first);
        let entry = settings.entry::<Theme>("ann").await.expect("read").expect("there");
        assert_eq!((entry.version, entry.value, entry.expires_at), (second, theme(2.5), None));
        assert_eq!(store.state("other").get::<Theme>("ann").await.expect("read"), None);
        assert!(settings.delete("ann").await.expect("deleted"));
        assert!(!settings.delete("ann").await.expect("nothing to delete"));
        assert_eq!(settings.get::<Theme>("ann").await.expect("read"), None);
    }

    async fn a_write_at_another_version_is_refused_and_names_the_current_one(database: Database) {
        let store = database.migrated().await;
        let settings = store.state("settings");
        let first = settings.put("ann", &1).create().await.expect("created");
        let second = settings.put("ann", &2).version(first).await.expect("put");
        for done in [
            settings.put("ann", &3).version(first).await.map(drop),
            settings.put("ann", &3).create().await.map(drop),
            settings.delete("ann").version(first).await.map(drop),
        ] {
            let error = done.expect_err("refused");
            assert!(matches!(error, Error::StateConflict { current: Some(current), .. } if current == second), "{error}");
        }
        assert_eq!(settings.get("ann").await.expect("read"), Some(2));
        assert!(settings.delete("ann").version(second).await.expect("deleted"));
        let error = settings.put("ann", &3).version(second).await.expect_err("it is gone");
        assert!(matches!(error, Error::StateConflict { current: None, .. }), "{error}");
        // A version never comes back, not even after its key was forgotten.
        sql_write(&store, "DELETE FROM millstream_state").await;
        assert!(settings.put("ann", &4).create().await.expect("created") > second);
    }

    async fn of_many_who_compare_and_set_each_wins_once(database: Database) {
        let store = database.migrated().await;
        store.state("counters").put("hits", &0_i64).await.expect("put");
        let adding = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let counters = store.state("counters");
                for _ in 0..10 {
                    loop {
                        let now = counters.entry::<i64>("hits").await.expect("read").expect("there");
                        match counters.put("hits", &(now.value + 1)).version(now.version).await {
                            Ok(_) => break,
                            Err(Error::StateConflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        });
        for done in futures::future::join_all(adding).await {
            done.expect("no panic");
        }
        assert_eq!(store.state("counters").get("hits").await.expect("read"), Some(80_i64));
    }

    async fn state_in_a_transaction_is_kept_or_undone_with_it(database: Database) {
        let store = database.migrated().await;
        let undone = store.transaction(async move |tx| {
            tx.state("a").put("x", &1).await?;
            assert_eq!(tx.state("a").get("x").await?, Some(1), "it sees its own writes");
            Err::<(), _>(Error::TransactionOver)
        });
        undone.await.expect_err("as it was returned");
        assert_eq!(store.state("a").get::<i32>("x").await.expect("read"), None);
        let adding = (0..6).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let add = store.transaction(async move |tx| {
                    let count = tx.state("a").get::<i64>("n").await?.unwrap_or(0);
                    tx.state("a").put("n", &(count + 1)).await
                });
                add.await.expect("kept")
            })
        });
        for done in futures::future::join_all(adding).await {
            done.expect("no panic");
        }
        assert_eq!(store.state("a").get("n").await.expect("read"), Some(6));
    }

    async fn an_expired_value_is_absent_at_once_and_pruned_later(database: Database) {
        let store = database.migrated().await;
        let codes = store.state("codes");
        let old = codes.put("old", &1).expires_in(Duration::ZERO).await.expect("put");
        codes.put("new", &2).expires_in(HOUR).await.expect("put");
        codes.put("far", &3).expires_in(Duration::MAX).await.expect("put");
        assert_eq!(codes.get::<i32>("old").await.expect("read"), None);
        assert!(matches!(
            codes.put("old", &1).version(old).await.expect_err("absent"),
            Error::StateConflict { current: None, .. }
        ));
        let keys: Vec<_> = codes.list::<i32>().await.expect("a page").rows.into_iter().map(|row| row.key).collect();
        assert_eq!(keys, ["far", "new"]);
        assert_eq!(store.prune_state().await.expect("pruned"), 1);
        assert_eq!(store.prune_state().await.expect("nothing to prune"), 0);
        assert_eq!(rows(&store).await, 3, "the deletion is remembered");
        let long_ago = "UPDATE millstream_state SET updated_at = '2020-01-01T00:00:00.000000Z' WHERE value IS NULL";
        sql_write(&store, long_ago).await;
        assert_eq!(store.prune_state().await.expect("pruned"), 1);
        assert_eq!(rows(&store).await, 2);
        codes.put("old", &5).create().await.expect("created anew");
    }

    async fn a_recorder_prunes_the_state(database: Database) {
        let (store, queue) = (database.migrated().await, Queue::new().await);
        let codes = store.state("codes");
        codes.put("old", &1).expires_in(Duration::ZERO).await.expect("put");
        codes.put("new", &2).expires_in(HOUR).await.expect("put");
        let recording = queue.recorder(&store).await;
        let values = || sql(&store, "SELECT count(value) FROM millstream_state");
        until(async || values().await.is_ok_and(|values| values == 1)).await;
        recording.stop().await;
    }

    async fn pages_follow_the_key_and_its_prefix(database: Database) {
        let store = database.migrated().await;
        let state = store.state("s");
        for key in ["b1", "a", "b2", "c", "b", "B", "bé", "b%"] {
            state.put(key, &key).await.expect("put");
        }
        let (mut keys, mut after) = (Vec::new(), String::new());
        loop {
            let page = state.list::<String>().prefix("b").after(after).limit(2).await.expect("a page");
            assert!(page.rows.iter().all(|row| row.key == row.value));
            keys.extend(page.rows.into_iter().map(|row| row.key));
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!(keys, ["b", "b%", "b1", "b2", "bé"]);
        assert_eq!(state.list::<String>().await.expect("a page").rows.len(), 8);
    }

    async fn versions_are_kept_on_request_and_bounded(database: Database) {
        let store = database.migrated().await;
        let plain = store.state("s");
        plain.put("k", &0).await.expect("put");
        let kept = store.state("s").keep_versions(3);
        for value in 1..=4 {
            kept.put("k", &value).await.expect("put");
        }
        kept.delete("k").await.expect("deleted");
        let versions = kept.versions::<i32>("k").await.expect("versions");
        let values: Vec<_> = versions.iter().map(|version| version.value).collect();
        assert_eq!(values, [None, Some(4), Some(3)]);
        let older = kept.versions::<i32>("k").before(versions[0].version).limit(1).await.expect("versions");
        assert_eq!(older, versions[1..2]);
        plain.put("k", &9).keep_versions(1).await.expect("put");
        assert_eq!(plain.versions::<i32>("k").await.expect("versions").len(), 1);
    }

    async fn bad_names_and_values_are_refused_and_nothing_is_written(database: Database) {
        let store = database.migrated().await;
        let state = store.state("s");
        let long = "x".repeat(513);
        for (scope, key) in [("", "k"), ("s", ""), ("s", "a\0b"), (&*long, "k"), ("s", &*long)] {
            refused(store.state(scope).put(key, &1).await);
            refused(store.state(scope).delete(key).await);
            refused(store.state(scope).get::<i32>(key).await);
        }
        assert!(refused(state.put("k", &f64::NAN).await).contains("NaN"));
        refused(state.put("k", &1).fence("", 1).await);
        assert!(refused(state.put("k", &1).fence("r", u64::MAX).await).contains("9223372036854775807"));
        refused(state.put("k", &"x".repeat(1024 * 1024 - 1)).await);
        assert_eq!(rows(&store).await, 0);
        state.put("k", &"x".repeat(1024 * 1024 - 2)).await.expect("at the limit");
        refused(store.state("s").limit(3).put("k", &"xx").await);
        for odd in ["a\0b", "\u{202e}é", "1e400"] {
            state.put("odd", &odd).await.expect("put");
            assert_eq!(state.get::<String>("odd").await.expect("read").as_deref(), Some(odd));
        }
        state.put("k", &u64::MAX).await.expect("put");
        assert_eq!(state.get("k").await.expect("read"), Some(u64::MAX));
        let error = state.get::<Theme>("k").await.expect_err("no theme").to_string();
        assert!(error.starts_with("k in s can't be read as ") && error.contains("Theme"), "{error}");
    }

    async fn a_watch_gives_what_is_there_and_then_every_last_change(database: Database) {
        let store = database.migrated().await;
        let state = store.state("s");
        state.put("a", &1).await.expect("put");
        state.put("gone", &1).await.expect("put");
        state.delete("gone").await.expect("deleted");
        let mut all = state.watch().expect("a watch").every(Duration::from_millis(20));
        let mut one = state.watch_key("b").expect("a watch").every(Duration::from_millis(20));
        let first = all.next().await.expect("a change");
        assert_eq!((first.key.as_str(), first.value().expect("a number")), ("a", Some(1)));
        store.state("other").put("a", &7).await.expect("put");
        state.put("b", &2).await.expect("put");
        let second = all.next().await.expect("a change");
        assert_eq!((second.key.as_str(), second.value().expect("a number")), ("b", Some(2)));
        assert_eq!(one.next().await.expect("a change").version, second.version);
        state.delete("a").await.expect("deleted");
        let third = all.next().await.expect("a change");
        assert_eq!((third.key.as_str(), third.value::<i32>().expect("none")), ("a", None));
        let waiting = tokio::time::timeout(Duration::from_millis(100), one.next()).await;
        assert!(waiting.is_err(), "{waiting:?}");
        state.put("b", &3).await.expect("put");
        assert_eq!(one.next().await.expect("a change").value().expect("a number"), Some(3));
    }

    async fn a_watch_misses_nothing_that_commits_out_of_order(database: Database) {
        let store = database.migrated().await;
        let mut watch = store.state("s").watch().expect("a watch").every(Duration::from_millis(10));
        let writers = (0..8).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..15_u64 {
                    let key = format!("{writer}-{round}");
                    let put = store.transaction(async move |tx| {
                        tx.state("s").put(&key, &round).await?;
                        tokio::time::sleep(Duration::from_millis((writer * 3 + round) % 5)).await;
                        Ok::<_, Error>(())
                    });
                    put.await.expect("kept");
                }
            })
        });
        let writers = futures::future::join_all(writers.collect::<Vec<_>>());
        let seen = async {
            let (mut keys, mut last) = (std::collections::BTreeSet::new(), 0);
            while keys.len() < 120 {
                let change = watch.next().await.expect("a change");
                assert!(change.version > last, "in order");
                last = change.version;
                keys.insert(change.key);
            }
        };
        let (done, seen) = tokio::join!(writers, tokio::time::timeout(Duration::from_secs(60), seen));
        seen.expect("every change within a minute");
        done.into_iter().for_each(|done| done.expect("no panic"));
    }
}

/// Runs a statement by a raw connection.
pub(crate) async fn sql_write(store: &Store, statement: &str) {
    if store.name().starts_with("postgres") {
        let client = store.raw_postgres().await.expect("a client");
        client.execute(statement, &[]).await.expect("written");
    } else {
        let statement = statement.to_owned();
        store.raw_sqlite(move |conn| conn.execute(&statement, [])).await.expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tells_a_watch_and_one_that_was_cut_off_catches_up() {
    let database = crate::database::Database::postgres().await;
    let store = database.migrated().await;
    // Looks by the clock come too late for this test.
    let mut watch = store.state("s").watch().expect("a watch").every(HOUR);
    store.state("s").put("a", &1).await.expect("put");
    assert_eq!(watch.next().await.expect("a change").key, "a");
    for round in 0..3 {
        let (change, _) = tokio::join!(watch.next(), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            store.state("s").put("b", &round).await.expect("put");
        });
        assert_eq!(change.expect("a change").value().expect("a number"), Some(round));
        let client = store.raw_postgres().await.expect("a client");
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' \
                   AND datname = current_database()";
        assert_eq!(client.query(cut, &[]).await.expect("cut").len(), 1);
        store.state("s").put("c", &round).await.expect("put");
        assert_eq!(watch.next().await.expect("a change").key, "c");
    }
    drop(watch);
    let listening =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()";
    until(async || sql(&store, listening).await.is_ok_and(|count| count == 0)).await;
}
