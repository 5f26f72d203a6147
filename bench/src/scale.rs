//! How fast jobs get done where there are many of them.

use std::time::Duration;

use anyhow::Result;

use crate::{
    drain::{drain, fill, push},
    pairs::Pairs,
    report::Figure,
    setting::{Noop, QUEUE, Setting},
};

/// Drains of the short queue per run: one alone is over too soon to be told from noise.
const SHORT_RUNS: u64 = 10;
/// Delayed jobs that only wait.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// Drain of 1,000,000 jobs beside that of 10,000, from the start of the first job.
pub(crate) async fn backlog(setting: &Setting) -> Result<Figure> {
    let long = async || {
        fill(setting, setting.backlog()).await?;
        let took = drain(setting, setting.backlog()).await?.since_first;
        Ok(setting.backlog() as f64 / took.as_secs_f64())
    };
    let jobs = setting.backlog() / 100;
    let short = async || {
        let mut took = Duration::ZERO;
        for _ in 0..SHORT_RUNS {
            fill(setting, jobs).await?;
            took += drain(setting, jobs).await?.since_first;
        }
        Ok((SHORT_RUNS * jobs) as f64 / took.as_secs_f64())
    };
    Ok(Figure::new("drain.backlog", "jobs/s", &Pairs::measure(setting.pairs, long, short).await?))
}

/// Drain while 1,000,000 delayed jobs of the same queue wait, beside the same without them. Each has a server of its own,
/// so that the delayed ones are pushed once.
pub(crate) async fn delayed_beside(setting: &Setting) -> Result<Figure> {
    let crowded = Setting::start(setting.pairs, setting.jobs).await?;
    let job = Noop::new(0);
    crowded.client.push_all((0..setting.backlog()).map(|_| job.clone())).after(LONG).await?;
    let with = async || rate(&crowded).await;
    let without = async || rate(setting).await;
    setting.clear().await?;
    Ok(Figure::new("drain.delayed_beside", "jobs/s", &Pairs::measure(setting.pairs, with, without).await?))
}

/// Jobs per second of a drain on a server that keeps what else it holds, but for the history of earlier drains.
async fn rate(setting: &Setting) -> Result<f64> {
    let mut conn = setting.client.connection().await?;
    redis::cmd("DEL").arg(setting.client.keys(QUEUE).done()).exec_async(&mut conn).await?;
    setting.client.record(QUEUE).await?;
    push(setting, setting.jobs).await?;
    Ok(setting.jobs as f64 / drain(setting, setting.jobs).await?.in_all.as_secs_f64())
}
