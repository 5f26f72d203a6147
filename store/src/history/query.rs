//! The history's statements. Filters become typed Diesel expressions, never text.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    AttemptRecord, Cursor, Filter, JobRecord,
    record::{AttemptRow, JobRow},
};
use crate::{
    Error, Store,
    schema::{millstream_attempts as attempts, millstream_job_tags as tags, millstream_jobs as jobs},
    sql_types::{Id, Time},
};

diesel::define_sql_function! {
    /// On both databases ASCII letters only, on Postgres by the column's collation.
    fn lower(text: diesel::sql_types::Nullable<diesel::sql_types::Text>) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}

/// A boxed query over `jobs` (or a selection of it) with the filter applied. A macro, since the bounds of a function that is
/// generic over both backends would hide the filters.
macro_rules! narrowed {
    ($query:expr, $filter:expr) => {{
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
            query = query.filter(jobs::finished_at.ge(Time(since)));
        }
        if let Some(until) = filter.until {
            query = query.filter(jobs::finished_at.lt(Time(until)));
        }
        if let Some(text) = filter.error {
            query = query.filter(lower(jobs::error).like(containing(&text)).escape('\\'));
        }
        if let Some(tag) = filter.tag {
            query = query.filter(jobs::id.eq_any(tags::table.filter(tags::tag.eq(tag)).select(tags::job_id)));
        }
        if let Some(dead) = filter.revived_from {
            query = query.filter(jobs::revived_from.eq(Id(dead)));
        }
        query
    }};
}

/// At most `limit` rows after `after`.
pub(super) async fn page(
    store: &Store,
    filter: Filter,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<JobRecord>, Error> {
    let rows: Vec<JobRow> = with_conn!(store, read conn: Db => {
        let mut query = narrowed!(jobs::table.select(JobRow::as_select()).into_boxed::<Db>(), filter);
        if let Some(Cursor { finished_at, id }) = after {
            // The bound on the time alone lets the index start there.
            query = query
                .filter(jobs::finished_at.le(Time(finished_at)))
                .filter(jobs::finished_at.lt(Time(finished_at)).or(jobs::id.lt(Id(id))));
        }
        query.order((jobs::finished_at.desc(), jobs::id.desc())).limit(limit).load(conn).await
    })?;
    rows.into_iter().map(JobRecord::try_from).collect()
}

/// How many rows the filter lets through.
pub(super) async fn count(store: &Store, filter: Filter) -> Result<u64, Error> {
    let count: i64 = with_conn!(store, read conn: Db => {
        narrowed!(jobs::table.count().into_boxed::<Db>(), filter).get_result(conn).await
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

/// The LIKE pattern for a text anywhere inside, its own wildcards taken literally.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}
