//! `./dev model`: the model at sizes for which the tests have no time, or at one of your choice.

use std::{fmt::Debug, process::ExitCode, time::Instant};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};
use millstream_model::{
    done::{DONE_MUTANTS, DoneStream},
    lease::{LEASE_MUTANTS, Lease},
    outbox::{OUTBOX_MUTANTS, OutboxRelay},
    protocol::{
        Faults, MUTANTS, Mutant, Protocol, Unique,
        configuration::{LARGE, SMALL},
    },
    rate::{RATE_MUTANTS, RatedQueue},
    search::{Model, Verdict, search},
    seen::{SEEN_MUTANTS, SeenKeys},
    token::{FencingTokens, TOKEN_MUTANTS},
};

/// Searches every state of the protocol by which jobs are handed out, finished and rescued. Without options: all sizes and
/// all mutants. With options: that one size.
#[derive(Debug, Parser)]
#[command(name = "dev model")]
struct Options {
    /// Worker processes, 1 or 2
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    workers: u8,
    /// Jobs, 1 to 3
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    jobs: u8,
    /// Jobs that are ready at the start; the others are pushed at any time [default: all]
    #[arg(long)]
    ready: Option<u8>,
    /// Jobs that run at once in a worker
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    concurrency: u8,
    /// Attempts of a job
    #[arg(long, default_value_t = 2)]
    attempts: u8,
    /// The first so many jobs kill whoever runs them
    #[arg(long, default_value_t = 0)]
    poison: u8,
    /// The jobs share a unique key: until-started, until-finished or for-a-time
    #[arg(long, value_parser = unique)]
    unique: Option<Unique>,
    /// Jobs that may run at once in all workers together
    #[arg(long)]
    slots: Option<u8>,
    /// Keep account of the consumers of the groups, which must be deleted in the end
    #[arg(long)]
    consumers: bool,
    /// Workers killed
    #[arg(long, default_value_t = 0)]
    crashes: u8,
    /// Living workers fenced
    #[arg(long, default_value_t = 0)]
    false_fences: u8,
    /// Requests and replies lost
    #[arg(long, default_value_t = 0)]
    losses: u8,
    /// Commands that run after their connection died
    #[arg(long, default_value_t = 0)]
    late: u8,
    /// Stale replicas promoted
    #[arg(long, default_value_t = 0)]
    failovers: u8,
    /// Losses of `alive`
    #[arg(long, default_value_t = 0)]
    alive_losses: u8,
    /// Losses of the consumer groups
    #[arg(long, default_value_t = 0)]
    group_losses: u8,
    /// Workers asked to stop
    #[arg(long, default_value_t = 0)]
    stops: u8,
    /// Pauses of the queue
    #[arg(long, default_value_t = 0)]
    pauses: u8,
    /// Cancels
    #[arg(long, default_value_t = 0)]
    cancels: u8,
    /// Runs that fail
    #[arg(long, default_value_t = 0)]
    failures: u8,
    /// Runs that are snoozed
    #[arg(long, default_value_t = 0)]
    snoozes: u8,
    /// The mutant to search, by the name that a run without options prints
    #[arg(long, value_parser = mutant)]
    without: Option<Mutant>,
    /// Ends a search after so many states (30 bytes of memory each, and 8 for each step between them)
    #[arg(long, default_value_t = 50_000_000)]
    most: usize,
    /// Prints this help
    #[arg(long)]
    options: bool,
    /// Prints how each mutant is caught
    #[arg(long)]
    traces: bool,
}

fn unique(name: &str) -> anyhow::Result<Unique> {
    match name {
        "until-started" => Ok(Unique::UntilStarted),
        "until-finished" => Ok(Unique::UntilFinished),
        "for-a-time" => Ok(Unique::ForATime),
        _ => anyhow::bail!("one of until-started, until-finished and for-a-time is wanted"),
    }
}

