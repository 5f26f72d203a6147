//! The migrations of a database as a whole.

use super::{
    Migration, Migrations,
    embedded::MILLSTREAM,
    plan::{self, Order, Set},
    postgres, sqlite,
};
use crate::{Error, Store, store::Backend};

/// Millstream's migrations and those that were added, in this order; see [`Store::migrator`].
#[derive(Clone, Debug)]
#[must_use = "nothing is asked or changed until one of its methods is awaited"]
pub struct Migrator {
    store: Store,
    sets: Vec<Migrations>,
}

impl Migrator {
    pub(super) fn new(store: Store) -> Self {
        Self { store, sets: vec![MILLSTREAM] }
    }

    /// Adds an application's migrations, behind those that are there: they may refer to Millstream's tables.
    pub fn with(mut self, migrations: Migrations) -> Self {
        self.sets.push(migrations);
        self
    }

    /// All migrations of this program, applied or pending, and those of the same owners that a newer program applied.
    /// Changes nothing.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Query`], [`Error::Postgres`], and [`Error::Config`] for owners or versions that
    /// can't be told apart.
    pub async fn status(&self) -> Result<Vec<Migration>, Error> {
        let sets = self.sets()?;
        let applied = match self.store.backend() {
            Backend::Postgres(database) => postgres::applied(database).await?,
            Backend::Sqlite(database) => sqlite::applied(database.clone()).await?,
        };
        Ok(plan::status(&sets, &applied))
    }

    /// Applies what is pending and returns it, nothing where the database is up to date. Any number of processes may call
    /// it at once: one applies, the others wait for it, at most a minute.
    ///
    /// # Errors
    /// [`Error::Migration`]: the failed one is rolled back, those before it stay, and the next call tries it again.
    /// [`Error::MigrationChanged`], [`Error::MigrationLock`], and those of [`Migrator::status`].
    pub async fn up(&self) -> Result<Vec<Migration>, Error> {
        self.run(Order::Up).await
    }

    /// Applies what is pending in one transaction, rolls it back and returns what would have been applied: a migration that
    /// can't succeed is found without a trace. It takes the locks that the migrations take.
    ///
    /// # Errors
    /// Those of [`Migrator::up`].
    pub async fn dry_run(&self) -> Result<Vec<Migration>, Error> {
        self.run(Order::Rehearse).await
    }

    /// Takes back the last `count` applied migrations with all data in their tables, the last one first, each in a
    /// transaction, and returns them.
    ///
    /// # Errors
    /// Those of [`Migrator::up`].
    pub async fn down(&self, count: usize) -> Result<Vec<Migration>, Error> {
        self.run(Order::Down(count)).await
    }

    async fn run(&self, order: Order) -> Result<Vec<Migration>, Error> {
        let sets = self.sets()?;
        match self.store.backend() {
            Backend::Postgres(database) => postgres::run(database, &sets, order).await,
            Backend::Sqlite(database) => sqlite::run(database.clone(), sets, order).await,
        }
    }

    fn sets(&self) -> Result<Vec<Set>, Error> {
        let list = |migrations: &Migrations| match self.store.backend() {
            Backend::Postgres(_) => migrations.postgres,
            Backend::Sqlite(_) => migrations.sqlite,
        };
        let sets: Vec<Set> =
            self.sets.iter().map(|migrations| Set { owner: migrations.owner, list: list(migrations) }).collect();
        plan::check(&sets)?;
        Ok(sets)
    }
}
