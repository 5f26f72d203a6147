//! One query body for both databases, and statements that are never left half-way.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// Runs `$body` with `$conn` a connection of the store's database and `$db` its Diesel backend, to its end, so that a caller
/// who drops the future half-way leaves no connection inside a statement. `read` or `write` chooses the
/// pool; the body yields a `QueryResult` and may use `?` on one.
macro_rules! with_conn {
    ($store:expr, $pool:ident $conn:ident: $db:ident => $body:expr) => {{
        let store: &$crate::Store = $store;
        let result = match store.backend() {
            $crate::store::Backend::Postgres(database) => {
                #[allow(dead_code, reason = "not every body names its backend")]
                type $db = diesel::pg::Pg;
                let database = database.clone();
                let task = async move {
                    let mut pooled = database.$pool().await?;
                    let $conn: &mut diesel_async::AsyncPgConnection = &mut pooled;
                    Ok::<_, $crate::Error>($body?)
                };
                $crate::conn::to_its_end(task).await
            }
            $crate::store::Backend::Sqlite(database) => {
                #[allow(dead_code, reason = "not every body names its backend")]
                type $db = diesel::sqlite::Sqlite;
                let database = database.clone();
                let task = async move {
                    let mut pooled = database.$pool().await?;
                    let $conn: &mut $crate::sqlite::SqliteAsync = &mut pooled;
                    Ok::<_, $crate::Error>($body?)
                };
                $crate::conn::to_its_end(task).await
            }
        };
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(store.explain(error).await),
        }
    }};
}

/// Runs `work` where it is awaited, and to its end: one that is dropped half-way goes on in a task of its own, and one that was
/// not begun does not begin. Cheaper than a task for each statement, which would wake another thread.
pub(crate) fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> ToItsEnd<T> {
    ToItsEnd { work: Some(Box::pin(work)), begun: false }
}

/// See [`to_its_end`].
#[must_use = "nothing begins until awaited"]
pub(crate) struct ToItsEnd<T: Send + 'static> {
    /// None once it has ended or panicked.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    begun: bool,
}

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out, since one that panics must not be polled again.
        let mut work = self.work.take().expect("futures are not polled after their end");
        self.begun = true;
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for ToItsEnd<T> {
    fn drop(&mut self) {
        if let (true, Some(work), Ok(runtime)) = (self.begun, self.work.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

/// What the task gives; its panic goes on in the caller.
pub(crate) async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_half_way_runs_to_its_end() {
        let (go, going) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let mut work = Box::pin(to_its_end(async move {
            going.await.expect("told to go on");
            done.send(()).expect("waited for");
        }));
        assert!(futures::poll!(&mut work).is_pending());
        drop(work);
        go.send(()).expect("it goes on");
        is_done.await.expect("its end");
    }

    #[tokio::test]
    async fn what_was_never_awaited_does_not_begin() {
        let (done, is_done) = oneshot::channel::<()>();
        drop(to_its_end(async move { done.send(()) }));
        is_done.await.expect_err("it never ran");
    }

    #[tokio::test]
    async fn a_panic_comes_out_once() {
        let work = tokio::spawn(to_its_end(async { panic!("as the test wants it") }));
        let panic: Result<(), _> = work.await;
        assert!(panic.expect_err("it panicked").is_panic());
    }
}
