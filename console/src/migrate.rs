//! `millstream migrate`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use millstream_store::{Migration, MigrationState, Store};

/// Create or update Millstream's tables in a database
///
/// Lists all migrations and applies the pending ones, each in a transaction. Any number of processes may do so at once:
/// one applies, the others wait for it. Safe to repeat.
#[derive(Args)]
pub(crate) struct Migrate {
    /// What to do
    #[arg(value_enum, default_value_t = Action::Up)]
    action: Action,

    /// postgres://user:password@host/database or sqlite://path/to/file.db
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,

    /// The same as `status`
    #[arg(long, hide = true)]
    status: bool,

    /// With `up`: apply everything and roll it back, so that nothing changes. With `down`: only say what would go
    #[arg(long)]
    dry_run: bool,

    /// With `down`: how many to take back
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    steps: usize,

    /// With `down`: yes, delete the tables and the rows in them
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Apply what is pending
    Up,
    /// Only list; exit with 1 where migrations are pending or have changed
    Status,
    /// Take the newest migration back, with its tables and all rows in them
    Down,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let action = if self.status { Action::Status } else { self.action };
        // To look at a SQLite file that isn't there must not make it.
        let makes = action == Action::Up && !self.dry_run;
        let store = Store::builder(&self.database_url).create_missing(makes).await?;
        match action {
            Action::Status => status(&store).await,
            Action::Up if self.dry_run => try_up(&store).await,
            Action::Up => up(&store).await,
            Action::Down => down(&store, self.steps, self.yes && !self.dry_run).await,
        }
    }
}

async fn status(store: &Store) -> Result<ExitCode> {
    let migrations = store.migrations().await?;
    migrations.iter().for_each(|migration| print(migration, ""));
    let pending = migrations.iter().filter(|one| one.state == MigrationState::Pending).count();
    let changed = migrations.iter().any(|one| matches!(one.state, MigrationState::Changed(_)));
    println!("{pending} of {} pending in {}", migrations.len(), store.name());
    Ok(if pending == 0 && !changed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn up(store: &Store) -> Result<ExitCode> {
    for migration in store.migrations().await?.iter().filter(|one| one.applied_at.is_some()) {
        print(migration, "");
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

async fn try_up(store: &Store) -> Result<ExitCode> {
    let tried = store.migrator().dry_run().await?;
    tried.iter().for_each(|migration| print(migration, ", would work"));
    println!("dry run: {} would be applied to {}, nothing was changed", tried.len(), store.name());
    Ok(ExitCode::SUCCESS)
}

async fn down(store: &Store, steps: usize, sure: bool) -> Result<ExitCode> {
    let migrations = store.migrations().await?;
    let applied = migrations.iter().rev().filter(|one| matches!(one.state, MigrationState::Applied(_)));
    let newest: Vec<&Migration> = applied.take(steps).collect();
    if newest.is_empty() {
        bail!("nothing is applied in {}", store.name());
    }
    if !sure {
        newest.iter().for_each(|migration| print(migration, ", would go with its tables and all rows in them"));
        println!("nothing was changed; repeat with --yes");
        return Ok(ExitCode::FAILURE);
    }
    let reverted = store.migrator().down(steps).await?;
    reverted.iter().for_each(|migration| print(migration, ", taken back now"));
    Ok(ExitCode::SUCCESS)
}

fn print(migration: &Migration, note: &str) {
    let at = |time: chrono::DateTime<chrono::Utc>| time.format("%F %T UTC");
    let state = match migration.state {
        MigrationState::Pending => "pending".to_owned(),
        MigrationState::Applied(time) => format!("applied {}", at(time)),
        MigrationState::Changed(time) => format!("applied {} with OTHER CONTENTS than this program's", at(time)),
        MigrationState::Unknown(time) => format!("applied {} by a newer program", at(time)),
        _ => "unknown".to_owned(),
    };
    println!("{} {:<20} {state}{note}", migration.version, migration.name);
}
