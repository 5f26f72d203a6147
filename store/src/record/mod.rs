//! The recorder: drains the outcomes that workers leave in Redis into the history.
//!
//! Three tasks with bounded lines between them. The [reader] takes packs from the `done` streams, the [decoder] makes rows of
//! them, the [writer] puts these into SQL and only then acknowledges them. However slow SQL is, workers never wait for it.

mod consumer;
mod decoder;
mod health;
mod house;
mod postgres;
mod progress;
mod reader;
mod rejected;
mod rows;
mod searchable;
mod set_aside;
mod sqlite;
mod trouble;
mod write;
mod writer;

use std::{future::Future, sync::Arc, time::Duration};

use millstream_queue::Client;
use tokio::{sync::mpsc, task::JoinError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

pub(crate) use self::postgres::Weeks;
pub(crate) use self::trouble::Trouble;
use self::{consumer::Consumer, progress::Progress, reader::Reader, searchable::Declared, writer::Writer};
pub use self::{
    health::{RecorderHealth, RecorderMetrics, RecorderPhase, RecorderReport},
    set_aside::{RejectedOutcomes, RejectedPage, RejectedRecord},
};
use crate::{Error, Retention, Store};

/// Batches between a read and its acknowledgement. Three, so that one is read and one decoded while another is written.
const IN_HAND: usize = 3;
/// How long the last writes may take after a shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// Moves outcomes from Redis into SQL. Any number of recorders may run at once, in any processes; each outcome is recorded
/// once, and what a dead recorder held is taken over.
#[derive(Clone, Debug)]
#[must_use = "a recorder records only while `run_until` is awaited"]
pub struct Recorder {
    client: Client,
    store: Store,
    queues: Vec<String>,
    claim_after: Duration,
    retention: Retention,
    progress: Arc<Progress>,
}

impl Recorder {
    /// A recorder for the queues that the registry knows, now and later; [`Recorder::queues`] adds others.
    pub fn new(client: Client, store: Store) -> Self {
        let (claim_after, retention) = (Duration::from_secs(30), Retention::default());
        Self { client, store, queues: Vec::new(), claim_after, retention, progress: Arc::default() }
    }

    /// Queues to record from the start, whether or not anyone has used them yet.
    pub fn queues<Q: Into<String>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.queues.extend(queues.into_iter().map(Into::into));
        self
    }

    /// How long packs may lie with another recorder that doesn't touch them before they are taken over. A living one
    /// touches them every 5 seconds, however long SQL is away. Default: 30 seconds.
    pub fn claim_after(mut self, idle: Duration) -> Self {
        self.claim_after = idle;
        self
    }

    /// How long the history is kept: the recorder deletes what is older, in small batches beside its other work. Of several
    /// recorders each does, so the shortest time counts. Default: [`Retention::default`]; [`Retention::forever`] keeps
    /// everything.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// A handle to this recorder's health and numbers, for probes while it runs.
    pub fn health(&self) -> RecorderHealth {
        RecorderHealth::new(self.clone())
    }

    /// Registers: from now on the outcomes of these queues are kept until they are recorded. Await this before the first
    /// push, since the outcome of a job that finishes unregistered is not kept. [`Recorder::run_until`] repeats it every
    /// 10 seconds.
    ///
    /// # Errors
    /// [`Error::Queue`] for a name that can't be a queue's, or a Redis that doesn't answer.
    pub async fn register(&self) -> Result<(), Error> {
        for queue in self.known_queues().await? {
            self.client.record(&queue).await?;
        }
        Ok(())
    }

    /// Records until `shutdown` is ready and what was read is written, or until SQL has been away for 5 seconds after
    /// that: what is unwritten then stays in Redis for the next recorder. While it runs, an outage of Redis or of SQL is
    /// logged and waited out.
    ///
    /// # Errors
    /// [`Error::Queue`] where it can't register in the beginning.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        self.register().await?;
        let _ends = Running(self.progress.clone());
        self.progress.enter(RecorderPhase::Running);
        let consumer = Consumer::new(self.client.clone(), format!("recorder-{}", Uuid::new_v4().simple()));
        let (batches, line) = mpsc::channel(IN_HAND);
        let (decoded, rows) = mpsc::channel(1);
        let stop = CancellationToken::new();
        // Whoever drops this future stops the tasks too.
        let _stop_on_drop = stop.clone().drop_guard();
        let (progress, declared) = (self.progress.clone(), Declared::default());
        let writer = Writer::new(consumer.clone(), self.store.clone(), progress.clone());
        let mut writing = tokio::spawn(writer.run(rows));
        let mut decoding = tokio::spawn(decoder::decode(self.client.clone(), declared.clone(), line, decoded));
        let mut keeping = tokio::spawn(house::keep(self.clone(), stop.clone()));
        let mut reading = tokio::spawn(Reader::new(self, consumer.clone(), batches, stop.clone(), declared).run());
        info!(consumer = consumer.name(), "recording");
        tokio::select! {
            () = shutdown => {}
            ended = &mut reading => return resume(ended),
            ended = &mut decoding => return resume(ended),
            ended = &mut writing => return resume(ended),
            ended = &mut keeping => return resume(ended),
        }
        stop.cancel();
        progress.enter(RecorderPhase::Stopping);
        consumer.unblock().await;
        resume(keeping.await)?;
        // The reader goes first: the lines to the others end with it.
        resume(reading.await)?;
        match tokio::time::timeout(GRACE, async { tokio::join!(&mut decoding, &mut writing) }).await {
            Ok((decoded, written)) => resume(decoded).and(resume(written))?,
            Err(_) => {
                warn!("SQL is away: what is unwritten stays in Redis for the next recorder");
                decoding.abort();
                writing.abort();
            }
        }
        consumer.leave().await;
        info!(consumer = consumer.name(), "recording stopped");
        Ok(())
    }

    /// The queues asked for and those of the registry.
    async fn known_queues(&self) -> Result<Vec<String>, Error> {
        let mut queues = self.client.queues().await?;
        queues.extend(self.queues.iter().cloned());
        queues.sort_unstable();
        queues.dedup();
        Ok(queues)
    }
}

/// A recorder that runs.
struct Running(Arc<Progress>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.enter(RecorderPhase::Ended);
    }
}

/// A task's panic goes on in the caller; otherwise a task ends early only with its runtime.
fn resume(ended: Result<(), JoinError>) -> Result<(), Error> {
    match ended.map_err(JoinError::try_into_panic) {
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        _ => Ok(()),
    }
}
