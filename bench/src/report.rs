//! What was measured, as a table and as JSON.

use anyhow::Result;
use serde::Serialize;

use crate::{
    pairs::{Pairs, median},
    setting::Setting,
};

/// One figure beside its limit. All values are medians over the pairs.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// The raw limit in the same unit.
    pub(crate) limit: f64,
    /// The median of the pairs' ratios of value to limit.
    pub(crate) ratio: f64,
    /// The smallest and the largest ratio of a pair.
    pub(crate) spread: [f64; 2],
    pub(crate) pairs: usize,
}

impl Figure {
    pub(crate) fn new(name: &'static str, unit: &'static str, pairs: &Pairs) -> Self {
        let ratios = pairs.ratios();
        Self {
            name,
            unit,
            value: median(&pairs.ours),
            limit: median(&pairs.limits),
            ratio: median(&ratios),
            spread: [ratios.iter().copied().fold(f64::INFINITY, f64::min), ratios.iter().copied().fold(0.0, f64::max)],
            pairs: ratios.len(),
        }
    }
}

/// A run of the bench.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    versions: Versions,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Machine {
    cores: usize,
    os: &'static str,
    architecture: &'static str,
    cpu: String,
}

#[derive(Serialize)]
struct Versions {
    millstream: &'static str,
    redis: String,
}

impl Report {
    pub(crate) async fn new(setting: &Setting) -> Result<Self> {
        let machine = Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            os: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            cpu: cpu_name(),
        };
        let redis = setting.client.server_facts().await?.version;
        let versions = Versions { millstream: env!("CARGO_PKG_VERSION"), redis };
        Ok(Self { machine, versions, figures: Vec::new() })
    }

    /// Adds a figure, and shows on standard error that it is done.
    pub(crate) fn add(&mut self, figure: Figure) {
        eprintln!("{}: {:.2} of the limit", figure.name, figure.ratio);
        self.figures.push(figure);
    }

    pub(crate) fn print_json(&self) -> Result<()> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    pub(crate) fn print_table(&self) {
        println!("{} cores, {}, Redis {}", self.machine.cores, self.machine.cpu, self.versions.redis);
        println!("{:<16} {:>12} {:>12} {:>7}   {:<15} unit", "figure", "ours", "limit", "ratio", "spread");
        for figure in &self.figures {
            let spread = format!("{:.2} to {:.2}", figure.spread[0], figure.spread[1]);
            println!(
                "{:<16} {:>12.0} {:>12.0} {:>7.2}   {spread:<15} {}",
                figure.name, figure.value, figure.limit, figure.ratio, figure.unit
            );
        }
    }
}

/// As Linux names it; empty elsewhere.
fn cpu_name() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map(|line| line.trim_start_matches([' ', '\t', ':']).to_owned()).unwrap_or_default()
}
