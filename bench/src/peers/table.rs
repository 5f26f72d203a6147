//! The table of all programs, and what Millstream has to reach beside the others.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    program::{Kind, Program},
    round::Answer,
};
use crate::{
    pairs::median,
    report::{Machine, amount, spread},
    setting::Setting,
};

/// Times BullMQ's rate of processing.
const TIMES_BULLMQ: f64 = 10.0;

/// What is measured of each program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    Single,
    Bulk,
    Process,
    Median,
    Tail,
}

impl Figure {
    pub(crate) const ALL: [Self; 5] = [Self::Single, Self::Bulk, Self::Process, Self::Median, Self::Tail];

    /// Its name in JSON, and the head of its column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Single => "enqueue_single",
            Self::Bulk => "enqueue_bulk",
            Self::Process => "process",
            Self::Median => "latency_p50",
            Self::Tail => "latency_p99",
        }
    }

    fn of(self, answer: &Answer) -> Option<f64> {
        match self {
            Self::Single => answer.single,
            Self::Bulk => answer.bulk,
            Self::Process => answer.process,
            Self::Median => answer.p50_us,
            Self::Tail => answer.p99_us,
        }
    }
}

/// One program's measurements.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) program: &'static Program,
    version: String,
    /// Jobs per second that were pushed where latency was measured.
    rates: Vec<f64>,
    /// Of each figure, one per round.
    values: [Vec<f64>; Figure::ALL.len()],
    failure: Option<String>,
}

impl Row {
    pub(crate) fn new(program: &'static Program) -> Self {
        Self { program, version: String::new(), rates: vec![], values: Default::default(), failure: None }
    }

    /// Of a program that cannot run, with the reason.
    pub(crate) fn failed(program: &'static Program, reason: &anyhow::Error) -> Self {
        let mut row = Self::new(program);
        row.fail(reason);
        row
    }

    pub(crate) fn add(&mut self, answer: &Answer) {
        self.version.clone_from(&answer.version);
        self.rates.extend(answer.rate);
        for (figure, values) in Figure::ALL.into_iter().zip(&mut self.values) {
            values.extend(figure.of(answer));
        }
    }

    pub(crate) fn fail(&mut self, reason: &anyhow::Error) {
        eprintln!("{}: {reason:#}", self.program.name);
        // The first line says what happened; below stands what the program printed.
        let reason = format!("{reason:#}");
        let mut lines = reason.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let said = lines.clone().find(|line| line.contains("rror")).or(lines.next_back());
        self.failure = Some(said.map_or_else(|| first.to_owned(), |said| format!("{first} {said}")));
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The median of the rounds; none where the program does not have the figure, or failed.
    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        let values = &self.values[figure as usize];
        (!values.is_empty() && self.failure.is_none()).then(|| median(values))
    }

    /// The smallest and the largest of the rounds.
    pub(crate) fn spread(&self, figure: Figure) -> [f64; 2] {
        spread(&self.values[figure as usize])
    }

    fn json(&self) -> Value {
        let figures = Figure::ALL.into_iter().filter_map(|figure| {
            let value = self.median(figure)?;
            Some((figure.name().to_owned(), json!({ "value": value, "spread": self.spread(figure) })))
        });
        let rate = (!self.rates.is_empty()).then(|| median(&self.rates));
        json!({
            "name": self.program.name,
            "version": self.version,
            "note": self.program.note,
            "figures": figures.collect::<Map<_, _>>(),
            "latency_rate": rate,
            "failure": self.failure,
        })
    }
}

/// All programs, on one machine in one run.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) machine: Machine,
    pub(crate) redis: String,
    pub(crate) rounds: u64,
    pub(crate) jobs: u64,
    pub(crate) rows: Vec<Row>,
}

/// What Millstream has to reach beside the others.
#[derive(Debug, Serialize)]
struct Goal {
    goal: String,
    /// Millstream's rate over the other's.
    ratio: f64,
    at_least: f64,
    met: bool,
}

