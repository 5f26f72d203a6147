//! What could neither be read nor written: set aside in `millstream_rejected`, with its reason.

use chrono::Utc;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use millstream_queue::{Outcome, Progress};
use uuid::Uuid;

use super::{reader::Pack, write::Refused};
use crate::{
    Error, Store, events, fit,
    schema::millstream_rejected as rejected,
    sql_types::{Id, Time},
};

impl Store {
    /// How many packs and outcomes the recorder could neither read nor write; they lie in `millstream_rejected`, each with
    /// its reason.
    ///
    /// # Errors
    /// [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`].
    pub async fn count_rejected(&self) -> Result<u64, Error> {
        let count: i64 = with_conn!(self, read conn: Db => rejected::table.count().get_result(conn).await)?;
        Ok(count.unsigned_abs())
    }
}

/// A pack that can't be read, or an outcome that can't be written.
#[derive(Clone)]
pub(super) struct Rejected {
    queue: String,
    entry: String,
    job: Option<Uuid>,
    reason: String,
    /// The pack, or the outcome alone packed again.
    body: Vec<u8>,
}

impl Rejected {
    pub(super) fn pack(pack: &Pack, reason: String) -> Self {
        let body = pack.bytes.clone().unwrap_or_default();
        Self { queue: pack.queue.to_string(), entry: pack.entry.to_string(), job: None, reason, body }
    }

    pub(super) fn outcome(refused: Refused) -> Self {
        let Refused { row, reason } = refused;
        let mut body = Vec::new();
        let outcome = Outcome {
            id: row.id,
            kind: row.kind,
            lane: row.lane,
            version: small(row.version),
            run: small(row.run),
            attempt: small(row.attempt),
            crash: small(row.crash),
            state: row.state,
            enqueued_ms: row.enqueued_at.timestamp_millis(),
            started_us: row.started_at.map(|time| time.timestamp_micros()),
            finished_us: row.finished_at.timestamp_micros(),
            worker: row.worker,
            error: row.error,
            payload: row.payload.into_bytes(),
            content_type: row.content_type,
            result: row.result.into_bytes(),
            next_ms: row.next_at.map(|time| time.timestamp_millis()),
            tags: row.tags.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
            traceparent: row.traceparent,
            log: row.log,
            progress: row.progress.as_deref().and_then(Progress::parse),
            of: row.revived_from,
            ready_ms: row.ready_at.map(|time| time.timestamp_millis()),
        };
        outcome.pack_into(&mut body);
        Self { queue: row.queue.to_string(), entry: row.entry.to_string(), job: Some(row.id), reason, body }
    }
}

fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Keeps one. A crash before its acknowledgement keeps it twice, which is better than not at all.
pub(super) async fn keep(store: &Store, one: &Rejected) -> Result<(), Error> {
    let Rejected { queue, entry, job, reason, body } = one.clone();
    with_conn!(store, write conn: Db => {
        diesel::insert_into(rejected::table)
            .values((
                rejected::id.eq(Id(Uuid::now_v7())),
                rejected::queue.eq(queue),
                rejected::entry.eq(entry),
                rejected::job_id.eq(job.map(Id)),
                rejected::reason.eq(fit::text(reason)),
                rejected::body.eq(body),
                rejected::rejected_at.eq(Time(Utc::now())),
            ))
            .execute(conn)
            .await
    })?;
    let job = one.job.map(|job| job.to_string()).unwrap_or_default();
    events::record_rejected(&one.queue, &one.entry, &job, &one.reason);
    Ok(())
}
