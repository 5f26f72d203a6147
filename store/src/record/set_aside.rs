//! What was set aside: to look at, to write after all, or to delete.

use std::{future::IntoFuture, sync::Arc};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, Outcome};
use uuid::Uuid;

use super::{rows, rows::Row, searchable::Declared, write::write};
use crate::{
    Error, Store, fit,
    schema::millstream_rejected as rejected,
    sql_types::{Id, Time},
    store::BoxFuture,
};

/// Rows of a page unless the caller says otherwise, and the most there can be: a pack has up to a megabyte.
const LIMIT: (u16, u16) = (50, 200);

/// A pack that could not be read, or an outcome that could not be written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RejectedRecord {
    /// Its own id, a UUIDv7 of when it was set aside.
    pub id: Uuid,
    /// The queue it came from.
    pub queue: String,
    /// The id of the stream entry it came in.
    pub entry: String,
    /// The job, for an outcome.
    pub job: Option<Uuid>,
    /// Why it was set aside.
    pub reason: String,
    /// When that was.
    pub rejected_at: DateTime<Utc>,
    /// The pack, or the outcome alone packed again; `WIRE.md` of millstream-queue documents the form.
    pub body: Vec<u8>,
}

/// A question for what was set aside, built by [`Store::rejected`]. `.await` answers with a [`RejectedPage`], newest first.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked until awaited"]
pub struct RejectedOutcomes {
    store: Store,
    queue: Option<String>,
    after: Option<Uuid>,
    limit: u16,
}

/// One page of what was set aside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RejectedPage {
    /// The rows, newest first.
    pub rows: Vec<RejectedRecord>,
    /// Where the next page begins ([`RejectedOutcomes::after`]); none on the last one.
    pub next: Option<Uuid>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = rejected)]
struct Kept {
    id: Id,
    queue: String,
    entry: String,
    job_id: Option<Id>,
    reason: String,
    body: Vec<u8>,
    rejected_at: Time,
}

impl Store {
    /// What the recorder could neither read nor write.
    pub fn rejected(&self) -> RejectedOutcomes {
        RejectedOutcomes { store: self.clone(), queue: None, after: None, limit: LIMIT.0 }
    }

    /// Writes what was set aside as `id` into the history after all, once whatever stood against it is mended, and deletes it
    /// there. How many outcomes it held; those that were recorded meanwhile count too and change nothing. `client`, one of the
    /// namespace that they came from, tells which fields of their payloads are searchable now.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] where it still can't be read or written: it stays, and what of a pack can be
    /// written is written; [`Error::Queue`] where Redis doesn't answer; [`Error::NotMigrated`], [`Error::Unreachable`],
    /// [`Error::Query`].
    pub async fn retry_rejected(&self, id: Uuid, client: &Client) -> Result<u64, Error> {
        let kept: Option<Kept> = with_conn!(self, read conn: Db => {
            rejected::table.find(Id(id)).select(Kept::as_select()).first(conn).await.optional()
        })?;
        let kept = kept.ok_or_else(|| not_found(id))?;
        let outcomes =
            Outcome::decode_pack(&kept.body).map_err(|error| Error::Refused { id, reason: error.to_string() })?;
        let (queue, entry): (Arc<str>, Arc<str>) = (kept.queue.into(), kept.entry.into());
        let mut rows: Vec<Row> = outcomes.into_iter().map(|outcome| Row::new(&queue, &entry, outcome)).collect();
        let count = rows.len() as u64;
        rows::choose_heads(&mut rows);
        Declared::default().fill(client, &mut rows).await?;
        if let Some(refused) = write(self, &rows.into()).await?.into_iter().next() {
            return Err(Error::Refused { id, reason: refused.reason });
        }
        self.delete_rejected(id).await?;
        Ok(count)
    }

    /// Deletes what was set aside as `id`, for good. Whether it was there.
    ///
    /// # Errors
    /// [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`].
    pub async fn delete_rejected(&self, id: Uuid) -> Result<bool, Error> {
        let deleted = with_conn!(self, write conn: Db => {
            diesel::delete(rejected::table.find(Id(id))).execute(conn).await
        })?;
        Ok(deleted > 0)
    }
}

impl RejectedOutcomes {
    /// Of this queue alone.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(fit::name(queue.into()));
        self
    }

    /// The page after the one whose `next` this is; use it with the same queue.
    pub fn after(mut self, next: Uuid) -> Self {
        self.after = Some(next);
        self
    }

    /// Most rows of the page, 1 to 200 (other values mean the nearest of these). Default: 50.
    pub fn limit(mut self, rows: u16) -> Self {
        self.limit = rows.clamp(1, LIMIT.1);
        self
    }

    async fn page(self) -> Result<RejectedPage, Error> {
        let Self { store, queue, after, limit } = self;
        let mut rows: Vec<Kept> = with_conn!(&store, read conn: Db => {
            let mut query = rejected::table.select(Kept::as_select()).into_boxed::<Db>();
            if let Some(queue) = queue {
                query = query.filter(rejected::queue.eq(queue));
            }
            if let Some(after) = after {
                query = query.filter(rejected::id.lt(Id(after)));
            }
            query.order(rejected::id.desc()).limit(i64::from(limit) + 1).load(conn).await
        })?;
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next = rows.last().filter(|_| more).map(|row| row.id.0);
        Ok(RejectedPage { rows: rows.into_iter().map(RejectedRecord::from).collect(), next })
    }
}

impl IntoFuture for RejectedOutcomes {
    type Output = Result<RejectedPage, Error>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.page())
    }
}

impl From<Kept> for RejectedRecord {
    fn from(kept: Kept) -> Self {
        let Kept { id, queue, entry, job_id, reason, body, rejected_at } = kept;
        let (id, job, rejected_at) = (id.0, job_id.map(|job| job.0), rejected_at.0);
        Self { id, queue, entry, job, reason, rejected_at, body }
    }
}

fn not_found(id: Uuid) -> Error {
    Error::NotFound { table: "millstream_rejected", key: id.to_string() }
}
