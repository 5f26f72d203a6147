//! Deleting jobs from SQLite.

use diesel::{QueryResult, QueryableByName, RunQueryDsl, SqliteConnection, sql_query, sql_types::Text};
use millstream_queue::State;

use super::pruner::Seen;
use crate::{Error, conn::to_its_end, sqlite::Sqlite};

const DUE: &str = include_str!("sqlite/due.sql");
/// In this order: tags are found by their job's row.
const DELETE: [&str; 3] =
    [include_str!("sqlite/attempts.sql"), include_str!("sqlite/tags.sql"), include_str!("sqlite/fields.sql")];
const JOBS: &str = include_str!("sqlite/jobs.sql");

#[derive(QueryableByName)]
struct Due {
    /// JSON array of ids in hexadecimal.
    #[diesel(sql_type = Text)]
    ids: String,
}

/// Deletes those that are as they were seen, in one transaction. How many.
pub(super) async fn prune(database: Sqlite, state: State, seen: Vec<Seen>) -> Result<u64, Error> {
    to_its_end(async move {
        let mut conn = database.write().await?;
        let deleted = conn.spawn_blocking(move |conn| conn.immediate_transaction(|conn| delete(conn, state, &seen)));
        Ok(deleted.await? as u64)
    })
    .await
}

fn delete(conn: &mut SqliteConnection, state: State, seen: &[Seen]) -> QueryResult<usize> {
    let seen: Vec<[String; 2]> =
        seen.iter().map(|job| [job.id.0.simple().to_string(), job.finished_at.to_string()]).collect();
    let seen = serde_json::to_string(&seen).expect("texts are JSON");
    let Due { ids } = sql_query(DUE).bind::<Text, _>(seen).bind::<Text, _>(state.as_str()).get_result(conn)?;
    for statement in DELETE {
        sql_query(statement).bind::<Text, _>(&ids).execute(conn)?;
    }
    sql_query(JOBS).bind::<Text, _>(&ids).execute(conn)
}
