//! Measures Millstream beside the raw Redis limit, in one run on one private server without persistence: absolute figures
//! mean little on a busy machine, their ratio does.

mod by_hand;
mod databases;
mod drain;
mod enqueue;
mod history;
mod idle;
mod latency;
mod memory;
mod outbox;
mod outcomes;
mod pairs;
mod peers;
mod promote;
mod raw;
mod record;
mod report;
mod scale;
mod setting;
mod store;
mod subject;
mod targets;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use report::{Figure, Report};
use setting::Setting;
use targets::{FIGURES, is_known, names};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Millstream's speed and size, beside the raw limit of Redis in the same run.
#[derive(Parser)]
#[command(name = "./dev bench", after_help = format!("FIGURES: {}", names()), args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The figures to measure [default: all]
    #[arg(value_name = "FIGURE")]
    names: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Interleaved pairs (ours, limit, ours, limit …) per figure; the medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=99))]
    pairs: u64,
    /// Jobs per run of a throughput figure; where a million is measured, ten times as many
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    jobs: u64,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Peers(peers::Arguments),
    #[command(flatten)]
    Subject(subject::Subject),
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Peers(arguments)) => return peers::run(arguments).await,
        Some(Command::Subject(subject)) => return subject.run().await,
        None => {}
    }
    if let Some(unknown) = arguments.names.iter().find(|name| !is_known(name)) {
        bail!("there is no figure {unknown:?}; the figures are {}", names());
    }
    let wanted = |name: &str| arguments.names.is_empty() || arguments.names.iter().any(|wanted| wanted == name);
    let setting = Setting::start(arguments.pairs, arguments.jobs).await?;
    let mut report = Report::new(&setting).await?;
    for (name, _) in FIGURES {
        if wanted(name) && !report.has(name) {
            settle().await?;
            let figures = measure(name, &setting).await?;
            figures.into_iter().filter(|figure| wanted(figure.name)).for_each(|figure| report.add(figure));
        }
    }
    if arguments.json {
        report.print_json()?
    } else {
        report.print_table()
    }
    Ok(())
}

/// Until what other figures have written is on the disk: meanwhile the kernel needs a processor.
async fn settle() -> Result<()> {
    tokio::process::Command::new("sync").status().await.context("sync can't be run")?;
    Ok(())
}

/// The figure, together with those that the same measurement yields.
async fn measure(name: &str, setting: &Setting) -> Result<Vec<Figure>> {
    Ok(match name {
        "enqueue.bulk" => vec![enqueue::bulk(setting).await?],
        "enqueue.single" => vec![enqueue::single(setting).await?],
        "drain.noop" => vec![drain::noop(setting).await?],
        "drain.backlog" => vec![scale::backlog(setting).await?],
        "drain.delayed_beside" => vec![scale::delayed_beside(setting).await?],
        "latency.p50" | "latency.p99" => latency::of_a_steady_load(setting).await?.into(),
        "memory.queued" => vec![memory::queued(setting).await?],
        "memory.after_drain" => vec![memory::after_drain(setting).await?],
        "worker.rss" => vec![memory::of_a_worker(setting).await?],
        "push_all.rss" => vec![memory::of_a_push(setting).await?],
        "idle.cpu" | "idle.commands" => idle::on_ten_queues(setting).await?.into(),
        "promote.due" => vec![promote::due(setting).await?],
        "pool.checkout" => vec![store::checkout(setting).await?],
        "crud.get" => vec![store::get(setting).await?],
        "crud.insert_many" => vec![store::insert_many(setting).await?],
        "crud.page" => vec![store::page(setting).await?],
        "record.postgres" | "record.copy" => record::postgres(setting).await?.into(),
        "record.sqlite" => vec![record::sqlite(setting).await?],
        "record.lag" => vec![record::lag(setting).await?],
        "history.page" => vec![history::page(setting).await?],
        "outbox.push" => vec![outbox::push(setting).await?],
        "outbox.relay" => vec![outbox::relay(setting).await?],
        unknown => bail!("nothing measures {unknown:?}"),
    })
}
