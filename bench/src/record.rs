//! The recorder beside the same rows written by hand, and how far it stays behind a worker.

use std::time::Instant;

use anyhow::{Result, bail};
use chrono::Utc;
use millstream_store::Store;
use millstream_tests::Postgres;

use crate::{
    by_hand,
    drain::{drain, fill},
    outcomes::{Completed, FIELD, KIND, Recording, check, leave, until_recorded},
    pairs::Pairs,
    report::Figure,
    setting::{QUEUE, Setting},
    subject,
};

/// All that a recorder writes an outcome to.
const TABLES: &str =
    "millstream_jobs, millstream_attempts, millstream_job_tags, millstream_job_fields, millstream_statistics";

/// Rows per second of a recorder into Postgres, beside COPY to a staging table and INSERT … ON CONFLICT by hand, and beside
/// that COPY alone.
pub(crate) async fn postgres(setting: &Setting) -> Result<[Figure; 2]> {
    let server = Postgres::start().await?;
    let store = Store::connect(&server.url()).await?;
    store.migrate().await?;
    let (mut by_hand, mut by_copy) = (Pairs::default(), Pairs::default());
    for _ in 0..setting.pairs {
        let jobs = jobs(setting);
        let ours = recorded(setting, &store, &jobs).await?;
        empty(&store).await?;
        let whole = by_hand::postgres(&store, &jobs, by_hand::Upto::Tables).await?;
        check(&store, setting.jobs).await?;
        empty(&store).await?;
        let copy = by_hand::postgres(&store, &jobs, by_hand::Upto::Stage).await?;
        by_hand.ours.push(ours);
        by_hand.limits.push(whole);
        by_copy.ours.push(ours);
        by_copy.limits.push(copy);
    }
    Ok([Figure::new("record.postgres", "rows/s", &by_hand), Figure::new("record.copy", "rows/s", &by_copy)])
}

/// The same into a SQLite file, beside prepared inserts of as many rows each by hand; each run into a new file.
pub(crate) async fn sqlite(setting: &Setting) -> Result<Figure> {
    let mut pairs = Pairs::default();
    for _ in 0..setting.pairs {
        let jobs = jobs(setting);
        let (file, _folder) = new_file().await?;
        pairs.ours.push(recorded(setting, &file, &jobs).await?);
        let (file, _folder) = new_file().await?;
        pairs.limits.push(by_hand::sqlite(&file, jobs).await?);
        check(&file, setting.jobs).await?;
    }
    Ok(Figure::new("record.sqlite", "rows/s", &pairs))
}

/// Seconds from the last acknowledgement of 1,000,000 jobs until all are in a SQLite file, by a recorder in a process of its
/// own that ran all the time.
pub(crate) async fn lag(setting: &Setting) -> Result<Figure> {
    let mut lags = Vec::new();
    for _ in 0..setting.pairs {
        fill(setting, setting.backlog()).await?;
        let (file, _folder) = new_file().await?;
        let recorder = subject::start(&["record", setting.url(), file.name()])?;
        until_it_reads(setting, &recorder).await?;
        let drained = drain(setting, setting.backlog()).await?;
        until_recorded(setting, QUEUE).await?;
        lags.push(drained.end.elapsed().as_secs_f64());
        check(&file, setting.backlog()).await?;
    }
    Ok(Figure::value("record.lag", "s", &lags))
}

/// Until the recorder's group has a consumer.
async fn until_it_reads(setting: &Setting, recorder: &millstream_tests::Process) -> Result<()> {
    let mut conn = setting.client.connection().await?;
    let done = setting.client.keys(QUEUE).done();
    loop {
        let mut ask = redis::cmd("XINFO");
        ask.arg("CONSUMERS").arg(&done).arg(millstream_queue::keys::RECORDER);
        let consumers: Vec<redis::Value> = ask.query_async(&mut conn).await?;
        if !consumers.is_empty() {
            return Ok(());
        }
        if let Some(status) = recorder.try_exited() {
            bail!("the recorder ended ({status}):\n{}", recorder.tail());
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn jobs(setting: &Setting) -> Vec<Completed> {
    let begin = Utc::now();
    (0..setting.jobs).map(|number| Completed::new(number, begin)).collect()
}

/// Rows per second from the start of a recorder until nothing waits for it.
async fn recorded(setting: &Setting, store: &Store, jobs: &[Completed]) -> Result<f64> {
    setting.clear().await?;
    setting.client.record(QUEUE).await?;
    setting.client.declare_searchable(QUEUE, KIND, &[FIELD]).await?;
    leave(setting, QUEUE, &jobs.iter().map(Completed::outcome).collect::<Vec<_>>()).await?;
    let start = Instant::now();
    let recording = Recording::start(setting, store, &[QUEUE]);
    until_recorded(setting, QUEUE).await?;
    let rate = jobs.len() as f64 / start.elapsed().as_secs_f64();
    recording.stop().await?;
    check(store, jobs.len() as u64).await?;
    Ok(rate)
}

async fn empty(store: &Store) -> Result<()> {
    store.raw_postgres().await?.batch_execute(&format!("TRUNCATE {TABLES}; CHECKPOINT")).await?;
    Ok(())
}

/// A history without jobs in a new SQLite file.
async fn new_file() -> Result<(Store, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let store = Store::connect(&format!("sqlite://{}", folder.path().join("bench.db").display())).await?;
    store.migrate().await?;
    Ok((store, folder))
}
