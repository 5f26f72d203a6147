//! The history's statements. Filters become typed Diesel expressions, never text.

use diesel::{
    dsl::{exists, sql},
    prelude::*,
    sql_types::Bool,
};
use diesel_async::RunQueryDsl;
use millstream_queue::State;
use uuid::Uuid;

use super::{
    AttemptRecord, Cursor, Filter,
    conditions::{bound, equal, lower, narrowed, placed, timed, unindexed},
    lead::Lead,
    order::{InOrder, in_order},
    plan::{Explain, Step},
    record::{AttemptRow, JobRow},
};
use crate::{
    Error, Store,
    data::pattern,
    schema::{
        millstream_attempts as attempts, millstream_job_fields as fields, millstream_job_tags as tags,
        millstream_jobs as jobs,
    },
    sql_types::{Id, Time},
};

// For subqueries beside a query that the table leads.
diesel::alias! {
    pub(super) const MARKED: Alias<Marked> = tags as marked;
    pub(super) const HELD: Alias<Held> = fields as held;
}

/// One statement that finds rows.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) filter: Filter,
    pub(super) lead: Lead,
    /// The row before the first, in the page's order.
    pub(super) after: Option<Cursor>,
    /// The last row that may be among them.
    pub(super) last: Option<Cursor>,
    pub(super) limit: i64,
    /// The only rows that may be among them, and the times between which they were enqueued.
    pub(super) keys: Keys,
}

impl Question {
    /// Whether an index has its rows in the page's order. Those of an id are found by the id.
    fn is_in_order(&self) -> bool {
        self.filter.id.is_none()
    }
}

/// Rows that were found before, few enough for one statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    pub(super) ids: Vec<Id>,
    pub(super) enqueued: Option<(Time, Time)>,
}

/// Runs `$body` with `$query` the query of a question, led as it says.
macro_rules! with_query {
    ($question:ident, $db:ty, $query:ident => $body:expr) => {{
        let Question { mut filter, lead, after, last, limit, keys } = $question;
        match lead {
            Lead::Tag => {
                let led = tags::table
                    .inner_join(jobs::table.on(jobs::id.eq(tags::job_id).and(jobs::enqueued_at.eq(tags::enqueued_at))));
                let led = led.filter(tags::tag.eq(filter.tag.take().unwrap_or_default()));
                let query = led.select(JobRow::as_select()).into_boxed::<$db>();
                let query = narrowed!(query, filter, lead, tags::finished_at);
                let $query = placed!(query, after, last, tags::finished_at, tags::job_id).limit(limit);
                $body
            }
            Lead::Field => {
                let (kind, field, value) = filter.led_by_field();
                (filter.kind, _) = (None, filter.fields.pop());
                let led = fields::table.inner_join(
                    jobs::table.on(jobs::id.eq(fields::job_id).and(jobs::enqueued_at.eq(fields::enqueued_at))),
                );
                let led =
                    led.filter(fields::kind.eq(kind)).filter(fields::field.eq(field)).filter(fields::value.eq(value));
                let query = led.select(JobRow::as_select()).into_boxed::<$db>();
                let query = narrowed!(query, filter, lead, fields::finished_at);
                let $query = placed!(query, after, last, fields::finished_at, fields::job_id).limit(limit);
                $body
            }
            Lead::Keys => {
                let mut query = jobs::table.select(JobRow::as_select()).into_boxed::<$db>();
                if let Some((first, last)) = keys.enqueued {
                    query = query.filter(jobs::enqueued_at.ge(first)).filter(jobs::enqueued_at.le(last));
                }
                let $query = narrowed!(query.filter(jobs::id.eq_any(keys.ids)), filter, lead, jobs::finished_at);
                $body
            }
            lead => {
                let query = jobs::table.select(JobRow::as_select()).into_boxed::<$db>();
                let query = narrowed!(query, filter, lead, jobs::finished_at);
                let $query = placed!(query, after, last, jobs::finished_at, jobs::id).limit(limit);
                $body
            }
        }
    }};
}

/// The rows of a question.
pub(super) async fn load(store: &Store, question: Question) -> Result<Vec<JobRow>, Error> {
    let is_in_order = question.is_in_order();
    with_conn!(store, read conn: Db => {
        with_query!(question, Db, query => in_order!(is_in_order, Db, conn => query.load(conn).await))
    })
}

/// What the database says of how it finds them.
pub(super) async fn explain(store: &Store, question: Question) -> Result<Vec<String>, Error> {
    let is_in_order = question.is_in_order();
    let steps: Vec<Step> = with_conn!(store, read conn: Db => {
        with_query!(question, Db, query => in_order!(is_in_order, Db, conn => Explain(query).load(conn).await))
    })?;
    Ok(steps.into_iter().map(|Step(step)| step).collect())
}

/// How many rows the filter lets through.
pub(super) async fn count(store: &Store, mut filter: Filter) -> Result<u64, Error> {
    let count: i64 = with_conn!(store, read conn: Db => {
        let mut query = jobs::table.count().into_boxed::<Db>();
        if let Some((field, value)) = filter.fields.pop() {
            let held = fields::table
                .filter(fields::kind.eq(filter.kind.clone().unwrap_or_default()))
                .filter(fields::field.eq(field))
                .filter(fields::value.eq(value.to_column().unwrap_or_default()));
            query = query.filter(jobs::id.eq_any(held.select(fields::job_id)));
        }
        narrowed!(query, filter, Lead::Any, jobs::finished_at).get_result(conn).await
    })?;
    Ok(count.unsigned_abs())
}

/// All runs of a job in order.
pub(super) async fn attempts(store: &Store, id: Uuid) -> Result<Vec<AttemptRecord>, Error> {
    let rows: Vec<AttemptRow> = with_conn!(store, read conn: Db => {
        attempts::table
            .filter(attempts::job_id.eq(Id(id)))
            .order(attempts::run)
            .select(AttemptRow::as_select())
            .load(conn)
            .await
    })?;
    rows.into_iter().map(AttemptRecord::try_from).collect()
}
