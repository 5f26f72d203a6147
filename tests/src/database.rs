//! Databases for tests that run on both kinds.

use anyhow::Result;
use tempfile::TempDir;

use crate::{fresh_database, shared_postgres};

/// An empty database of its own for one test.
#[derive(Debug)]
pub struct Database {
    /// What a store connects to.
    pub url: String,
    _folder: Option<TempDir>,
}

impl Database {
    /// On a Postgres that the tests of a run share.
    ///
    /// # Errors
    /// When there is no Postgres.
    pub async fn postgres() -> Result<Self> {
        Ok(Self { url: fresh_database(&shared_postgres().await?).await?, _folder: None })
    }

    /// A SQLite file that goes with it.
    ///
    /// # Errors
    /// When there is no folder for temporary files.
    pub fn sqlite() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Ok(Self { url, _folder: Some(folder) })
    }
}

/// Makes two tests of each: `<name>::postgres` and `<name>::sqlite`. They take a [`Database`], or what is made `From` one.
#[macro_export]
macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($database:ident: $type:ty) $body:block)+) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports, reason = "not every test needs what its file imports")]
            use super::*;

            async fn check($database: $type) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                check($crate::Database::postgres().await.expect("a Postgres").into()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                check($crate::Database::sqlite().expect("a SQLite file").into()).await;
            }
        }
    )+};
}
