//! The databases that each test runs on.

use millstream_store::{Error, Store};

/// An empty database, and stores on it.
pub(crate) struct Database {
    pub(crate) url: String,
    _kept: millstream_tests::Database,
}

impl From<millstream_tests::Database> for Database {
    fn from(kept: millstream_tests::Database) -> Self {
        Self { url: kept.url.clone(), _kept: kept }
    }
}

impl Database {
    pub(crate) async fn postgres() -> Self {
        millstream_tests::Database::postgres().await.expect("a Postgres").into()
    }

    pub(crate) async fn sqlite() -> Self {
        millstream_tests::Database::sqlite().expect("a SQLite file").into()
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

/// [`millstream_tests::on_both`] with these databases.
macro_rules! on_both {
    ($(async fn $name:ident($database:ident: Database) $body:block)+) => {
        millstream_tests::on_both! { $(async fn $name($database: crate::database::Database) $body)+ }
    };
}
pub(crate) use on_both;
