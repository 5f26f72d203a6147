//! What jobs cost in memory, in Redis and in the worker.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use millstream_queue::Lane;
use millstream_tests::Process;
use redis::Value;

use crate::{
    drain::{drain, fill, push},
    pairs::Pairs,
    raw,
    report::{Figure, spread},
    setting::{Noop, QUEUE, Setting},
    subject::{self, resident_mb},
};

/// Between two looks at a process's memory.
const LOOK: Duration = Duration::from_millis(50);
/// Packs that the stand-in of a recorder takes at once.
const PACKS: usize = 100;

/// Redis memory of a queued job beside that of a raw entry of the same body and an id.
pub(crate) async fn queued(setting: &Setting) -> Result<Figure> {
    let body = serde_json::to_vec(&Noop::new(0))?;
    let ours = async || growth_per_job(setting, async || push(setting, setting.jobs).await).await;
    let limit = async || growth_per_job(setting, async || raw::bodies(setting, &body).await).await;
    // The same to the byte each time, but for buffers: pairs would tell nothing new.
    Ok(Figure::new("memory.queued", "bytes/job", &Pairs::measure(1, ours, limit).await?))
}

async fn growth_per_job(setting: &Setting, fill: impl AsyncFn() -> Result<()>) -> Result<f64> {
    setting.clear().await?;
    let before = setting.used_memory().await?;
    fill().await?;
    Ok((setting.used_memory().await? - before) / setting.jobs as f64)
}

/// What Redis holds after 1,000,000 jobs were run and their history was taken out, above what it held before.
pub(crate) async fn after_drain(setting: &Setting) -> Result<Figure> {
    setting.clear().await?;
    let before = setting.used_memory().await?;
    fill(setting, setting.backlog()).await?;
    drain(setting, setting.backlog()).await?;
    let outcomes = take_history(setting).await?;
    ensure!(outcomes == setting.backlog(), "{outcomes} outcomes of {} jobs", setting.backlog());
    let growth = setting.used_memory().await? - before;
    Ok(Figure::value("memory.after_drain", "MB", &[growth / 1e6]))
}

/// Takes all packs out of `done`, as a recorder does; how many outcomes they held.
async fn take_history(setting: &Setting) -> Result<u64> {
    let mut conn = setting.client.connection().await?;
    let keys = setting.client.keys(QUEUE);
    let counter = async |conn: &mut millstream_queue::Connection| {
        redis::cmd("HGET").arg(keys.control()).arg("done:outcomes").query_async::<u64>(conn).await
    };
    let outcomes = counter(&mut conn).await?;
    loop {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(millstream_queue::keys::RECORDER).arg("bench").arg("COUNT").arg(PACKS);
        let packs: redis::streams::StreamReadReply =
            read.arg("STREAMS").arg(keys.done()).arg(">").query_async::<Value>(&mut conn).await.and_then(parsed)?;
        let ids: Vec<String> = packs.keys.into_iter().flat_map(|key| key.ids).map(|pack| pack.id).collect();
        if ids.is_empty() {
            return Ok(outcomes - counter(&mut conn).await?);
        }
        setting.client.recorded(QUEUE, &ids).await?;
    }
}

/// A group that has read everything answers nil.
fn parsed(reply: Value) -> redis::RedisResult<redis::streams::StreamReadReply> {
    match reply {
        Value::Nil => Ok(redis::streams::StreamReadReply::default()),
        reply => Ok(redis::from_redis_value(reply)?),
    }
}

/// The largest resident memory of a worker process while it drains 1,000,000 jobs. The spread is that of the samples
/// after the first tenth: whether it is flat.
pub(crate) async fn of_a_worker(setting: &Setting) -> Result<Figure> {
    fill(setting, setting.backlog()).await?;
    let worker = subject::start(&["drain", setting.url()])?;
    let flat_from = setting.backlog() * 9 / 10;
    let memory = watch(&worker, setting, |queued| queued < flat_from, |queued| queued == 0).await?;
    Ok(memory.figure("worker.rss"))
}

/// The same of a process that pushes 1,000,000 jobs by one `push_all`.
pub(crate) async fn of_a_push(setting: &Setting) -> Result<Figure> {
    setting.clear().await?;
    let pusher = subject::start(&["push", setting.url(), &setting.backlog().to_string()])?;
    // All are queued before the process has their last answers, so it still runs at every look.
    let (flat_from, all) = (setting.backlog() / 10, setting.backlog());
    let memory = watch(&pusher, setting, |queued| queued > flat_from, |queued| queued >= all).await?;
    Ok(memory.figure("push_all.rss"))
}

/// Resident memory in MB.
struct Memory {
    peak: f64,
    /// Once it should be flat.
    later: Vec<f64>,
}

impl Memory {
    fn figure(&self, name: &'static str) -> Figure {
        Figure { spread: spread(&self.later), ..Figure::value(name, "MB", &[self.peak]) }
    }
}

/// Looks at the memory of a process until it is done with the queue; from when on it should be flat, the number of queued
/// jobs tells too.
async fn watch(
    process: &Process,
    setting: &Setting,
    is_flat: impl Fn(u64) -> bool,
    is_done: impl Fn(u64) -> bool,
) -> Result<Memory> {
    let mut conn = setting.client.connection().await?;
    let lane = setting.client.keys(QUEUE).ready(Lane::Normal);
    let mut memory = Memory { peak: 0.0, later: Vec::new() };
    loop {
        let queued: u64 = redis::cmd("XLEN").arg(&lane).query_async(&mut conn).await?;
        if is_done(queued) {
            return Ok(memory);
        }
        if let Some(status) = process.try_exited() {
            bail!("the process ended ({status}) with {queued} jobs in the queue:\n{}", process.tail());
        }
        let resident = resident_mb(process.pid())?;
        memory.peak = memory.peak.max(resident);
        if is_flat(queued) {
            memory.later.push(resident);
        }
        tokio::time::sleep(LOOK).await;
    }
}
