//! The migrations that a program carries: Millstream's own and an application's.

use std::fmt;

use sha2::{Digest, Sha256};

/// One migration for one database, usually made by [`embed_migrations!`](crate::embed_migrations).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EmbeddedMigration {
    /// Its place in the order of its owner's, such as `0001`; compared as text.
    pub version: &'static str,
    /// What it makes, such as `history`.
    pub name: &'static str,
    /// The SQL of the way forward. Runs in a transaction.
    pub up: &'static str,
    /// The SQL of the way back. Runs in a transaction.
    pub down: &'static str,
}

impl EmbeddedMigration {
    /// A migration from its parts.
    pub const fn new(version: &'static str, name: &'static str, up: &'static str, down: &'static str) -> Self {
        Self { version, name, up, down }
    }

    /// SHA-256 of the way forward, in hex.
    pub(super) fn checksum(&self) -> String {
        Sha256::digest(self.up).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for EmbeddedMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.version, self.name)
    }
}

/// All migrations of one owner, for both databases. They share Millstream's ledger, in which each owner's versions are
/// apart, so an application counts from `0001` too.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    pub(super) owner: &'static str,
    pub(super) postgres: &'static [EmbeddedMigration],
    pub(super) sqlite: &'static [EmbeddedMigration],
}

impl Migrations {
    /// The migrations of `owner`, the application's name; an empty list for a database that it doesn't support.
    pub const fn new(
        owner: &'static str,
        postgres: &'static [EmbeddedMigration],
        sqlite: &'static [EmbeddedMigration],
    ) -> Self {
        Self { owner, postgres, sqlite }
    }
}

/// Embeds an application's migrations: `up.sql` and `down.sql` in `migrations/postgres/0001_orders/` and in
/// `migrations/sqlite/0001_orders/` beside the application's `Cargo.toml`.
///
/// ```ignore
/// const MIGRATIONS: millstream_store::Migrations =
///     millstream_store::embed_migrations!("shop": "0001" "orders", "0002" "notes");
/// store.migrator().with(MIGRATIONS).up().await?;
/// ```
#[macro_export]
macro_rules! embed_migrations {
    (@one $database:literal $version:literal $name:literal) => {
        $crate::EmbeddedMigration::new(
            $version,
            $name,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/migrations/", $database, "/", $version, "_", $name, "/up.sql"
            )),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/migrations/", $database, "/", $version, "_", $name, "/down.sql"
            )),
        )
    };
    ($owner:literal: $($version:literal $name:literal),+ $(,)?) => {
        $crate::Migrations::new(
            $owner,
            &[$($crate::embed_migrations!(@one "postgres" $version $name)),+],
            &[$($crate::embed_migrations!(@one "sqlite" $version $name)),+],
        )
    };
}
