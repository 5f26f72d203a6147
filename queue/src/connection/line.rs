//! The way of one push to the server: a shared connection, or one of its own where replicas are waited for.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{Connection, Connections, Failures, Manager};
use crate::{Durability, Error};

/// Connections that wait for replicas at once, at most; further pushes stand in line for one.
pub(super) const LINES: u32 = 16;

/// A connection for what one push sends, and what to wait for behind it.
pub(crate) struct Line {
    /// The connection.
    pub(crate) conn: Connection,
    /// What stands behind each write.
    pub(crate) confirmation: Option<Confirmation>,
    _lent: Option<Lent>,
}

/// Replicas to wait for.
#[derive(Clone, Copy)]
pub(crate) struct Confirmation {
    replicas: u32,
    timeout: Duration,
}

/// A connection that nobody else uses meanwhile, since WAIT blocks all that stands behind it. It goes back once it was
/// used to the end: one that still waits for an answer is thrown away.
struct Lent {
    pooled: bb8::PooledConnection<'static, Manager>,
    _turn: OwnedSemaphorePermit,
}

impl Connections {
    /// A line for writes of this durability.
    pub(crate) async fn line(&self, durability: Durability) -> Result<Line, Error> {
        let Durability::WaitReplicas { replicas: replicas @ 1.., timeout } = durability else {
            return Ok(Line { conn: self.shared().await?, confirmation: None, _lent: None });
        };
        let turn = self.turns.clone().acquire_owned().await.expect("this semaphore is never closed");
        let pooled = loop {
            let pooled = self.get(&self.lines).await?;
            if !pooled.broken.load(Ordering::Relaxed) {
                break pooled;
            }
        };
        let mut conn = pooled.clone();
        // Some pipelines of one push may wait for each other's confirmations.
        conn.inner.set_response_timeout(self.response_timeout.saturating_add(timeout.saturating_mul(4)));
        conn.broken.store(true, Ordering::Relaxed);
        let lent = Lent { pooled, _turn: turn };
        Ok(Line { conn, confirmation: Some(Confirmation { replicas, timeout }), _lent: Some(lent) })
    }
}

impl Line {
    /// Gives the connection back after everything that was sent on it was answered.
    pub(crate) fn done(self) {
        if let Some(lent) = self._lent {
            lent.pooled.broken.store(false, Ordering::Relaxed);
        }
    }
}

impl Confirmation {
    /// Waits for the replicas to confirm what was written on this connection: `id`, and all before it.
    pub(crate) async fn wait(self, conn: &mut Connection, id: Uuid) -> Result<(), Error> {
        let Self { replicas: wanted, timeout } = self;
        // Zero would mean for ever.
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64);
        let (confirmed, cause) = match redis::cmd("WAIT").arg(wanted).arg(ms).query_async(conn).await {
            Ok(confirmed) if confirmed >= wanted => return Ok(()),
            Ok(confirmed) => (confirmed, None),
            Err(error) => (0, Some(error)), // as far as is known
        };
        Err(Error::TooFewReplicas { id, confirmed, wanted, timeout, cause })
    }
}

/// The pool of lines: none is opened before the first push that needs one.
pub(super) fn pool(manager: Manager, failures: &Failures) -> bb8::Pool<Manager> {
    super::pool(manager, LINES, failures)
}

/// Whose turn it is for a line; a pool alone would turn away who waits for longer than a connection may take.
pub(super) fn turns() -> std::sync::Arc<Semaphore> {
    std::sync::Arc::new(Semaphore::new(LINES as usize))
}
