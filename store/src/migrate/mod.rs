//! Migrations: embedded, each in a transaction, one process at a time.
//!
//! The ledger is a table of our own and not Diesel's, so that an application's own Diesel migrations can live in the same
//! database, and so that a changed migration is noticed by its checksum.

mod embedded;
mod postgres;
mod sqlite;

use chrono::{DateTime, Utc};

use self::embedded::Embedded;
use crate::{Error, Store, store::Backend};

/// One of Millstream's migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// Its place in the order, such as `0001`.
    pub version: String,
    /// What it makes, such as `history`.
    pub name: String,
    /// When it was applied; none while it is pending.
    pub applied_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Applies the pending migrations and returns them, none where the database is up to date. Any number of processes
    /// may call it at once: one applies, the others wait for it.
    ///
    /// # Errors
    /// [`Error::Migration`] (the failed one is rolled back), [`Error::MigrationChanged`], [`Error::MigrationLock`],
    /// [`Error::Unreachable`].
    pub async fn migrate(&self) -> Result<Vec<Migration>, Error> {
        match self.backend() {
            Backend::Postgres(database) => postgres::migrate(database).await,
            Backend::Sqlite(database) => sqlite::migrate(database.clone()).await,
        }
    }

    /// Takes back the newest applied migration with all data in its tables, and returns it.
    ///
    /// # Errors
    /// Those of [`Store::migrate`].
    pub async fn revert_last_migration(&self) -> Result<Option<Migration>, Error> {
        match self.backend() {
            Backend::Postgres(database) => postgres::revert(database).await,
            Backend::Sqlite(database) => sqlite::revert(database.clone()).await,
        }
    }

    /// All migrations of this program in order, applied or pending.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Query`], [`Error::Postgres`].
    pub async fn migrations(&self) -> Result<Vec<Migration>, Error> {
        let (embedded, applied) = match self.backend() {
            Backend::Postgres(database) => (embedded::POSTGRES, postgres::applied(database).await?),
            Backend::Sqlite(database) => (embedded::SQLITE, sqlite::applied(database.clone()).await?),
        };
        let status = |migration: &Embedded| {
            let found = applied.iter().find(|applied| applied.version == migration.version);
            migration.status(found.map(|applied| applied.applied_at))
        };
        Ok(embedded.iter().map(status).collect())
    }
}

/// A row of the ledger.
struct Applied {
    version: String,
    checksum: String,
    applied_at: DateTime<Utc>,
}

/// What is left to do, in order. Refuses to build on a migration whose contents have changed.
fn pending(embedded: &'static [Embedded], applied: &[Applied]) -> Result<Vec<&'static Embedded>, Error> {
    let mut pending = Vec::new();
    for migration in embedded {
        match applied.iter().find(|applied| applied.version == migration.version) {
            None => pending.push(migration),
            Some(applied) if applied.checksum == migration.checksum() => {}
            Some(_) => return Err(Error::MigrationChanged { name: migration.to_string() }),
        }
    }
    Ok(pending)
}

/// The newest of this program's migrations that is applied.
fn newest(embedded: &'static [Embedded], applied: &[Applied]) -> Option<&'static Embedded> {
    let is_applied = |migration: &&Embedded| applied.iter().any(|applied| applied.version == migration.version);
    embedded.iter().rev().find(is_applied)
}
