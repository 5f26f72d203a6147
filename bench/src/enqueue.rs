//! How fast jobs get in.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::{
    pairs::Pairs,
    raw,
    report::Figure,
    setting::{Noop, Setting},
};

/// Pushes on their way at once, where each is one.
const IN_FLIGHT: usize = 64;

/// `push_all` beside pipelined XADD of the same fields and ids.
pub(crate) async fn bulk(setting: &Setting) -> Result<Figure> {
    let body = serde_json::to_vec(&Noop::new(0))?;
    let pairs =
        Pairs::measure(setting.pairs, async || ours(setting).await, async || raw::enqueue(setting, &body).await);
    Ok(Figure::new("enqueue.bulk", "jobs/s", &pairs.await?))
}

/// `push` one by one, beside XADD of the same fields and ids on one multiplexed connection.
pub(crate) async fn single(setting: &Setting) -> Result<Figure> {
    let body: Arc<[u8]> = serde_json::to_vec(&Noop::new(0))?.into();
    let ours = async || {
        setting.clear().await?;
        one_by_one(setting, setting.jobs).await
    };
    let limit = async || {
        setting.clear().await?;
        raw_one_by_one(setting, &body).await
    };
    let pairs = Pairs::measure(setting.pairs, ours, limit);
    Ok(Figure::new("enqueue.single", "jobs/s", &pairs.await?))
}

/// Jobs per second of `push`.
pub(crate) async fn one_by_one(setting: &Setting, jobs: u64) -> Result<f64> {
    let client = setting.client.clone();
    many_at_once(jobs, move |job| {
        let client = client.clone();
        async move { Ok(client.push(job).await.map(|_| ())?) }
    })
    .await
}

/// Entries per second of XADD.
pub(crate) async fn raw_one_by_one(setting: &Setting, body: &Arc<[u8]>) -> Result<f64> {
    let (conn, body) = (setting.raw().await?, body.clone());
    many_at_once(setting.jobs, move |_| {
        let (mut conn, body) = (conn.clone(), body.clone());
        async move { raw::add_job(&mut conn, &body).await }
    })
    .await
}

/// Jobs per second that [`IN_FLIGHT`] tasks push, each one after the other.
async fn many_at_once<P, F>(jobs: u64, push: P) -> Result<f64>
where
    P: Fn(Noop) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let (job, left) = (Noop::new(0), Arc::new(AtomicU64::new(jobs)));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (job, left, push) = (job.clone(), left.clone(), push.clone());
        tasks.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                push(job.clone()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}

async fn ours(setting: &Setting) -> Result<f64> {
    setting.clear().await?;
    let job = Noop::new(0);
    let start = Instant::now();
    setting.client.push_all((0..setting.jobs).map(|_| job.clone())).await?;
    Ok(setting.jobs as f64 / start.elapsed().as_secs_f64())
}
