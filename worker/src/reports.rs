//! What a run says while it goes on, and whether it still may.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use millstream_queue::{Client, Progress};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    attempt_log::AttemptLog,
    engine::{Lease, scripts},
    events,
};

/// Between two reports of progress, at least: what is said in between waits, the latest wins.
const PACE: Duration = Duration::from_millis(250);
/// For how long a job's hash lives on after a report, or from when its next attempt is due.
pub(crate) const REPORTS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// For how long it lives on once the job has ended, where its push didn't say.
pub(crate) const ENDED_REPORTS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The reports of one run, shared by its context's clones and by whoever runs it.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    is_over: AtomicBool,
    said: Mutex<Said>,
}

/// What was said so far.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) log: AttemptLog,
    pub(crate) progress: Option<Progress>,
    /// The job has a hash in Redis.
    pub(crate) has_hash: bool,
    sent: Option<Instant>,
    /// A task will send the progress.
    is_scheduled: bool,
}

/// Ends the reports when the run ends, whichever way it does.
pub(crate) struct Reporting(Arc<Reports>);

impl Reporting {
    pub(crate) fn of(reports: &Arc<Reports>) -> Self {
        Self(reports.clone())
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// Where the reports of a run go.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) client: Client,
    pub(crate) lease: Arc<Lease>,
    /// Someone asked to cancel the job.
    pub(crate) cancel: CancellationToken,
    pub(crate) id: Uuid,
    pub(crate) run: u32,
}

impl Reports {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said in all.
    pub(crate) fn take(&self) -> Said {
        std::mem::take(&mut *self.said())
    }

    pub(crate) fn log(&self, text: &str) {
        if !self.is_over.load(Ordering::Acquire) {
            self.said().log.add(text);
        }
    }

    /// Notes how far the job is, and sends it unless something was sent just now; then a task will.
    pub(crate) async fn progress(self: &Arc<Self>, desk: Desk, progress: Progress) -> Result<(), Error> {
        self.check(&desk)?;
        let wait = {
            let mut said = self.said();
            said.progress = Some(progress);
            if said.is_scheduled {
                return Ok(());
            }
            said.is_scheduled = true;
            said.sent.map_or(Duration::ZERO, |sent| PACE.saturating_sub(sent.elapsed()))
        };
        if wait.is_zero() {
            return self.send_progress(&desk).await;
        }
        let reports = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = reports.send_progress(&desk).await; // over: nobody asks any more
        });
        Ok(())
    }

    /// Sends the latest progress. A server that is away is no error: the next report or the run's end brings it.
    async fn send_progress(&self, desk: &Desk) -> Result<(), Error> {
        let latest = {
            let mut said = self.said();
            said.is_scheduled = false;
            said.sent = Some(Instant::now());
            said.progress.as_ref().map(Progress::to_json)
        };
        let Some(json) = latest else { return Ok(()) };
        match self.send(desk, "progress", json.as_bytes()).await {
            Err(Error::Queue(error)) => {
                events::job_progress_kept(desk.lease.queue(), &desk.id.to_string(), &error.to_string());
                Ok(())
            }
            other => other,
        }
    }

    pub(crate) async fn checkpoint(&self, desk: &Desk, json: &[u8]) -> Result<(), Error> {
        self.send(desk, "checkpoint", json).await
    }

    /// The last checkpoint of this run or an earlier one.
    pub(crate) async fn restore(&self, desk: &Desk) -> Result<Option<Vec<u8>>, Error> {
        self.check(desk)?;
        let mut conn = desk.client.connection().await?;
        let key = desk.lease.keys().job(desk.id);
        let found: Result<Option<Vec<u8>>, _> =
            redis::cmd("HGET").arg(key).arg("checkpoint").query_async(&mut conn).await;
        let found = found.map_err(millstream_queue::Error::from)?;
        self.said().has_hash |= found.is_some();
        Ok(found)
    }

    async fn send(&self, desk: &Desk, field: &str, value: &[u8]) -> Result<(), Error> {
        self.check(desk)?;
        // Before the answer, which may be lost: the run's end then takes care of a hash that is not there.
        self.said().has_hash = true;
        let mut conn = desk.client.connection().await?;
        let call = scripts::report(desk.lease.keys(), desk.lease.consumer(), desk.id, desk.run, field, value);
        let answer: String = call.invoke_async(&mut conn).await.map_err(millstream_queue::Error::from)?;
        if answer == "OVER" {
            self.is_over.store(true, Ordering::Release);
        }
        self.check(desk)
    }

    /// Refuses on the spot once the run is over: fenced, timed out, cancelled, cut off, or ended.
    fn check(&self, desk: &Desk) -> Result<(), Error> {
        if self.is_over.load(Ordering::Acquire) || desk.lease.is_fenced() || desk.cancel.is_cancelled() {
            return Err(Error::Over { id: desk.id, run: desk.run });
        }
        Ok(())
    }
}
