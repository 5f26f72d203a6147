//! The migrations this program carries. `store/migrations` links to the top folder, so that a package carries them too.

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::Migration;

/// Owner of our rows in the ledger.
pub(super) const OWNER: &str = "millstream";

/// A migration's SQL.
pub(super) struct Embedded {
    pub(super) version: &'static str,
    pub(super) name: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
}

macro_rules! migrations {
    ($database:literal: $($version:literal $name:literal),+ $(,)?) => {
        &[$(Embedded {
            version: $version,
            name: $name,
            up: include_str!(concat!("../../migrations/", $database, "/", $version, "_", $name, "/up.sql")),
            down: include_str!(concat!("../../migrations/", $database, "/", $version, "_", $name, "/down.sql")),
        }),+]
    };
}

pub(super) const POSTGRES: &[Embedded] = migrations!("postgres": "0001" "history", "0002" "reports");
pub(super) const SQLITE: &[Embedded] = migrations!("sqlite": "0001" "history", "0002" "reports");

impl Embedded {
    /// SHA-256 of the way up, in hex.
    pub(super) fn checksum(&self) -> String {
        Sha256::digest(self.up).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn status(&self, applied_at: Option<DateTime<Utc>>) -> Migration {
        Migration { version: self.version.to_owned(), name: self.name.to_owned(), applied_at }
    }
}

impl fmt::Display for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.version, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_of_migrations_is_embedded_in_order() {
        for (database, embedded) in [("postgres", POSTGRES), ("sqlite", SQLITE)] {
            let folder = format!("{}/migrations/{database}", env!("CARGO_MANIFEST_DIR"));
            let entries = std::fs::read_dir(folder).expect("the folder");
            let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
            let mut folders: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
            folders.sort_unstable();
            assert_eq!(folders, embedded.iter().map(Embedded::to_string).collect::<Vec<_>>());
        }
    }
}
