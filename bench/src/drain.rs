//! How fast jobs get done.

use std::{
    sync::{
        Arc,
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
const CONCURRENCY: usize = 2048;

#[derive(Default)]
struct Progress {
    left: AtomicU64,
    all_ran: Notify,
}

async fn do_nothing(job: Noop, cx: Context<Arc<Progress>>) -> worker::Result {
    std::hint::black_box(job);
    if cx.app.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        cx.app.all_ran.notify_one();
    }
    Ok(())
}

/// Drain of no-op jobs whose history is kept, beside XREADGROUP + XACK + XDEL.
pub(crate) async fn noop(setting: &Setting) -> Result<Figure> {
    let body = serde_json::to_vec(&Noop::new(0))?;
    let pairs = Pairs::measure(setting.pairs, async || ours(setting).await, async || raw::drain(setting, &body).await);
    Ok(Figure::new("drain.noop", "jobs/s", &pairs.await?))
}

async fn ours(setting: &Setting) -> Result<f64> {
    setting.clear().await?;
    setting.client.record(QUEUE).await?;
    let job = Noop::new(0);
    setting.client.push_all((0..setting.jobs).map(|_| job.clone())).await?;

    let progress = Arc::new(Progress { left: AtomicU64::new(setting.jobs), all_ran: Notify::new() });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker =
        Worker::new(setting.client.clone(), progress.clone()).handle(do_nothing).concurrency(QUEUE, CONCURRENCY);
    let start = Instant::now();
    let running = tokio::spawn(worker.run_until(stopped));
    progress.all_ran.notified().await;
    wait_until_acknowledged(setting).await?;
    let elapsed = start.elapsed();
    let _ = stop.send(());
    running.await??;
    Ok(setting.jobs as f64 / elapsed.as_secs_f64())
}

/// Until every job is out of its lane: the last finish is confirmed.
async fn wait_until_acknowledged(setting: &Setting) -> Result<()> {
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
