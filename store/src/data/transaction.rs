//! Transactions that can be cancelled anywhere, nested, and tried again after a conflict.
//!
//! A statement that has begun runs to its end, if its caller gives up in a task of its own, and so does the rollback behind
//! it.

use std::{
    panic::Location,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Waker},
};

use tokio::{runtime::Handle, sync::Mutex};
use tracing::debug;

use super::{
    Conn, QueryFuture,
    retry::{TRIES, is_conflict, pause},
};
use crate::{Error, Store, conn::to_its_end};

/// How much of other transactions a transaction sees on Postgres. SQLite's see nothing of others and run one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// As if transactions ran one after the other; one that can't is tried again. The default, since it is what SQLite does.
    #[default]
    Serializable,
    /// One moment's view for the whole transaction.
    RepeatableRead,
    /// Each statement sees what is committed when it begins.
    ReadCommitted,
}

impl Isolation {
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            Self::RepeatableRead => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Self::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }
}

/// A transaction that runs. Its operations are those of [`Data`](super::Data).
#[derive(Debug)]
pub struct Tx {
    shared: Arc<Shared>,
    /// 1 for the transaction itself, one more for each savepoint around this handle.
    depth: u32,
}

#[derive(Debug)]
struct Shared {
    /// None once the transaction has ended. Whoever waits longest is served first, which puts the rollback of a savepoint
    /// before the statements that follow it.
    conn: Arc<Mutex<Option<Conn>>>,
    /// The depth of the handle that may be used now.
    current: AtomicU32,
    /// Something in it failed because of another transaction.
    conflict: AtomicBool,
    /// A statement failed at this depth, after which Postgres would answer COMMIT with a rollback and no error.
    failed: AtomicU32,
    /// A writer was refused, whoever was told: what its transaction or savepoint did is not to be kept.
    fenced: StdMutex<Option<Fenced>>,
}

/// The first refusal by a fence, and the depth at which it came.
#[derive(Clone, Debug)]
struct Fenced {
    depth: u32,
    resource: String,
    token: u64,
    newest: u64,
}

impl Store {
    /// Runs `work` in a transaction: it is committed if `work` returns `Ok`, and rolled back if it returns an error, panics
    /// or is dropped. On Postgres it is [serializable](Isolation::Serializable), on SQLite it holds the lock for writing.
    /// If another transaction is in the way it is rolled back and `work` runs again, up to twenty times, so `work` should have
    /// no effect outside the transaction.
    ///
    /// `work` is an `async move` closure that owns what it uses: then the future can be awaited in a spawned task or a
    /// web handler.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Unreachable`], [`Error::Exhausted`], and [`Error::Query`] where the commit fails;
    /// [`Error::Fenced`] and [`Error::TransactionFailed`] where `work` returned `Ok` although an older token or a statement was
    /// refused.
    #[track_caller]
    pub fn transaction<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + use<'_, T, E, F>
    where
        F: AsyncFn(Tx) -> Result<T, E>,
        E: From<Error>,
    {
        self.transaction_at(Isolation::default(), work)
    }

