//! The `millstream` command.

mod doctor;
mod migrate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Background jobs and events on Redis, with their history in Postgres or SQLite.
#[derive(Parser)]
#[command(name = "millstream", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Doctor(doctor::Doctor),
    Migrate(migrate::Migrate),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Doctor(doctor) => doctor.run().await,
        Command::Migrate(migrate) => migrate.run().await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("millstream: {error:#}");
        ExitCode::FAILURE
    })
}
