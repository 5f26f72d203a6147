//! Migrations: embedded, each in a transaction, one process at a time.
//!
//! The ledger is a table of our own and not Diesel's, so that an application that has Diesel migrations can keep them in the
//! same database, and so that a changed migration is noticed by its checksum. An application's migrations can also stand
//! in it, under the application's name.

mod embedded;
mod migrator;
mod plan;
mod postgres;
mod set;
mod sqlite;

use chrono::{DateTime, Utc};

pub use self::{
    migrator::Migrator,
    set::{EmbeddedMigration, Migrations},
};
use crate::{Error, Store};

/// A migration and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// `millstream`, or the application whose it is.
    pub owner: String,
    /// Its place in the order of its owner's, such as `0001`.
    pub version: String,
    /// What it makes, such as `history`.
    pub name: String,
    /// When it was applied; none while it is pending.
    pub applied_at: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: MigrationState,
}

/// Where a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MigrationState {
    /// Not applied yet.
    Pending,
    /// Applied then, with the contents that the program carries.
    Applied(DateTime<Utc>),
    /// Applied then with other contents: the program refuses to migrate.
    Changed(DateTime<Utc>),
    /// Applied then by a newer program; this one does not know it and leaves it alone.
    Unknown(DateTime<Utc>),
}

impl MigrationState {
    /// When it was applied; none while it is pending.
    pub fn applied_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Pending => None,
            Self::Applied(at) | Self::Changed(at) | Self::Unknown(at) => Some(*at),
        }
    }
}

impl Store {
    /// Millstream's migrations, to which an application adds its own: status, dry run, forward and back.
    pub fn migrator(&self) -> Migrator {
        Migrator::new(self.clone())
    }

    /// Applies Millstream's pending migrations and returns them, none where the database is up to date. Any number of
    /// processes may call it at once: one applies, the others wait for it.
    ///
    /// # Errors
    /// Those of [`Migrator::up`].
    pub async fn migrate(&self) -> Result<Vec<Migration>, Error> {
        self.migrator().up().await
    }

    /// Takes back Millstream's newest applied migration with all data in its tables, and returns it.
    ///
    /// # Errors
    /// Those of [`Migrator::down`].
    pub async fn revert_last_migration(&self) -> Result<Option<Migration>, Error> {
        Ok(self.migrator().down(1).await?.pop())
    }

    /// All of Millstream's migrations in order, and where they stand.
    ///
    /// # Errors
    /// Those of [`Migrator::status`].
    pub async fn migrations(&self) -> Result<Vec<Migration>, Error> {
        self.migrator().status().await
    }
}