    /// [`Store::transaction`] at another isolation level of Postgres.
    ///
    /// # Errors
    /// Those of [`Store::transaction`].
    #[track_caller]
    pub fn transaction_at<T, E, F>(
        &self,
        isolation: Isolation,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + use<'_, T, E, F>
    where
        F: AsyncFn(Tx) -> Result<T, E>,
        E: From<Error>,
    {
        let place = Location::caller();
        async move {
            let mut tried = 1;
            loop {
                let open = Open::begin(self, isolation, place).await?;
                let tx = Tx { shared: open.shared.clone(), depth: 1 };
                let done = work(tx).await;
                let conflict = open.shared.conflict.load(Ordering::Relaxed);
                let ended = match done {
                    Ok(value) => match open.end(true).await {
                        Ok(()) => return Ok(value),
                        Err(error) => (is_conflict(&error), E::from(error)),
                    },
                    Err(error) => {
                        open.end(false).await?;
                        (conflict, error)
                    }
                };
                match ended {
                    (true, _) if tried < TRIES => {
                        tried += 1;
                        debug!(tried, "another transaction was in the way, trying again");
                        tokio::time::sleep(pause(tried)).await;
                    }
                    (_, error) => return Err(error),
                }
            }
        }
    }
}

impl Tx {
    /// Runs `work` in a transaction inside this one, a savepoint: where it returns an error or is dropped, what it did is
    /// undone and the outer transaction goes on. It is not tried again by itself. While it runs, the outer handle refuses
    /// to be used.
    ///
    /// # Errors
    /// What `work` returns, [`Error::Query`], and [`Error::Fenced`] where it returned `Ok` although an older token was refused.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFn(Tx) -> Result<T, E>,
        E: From<Error>,
    {
        self.usable()?;
        let nested = Savepoint::around(&self.shared, self.depth);
        let opened = nested.opened.clone();
        self.on_conn(move |conn| {
            Box::pin(async move {
                conn.deepen().await?;
                opened.store(true, Ordering::Relaxed);
                Ok(())
            })
        })
        .await?;
        let value = work(Tx { shared: self.shared.clone(), depth: self.depth + 1 }).await?;
        self.shared.unfenced(self.depth)?;
        let opened = nested.opened.clone();
        self.on_conn(move |conn| {
            Box::pin(async move {
                conn.keep().await?;
                opened.store(false, Ordering::Relaxed);
                Ok(())
            })
        })
        .await?;
        Ok(value)
    }

    /// Whatever its caller makes of the error, what this handle's transaction or savepoint does is not kept.
    pub(crate) fn doom(&self) {
        self.shared.failed.fetch_max(self.depth, Ordering::Relaxed);
    }

    /// Runs `work` on the transaction's connection.
    pub(super) async fn on_connection<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T> + Send + 'static,
    ) -> Result<T, Error> {
        self.usable()?;
        self.on_conn(work).await
    }

    fn usable(&self) -> Result<(), Error> {
        let current = self.shared.current.load(Ordering::Relaxed);
        if current == self.depth { Ok(()) } else { Err(Error::TransactionOver) }
    }

    /// Waits for the connection, then uses it to the end: a caller that gives up has either not begun, or leaves the statement
    /// to its end, and what follows waits for it.
    async fn on_conn<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        let mut conn = shared.conn.clone().lock_owned().await;
        let task = async move {
            let conn = conn.as_mut().ok_or(Error::TransactionOver)?;
            let depth = shared.current.load(Ordering::Relaxed);
            let done = work(conn).await;
            if let Err(error) = &done {
                shared.conflict.fetch_or(is_conflict(error), Ordering::Relaxed);
                if conn.is_postgres() && matches!(error, Error::Query(diesel::result::Error::DatabaseError(..))) {
                    shared.failed.store(depth, Ordering::Relaxed);
                }
                shared.note_fence(error, depth);
            }
            done
        };
        to_its_end(task).await
    }
}

/// A savepoint that is undone when this is dropped, unless it was kept.
struct Savepoint {
    shared: Arc<Shared>,
    outer: u32,
    /// Whether the connection is inside it; changed only by who holds the connection.
    opened: Arc<AtomicBool>,
}

impl Savepoint {
    fn around(shared: &Arc<Shared>, outer: u32) -> Self {
        shared.current.store(outer + 1, Ordering::Relaxed);
        Self { shared: shared.clone(), outer, opened: Arc::default() }
    }
}

