//! Raw connections, for what Diesel doesn't say: COPY, LISTEN, SQLite's own functions.

mod postgres;
mod sqlite;

use std::future::Future;

pub use self::postgres::RawPostgres;
pub(crate) use self::sqlite::{Rusqlite, lent_to, on_blocking};
use crate::{Error, Store, store::Backend};

impl Store {
    /// A raw connection to Postgres, as tokio-postgres gives it, from a pool of its own.
    ///
    /// # Errors
    /// [`Error::WrongDatabase`] on SQLite, [`Error::Unreachable`], [`Error::Exhausted`].
    #[track_caller]
    pub fn raw_postgres(&self) -> impl Future<Output = Result<RawPostgres, Error>> + Send + use<'_> {
        let asked = match self.backend() {
            Backend::Postgres(database) => Ok(database.raw()),
            Backend::Sqlite(_) => Err(self.wrong_database("a raw Postgres connection", "Postgres")),
        };
        async move { Ok(RawPostgres::new(asked?.await?)) }
    }

    /// Runs `work` with a raw connection to the SQLite file, as rusqlite gives it, on a blocking thread; the same bundled
    /// library serves Diesel. Once begun, `work` runs to its end even if this future is dropped, and what it leaves open
    /// is rolled back.
    ///
    /// # Errors
    /// [`Error::WrongDatabase`] on Postgres, [`Error::Unreachable`], [`Error::Exhausted`], and [`Error::Sqlite`] from
    /// `work`.
    #[track_caller]
    pub fn raw_sqlite<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let asked = match self.backend() {
            Backend::Sqlite(database) => Ok(database.raw()),
            Backend::Postgres(_) => Err(self.wrong_database("a raw SQLite connection", "SQLite")),
        };
        async move { Ok(on_blocking(asked?.await?, work).await?) }
    }

    fn wrong_database(&self, operation: &'static str, needed: &'static str) -> Error {
        Error::WrongDatabase { operation, needed, database: self.name().to_owned() }
    }
}
