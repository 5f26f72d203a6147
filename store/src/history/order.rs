//! Holding Postgres to the order of an index.

use diesel::{QueryResult, pg::Pg, sqlite::Sqlite};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};

use crate::sqlite::SqliteAsync;

/// What keeps a database from gathering all rows of a question to put them in order, between a beginning and an end.
pub(super) trait InOrder {
    type Conn;

    async fn begin(conn: &mut Self::Conn) -> QueryResult<()>;

    async fn end<T>(conn: &mut Self::Conn, found: QueryResult<T>) -> QueryResult<T>;
}

// Left is a walk along the index that has the order, with one exact look-up of the job for each of its rows, and of two such
// indexes the one with fewer rows, wherever they lie. By its estimates alone Postgres reads whole partitions of a small history,
// which grows. With nothing left to choose, a plan is made once for all values: to plan takes as long as to read a page. One
// process reads it, since to start others takes longer.
const IN_ORDER: &str = "BEGIN READ ONLY; \
    SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off; SET LOCAL enable_seqscan = off; \
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL enable_material = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; \
    SET LOCAL random_page_cost = 0; SET LOCAL seq_page_cost = 0; SET LOCAL plan_cache_mode = force_generic_plan";

impl InOrder for Pg {
    type Conn = AsyncPgConnection;

    async fn begin(conn: &mut AsyncPgConnection) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(conn, IN_ORDER).await
    }

    async fn end<T>(conn: &mut AsyncPgConnection, found: QueryResult<T>) -> QueryResult<T> {
        match found {
            Ok(found) => AnsiTransactionManager::commit_transaction(conn).await.map(|()| found),
            Err(error) => {
                // Where this fails too, the connection is broken, which its pool sees.
                let _ = AnsiTransactionManager::rollback_transaction(conn).await;
                Err(error)
            }
        }
    }
}

impl InOrder for Sqlite {
    type Conn = SqliteAsync;

    /// It follows the index by itself.
    async fn begin(_: &mut SqliteAsync) -> QueryResult<()> {
        Ok(())
    }

    async fn end<T>(_: &mut SqliteAsync, found: QueryResult<T>) -> QueryResult<T> {
        found
    }
}

/// Runs `$body` on `$conn`, held to the order where `$wanted`.
macro_rules! in_order {
    ($wanted:expr, $db:ty, $conn:ident => $body:expr) => {
        if $wanted {
            <$db as InOrder>::begin($conn).await?;
            let found = async { $body }.await;
            <$db as InOrder>::end($conn, found).await
        } else {
            $body
        }
    };
}
pub(super) use in_order;