impl Drop for Savepoint {
    fn drop(&mut self) {
        self.shared.current.store(self.outer, Ordering::Relaxed);
        let (shared, opened, outer) = (self.shared.clone(), self.opened.clone(), self.outer);
        let mut undo = Box::pin(async move {
            let mut conn = shared.conn.lock().await;
            if let Some(conn) = conn.as_mut().filter(|_| opened.load(Ordering::Relaxed)) {
                match conn.undo().await {
                    Ok(()) => {
                        let _ = shared
                            .failed
                            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |failed| (failed > outer).then_some(0));
                        shared.fenced().take_if(|fenced| fenced.depth > outer);
                    }
                    // The depth tells at the commit, which then refuses.
                    Err(error) => debug!(%error, "a savepoint could not be undone"),
                }
            }
        });
        // Asked for now, it gets the connection before any statement that comes later.
        let mut context = Context::from_waker(Waker::noop());
        if let (true, Ok(runtime)) = (undo.as_mut().poll(&mut context).is_pending(), Handle::try_current()) {
            runtime.spawn(undo);
        }
    }
}

/// An open transaction. Dropping it rolls it back in a task of its own.
struct Open {
    shared: Arc<Shared>,
    ended: bool,
}

impl Open {
    /// Begins to the end, so that a caller who gives up meanwhile leaves nothing half begun.
    async fn begin(store: &Store, isolation: Isolation, place: &'static Location<'static>) -> Result<Self, Error> {
        let mut conn = Conn::writing(store, place).await?;
        to_its_end(async move {
            let mut tried = 1;
            while let Err(error) = conn.open(isolation).await.map_err(Error::from) {
                if tried == TRIES || !is_conflict(&error) {
                    return Err(error);
                }
                tried += 1;
                tokio::time::sleep(pause(tried)).await;
            }
            let shared = Arc::new(Shared {
                conn: Arc::new(Mutex::new(Some(conn))),
                current: AtomicU32::new(1),
                conflict: AtomicBool::new(false),
                failed: AtomicU32::new(0),
                fenced: StdMutex::new(None),
            });
            // Where nobody waits for it any more, this is dropped and rolls back.
            Ok(Self { shared, ended: false })
        })
        .await
    }

    /// Commits or rolls back, whoever waits for it.
    async fn end(mut self, commit: bool) -> Result<(), Error> {
        self.ended = true;
        let shared = self.shared.clone();
        to_its_end(async move { shared.end(commit).await }).await
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.ended, Handle::try_current()) {
            let shared = self.shared.clone();
            runtime.spawn(async move { shared.end(false).await });
        }
    }
}

impl Shared {
    fn fenced(&self) -> MutexGuard<'_, Option<Fenced>> {
        self.fenced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_fence(&self, error: &Error, depth: u32) {
        if let Error::Fenced { resource, token, newest } = error {
            let (resource, token, newest) = (resource.clone(), *token, *newest);
            self.fenced().get_or_insert(Fenced { depth, resource, token, newest });
        }
    }

    /// Refuses to keep what was done deeper than at `depth`, where a writer was refused there.
    fn unfenced(&self, depth: u32) -> Result<(), Error> {
        match self.fenced().clone().filter(|fenced| fenced.depth > depth) {
            Some(Fenced { resource, token, newest, .. }) => Err(Error::Fenced { resource, token, newest }),
            None => Ok(()),
        }
    }

    /// Takes the connection, so that no handle can use it any more, and ends the transaction. A connection that can't be
    /// brought out of it is closed by the pool, which ends it too.
    async fn end(&self, commit: bool) -> Result<(), Error> {
        let mut conn = self.conn.lock().await.take().ok_or(Error::TransactionOver)?;
        let committed = match commit.then(|| self.unfenced(0)) {
            None => Ok(()),
            Some(Err(fenced)) => Err(fenced),
            Some(Ok(())) if self.failed.load(Ordering::Relaxed) > 0 || conn.depth() != 1 => {
                Err(Error::TransactionFailed)
            }
            Some(Ok(())) => conn.keep().await.map_err(Error::from),
        };
        while conn.depth() > 0 {
            if let Err(error) = conn.undo().await {
                debug!(%error, "a transaction ends with its connection");
                break;
            }
        }
        committed
    }
}
