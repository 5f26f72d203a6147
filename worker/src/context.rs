//! What a handler is given beside its job.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use millstream_queue::{Client, Entry, Progress};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    engine::{Lease, Longest},
    reports::{Desk, Reports},
};

/// The application's state, the client, and the facts of this run.
pub struct Context<S> {
    /// The state given to [`Worker::new`](crate::Worker::new).
    pub app: Arc<S>,
    /// The client the worker runs with, for pushing follow-ups and publishing events.
    pub client: Client,
    facts: Facts,
    lease: Arc<Lease>,
    cancel: CancellationToken,
    reports: Arc<Reports>,
}

/// What is known of a run when it starts.
#[derive(Clone, Debug)]
struct Facts {
    id: Uuid,
    attempt: u32,
    run: u32,
    enqueued_ms: i64,
    timeout: Longest,
}

impl<S> Context<S> {
    pub(crate) fn new(
        app: Arc<S>,
        client: Client,
        lease: Arc<Lease>,
        reports: Arc<Reports>,
        entry: &Entry,
        timeout: Longest,
        cancel: CancellationToken,
    ) -> Self {
        let facts = Facts { id: entry.id, attempt: entry.attempt, run: entry.run, enqueued_ms: entry.at_ms, timeout };
        Self { app, client, facts, lease, cancel, reports }
    }

    /// The job's id.
    pub fn id(&self) -> Uuid {
        self.facts.id
    }

    /// The attempt, from 1. A snooze, a hand-back or a crash of the worker reuses a number.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// How often the job was handed out, this time included.
    pub fn run(&self) -> u32 {
        self.facts.run
    }

    /// The queue the job came from.
    pub fn queue(&self) -> &str {
        self.lease.queue()
    }

    /// When the job was first enqueued.
    pub fn enqueued_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.facts.enqueued_ms).unwrap_or_default()
    }

    /// How long this attempt may run before it is cancelled.
    pub fn timeout(&self) -> Duration {
        self.facts.timeout.time
    }

    /// Resolves when someone asked to cancel the job. The handler may then tidy up for a second; however it ends, the job is
    /// recorded as cancelled. A blocking handler that never asks goes on unheeded.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether someone asked to cancel the job.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Resolves when this process may be losing its lease, so that others may take over its jobs: before anyone does.
    pub async fn lost(&self) {
        self.lease.lost().await;
    }

    /// Says how far the job is: `done` of `total` steps, and what it is at (empty: nothing to say). It can be read by
    /// [`Client::progress`] while the job runs, and is kept with the attempt.
    ///
    /// Cheap in a loop: at most four reports a second are sent, the latest wins. A server that is away is no error.
    ///
    /// # Errors
    /// [`Error::Over`] once this run is over.
    pub async fn progress(&self, done: u64, total: u64, note: impl Into<String>) -> Result<(), Error> {
        self.reports.progress(self.desk(), Progress::new(done, total, note)).await
    }

    /// Keeps a state for the next attempt, also for the one after a crash of this worker; it replaces the last one. When this
    /// returns, the state is in Redis. It is gone once the job has ended, or after 7 days without a report.
    ///
    /// # Errors
    /// [`Error::Over`] once this run is over, [`Error::Checkpoint`] for a state that is no JSON or over the client's
    /// payload limit, [`Error::Queue`] where Redis could not take it.
    pub async fn checkpoint<T: Serialize + ?Sized>(&self, state: &T) -> Result<(), Error> {
        let refused = |reason| Error::Checkpoint { id: self.facts.id, reason };
        let json =
            serde_json::to_vec(state).map_err(|error| refused(format!("it can't be written as JSON: {error}")))?;
        let limit = self.client.payload_limit();
        if json.len() > limit {
            return Err(refused(format!("it has {} bytes, the limit is {limit}; store it elsewhere", json.len())));
        }
        self.reports.checkpoint(&self.desk(), &json).await
    }

    /// The last [`checkpoint`](Context::checkpoint) of this run or an earlier one; none where there was none.
    ///
    /// # Errors
    /// [`Error::Over`] once this run is over, [`Error::Checkpoint`] for a state that is no `T`, [`Error::Queue`] where Redis
    /// doesn't answer.
    pub async fn restore<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let Some(json) = self.reports.restore(&self.desk()).await? else { return Ok(None) };
        let state = serde_json::from_slice(&json);
        state.map(Some).map_err(|error| {
            let reason = format!("it can't be read as {}: {error}", std::any::type_name::<T>());
            Error::Checkpoint { id: self.facts.id, reason }
        })
    }

    /// Writes a line that the history shows with this attempt: the last 100 lines and 8 KiB are kept, the number of those
    /// dropped is told. Nothing is sent before the attempt ends; with a crash of the worker the lines are lost.
    pub fn log(&self, line: impl AsRef<str>) {
        self.reports.log(line.as_ref());
    }

    /// The same, with what is said of an attempt that ran for longer.
    pub(crate) fn longest(&self) -> Longest {
        self.facts.timeout
    }

    fn desk(&self) -> Desk {
        let (client, lease, cancel) = (self.client.clone(), self.lease.clone(), self.cancel.clone());
        Desk { client, lease, cancel, id: self.facts.id, run: self.facts.run }
    }
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            client: self.client.clone(),
            facts: self.facts.clone(),
            lease: self.lease.clone(),
            cancel: self.cancel.clone(),
            reports: self.reports.clone(),
        }
    }
}
