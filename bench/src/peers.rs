//! Millstream side by side with other job systems, in the same run on the same servers.

mod install;
pub(crate) mod ours;
mod plot;
mod program;
mod round;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use install::{Folders, Ready};
use program::Program;
use round::Servers;
use table::{Row, Table};

/// Millstream side by side with its peers, which are installed from their registries
#[derive(Args)]
#[command(after_help = format!("PEERS: {}", Program::peers()))]
pub(crate) struct Arguments {
    /// The peers to measure [default: all]
    #[arg(value_name = "PEER")]
    names: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the table as an SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Rounds in each of which every program runs once; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,
    /// Jobs that each program enqueues in bulk (ten times as many outcomes are the most that wait for a recorder)
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1000..=100_000))]
    jobs: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let programs = Program::chosen(&arguments.names)?;
    let jobs = arguments.jobs / 1000 * 1000; // bulks of 1,000
    let (mut ready, mut rows) = (Vec::new(), Vec::new());
    let folders = Folders::find()?;
    for program in programs {
        eprintln!("{}: installing", program.name);
        match folders.install(program).await {
            Ok(installed) => ready.push(installed),
            Err(reason) => rows.push(Row::failed(program, &reason.context("cannot be installed"))),
        }
    }
    let servers = Servers::start(&ready, jobs).await?;
    rows.splice(0..0, measure(&ready, &servers, arguments.rounds).await);

    let table = Table::new(servers.redis(), arguments.rounds, rows).await?;
    if let Some(file) = &arguments.plot {
        std::fs::write(file, plot::svg(&table)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.json {
        table.print_json()?;
    } else {
        table.print();
    }
    Ok(())
}

/// Interleaved rounds, so that a machine that slows down slows all. A program that fails once is out.
async fn measure(ready: &[Ready], servers: &Servers, rounds: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = ready.iter().map(|ready| Row::new(ready.program)).collect();
    for round in 1..=rounds {
        for (ready, row) in ready.iter().zip(&mut rows) {
            if row.has_failed() {
                continue;
            }
            eprintln!("round {round} of {rounds}: {}", ready.program.name);
            match round::run(ready, servers).await {
                Ok(answer) => row.add(&answer),
                Err(reason) => row.fail(&reason),
            }
        }
    }
    rows
}
