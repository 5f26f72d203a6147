//! A worker in a process of its own, to be measured from outside: this program, started again.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use millstream_queue::{Client, Job};
use millstream_store::Store;
use millstream_tests::Process;
use millstream_worker::{self as worker, Context, Worker};
use serde::{Deserialize, Serialize};

use crate::{
    drain::{self, CONCURRENCY},
    outcomes,
    peers::ours,
    setting::{Noop, QUEUE, Setting},
};

/// What the process does; never chosen by hand.
#[derive(Subcommand)]
#[command(hide = true)]
pub(crate) enum Subject {
    /// Runs the no-op jobs of the bench's queue.
    #[command(hide = true)]
    Drain { url: String },
    /// Pushes no-op jobs to the bench's queue.
    #[command(hide = true)]
    Push { url: String, jobs: u64 },
    /// Records the bench's queue.
    #[command(hide = true)]
    Record { url: String, database: String },
    /// Waits for jobs on ten queues.
    #[command(hide = true)]
    Idle { url: String },
    /// Answers as the peers' programs do.
    #[command(hide = true)]
    Ours { figures: String },
    /// The same with the fewest Redis commands.
    #[command(hide = true)]
    Raw { figures: String },
}

/// The queues of the idle worker.
pub(crate) const IDLE_QUEUES: [&str; 10] =
    ["idle0", "idle1", "idle2", "idle3", "idle4", "idle5", "idle6", "idle7", "idle8", "idle9"];

/// Starts this program as a subject, which the arguments name; it ends when dropped.
pub(crate) fn start(arguments: &[&str]) -> Result<Process> {
    let program = std::env::current_exe().context("cannot find this program to start it again")?;
    Process::builder(program).args(arguments).spawn()
}

impl Subject {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Subject::Drain { url } => {
                let worker = Worker::new(Client::connect(&url).await?, ()).handle(do_nothing::<Noop>);
                Ok(worker.concurrency(QUEUE, CONCURRENCY).run().await?)
            }
            Subject::Push { url, jobs } => {
                let setting = Setting::on(&url, 1, jobs).await?;
                drain::push(&setting, jobs).await
            }
            Subject::Record { url, database } => {
                let setting = Setting::on(&url, 1, 1).await?;
                outcomes::record(&setting, &Store::connect(&database).await?, QUEUE).await
            }
            Subject::Idle { url } => {
                let worker = Worker::new(Client::connect(&url).await?, ());
                let worker = worker.handle(do_nothing::<Idle<0>>).handle(do_nothing::<Idle<1>>);
                let worker = worker.handle(do_nothing::<Idle<2>>).handle(do_nothing::<Idle<3>>);
                let worker = worker.handle(do_nothing::<Idle<4>>).handle(do_nothing::<Idle<5>>);
                let worker = worker.handle(do_nothing::<Idle<6>>).handle(do_nothing::<Idle<7>>);
                let worker = worker.handle(do_nothing::<Idle<8>>).handle(do_nothing::<Idle<9>>);
                Ok(worker.run().await?)
            }
            Subject::Ours { figures } => ours::millstream(&figures).await,
            Subject::Raw { figures } => ours::limit(&figures).await,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Idle<const N: usize>;

impl<const N: usize> Job for Idle<N> {
    const KIND: &'static str = IDLE_QUEUES[N];
    const QUEUE: &'static str = IDLE_QUEUES[N];
}

async fn do_nothing<J>(job: J, _: Context<()>) -> worker::Result {
    std::hint::black_box(job);
    Ok(())
}

/// The resident memory of a process in MB (10^6 bytes), as Linux tells it.
pub(crate) fn resident_mb(pid: u32) -> Result<f64> {
    let status = proc_file(pid, "status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in the process's status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Seconds of processor time of a process, as Linux tells it.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    // Linux counts in hundredths of a second towards programs, whatever its own clock is.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = proc_file(pid, "stat")?;
    // The program's name, in parentheses, may hold spaces; utime and stime are the 12th and 13th fields behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

fn proc_file(pid: u32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {path}: worker.rss, idle.cpu and idle.commands are measured on Linux only; name the others"
        )
    })
}
