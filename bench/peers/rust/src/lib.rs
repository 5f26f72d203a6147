//! What the programs have in common: what they are asked for, the job, the clock, and the line they answer with.

use std::{
    env,
    error::Error,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// Pushes on their way at once, where each is one.
pub const IN_FLIGHT: usize = 64;
/// Jobs of one bulk.
pub const BULK: usize = 1000;
/// Between two pushes of the latency figure: 1,000 a second.
const INTERVAL: Duration = Duration::from_millis(1);
/// How often a program looks whether its jobs are done.
const LOOK: Duration = Duration::from_millis(2);
/// A program whose jobs do not get done says so instead of running on.
const PATIENCE: Duration = Duration::from_secs(120);

pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// The payload of all programs of the bench: 200 bytes of JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Payload {
    /// When it was pushed, where that matters.
    pub sent_ns: u64,
    pub text: String,
}

impl Payload {
    pub fn new(sent_ns: u64) -> Self {
        let mut payload = Self { sent_ns, text: String::new() };
        let rest = 200 - serde_json::to_vec(&payload).map_or(0, |body| body.len());
        payload.text = "x".repeat(rest);
        payload
    }
}

/// What the program is asked for.
pub enum Figures {
    /// How many jobs per second get in and done.
    Throughput,
    /// How soon a job starts.
    Latency,
}

/// The first argument.
pub fn figures() -> Result<Figures> {
    match env::args().nth(1).as_deref() {
        Some("throughput") => Ok(Figures::Throughput),
        Some("latency") => Ok(Figures::Latency),
        _ => Err("usage: PROGRAM throughput|latency, with REDIS_URL and JOBS in the environment".into()),
    }
}

/// The server to use.
pub fn redis_url() -> Result<String> {
    Ok(env::var("REDIS_URL").map_err(|_| "REDIS_URL is not set")?)
}

/// Jobs to push in bulk.
pub fn jobs() -> Result<usize> {
    Ok(env::var("JOBS").map_err(|_| "JOBS is not set")?.parse()?)
}

/// Jobs to push one by one: these take longer.
pub fn jobs_one_by_one() -> Result<usize> {
    Ok(jobs()?.min(10_000) / IN_FLIGHT * IN_FLIGHT)
}

/// The version that is locked for a crate.
pub fn version(name: &str) -> &'static str {
    let mut lines = include_str!("../Cargo.lock").lines();
    let wanted = format!("name = \"{name}\"");
    lines.find(|line| *line == wanted);
    lines.next().and_then(|line| line.split('"').nth(1)).unwrap_or_default()
}

/// How many handlers ran, and when.
static RAN: AtomicUsize = AtomicUsize::new(0);
static LATENCIES: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Nanoseconds since the first call.
pub fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// What every handler does.
pub fn ran(payload: &Payload) {
    if payload.sent_ns > 0 {
        let latency = now_ns() - payload.sent_ns;
        LATENCIES.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
    }
    RAN.fetch_add(1, Ordering::Relaxed);
}

/// Until `count` handlers ran.
pub async fn all_ran(count: usize) -> Result<()> {
    let start = Instant::now();
    while RAN.load(Ordering::Relaxed) < count {
        if start.elapsed() > PATIENCE {
            return Err(format!("{} of {count} jobs ran within {PATIENCE:?}", RAN.load(Ordering::Relaxed)).into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Runs `push` for each of `jobs` jobs, [`IN_FLIGHT`] at once; jobs per second.
pub async fn one_by_one<P: AsyncPush>(jobs: usize, push: P) -> Result<f64> {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut push = push.clone();
        tasks.spawn(async move {
            for _ in 0..jobs / IN_FLIGHT {
                push.push(Payload::new(0)).await?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(per_second(jobs, start))
}

/// Pushes a job a millisecond until `count` are under way; pushes per second.
pub async fn steadily<P: AsyncPush>(count: usize, mut push: P) -> Result<f64> {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for _ in 0..count {
        ticks.tick().await;
        push.push(Payload::new(now_ns())).await?;
    }
    Ok(per_second(count, start))
}

/// A way to push one job.
pub trait AsyncPush: Clone + Send + 'static {
    fn push(&mut self, payload: Payload) -> impl Future<Output = Result<()>> + Send;
}

pub fn per_second(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// The line that the bench reads.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Answer {
    Throughput { version: &'static str, single: f64, bulk: Option<f64>, process: f64 },
    Latency { version: &'static str, rate: f64, p50_us: f64, p99_us: f64 },
}

impl Answer {
    /// Of the latencies so far.
    pub fn latency(version: &'static str, rate: f64) -> Self {
        let mut latencies = LATENCIES.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latencies.sort_unstable();
        let percentile = |p: f64| {
            let index = (latencies.len() as f64 * p) as usize;
            latencies.get(index).copied().unwrap_or_default() as f64 / 1000.0
        };
        Self::Latency { version, rate, p50_us: percentile(0.5), p99_us: percentile(0.99) }
    }

    pub fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