impl Table {
    pub(crate) async fn new(setting: &Setting, rounds: u64, rows: Vec<Row>) -> Result<Self> {
        let redis = setting.client.server_facts().await?.version;
        Ok(Self { machine: Machine::this(), redis, rounds, jobs: setting.jobs, rows })
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.program.kind == kind)
    }

    fn goals(&self) -> Vec<Goal> {
        let Some(ours) = self.of_kind(Kind::Ours).next() else { return vec![] };
        let goal = |figure: Figure, other: &Row, at_least: f64, goal: String| {
            let ratio = ours.median(figure)? / other.median(figure)?;
            Some(Goal { goal, ratio, at_least, met: ratio >= at_least })
        };
        let bullmq = self.of_kind(Kind::Peer).find(|row| row.program.name == "bullmq");
        let times = bullmq.and_then(|bullmq| goal(Figure::Process, bullmq, TIMES_BULLMQ, "process, of bullmq".into()));
        let ahead = [Figure::Single, Figure::Bulk, Figure::Process].into_iter().filter_map(|figure| {
            let rate = |row: &&Row| row.median(figure).unwrap_or_default();
            let fastest = self.of_kind(Kind::Peer).max_by(|a, b| rate(a).total_cmp(&rate(b)))?;
            let name = format!("{}, of the fastest peer ({})", figure.name(), fastest.program.name);
            goal(figure, fastest, 1.0, name)
        });
        times.into_iter().chain(ahead).collect()
    }

    pub(crate) fn print_json(&self) -> Result<()> {
        let object = json!({
            "machine": self.machine,
            "versions": { "redis": self.redis },
            "rounds": self.rounds,
            "jobs": self.jobs,
            "programs": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "goals": self.goals(),
        });
        println!("{}", serde_json::to_string_pretty(&object)?);
        Ok(())
    }

    /// In Markdown, which a terminal shows well too.
    pub(crate) fn print(&self) {
        let Self { machine, redis, rounds, jobs, .. } = self;
        println!("{} cores, {}, Redis {redis}; {jobs} jobs, medians of {rounds} rounds\n", machine.cores, machine.cpu);
        println!(
            "| {:<15} | {:<7} | {:>15} | {:>15} | {:>15} | {:>15} | note |",
            "program", "version", "enqueue, one/s", "enqueue, bulk/s", "process/s", "p50 / p99, µs"
        );
        println!("|{0}|{1}|{2}|{2}|{2}|{2}|---|", "-".repeat(17), "-".repeat(9), "-".repeat(16) + ":");
        for row in &self.rows {
            let cell = |figure| row.median(figure).map_or_else(|| "–".to_owned(), thousands);
            let latency = match (row.median(Figure::Median), row.median(Figure::Tail)) {
                (Some(median), Some(tail)) => format!("{} / {}", thousands(median), thousands(tail)),
                _ => "–".to_owned(),
            };
            let note = row.failure.as_deref().unwrap_or(row.program.note);
            println!(
                "| {:<15} | {:<7} | {:>15} | {:>15} | {:>15} | {latency:>15} | {note} |",
                row.program.name,
                row.version,
                cell(Figure::Single),
                cell(Figure::Bulk),
                cell(Figure::Process)
            );
        }
        println!();
        for Goal { goal, ratio, at_least, met } in self.goals() {
            println!("{goal}: {} (≥ {at_least} {})", amount(ratio), if met { "met" } else { "not met" });
        }
    }
}

/// A number in three digits that count, as `12,300`.
pub(crate) fn thousands(value: f64) -> String {
    let step = 10_f64.powi((value.abs().max(1.0).log10().floor() as i32 - 2).max(0));
    let digits = format!("{:.0}", (value / step).round() * step);
    let split = |end: usize| if end.is_multiple_of(3) && end < digits.len() { "," } else { "" };
    let characters = digits.chars().enumerate();
    characters.map(|(index, digit)| format!("{}{digit}", split(digits.len() - index))).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::program::PROGRAMS, *};

    fn row(name: &str, process: f64) -> Row {
        let program = PROGRAMS.iter().find(|program| program.name == name).expect("a program");
        let mut row = Row::new(program);
        for factor in [0.5, 1.0, 7.0] {
            row.add(&Answer { process: Some(factor * process), ..Answer::default() });
        }
        row
    }

    fn table(rows: Vec<Row>) -> Table {
        Table { machine: Machine::this(), redis: String::new(), rounds: 3, jobs: 1000, rows }
    }

    #[test]
    fn numbers_are_shown_in_three_digits() {
        let shown = [0.4, 7.0, 999.4, 1234.5, 99_950.0, 1_234_567.0].map(thousands);
        assert_eq!(shown, ["0", "7", "999", "1,230", "100,000", "1,230,000"]);
    }

    #[test]
    fn goals_are_ratios_of_medians_to_bullmq_and_to_the_fastest_peer() {
        let goals = table(vec![row("millstream", 1000.0), row("bullmq", 100.0), row("oxana", 2000.0)]).goals();
        let facts: Vec<_> = goals.iter().map(|goal| (goal.goal.as_str(), goal.ratio, goal.met)).collect();
        let expected = [("process, of bullmq", 10.0, true), ("process, of the fastest peer (oxana)", 0.5, false)];
        assert_eq!(facts, expected);
    }

    #[test]
    fn a_program_that_failed_has_no_figures_and_says_why() {
        let mut failed = row("bullmq", 100.0);
        failed.fail(&anyhow::anyhow!("ended early; it printed:\n\nEADDRINUSE\n"));
        assert_eq!(failed.median(Figure::Process), None);
        assert_eq!(failed.json()["failure"], "ended early; it printed: EADDRINUSE");
        assert!(table(vec![row("millstream", 1.0), failed]).goals().is_empty());
    }
}
