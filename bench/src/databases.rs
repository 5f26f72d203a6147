//! The two databases of a figure.

use anyhow::Result;
use millstream_store::{Migrations, Store};
use millstream_tests::Postgres;

/// A private Postgres and a SQLite file, with Millstream's tables and the figure's own.
pub(crate) struct Databases {
    pub(crate) stores: [Store; 2],
    pub(crate) postgres: Postgres,
    folder: tempfile::TempDir,
}

impl Databases {
    pub(crate) async fn start(tables: Migrations) -> Result<Self> {
        let postgres = Postgres::start().await?;
        let folder = tempfile::tempdir()?;
        let file = format!("sqlite://{}", folder.path().join("bench.db").display());
        let stores = [Store::connect(&postgres.url()).await?, Store::connect(&file).await?];
        for store in &stores {
            store.migrator().with(tables).up().await?;
        }
        Ok(Self { stores, postgres, folder })
    }

    /// The path of the SQLite file.
    pub(crate) fn file(&self) -> String {
        self.folder.path().join("bench.db").display().to_string()
    }
}
