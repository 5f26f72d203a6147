//! Holding Postgres to the order of an index.

use diesel::{pg::Pg, sqlite::Sqlite};

/// What keeps a database from gathering all rows of a question to put them in order, for one transaction.
pub(super) trait InOrder {
    /// None where the database follows the index by itself.
    const SETTINGS: Option<&'static str>;
}

impl InOrder for Pg {
    // Left is a walk along the index that has the order, with one exact look-up of the job for each of its rows, and of two such
    // indexes the one with fewer rows, wherever they lie. By its estimates alone Postgres reads whole partitions of a small
    // history, which grows. One process does it: to start others takes longer than a page.
    const SETTINGS: Option<&'static str> = Some(
        "SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off; SET LOCAL enable_seqscan = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL enable_material = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; \
         SET LOCAL random_page_cost = 0; SET LOCAL seq_page_cost = 0",
    );
}

impl InOrder for Sqlite {
    const SETTINGS: Option<&'static str> = None;
}

/// Runs `$body` on `$conn`, held to the order where `$wanted`.
macro_rules! in_order {
    ($wanted:expr, $db:ty, $conn:ident => $body:expr) => {
        match <$db as InOrder>::SETTINGS.filter(|_| $wanted) {
            Some(settings) => {
                $conn
                    .transaction(async move |$conn| {
                        $conn.batch_execute(settings).await?;
                        $body
                    })
                    .await
            }
            None => $body,
        }
    };
}
pub(super) use in_order;