fn mutant(name: &str) -> anyhow::Result<Mutant> {
    let mut all = MUTANTS.iter().map(|(mutant, _)| *mutant);
    let names = || MUTANTS.iter().map(|(mutant, _)| format!("{mutant:?}")).collect::<Vec<_>>().join(", ");
    all.find(|mutant| format!("{mutant:?}") == name).with_context(|| format!("the mutants are {}", names()))
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.options {
        // What can't be printed nobody reads.
        let _ = Options::command().print_help();
        return ExitCode::SUCCESS;
    }
    let mut run = Run { most: options.most, traces: options.traces, is_well: true };
    let has_size = std::env::args()
        .skip(1)
        .any(|argument| argument.starts_with("--") && !argument.starts_with("--most") && argument != "--traces");
    println!("{:>11}  {:>5}  {:>8}  {:<8}  size", "states", "depth", "seconds", "verdict");
    if has_size {
        run.holds("as asked for", &options.protocol());
    } else {
        run.everything();
    }
    if run.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Options {
    fn protocol(&self) -> Protocol {
        Protocol {
            jobs: self.jobs,
            ready: self.ready.unwrap_or(self.jobs).min(self.jobs),
            workers: self.workers,
            concurrency: self.concurrency,
            attempts: self.attempts,
            poison: (0..self.poison.min(self.jobs)).fold(0, |jobs, job| jobs | 1 << job),
            unique: self.unique,
            slots: self.slots,
            keeps_consumers: self.consumers,
            faults: Faults {
                crashes: self.crashes,
                false_fences: self.false_fences,
                losses: self.losses,
                late: self.late,
                failovers: self.failovers,
                alive_losses: self.alive_losses,
                group_losses: self.group_losses,
                stops: self.stops,
                pauses: self.pauses,
                cancels: self.cancels,
                failures: self.failures,
                snoozes: self.snoozes,
            },
            without: self.without,
        }
    }
}

struct Run {
    most: usize,
    traces: bool,
    is_well: bool,
}

impl Run {
    fn everything(&mut self) {
        for configuration in SMALL.iter().copied().flatten().chain(LARGE) {
            self.holds(configuration.name, &configuration.protocol);
        }
        self.holds("leases", &Lease { without: None });
        self.holds("a rated queue", &RatedQueue { without: None });
        self.holds("fencing tokens", &FencingTokens { without: None });
        self.holds("seen keys", &SeenKeys { without: None });
        self.holds("the done stream, which pauses", &DoneStream { drops: false, without: None });
        self.holds("the done stream, which drops", &DoneStream { drops: true, without: None });
        for most in [1, 2] {
            self.holds("the outbox", &OutboxRelay { most, without: None });
        }
        for (mutant, protocol) in MUTANTS {
            self.is_caught(mutant, &protocol.without(*mutant));
        }
        LEASE_MUTANTS.iter().for_each(|mutant| self.is_caught(mutant, &Lease { without: Some(*mutant) }));
        RATE_MUTANTS.iter().for_each(|mutant| self.is_caught(mutant, &RatedQueue { without: Some(*mutant) }));
        TOKEN_MUTANTS.iter().for_each(|mutant| self.is_caught(mutant, &FencingTokens { without: Some(*mutant) }));
        SEEN_MUTANTS.iter().for_each(|mutant| self.is_caught(mutant, &SeenKeys { without: Some(*mutant) }));
        OUTBOX_MUTANTS
            .iter()
            .for_each(|mutant| self.is_caught(mutant, &OutboxRelay { most: 2, without: Some(*mutant) }));
        DONE_MUTANTS
            .iter()
            .for_each(|mutant| self.is_caught(mutant, &DoneStream { drops: false, without: Some(*mutant) }));
    }

    fn holds(&mut self, name: &str, model: &impl Model) {
        let verdict = self.search(name, model);
        self.is_well &= matches!(verdict, Verdict::Holds);
        if let Verdict::Broken(found) = verdict {
            println!("{found}");
        }
    }

    fn is_caught(&mut self, mutant: &impl Debug, model: &impl Model) {
        let verdict = self.search(&format!("without a rule: {mutant:?}"), model);
        self.is_well &= matches!(verdict, Verdict::Broken(_));
        if let (true, Verdict::Broken(found)) = (self.traces, verdict) {
            println!("{found}");
        }
    }

    fn search(&self, name: &str, model: &impl Model) -> Verdict {
        let began = Instant::now();
        let report = search(model, self.most);
        let verdict = match report.verdict {
            Verdict::Holds => "holds",
            Verdict::TooMany => "too many",
            Verdict::Broken(_) => "broken",
        };
        let seconds = began.elapsed().as_secs_f64();
        println!("{:>11}  {:>5}  {seconds:>8.2}  {verdict:<8}  {name}", report.states, report.depth);
        report.verdict
    }
}
