//! What `./dev demo` and `./dev services` run, once the script has installed and built what they need.

mod album;
mod demo;
mod events;
mod folder;
mod history;
mod http;
mod interrupt;
mod keys;
mod orphans;
mod patience;
mod photos;
mod services;
mod stack;
mod verdict;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "dev")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The main job on real input: pictures become jobs, jobs become thumbnails, live.
    Demo(demo::Options),
    /// A private Redis and a private Postgres, for as long as this runs.
    Services(services::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(options) => demo::run(options).await,
        Command::Services(options) => services::run(options).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("dev: {error:#}");
        ExitCode::FAILURE
    })
}
