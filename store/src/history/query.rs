//! The history's statements. Filters become typed Diesel expressions, never text.

use diesel::{
    dsl::{exists, sql},
    prelude::*,
    sql_types::{Bool, Text},
};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

use super::{
    AttemptRecord, Cursor, Filter, JobRecord, errors,
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

diesel::define_sql_function! {
    /// On both databases ASCII letters only, on Postgres by the column's collation.
    fn lower(text: diesel::sql_types::Nullable<diesel::sql_types::Text>) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}

// For subqueries beside a query that the table leads.
diesel::alias!(const MARKED: Alias<Marked> = tags as marked);
diesel::alias!(const HELD: Alias<Held> = fields as held);

/// A boxed query with the filter applied: over `jobs` alone, or over what leads to them, whose columns tell a row's place. A
/// macro, since the bounds of a function that is generic over both backends would hide the filters.
macro_rules! narrowed {
    ($query:expr, $filter:expr, $finished_at:expr) => {{
        let (mut query, filter) = ($query, $filter);
        if let Some(id) = filter.id {
            query = query.filter(jobs::id.eq(Id(id)));
        }
        if let Some(kind) = filter.kind {
            query = query.filter(jobs::kind.eq(kind));
        }
        if let Some(queue) = filter.queue {
            query = query.filter(jobs::queue.eq(queue));
        }
        if let Some(state) = filter.state {
            query = query.filter(jobs::state.eq(state.as_str()));
        }
        if let Some(worker) = filter.worker {
            query = query.filter(jobs::worker.eq(worker));
        }
        if let Some(since) = filter.since {
            query = query.filter($finished_at.ge(Time(since)));
        }
        if let Some(until) = filter.until {
            query = query.filter($finished_at.lt(Time(until)));
        }
        if let Some(text) = filter.error {
            // The literal keeps the statement out of the cache: how to find a text depends on the text.
            query = query
                .filter(sql::<Bool>("millstream_jobs.error IS NOT NULL"))
                .filter(lower(jobs::error).like(pattern(&text.to_ascii_lowercase())).escape('\\'));
        }
        if let Some(phrase) = filter.error_phrase {
            query = query.filter(
                sql::<Bool>(
                    "millstream_jobs.id IN (SELECT job_id FROM millstream_job_errors WHERE number IN \
                     (SELECT rowid FROM millstream_error_text WHERE millstream_error_text MATCH ",
                )
                .bind::<Text, _>(phrase)
                .sql("))"),
            );
        }
        if let Some(tag) = filter.tag {
            let (name, job) = (MARKED.field(tags::tag), MARKED.field(tags::job_id));
            query = query.filter(jobs::id.eq_any(MARKED.filter(name.eq(tag)).select(job)));
        }
        for (field, value) in filter.fields {
            let held = HELD
                .filter(HELD.field(fields::job_id).eq(jobs::id))
                .filter(HELD.field(fields::field).eq(field))
                .filter(HELD.field(fields::value).eq(value.to_column().unwrap_or_default()));
            query = query.filter(exists(held));
        }
        if let Some(dead) = filter.revived_from {
            query = query.filter(jobs::revived_from.eq(Id(dead)));
        }
        query
    }};
}

/// The rows of a narrowed query after `after`, newest first.
macro_rules! paged {
    ($query:expr, $after:expr, $limit:expr, $finished_at:expr, $id:expr) => {{
        let mut query = $query;
        if let Some(Cursor { finished_at, id }) = $after {
            // The bound on the time alone lets the index start there.
            query = query
                .filter($finished_at.le(Time(finished_at)))
                .filter($finished_at.lt(Time(finished_at)).or($id.lt(Id(id))));
        }
        query.order(($finished_at.desc(), $id.desc())).limit($limit)
    }};
}

/// Runs `$body` with `$query` the query of a page. A tag, or else a field, leads where there is one: its index has the page's
/// rows in their order, however few of all jobs they are.
macro_rules! with_page {
    ($filter:ident, $after:expr, $limit:expr, $db:ty, $query:ident => $body:expr) => {
        if let Some(tag) = $filter.tag.take() {
            let led = tags::table
                .inner_join(jobs::table.on(jobs::id.eq(tags::job_id).and(jobs::enqueued_at.eq(tags::enqueued_at))));
            let query = led.filter(tags::tag.eq(tag)).select(JobRow::as_select()).into_boxed::<$db>();
            let query = narrowed!(query, $filter, tags::finished_at);
            let $query = paged!(query, $after, $limit, tags::finished_at, tags::job_id);
            $body
        } else if let Some((field, value)) = $filter.fields.pop() {
            let kind = $filter.kind.take().unwrap_or_default();
            let led = fields::table
                .inner_join(jobs::table.on(jobs::id.eq(fields::job_id).and(jobs::enqueued_at.eq(fields::enqueued_at))));
            let query = led
                .filter(fields::kind.eq(kind))
                .filter(fields::field.eq(field))
                .filter(fields::value.eq(value.to_column().unwrap_or_default()))
                .select(JobRow::as_select())
                .into_boxed::<$db>();
            let query = narrowed!(query, $filter, fields::finished_at);
            let $query = paged!(query, $after, $limit, fields::finished_at, fields::job_id);
            $body
        } else {
            let query = jobs::table.select(JobRow::as_select()).into_boxed::<$db>();
            let query = narrowed!(query, $filter, jobs::finished_at);
            let $query = paged!(query, $after, $limit, jobs::finished_at, jobs::id);
            $body
        }
    };
}

/// At most `limit` rows after `after`.
pub(super) async fn page(
    store: &Store,
    filter: Filter,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<JobRecord>, Error> {
    let rows = match settle(store, filter, after, limit).await? {
        Settled::Found(_, rows) => rows,
        Settled::Open(question) => load(store, question, after, limit).await?,
    };
    rows.into_iter().map(JobRecord::try_from).collect()
}

/// The plan of such a page.
pub(super) async fn plan(
    store: &Store,
    filter: Filter,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<String>, Error> {
    let (Settled::Found(question, _) | Settled::Open(question)) = settle(store, filter, after, limit).await?;
    let Question { mut filter, is_ordered } = question;
    let steps: Vec<Step> = with_conn!(store, read conn: Db => {
        with_page!(filter, after, limit, Db, query => in_order!(is_ordered, Db, conn => Explain(query).load(conn).await))
    })?;
    Ok(steps.into_iter().map(|Step(step)| step).collect())
}

/// A filter, and whether its rows must be met in their order.
#[derive(Clone)]
struct Question {
    filter: Filter,
    is_ordered: bool,
}

enum Settled {
    /// What the question that was chosen has answered already.
    Found(Question, Vec<JobRow>),
    Open(Question),
}

/// Chooses how to ask. A text that is frequent on Postgres fills the page from the newest failed rows; what they don't answer
/// is left to the trigrams.
async fn settle(store: &Store, mut filter: Filter, after: Option<Cursor>, limit: i64) -> Result<Settled, Error> {
    let Some(text) = filter.error.clone() else {
        let is_ordered = filter.is_led();
        return Ok(Settled::Open(Question { filter, is_ordered }));
    };
    if !store.is_postgres() {
        filter.error_phrase = errors::rare(store, &text).await?;
        return Ok(Settled::Open(Question { filter, is_ordered: false }));
    }
    if filter.is_of_one() {
        return Ok(Settled::Open(Question { filter, is_ordered: false }));
    }
    let start = errors::newest_from(store, &filter, after).await?;
    let newest = Filter { since: start.or(filter.since), ..filter.clone() };
    let question = Question { filter: newest, is_ordered: true };
    let rows = load(store, question.clone(), after, limit).await?;
    if start.is_none() || rows.len() as i64 >= limit {
        return Ok(Settled::Found(question, rows));
    }
    Ok(Settled::Open(Question { filter, is_ordered: !errors::has_trigrams(&text) }))
}

async fn load(store: &Store, question: Question, after: Option<Cursor>, limit: i64) -> Result<Vec<JobRow>, Error> {
    let Question { mut filter, is_ordered } = question;
    with_conn!(store, read conn: Db => {
        with_page!(filter, after, limit, Db, query => in_order!(is_ordered, Db, conn => query.load(conn).await))
    })
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
        narrowed!(query, filter, jobs::finished_at).get_result(conn).await
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
