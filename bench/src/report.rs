//! What was measured, as a table and as JSON.

use anyhow::Result;
use serde::Serialize;

use crate::{
    pairs::{Pairs, median},
    setting::Setting,
    targets::Target,
};

/// One figure, beside its limit where it has one. Values are medians.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// The raw limit in the same unit; absent where the target is a value.
    pub(crate) limit: Option<f64>,
    /// The median of the pairs' ratios of value to limit.
    pub(crate) ratio: Option<f64>,
    /// The smallest and the largest ratio of a pair; of the values where there is no limit.
    pub(crate) spread: [f64; 2],
    /// How many pairs, or values, were measured.
    pub(crate) pairs: usize,
    pub(crate) target: Option<Target>,
    pub(crate) met: bool,
}

impl Figure {
    /// A figure whose ratio to the limit counts.
    pub(crate) fn new(name: &'static str, unit: &'static str, pairs: &Pairs) -> Self {
        let ratios = pairs.ratios();
        let (limit, ratio) = (Some(median(&pairs.limits)), Some(median(&ratios)));
        Self { limit, ratio, spread: spread(&ratios), ..Self::value(name, unit, &pairs.ours) }.judged()
    }

    /// A figure whose value counts.
    pub(crate) fn value(name: &'static str, unit: &'static str, values: &[f64]) -> Self {
        let (value, spread, pairs) = (median(values), spread(values), values.len());
        let target = Target::of(name);
        Self { name, value, unit, limit: None, ratio: None, spread, pairs, target, met: false }.judged()
    }

    fn judged(self) -> Self {
        let reached = self.ratio.unwrap_or(self.value);
        Self { met: self.target.is_none_or(|target| target.is_met(reached)), ..self }
    }

    /// The target and whether it is met, in words.
    fn verdict(&self) -> String {
        let word = if self.met { "met" } else { "not met" };
        self.target.map_or_else(|| "no target".to_owned(), |target| format!("{target} {word}"))
    }
}

/// The smallest and the largest.
pub(crate) fn spread(values: &[f64]) -> [f64; 2] {
    [values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(f64::NEG_INFINITY, f64::max)]
}

/// A run of the bench.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    versions: Versions,
    figures: Vec<Figure>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    os: &'static str,
    architecture: &'static str,
    pub(crate) cpu: String,
}

impl Machine {
    /// The one this runs on.
    pub(crate) fn this() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            os: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            cpu: cpu_name(),
        }
    }
}

#[derive(Serialize)]
struct Versions {
    millstream: &'static str,
    redis: String,
}

impl Report {
    pub(crate) async fn new(setting: &Setting) -> Result<Self> {
        let redis = setting.client.server_facts().await?.version;
        let versions = Versions { millstream: env!("CARGO_PKG_VERSION"), redis };
        Ok(Self { machine: Machine::this(), versions, figures: Vec::new() })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.figures.iter().any(|figure| figure.name == name)
    }

    /// Adds a figure, and shows on standard error that it is done.
    pub(crate) fn add(&mut self, figure: Figure) {
        match figure.ratio {
            Some(ratio) => eprintln!("{}: {ratio:.2} of the limit ({})", figure.name, figure.verdict()),
            None => eprintln!("{}: {:.2} {} ({})", figure.name, figure.value, figure.unit, figure.verdict()),
        }
        self.figures.push(figure);
    }

    pub(crate) fn print_json(&self) -> Result<()> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    pub(crate) fn print_table(&self) {
        println!("{} cores, {}, Redis {}", self.machine.cores, self.machine.cpu, self.versions.redis);
        println!(
            "{:<20} {:>12} {:>12} {:>7}   {:<19} {:<11} target",
            "figure", "ours", "limit", "ratio", "spread", "unit"
        );
        for figure in &self.figures {
            let limit = figure.limit.map_or_else(String::new, amount);
            let ratio = figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let spread = format!("{} to {}", amount(figure.spread[0]), amount(figure.spread[1]));
            let (value, verdict) = (amount(figure.value), figure.verdict());
            println!(
                "{:<20} {value:>12} {limit:>12} {ratio:>7}   {spread:<19} {:<11} {verdict}",
                figure.name, figure.unit
            );
        }
    }
}

/// With two digits behind the point where they matter.
pub(crate) fn amount(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// As Linux names it; empty elsewhere.
fn cpu_name() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map(|line| line.trim_start_matches([' ', '\t', ':']).to_owned()).unwrap_or_default()
}
