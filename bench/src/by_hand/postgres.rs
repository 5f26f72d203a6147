//! COPY to a staging table, then INSERT … ON CONFLICT from it.

use std::{pin::pin, time::Instant};

use anyhow::Result;
use millstream_store::Store;
use tokio_postgres::{
    Transaction,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{BATCH, SKETCH};
use crate::{
    outcomes::{Completed, FIELD, KIND, WORKER},
    setting::QUEUE,
};

/// How far rows are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upto {
    /// No further than COPY takes them.
    Stage,
    Tables,
}

const COLUMNS: [Type; 17] = [
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
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
];

/// Rows per second.
pub(crate) async fn postgres(store: &Store, jobs: &[Completed], upto: Upto) -> Result<f64> {
    let mut client = store.raw_postgres().await?;
    client.batch_execute(include_str!("stage.sql")).await?;
    let mut statements = Vec::new();
    for sql in
        [include_str!("attempts.sql"), include_str!("jobs.sql"), include_str!("tags.sql"), include_str!("fields.sql")]
    {
        statements.push(client.prepare(sql).await?);
    }
    let statistics = client.prepare(include_str!("statistics.sql")).await?;
    let values: Vec<String> = jobs.iter().map(|job| format!("n:{}", job.user)).collect();
    let start = Instant::now();
    for (jobs, values) in jobs.chunks(BATCH).zip(values.chunks(BATCH)) {
        let transaction = client.transaction().await?;
        copy(&transaction, jobs, values).await?;
        if upto == Upto::Tables {
            for statement in &statements {
                transaction.execute(statement, &[]).await?;
            }
            let (count, sketch) = (jobs.len() as i64, SKETCH.as_slice());
            let row: [&(dyn ToSql + Sync); 6] = [&Uuid::now_v7(), &KIND, &QUEUE, &jobs[0].finished_at, &count, &sketch];
            transaction.execute(&statistics, &row).await?;
        }
        transaction.commit().await?;
    }
    Ok(jobs.len() as f64 / start.elapsed().as_secs_f64())
}

async fn copy(transaction: &Transaction<'_>, jobs: &[Completed], values: &[String]) -> Result<()> {
    let sink = transaction.copy_in("COPY bench_staged FROM STDIN (FORMAT binary)").await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &COLUMNS));
    for (job, value) in jobs.iter().zip(values) {
        let row: [&(dyn ToSql + Sync); COLUMNS.len()] = [
            &job.id,
            &QUEUE,
            &KIND,
            &1_i64,
            &"normal",
            &"completed",
            &1_i64,
            &1_i64,
            &0_i64,
            &job.enqueued_at,
            &job.started_at,
            &job.finished_at,
            &WORKER,
            &job.payload,
            &job.tag,
            &FIELD,
            value,
        ];
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}
