//! Texts of errors: few rows are found by their trigrams, many are met along the index of failed rows.

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, prelude::*, sql_query, sql_types::Text};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

use super::{
    Cursor, Filter,
    order::{InOrder, in_order},
};
use crate::{Error, Store, schema::millstream_jobs as jobs, sql_types::Time};

/// How many rows of SQLite's index of trigrams are few enough to be put in order, and how many of the newest failed rows are
/// looked through on Postgres, whose index of trigrams can't tell before it has found all.
const FEW: i64 = 2000;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// Whether a text has any: it has one for each three letters in a row.
pub(super) fn has_trigrams(text: &str) -> bool {
    text.chars().count() >= 3
}

/// When the last of the newest failed rows that are to be looked through ended; none where there are no more.
pub(super) async fn newest_from(
    store: &Store,
    filter: &Filter,
    after: Option<Cursor>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let (since, until) = (filter.since, filter.until);
    let last: Option<Time> = with_conn!(store, read conn: Db => {
        let mut query = jobs::table.filter(jobs::error.is_not_null()).select(jobs::finished_at).into_boxed::<Db>();
        if let Some(since) = since {
            query = query.filter(jobs::finished_at.ge(Time(since)));
        }
        if let Some(until) = until {
            query = query.filter(jobs::finished_at.lt(Time(until)));
        }
        if let Some(Cursor { finished_at, .. }) = after {
            query = query.filter(jobs::finished_at.le(Time(finished_at)));
        }
        let query = query.order((jobs::finished_at.desc(), jobs::id.desc())).offset(FEW).limit(1);
        in_order!(true, Db, conn => query.first(conn).await.optional())
    })?;
    Ok(last.map(|Time(time)| time))
}

/// What to ask SQLite's index of trigrams for, where it has few rows with the text; none where it has many, or can't tell.
pub(super) async fn rare(store: &Store, text: &str) -> Result<Option<String>, Error> {
    if !has_trigrams(text) {
        return Ok(None);
    }
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let asked = phrase.clone();
    let found: Count = with_conn!(store, read conn: Db => {
        let count = format!(
            "SELECT count(*) AS count FROM \
             (SELECT rowid FROM millstream_error_text WHERE millstream_error_text MATCH ? LIMIT {})",
            FEW + 1
        );
        sql_query(count).bind::<Text, _>(asked).get_result(conn).await
    })?;
    Ok((found.count <= FEW).then_some(phrase))
}
