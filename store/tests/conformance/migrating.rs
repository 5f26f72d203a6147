use futures::future::join_all;
use millstream_store::{Error, Store};
use uuid::Uuid;

use crate::database::on_both;

on_both! {
    async fn migrations_are_applied_once(database: Database) {
        let store = database.store().await;
        assert!(store.migrations().await.expect("status").iter().all(|one| one.applied_at.is_none()));

        let applied = store.migrate().await.expect("migrations");
        assert_eq!(applied.len(), store.migrations().await.expect("status").len());
        assert!(applied.iter().all(|one| one.applied_at.is_some()));

        assert_eq!(store.migrate().await.expect("none left"), []);
        assert!(store.migrations().await.expect("status").iter().all(|one| one.applied_at.is_some()));
    }

    async fn eight_processes_migrate_an_empty_database_at_once(database: Database) {
        let migrating = (0..8).map(|_| {
            let url = database.url.clone();
            tokio::spawn(async move { Store::connect(&url).await?.migrate().await })
        });
        let mut winners = 0;
        for migrated in join_all(migrating).await {
            let applied = migrated.expect("no panic").expect("all succeed");
            winners += usize::from(!applied.is_empty());
        }
        assert_eq!(winners, 1);
        assert_eq!(database.store().await.history().count().await.expect("a count"), 0);
    }

    async fn a_migration_can_be_taken_back_and_applied_again(database: Database) {
        let store = database.migrated().await;
        while let Some(reverted) = store.revert_last_migration().await.expect("reverted") {
            assert_eq!(reverted.applied_at, None);
        }
        assert!(matches!(store.history().await, Err(Error::NotMigrated { .. })));
        assert!(!store.migrate().await.expect("migrations").is_empty());
        assert_eq!(store.history().await.expect("a page").rows.len(), 0);
    }

    async fn a_query_before_the_migrations_names_the_remedy(database: Database) {
        let store = database.store().await;
        for error in [
            store.history().await.map(drop).expect_err("no table"),
            store.history().count().await.map(drop).expect_err("no table"),
            store.history().attempts(Uuid::nil()).await.map(drop).expect_err("no table"),
        ] {
            assert!(matches!(error, Error::NotMigrated { pending: 1.. }), "{error:?}");
            assert!(error.to_string().contains("millstream migrate"), "{error}");
        }
    }
}
