//! `millstream migrate`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use millstream_store::{Migration, Store};

/// Create or update Millstream's tables in a database
///
/// Lists all migrations and applies the pending ones, each in a transaction. Any number of processes may do so at once:
/// one applies, the others wait for it. Safe to repeat.
#[derive(Args)]
pub(crate) struct Migrate {
    /// postgres://user:password@host/database or sqlite://path/to/file.db
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,

    /// Only list; exit with 1 where migrations are pending
    #[arg(long)]
    status: bool,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        // To look at a SQLite file that isn't there must not make it.
        let store = Store::builder(&self.database_url).create_missing(!self.status).await?;
        let before = store.migrations().await?;
        for migration in before.iter().filter(|one| self.status || one.applied_at.is_some()) {
            print(migration, "");
        }
        let pending = before.iter().filter(|one| one.applied_at.is_none()).count();
        if self.status {
            println!("{pending} of {} pending in {}", before.len(), store.name());
            return Ok(if pending == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        let applied = store.migrate().await?;
        for migration in &applied {
            print(migration, ", now");
        }
        match applied.len() {
            0 => println!("{} is up to date", store.name()),
            count => println!("{count} applied, {} is up to date", store.name()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(migration: &Migration, note: &str) {
    let state = migration.applied_at.map_or("pending".to_owned(), |at| at.format("applied %F %T UTC").to_string());
    println!("{} {:<20} {state}{note}", migration.version, migration.name);
}
