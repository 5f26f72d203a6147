//! The migrations this program carries. `store/migrations` links to the top folder, so that a package carries them too.

use super::set::{EmbeddedMigration as Embedded, Migrations};

macro_rules! migrations {
    ($database:literal: $($version:literal $name:literal),+ $(,)?) => {
        &[$($crate::embed_migrations!(@one $database $version $name)),+]
    };
}

const POSTGRES: &[Embedded] = migrations!("postgres": "0001" "history", "0002" "reports", "0003" "pages", "0004" "statistics", "0005" "outbox", "0006" "state", "0007" "outbox_retention", "0008" "outbox_numbers");
const SQLITE: &[Embedded] = migrations!("sqlite": "0001" "history", "0002" "reports", "0003" "pages", "0004" "statistics", "0005" "outbox", "0006" "state", "0007" "outbox_retention");

/// Millstream's own.
pub(super) const MILLSTREAM: Migrations = Migrations::new("millstream", POSTGRES, SQLITE);

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

    #[test]
    fn the_first_version_is_as_it_was_applied_everywhere() {
        // A change of these files would lock every existing database out: make a new migration instead.
        for (embedded, checksum) in [
            (POSTGRES, "a56e52976f3fbedd5a70f0cef0bc6c93537c1d54e11ceb9548a22db2e2da1c0f"),
            (SQLITE, "71ce1034212f36b7b58ad7ac4ad9bfad3eeae842a6f1bed8d14288eb6fe41dcb"),
        ] {
            assert_eq!(embedded[0].checksum(), checksum, "{}", embedded[0]);
        }
    }
}
