//! How soon a job starts.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Result;
use millstream_worker::{self as worker, Context, Worker};
use tokio::time::MissedTickBehavior;

use crate::{
    pairs::{Pairs, percentile},
    raw,
    report::Figure,
    setting::{Noop, QUEUE, Setting},
};

/// Between two pushes: 1,000 jobs a second.
const INTERVAL: Duration = Duration::from_millis(1);
/// Jobs per run.
const JOBS: u64 = 3000;

/// From push to handler start at 1,000 jobs/s, beside XADD to a blocked XREADGROUP: p50 and p99.
pub(crate) async fn of_a_steady_load(setting: &Setting) -> Result<[Figure; 2]> {
    let (mut p50, mut p99) = (Pairs::default(), Pairs::default());
    for _ in 0..setting.pairs {
        let mut ours = ours(setting).await?.latencies_us;
        let mut limit = limit(setting).await?.latencies_us;
        p50.ours.push(percentile(&mut ours, 0.5));
        p50.limits.push(percentile(&mut limit, 0.5));
        p99.ours.push(percentile(&mut ours, 0.99));
        p99.limits.push(percentile(&mut limit, 0.99));
    }
    Ok([Figure::new("latency.p50", "us", &p50), Figure::new("latency.p99", "us", &p99)])
}

/// One run.
pub(crate) struct Steady {
    pub(crate) latencies_us: Vec<f64>,
    /// Jobs that were pushed per second.
    pub(crate) rate: f64,
}

struct Clock {
    start: Instant,
    latencies_us: Mutex<Vec<f64>>,
}

impl Clock {
    fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), latencies_us: Mutex::default() })
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Jobs per second, if all were pushed by now.
    fn rate_so_far(&self) -> f64 {
        JOBS as f64 / self.start.elapsed().as_secs_f64()
    }

    fn arrived(&self, sent_ns: u64) {
        let latency = (self.now_ns() - sent_ns) as f64 / 1000.0;
        self.latencies_us.lock().expect("no measurement panics").push(latency);
    }

    fn latencies(&self) -> Vec<f64> {
        self.latencies_us.lock().expect("no measurement panics").clone()
    }

    async fn wait_for_all(&self) {
        while self.latencies().len() < JOBS as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn note_start(job: Noop, cx: Context<Arc<Clock>>) -> worker::Result {
    cx.app.arrived(job.sent_ns);
    Ok(())
}

/// Microseconds from the push of each job to the start of its handler.
pub(crate) async fn ours(setting: &Setting) -> Result<Steady> {
    setting.clear().await?;
    setting.client.record(QUEUE).await?;
    let clock = Clock::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = Worker::new(setting.client.clone(), clock.clone()).handle(note_start).concurrency(QUEUE, 64);
    let running = tokio::spawn(worker.run_until(stopped));
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..JOBS {
        ticks.tick().await;
        setting.client.push(Noop::new(clock.now_ns())).await?;
    }
    let rate = clock.rate_so_far();
    clock.wait_for_all().await;
    let _ = stop.send(());
    running.await??;
    Ok(Steady { latencies_us: clock.latencies(), rate })
}

/// Microseconds from the XADD of each entry to the return of the read that brings it.
pub(crate) async fn limit(setting: &Setting) -> Result<Steady> {
    raw::prepare(setting).await?;
    let clock = Clock::new();
    let (mut reading, mut writing) = (setting.raw().await?, setting.raw().await?);
    let (sent, mut order) = tokio::sync::mpsc::unbounded_channel();
    let reader_clock = clock.clone();
    let reader = tokio::spawn(async move {
        let mut arrived = 0;
        while arrived < JOBS {
            for _ in raw::read_batch(&mut reading, Some(2000)).await? {
                arrived += 1;
                let sent_ns = order.recv().await.unwrap_or_default();
                reader_clock.arrived(sent_ns);
            }
        }
        anyhow::Ok(())
    });
    let body = serde_json::to_vec(&Noop::new(0))?;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..JOBS {
        ticks.tick().await;
        sent.send(clock.now_ns())?;
        raw::add(&mut writing, &body).await?;
    }
    let rate = clock.rate_so_far();
    reader.await??;
    Ok(Steady { latencies_us: clock.latencies(), rate })
}
