//! Texts of errors that few rows have, found by their trigrams.

mod postgres;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;

use super::Cursor;
use crate::{
    Error, Store,
    sql_types::{DbTime, DbUuid, Id, Time},
    store::Backend,
};

/// How many rows are few.
const FEW: usize = 5000;

const ON_SQLITE: &str = include_str!("few.sql");

/// The times at which a partition's jobs were enqueued: from the one, and before the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
}

/// Where a row is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) place: Cursor,
    pub(super) enqueued_at: DateTime<Utc>,
}

/// The rows with a text in the parts of the history in which they are few.
#[derive(Clone, Debug, Default)]
pub(super) struct Few {
    pub(super) keys: Vec<Key>,
    /// The parts, where they are not the whole history.
    pub(super) spans: Vec<Span>,
    pub(super) is_all: bool,
}

/// Looks for the text in bounded work. Nothing is found where it is in many rows everywhere, or is none that the index of trigrams
/// can find.
pub(super) async fn few(store: &Store, text: &str, after: Cursor) -> Result<Few, Error> {
    match store.backend() {
        Backend::Postgres(database) => match postgres::few(database, text, after).await {
            Ok(few) => Ok(few),
            Err(error) => Err(store.explain(error).await),
        },
        Backend::Sqlite(_) => on_sqlite(store, text).await,
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = DbUuid)]
    id: Id,
    #[diesel(sql_type = DbTime)]
    finished_at: Time,
    #[diesel(sql_type = DbTime)]
    enqueued_at: Time,
}

async fn on_sqlite(store: &Store, text: &str) -> Result<Few, Error> {
    // It has a trigram for each three letters in a row.
    if text.chars().count() < 3 {
        return Ok(Few::default());
    }
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let found: Vec<Found> = with_conn!(store, read conn: Db => {
        sql_query(ON_SQLITE).bind::<Text, _>(phrase).bind::<BigInt, _>(FEW as i64 + 1).load(conn).await
    })?;
    if found.len() > FEW {
        return Ok(Few::default());
    }
    let key = |found: Found| Key {
        place: Cursor { finished_at: found.finished_at.0, id: found.id.0 },
        enqueued_at: found.enqueued_at.0,
    };
    Ok(Few { keys: found.into_iter().map(key).collect(), spans: Vec::new(), is_all: true })
}
