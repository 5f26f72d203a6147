//! Measures Millstream beside the raw Redis limit, in one run on one private server without persistence: absolute figures
//! mean little on a busy machine, their ratio does.

mod drain;
mod enqueue;
mod latency;
mod pairs;
mod raw;
mod report;
mod setting;

use anyhow::Result;
use clap::Parser;

use report::{Figure, Report};
use setting::Setting;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Millstream's speed, beside the raw limit of Redis in the same run.
#[derive(Parser)]
#[command(name = "./dev bench", after_help = "FIGURES: enqueue.bulk, drain.noop, latency.p50, latency.p99")]
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
    /// Jobs per run of a throughput figure
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    jobs: u64,
}

const NAMES: [&str; 4] = ["enqueue.bulk", "drain.noop", "latency.p50", "latency.p99"];

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(unknown) = arguments.names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        anyhow::bail!("there is no figure {unknown:?}; the figures are {}", NAMES.join(", "));
    }
    let wanted = |name: &str| arguments.names.is_empty() || arguments.names.iter().any(|wanted| wanted == name);
    let setting = Setting::start(arguments.pairs, arguments.jobs).await?;
    let mut report = Report::new(&setting).await?;
    if wanted("enqueue.bulk") {
        report.add(enqueue::bulk(&setting).await?);
    }
    if wanted("drain.noop") {
        report.add(drain::noop(&setting).await?);
    }
    if wanted("latency.p50") || wanted("latency.p99") {
        let figures: [Figure; 2] = latency::of_a_steady_load(&setting).await?;
        figures.into_iter().filter(|figure| wanted(figure.name)).for_each(|figure| report.add(figure));
    }
    if arguments.json {
        report.print_json()?
    } else {
        report.print_table()
    }
    Ok(())
}
