//! How fast jobs get done.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use millstream_queue::Lane;
use millstream_worker::{self as worker, Context, Worker};
use tokio::sync::Notify;

use crate::{
    pairs::Pairs,
    raw,
    report::Figure,
    setting::{Noop, QUEUE, Setting},
};

/// Jobs in hand at once.
pub(crate) const CONCURRENCY: usize = 2048;

struct Progress {
    left: AtomicU64,
    first: OnceLock<Instant>,
    all_ran: Notify,
}

async fn do_nothing(job: Noop, cx: Context<Arc<Progress>>) -> worker::Result {
    std::hint::black_box(job);
    cx.app.first.get_or_init(Instant::now);
    if cx.app.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        cx.app.all_ran.notify_one();
    }
    Ok(())
}

/// Drain of no-op jobs whose history is kept, beside XREADGROUP + XACK + XDEL.
pub(crate) async fn noop(setting: &Setting) -> Result<Figure> {
    let body = serde_json::to_vec(&Noop::new(0))?;
    let ours = async || {
        fill(setting, setting.jobs).await?;
        Ok(setting.jobs as f64 / drain(setting, setting.jobs).await?.in_all.as_secs_f64())
    };
    let pairs = Pairs::measure(setting.pairs, ours, async || raw::drain(setting, &body).await);
    Ok(Figure::new("drain.noop", "jobs/s", &pairs.await?))
}

/// An empty server but for `jobs` jobs in a queue whose history is kept.
pub(crate) async fn fill(setting: &Setting, jobs: u64) -> Result<()> {
    setting.clear().await?;
    setting.client.record(QUEUE).await?;
    push(setting, jobs).await
}

/// Adds jobs to the queue.
pub(crate) async fn push(setting: &Setting, jobs: u64) -> Result<()> {
    let job = Noop::new(0);
    setting.client.push_all((0..jobs).map(|_| job.clone())).await?;
    Ok(())
}

/// How long it took until the last job was acknowledged.
pub(crate) struct Drained {
    /// From the start of the worker.
    pub(crate) in_all: Duration,
    /// From the start of the first job.
    pub(crate) since_first: Duration,
    /// When that was.
    pub(crate) end: Instant,
}

/// Runs a worker until the `jobs` in the queue are done.
pub(crate) async fn drain(setting: &Setting, jobs: u64) -> Result<Drained> {
    let progress = Arc::new(Progress { left: jobs.into(), first: OnceLock::new(), all_ran: Notify::new() });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker =
        Worker::new(setting.client.clone(), progress.clone()).handle(do_nothing).concurrency(QUEUE, CONCURRENCY);
    let start = Instant::now();
    let running = tokio::spawn(worker.run_until(stopped));
    progress.all_ran.notified().await;
    wait_until_acknowledged(setting).await?;
    let end = Instant::now();
    let _ = stop.send(());
    running.await??;
    let first = progress.first.get().copied().unwrap_or(start);
    Ok(Drained { in_all: end - start, since_first: end - first, end })
}

/// Until every job is out of its lane: the last finish is confirmed.
pub(crate) async fn wait_until_acknowledged(setting: &Setting) -> Result<()> {
    let mut conn = setting.client.connection().await?;
    let lane = setting.client.keys(QUEUE).ready(Lane::Normal);
    loop {
        let left: u64 = redis::cmd("XLEN").arg(&lane).query_async(&mut conn).await?;
        if left == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
