//! What a handler is given beside its job.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use millstream_queue::{Client, Entry};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::Lease;

/// The application's state, the client, and the facts of this run.
pub struct Context<S> {
    /// The state given to [`Worker::new`](crate::Worker::new).
    pub app: Arc<S>,
    /// The client the worker runs with, for pushing follow-ups and publishing events.
    pub client: Client,
    facts: Facts,
    lease: Arc<Lease>,
    cancel: CancellationToken,
}

/// What is known of a run when it starts.
#[derive(Clone, Debug)]
struct Facts {
    id: Uuid,
    attempt: u32,
    run: u32,
    enqueued_ms: i64,
    timeout: Duration,
}

impl<S> Context<S> {
    pub(crate) fn new(
        app: Arc<S>,
        client: Client,
        lease: Arc<Lease>,
        entry: &Entry,
        timeout: Duration,
        cancel: CancellationToken,
    ) -> Self {
        let facts = Facts { id: entry.id, attempt: entry.attempt, run: entry.run, enqueued_ms: entry.at_ms, timeout };
        Self { app, client, facts, lease, cancel }
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
        self.facts.timeout
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
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            client: self.client.clone(),
            facts: self.facts.clone(),
            lease: self.lease.clone(),
            cancel: self.cancel.clone(),
        }
    }
}
