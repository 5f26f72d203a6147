//! One prepared statement per table that inserts many rows.

use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, Utc};
use millstream_store::Store;
use rusqlite::{Connection, Statement, ToSql};
use uuid::Uuid;

use super::{BATCH, SKETCH};
use crate::{
    outcomes::{Completed, FIELD, KIND, WORKER},
    setting::QUEUE,
};

/// Rows of a statement, as in a recorder's.
const ROWS: usize = 64;

const ATTEMPTS: Insert = Insert {
    into: "millstream_attempts (job_id, run, attempt, crash, state, started_at, finished_at, worker)",
    columns: 8,
    bind: |row, into| {
        into.add(&row.id)?;
        into.add(&1)?;
        into.add(&1)?;
        into.add(&0)?;
        into.add(&"completed")?;
        into.add(&row.started_at)?;
        into.add(&row.finished_at)?;
        into.add(&WORKER)
    },
};

const JOBS: Insert = Insert {
    into: "millstream_jobs (id, queue, kind, version, lane, state, attempt, run, crash, enqueued_at, first_started_at, \
           started_at, finished_at, worker, payload, tags)",
    columns: 16,
    bind: |row, into| {
        into.add(&row.id)?;
        into.add(&QUEUE)?;
        into.add(&KIND)?;
        into.add(&1)?;
        into.add(&"normal")?;
        into.add(&"completed")?;
        into.add(&1)?;
        into.add(&1)?;
        into.add(&0)?;
        into.add(&row.enqueued_at)?;
        into.add(&row.started_at)?;
        into.add(&row.started_at)?;
        into.add(&row.finished_at)?;
        into.add(&WORKER)?;
        into.add(&row.payload)?;
        into.add(&row.tags)
    },
};

const TAGS: Insert = Insert {
    into: "millstream_job_tags (tag, job_id, finished_at, enqueued_at)",
    columns: 4,
    bind: |row, into| {
        into.add(&row.tag)?;
        into.add(&row.id)?;
        into.add(&row.finished_at)?;
        into.add(&row.enqueued_at)
    },
};

const FIELDS: Insert = Insert {
    into: "millstream_job_fields (job_id, field, kind, value, finished_at, enqueued_at)",
    columns: 6,
    bind: |row, into| {
        into.add(&row.id)?;
        into.add(&FIELD)?;
        into.add(&KIND)?;
        into.add(&row.value)?;
        into.add(&row.finished_at)?;
        into.add(&row.enqueued_at)
    },
};

const STATISTICS: &str = "INSERT INTO millstream_statistics (id, kind, queue, state, seconds, bucket, runs, waits, run_times, \
                          folded) VALUES (?, ?, ?, 'completed', 60, ?, ?, ?, ?, 0)";

/// Rows per second, on a connection with the settings of the store's own.
pub(crate) async fn sqlite(store: &Store, jobs: Vec<Completed>) -> Result<f64> {
    let rows: Vec<Row> = jobs.into_iter().map(Row::from).collect();
    let write = move |conn: &mut Connection| {
        let inserts = [ATTEMPTS, JOBS, TAGS, FIELDS].map(|insert| (insert, insert.sql(ROWS)));
        let start = Instant::now();
        for batch in rows.chunks(BATCH) {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            for (insert, sql) in &inserts {
                let (full, rest) = batch.as_chunks::<ROWS>();
                let mut statement = conn.prepare_cached(sql)?;
                full.iter().try_for_each(|rows| insert.run(&mut statement, rows))?;
                if !rest.is_empty() {
                    insert.run(&mut conn.prepare(&insert.sql(rest.len()))?, rest)?;
                }
            }
            let (id, sketch) = (Uuid::now_v7().into_bytes(), SKETCH.as_slice());
            let minute = (&id, KIND, QUEUE, &batch[0].finished_at, batch.len() as i64, sketch, sketch);
            conn.prepare_cached(STATISTICS)?.execute(minute)?;
            conn.execute_batch("COMMIT")?;
        }
        Ok(rows.len() as f64 / start.elapsed().as_secs_f64())
    };
    Ok(store.raw_sqlite(write).await?)
}

/// A job as its columns hold it.
struct Row {
    id: [u8; 16],
    tag: String,
    tags: String,
    value: String,
    payload: String,
    enqueued_at: String,
    started_at: String,
    finished_at: String,
}

impl From<Completed> for Row {
    fn from(job: Completed) -> Self {
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        Self {
            id: job.id.into_bytes(),
            tags: format!("[\"{}\"]", job.tag),
            tag: job.tag,
            value: format!("n:{}", job.user),
            payload: job.payload,
            enqueued_at: text(job.enqueued_at),
            started_at: text(job.started_at),
            finished_at: text(job.finished_at),
        }
    }
}

#[derive(Clone, Copy)]
struct Insert {
    into: &'static str,
    columns: usize,
    bind: fn(&Row, &mut Binding<'_, '_>) -> rusqlite::Result<()>,
}

impl Insert {
    fn run(self, statement: &mut Statement<'_>, rows: &[Row]) -> rusqlite::Result<()> {
        let mut binding = Binding { statement, place: 0 };
        for row in rows {
            (self.bind)(row, &mut binding)?;
        }
        statement.raw_execute().map(drop)
    }

    fn sql(self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        format!("INSERT INTO {} VALUES {} ON CONFLICT DO NOTHING", self.into, vec![row; rows].join(", "))
    }
}

struct Binding<'s, 'c> {
    statement: &'s mut Statement<'c>,
    place: usize,
}

impl Binding<'_, '_> {
    fn add(&mut self, value: &dyn ToSql) -> rusqlite::Result<()> {
        self.place += 1;
        self.statement.raw_bind_parameter(self.place, value)
    }
}
