//! One query body for both databases.

/// Runs `$body` with `$conn` a connection of the store's database and `$db` its Diesel backend, in a task of its own, so
/// that a caller who drops the future half-way leaves no connection inside a statement. `read` or `write` chooses the
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
                $crate::conn::finish(tokio::spawn(task)).await
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
                $crate::conn::finish(tokio::spawn(task)).await
            }
        };
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(store.explain(error).await),
        }
    }};
}

/// The task's result; its panic goes on in the caller.
pub(crate) async fn finish<T>(task: tokio::task::JoinHandle<Result<T, crate::Error>>) -> Result<T, crate::Error> {
    joined(task).await
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
