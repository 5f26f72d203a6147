//! What must hold for rows, as typed Diesel expressions. Macros, since the bounds of functions that are generic over both
//! backends would hide the conditions.

use chrono::{DateTime, Utc};

use crate::sql_types::{DbTime, Time};

diesel::define_sql_function! {
    /// On both databases ASCII letters only, on Postgres by the column's collation.
    fn lower(text: diesel::sql_types::Nullable<diesel::sql_types::Text>) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}

diesel::define_sql_function! {
    /// The error, in a form that no index knows.
    #[sql_name = "coalesce"]
    fn unindexed(
        error: diesel::sql_types::Nullable<diesel::sql_types::Text>,
        again: diesel::sql_types::Nullable<diesel::sql_types::Text>,
    ) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}

diesel::define_sql_function! {
    /// The time, in a form that SQLite doesn't look up among the samples that ANALYZE took: by those an index that has other rows
    /// too may seem to have fewer.
    #[sql_name = "coalesce"]
    fn unsampled(time: DbTime, again: DbTime) -> DbTime;
}

/// A time as rows are held against it.
pub(super) fn bound(time: DateTime<Utc>) -> unsampled<Time, Time> {
    unsampled(Time(time), Time(time))
}

/// A column's value where one is asked for. Only where this column leads may an index of it be used: with any other the
/// rows that lie between two places of the page's order have no bound.
macro_rules! equal {
    ($query:expr, $lead:expr, $own:pat, $column:expr, $value:expr) => {
        match ($value, $lead) {
            (None, _) => $query,
            (Some(value), Lead::Any | $own) => $query.filter($column.eq(value)),
            (Some(value), _) => $query.filter($column.concat("").eq(value)),
        }
    };
}
pub(super) use equal;

/// The rows of the filter's time.
macro_rules! timed {
    ($query:expr, $filter:expr, $finished_at:expr) => {{
        let mut query = $query;
        if let Some(since) = $filter.since {
            query = query.filter($finished_at.ge(bound(since)));
        }
        if let Some(until) = $filter.until {
            query = query.filter($finished_at.lt(bound(until)));
        }
        query
    }};
}
pub(super) use timed;

/// A boxed query with the filter applied: over `jobs` alone, or over what leads to them, whose columns tell a row's place. An
/// offset keeps a subquery one that is asked for each row by itself, instead of a join that reads all of a tag.
macro_rules! narrowed {
    ($query:expr, $filter:expr, $lead:expr, $finished_at:expr) => {{
        let (query, filter, lead): (_, Filter, Lead) = ($query, $filter, $lead);
        let query = equal!(query, lead, Lead::Kind, jobs::kind, filter.kind);
        let query = equal!(query, lead, Lead::Queue, jobs::queue, filter.queue);
        let query = equal!(query, lead, Lead::State, jobs::state, filter.state.map(State::as_str));
        let mut query = equal!(query, lead, Lead::Worker, jobs::worker, filter.worker);
        if let Some(id) = filter.id {
            query = query.filter(jobs::id.eq(Id(id)));
        }
        query = timed!(query, filter, $finished_at);
        if lead == Lead::Error {
            query = query.filter(jobs::error.is_not_null());
        }
        if let Some(text) = filter.error {
            let pattern = pattern(&text.to_ascii_lowercase());
            query = match lead {
                // The literal keeps the statement out of the cache: how to find a text depends on the text.
                Lead::Any => query
                    .filter(sql::<Bool>("millstream_jobs.error IS NOT NULL"))
                    .filter(lower(jobs::error).like(pattern).escape('\\')),
                _ => query.filter(lower(unindexed(jobs::error, jobs::error)).like(pattern).escape('\\')),
            };
        }
        if let Some(tag) = filter.tag {
            let (name, job) = (MARKED.field(tags::tag), MARKED.field(tags::job_id));
            query = match lead {
                Lead::Any => query.filter(jobs::id.eq_any(MARKED.filter(name.eq(tag)).select(job))),
                _ => query.filter(exists(MARKED.filter(name.eq(tag)).filter(job.eq(jobs::id)).offset(0))),
            };
        }
        for (field, value) in filter.fields {
            let held = HELD
                .filter(HELD.field(fields::job_id).eq(jobs::id))
                .filter(HELD.field(fields::field).eq(field))
                .filter(HELD.field(fields::value).eq(value.to_column().unwrap_or_default()));
            query = match lead {
                Lead::Any => query.filter(exists(held)),
                _ => query.filter(exists(held.offset(0))),
            };
        }
        if let Some(dead) = filter.revived_from {
            query = query.filter(jobs::revived_from.eq(Id(dead)));
        }
        for span in filter.outside {
            query = match (span.from, span.until) {
                (Some(from), Some(until)) => {
                    query.filter(jobs::enqueued_at.lt(Time(from)).or(jobs::enqueued_at.ge(Time(until))))
                }
                (Some(from), None) => query.filter(jobs::enqueued_at.lt(Time(from))),
                (None, Some(until)) => query.filter(jobs::enqueued_at.ge(Time(until))),
                (None, None) => query,
            };
        }
        query
    }};
}
pub(super) use narrowed;

/// The rows of a narrowed query between two places, newest first: after the first, and up to the last, which is among them.
macro_rules! placed {
    ($query:expr, $after:expr, $last:expr, $finished_at:expr, $id:expr) => {{
        let mut query = $query;
        // The bounds on the time alone let the index start and end there.
        if let Some(Cursor { finished_at, id }) = $after {
            query = query
                .filter($finished_at.le(bound(finished_at)))
                .filter($finished_at.lt(bound(finished_at)).or($id.lt(Id(id))));
        }
        if let Some(Cursor { finished_at, id }) = $last {
            query = query
                .filter($finished_at.ge(bound(finished_at)))
                .filter($finished_at.gt(bound(finished_at)).or($id.ge(Id(id))));
        }
        query.order(($finished_at.desc(), $id.desc()))
    }};
}
pub(super) use placed;
