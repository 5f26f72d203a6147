//! The databases that each test runs on.

use millstream_store::{Error, Store};
use millstream_tests::{fresh_database, shared_postgres};
use tempfile::TempDir;

/// An empty database.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub(crate) async fn postgres() -> Self {
        let server = shared_postgres().await.expect("a Postgres");
        Self { url: fresh_database(&server).await.expect("a database"), _folder: None }
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("history.db").display());
        Self { url, _folder: Some(folder) }
    }

    pub(crate) async fn store(&self) -> Store {
        Store::connect(&self.url).await.expect("a store")
    }

    pub(crate) async fn migrated(&self) -> Store {
        let store = self.store().await;
        store.migrate().await.expect("migrations");
        store
    }
}

/// The number that a statement answers with, by a raw connection.
pub(crate) async fn sql(store: &Store, statement: &str) -> Result<i64, Error> {
    if store.name().starts_with("postgres") {
        let client = store.raw_postgres().await?;
        Ok(client.query_one(statement, &[]).await?.get(0))
    } else {
        let statement = statement.to_owned();
        store.raw_sqlite(move |conn| conn.query_row(&statement, [], |row| row.get(0))).await
    }
}

/// Makes two tests of one: `<name>::postgres` and `<name>::sqlite`.
macro_rules! on_both {
    ($(async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs what its file imports")]
            use super::*;

            async fn check($database: crate::database::Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                check(crate::database::Database::postgres().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                check(crate::database::Database::sqlite().await).await;
            }
        }
    )+};
}
pub(crate) use on_both;
