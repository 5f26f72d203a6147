//! Millstream and the raw limit as programs like those of the peers.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    drain,
    enqueue::{one_by_one, raw_one_by_one},
    latency::{self, Steady},
    pairs::percentile,
    raw,
    setting::{Noop, QUEUE, Setting},
};

/// Times as many jobs are processed as are enqueued in bulk: peers take seconds for theirs, these would be over before
/// the start of a worker no longer counts.
const LONGER: u64 = 10;

/// Answers what the first argument asks for.
pub(crate) async fn millstream(figures: &str) -> Result<()> {
    let setting = setting().await?;
    answer(
        env!("CARGO_PKG_VERSION"),
        match figures {
            "throughput" => throughput(&setting).await?,
            "latency" => summary(latency::ours(&setting).await?),
            _ => bail!("{figures} are no figures"),
        },
    )
}

/// The same with the fewest commands.
pub(crate) async fn limit(figures: &str) -> Result<()> {
    let setting = setting().await?;
    let body: Arc<[u8]> = serde_json::to_vec(&Noop::new(0))?.into();
    let version = setting.client.server_facts().await?.version;
    answer(
        &version,
        match figures {
            "throughput" => {
                let single = raw_one_by_one(&setting, &body).await?;
                let bulk = raw::enqueue(&setting, &body).await?;
                let longer = Setting::on(setting.url(), 1, LONGER * setting.jobs).await?;
                json!({ "single": single, "bulk": bulk, "process": raw::drain(&longer, &body).await? })
            }
            "latency" => summary(latency::limit(&setting).await?),
            _ => bail!("{figures} are no figures"),
        },
    )
}

async fn setting() -> Result<Setting> {
    let variable = |name: &'static str| std::env::var(name).with_context(|| format!("{name} is not set"));
    Setting::on(&variable("REDIS_URL")?, 1, variable("JOBS")?.parse()?).await
}

async fn throughput(setting: &Setting) -> Result<Value> {
    setting.client.record(QUEUE).await?;
    let single = one_by_one(setting, setting.jobs).await?;
    let start = Instant::now();
    drain::push(setting, setting.jobs).await?;
    let bulk = setting.jobs as f64 / start.elapsed().as_secs_f64();
    let all = LONGER * setting.jobs;
    drain::push(setting, all - 2 * setting.jobs).await?;
    let process = all as f64 / drain::drain(setting, all).await?.in_all.as_secs_f64();
    Ok(json!({ "single": single, "bulk": bulk, "process": process }))
}

fn summary(Steady { mut latencies_us, rate }: Steady) -> Value {
    let (p50_us, p99_us) = (percentile(&mut latencies_us, 0.5), percentile(&mut latencies_us, 0.99));
    json!({ "rate": rate, "p50_us": p50_us, "p99_us": p99_us })
}

fn answer(version: &str, mut answer: Value) -> Result<()> {
    answer["version"] = version.into();
    println!("{answer}");
    Ok(())
}
