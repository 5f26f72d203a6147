//! Outcomes as workers leave them in Redis, and a recorder that takes them from there.

use std::{future::Future, time::Duration};

use anyhow::{Result, ensure};
use chrono::{DateTime, Utc};
use millstream_queue::{Lane, Outcome, State};
use millstream_store::{Error, Recorder, Retention, Store};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use crate::setting::Setting;

/// The kind of all of them, and the field of its payload that is searchable.
pub(crate) const KIND: &str = "resize";
pub(crate) const FIELD: &str = "user";
pub(crate) const WORKER: &str = "bench-1";

/// Outcomes of a pack, the most a worker puts into one.
const PACK: usize = 512;
/// Packs of a pipeline.
const PIPELINE: usize = 16;

/// A job that was completed by its first run, with a tag, a searchable field and a payload of 200 bytes.
pub(crate) struct Completed {
    pub(crate) id: Uuid,
    pub(crate) tag: String,
    pub(crate) user: u64,
    pub(crate) payload: String,
    pub(crate) enqueued_at: DateTime<Utc>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
}

impl Completed {
    /// The job with this number, of those enqueued from `begin` on, a hundred each millisecond.
    pub(crate) fn new(number: u64, begin: DateTime<Utc>) -> Self {
        let enqueued_at = begin + Duration::from_millis(number / 100);
        let user = number % 1000;
        Self {
            id: id(enqueued_at, number),
            tag: format!("tenant-{}", number % 100),
            user,
            payload: payload(user),
            enqueued_at,
            started_at: enqueued_at + Duration::from_micros(1500 + number % 700),
            finished_at: enqueued_at + Duration::from_micros(2500 + number % 1900),
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            id: self.id,
            kind: KIND.into(),
            lane: Lane::Normal,
            version: 1,
            run: 1,
            attempt: 1,
            crash: 0,
            state: State::Completed,
            enqueued_ms: self.enqueued_at.timestamp_millis(),
            started_us: Some(self.started_at.timestamp_micros()),
            finished_us: self.finished_at.timestamp_micros(),
            worker: WORKER.into(),
            error: None,
            payload: Some(self.payload.clone().into_bytes()),
            content_type: None,
            result: None,
            next_ms: None,
            tags: vec![self.tag.clone()],
            traceparent: None,
            log: None,
            progress: None,
            of: None,
            ready_ms: None,
        }
    }
}

/// A UUIDv7 of the time, told from others by the number.
pub(crate) fn id(time: DateTime<Utc>, number: u64) -> Uuid {
    let millis = u128::from(time.timestamp_millis().unsigned_abs());
    Uuid::from_u128(millis << 80 | 7 << 76 | 2 << 62 | u128::from(number))
}

/// 200 bytes of JSON.
pub(crate) fn payload(user: u64) -> String {
    let around = format!(r#"{{"user":{user},"text":""}}"#).len();
    format!(r#"{{"user":{user},"text":"{}"}}"#, "x".repeat(200 - around))
}

/// Appends the outcomes to a queue's `done` stream, in packs as workers do.
pub(crate) async fn leave(setting: &Setting, queue: &str, outcomes: &[Outcome]) -> Result<()> {
    let keys = setting.client.keys(queue);
    let mut conn = setting.raw().await?;
    for packs in outcomes.chunks(PACK * PIPELINE) {
        let (mut pipe, mut bytes) = (redis::pipe(), 0);
        for outcomes in packs.chunks(PACK) {
            let mut pack = Vec::new();
            outcomes.iter().for_each(|outcome| outcome.pack_into(&mut pack));
            bytes += pack.len();
            pipe.cmd("XADD").arg(keys.done()).arg("*").arg("n").arg(outcomes.len()).arg("b").arg(pack).ignore();
        }
        pipe.cmd("HINCRBY").arg(keys.control()).arg("done:outcomes").arg(packs.len()).ignore();
        pipe.cmd("HINCRBY").arg(keys.control()).arg("done:bytes").arg(bytes).ignore();
        pipe.exec_async(&mut conn).await?;
    }
    Ok(())
}

/// Until nothing waits for a recorder in the queue.
pub(crate) async fn until_recorded(setting: &Setting, queue: &str) -> Result<()> {
    let mut conn = setting.client.connection().await?;
    let done = setting.client.keys(queue).done();
    loop {
        let packs: u64 = redis::cmd("XLEN").arg(&done).query_async(&mut conn).await?;
        if packs == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A recorder that runs until stopped.
pub(crate) struct Recording {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Recording {
    pub(crate) fn start(setting: &Setting, store: &Store, queues: &[&str]) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let recorder = recorder(setting, store, queues);
        let shutdown = async {
            let _ = stopped.await;
        };
        Self { stop, task: tokio::spawn(recorder.run_until(shutdown)) }
    }

    pub(crate) async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}

/// One that keeps everything.
fn recorder(setting: &Setting, store: &Store, queues: &[&str]) -> Recorder {
    Recorder::new(setting.client.clone(), store.clone()).queues(queues.iter().copied()).retention(Retention::forever())
}

/// Records a queue until stopped from outside; for a process of its own.
pub(crate) async fn record(setting: &Setting, store: &Store, queue: &str) -> Result<()> {
    Ok(recorder(setting, store, &[queue]).run_until(std::future::pending()).await?)
}

/// Runs `work` beside a recorder of the queues.
pub(crate) async fn beside_a_recorder<T>(
    setting: &Setting,
    store: &Store,
    queues: &[&str],
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let recording = Recording::start(setting, store, queues);
    let done = work.await?;
    recording.stop().await?;
    Ok(done)
}

/// Fails unless the history has so many jobs.
pub(crate) async fn check(store: &Store, jobs: u64) -> Result<()> {
    let recorded = store.history().count().await?;
    ensure!(recorded == jobs, "{recorded} jobs of {jobs} are in the history of {}", store.name());
    Ok(())
}
