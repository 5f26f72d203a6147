//! A batch into Postgres: COPY into a staging table, then two statements over it.

mod weeks;

use std::collections::HashSet;

use chrono::Utc;
use futures::pin_mut;
use tokio_postgres::{
    Transaction,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use uuid::Uuid;

pub(crate) use self::weeks::Weeks;
use super::rows::Row;
use crate::{
    Error,
    postgres::Postgres,
    statistics::{add_to_postgres, deltas},
};

const STAGE: &str = include_str!("postgres/stage.sql");
const COPY: &str = include_str!("postgres/copy.sql");
const ALIGN: &str = include_str!("postgres/align.sql");
const ATTEMPTS: &str = include_str!("postgres/attempts.sql");
const FRESH: &str = include_str!("postgres/fresh.sql");
const JOBS: &str = include_str!("postgres/jobs.sql");
const TAGS: &str = include_str!("postgres/tags.sql");
const TAGS_DECIDED: &str = include_str!("postgres/tags_decided.sql");
const FIELDS: &str = include_str!("postgres/fields.sql");
const FIELDS_DECIDED: &str = include_str!("postgres/fields_decided.sql");
const MOVE_FIELDS: &str = include_str!("postgres/move_fields.sql");
const LATE: &str = include_str!("postgres/late.sql");

/// The columns of the staging table in order.
const COLUMNS: [Type; 28] = [
    Type::UUID,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::BYTEA,
    Type::TEXT,
    Type::BYTEA,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::UUID,
    Type::BOOL,
    Type::TEXT,
];

/// Writes all rows or none, in one transaction.
pub(super) async fn write(database: &Postgres, rows: &[Row]) -> Result<(), Error> {
    let mut client = database.raw().await?;
    let enqueued = rows.iter().map(|row| row.enqueued_at);
    database.weeks().prepare(&mut client, enqueued, Utc::now()).await?;
    let transaction = client.transaction().await?;
    transaction.batch_execute(STAGE).await?;
    copy(&transaction, rows).await?;
    if rows.iter().any(|row| row.id.get_version_num() != 7) {
        transaction.execute(ALIGN, &[]).await?;
    }
    let inserted = transaction.execute(ATTEMPTS, &[]).await?;
    let deltas = if inserted == rows.len() as u64 {
        deltas(rows.iter().map(Row::counted))
    } else {
        let mut fresh = fresh(&transaction).await?;
        deltas(rows.iter().filter(|row| fresh.remove(&(row.id, row.run))).map(Row::counted))
    };
    let changed = transaction.execute(JOBS, &[]).await?;
    let heads = rows.iter().filter(|row| row.head).count();
    let decided = changed == heads as u64;
    if !decided {
        transaction.execute(LATE, &[]).await?;
    }
    if decided && rows.iter().any(|row| row.head && row.tags.is_some()) {
        transaction.execute(TAGS_DECIDED, &[]).await?;
    }
    if rows.iter().any(|row| row.may_move_tags() && !(decided && row.tags.is_some())) {
        transaction.execute(TAGS, &[&!decided]).await?;
    }
    if rows.iter().any(|row| row.fields.is_some()) {
        transaction.execute(if decided { FIELDS_DECIDED } else { FIELDS }, &[]).await?;
    }
    if rows.iter().any(Row::may_move_fields) {
        transaction.execute(MOVE_FIELDS, &[]).await?;
    }
    add_to_postgres(&transaction, &deltas).await?;
    transaction.commit().await?;
    Ok(())
}

/// Which runs this transaction has inserted.
async fn fresh(transaction: &Transaction<'_>) -> Result<HashSet<(Uuid, i64)>, tokio_postgres::Error> {
    let rows = transaction.query(FRESH, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn copy(transaction: &Transaction<'_>, rows: &[Row]) -> Result<(), tokio_postgres::Error> {
    let writer = BinaryCopyInWriter::new(transaction.copy_in(COPY).await?, &COLUMNS);
    pin_mut!(writer);
    for row in rows {
        let trace_id = row.trace_id();
        let values: [&(dyn ToSql + Sync); COLUMNS.len()] = [
            &row.id,
            &&*row.queue,
            &row.kind,
            &row.version,
            &row.lane.as_str(),
            &row.state.as_str(),
            &row.attempt,
            &row.run,
            &row.crash,
            &row.enqueued_at,
            &row.first_started_at,
            &row.started_at,
            &row.finished_at,
            &row.next_at,
            &row.worker,
            &row.error,
            &row.content_type,
            &row.payload.json,
            &row.payload.raw,
            &row.result.json,
            &row.result.raw,
            &row.tags,
            &trace_id,
            &row.log,
            &row.progress,
            &row.revived_from,
            &row.head,
            &row.fields,
        ];
        writer.as_mut().write(&values).await?;
    }
    writer.finish().await?;
    Ok(())
}
