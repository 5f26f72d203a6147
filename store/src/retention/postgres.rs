//! Deleting jobs from Postgres.

use chrono::{DateTime, Utc};
use millstream_queue::State;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::pruner::Seen;
use crate::{Error, postgres::Postgres};

const PRUNE: &str = include_str!("postgres/prune.sql");

/// Deletes those that are as they were seen and that nobody else holds, in one statement. How many.
pub(super) async fn prune(database: &Postgres, state: State, seen: &[Seen]) -> Result<u64, Error> {
    let ids: Vec<Uuid> = seen.iter().map(|job| job.id.0).collect();
    let finished: Vec<DateTime<Utc>> = seen.iter().map(|job| job.finished_at.0).collect();
    let enqueued: Vec<DateTime<Utc>> = seen.iter().map(|job| job.enqueued_at.0).collect();
    let client = database.raw().await?;
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&ids, Type::UUID_ARRAY),
        (&finished, Type::TIMESTAMPTZ_ARRAY),
        (&enqueued, Type::TIMESTAMPTZ_ARRAY),
        (&state.as_str(), Type::TEXT),
    ];
    Ok(client.execute_typed(PRUNE, &values).await?)
}
