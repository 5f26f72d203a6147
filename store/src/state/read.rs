//! What is read back: values and their kept versions.

use std::{future::IntoFuture, marker::PhantomData, panic::Location, pin::Pin};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::de::DeserializeOwned;

use crate::{
    Conn, Data, Error, Time,
    data::work,
    on_conn,
    schema::{millstream_state as s, millstream_state_history as h},
};

/// Most versions of a key that are kept and listed.
pub(super) const VERSIONS: u32 = 1000;

/// A row of the table.
#[derive(Clone, Debug, Queryable)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) version: i64,
    pub(super) value: Option<String>,
    pub(super) expires_at: Option<Time>,
    pub(super) updated_at: Time,
}

impl Row {
    pub(super) fn is_there(&self, now: Time) -> bool {
        self.value.is_some() && self.expires_at.is_none_or(|end| end > now)
    }

    pub(super) fn entry<T: DeserializeOwned>(self, scope: &str) -> Result<Entry<T>, Error> {
        let value = decode(scope, &self.key, self.value.as_deref().unwrap_or_default())?;
        let Self { key, version, expires_at, updated_at, .. } = self;
        Ok(Entry { key, value, version, expires_at, updated_at })
    }
}

/// A value as it was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry<T> {
    /// The key.
    pub key: String,
    /// The value.
    pub value: T,
    /// Rises with each write, is never used again for this key, and has gaps.
    pub version: i64,
    /// When it reads as absent.
    pub expires_at: Option<Time>,
    /// When it was written.
    pub updated_at: Time,
}

/// A kept version of a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Version<T> {
    /// Its number.
    pub version: i64,
    /// The value; none where this was a deletion.
    pub value: Option<T>,
    /// When it was written.
    pub written_at: Time,
}

pub(super) async fn find(conn: &mut Conn, scope: &str, key: &str) -> Result<Option<Row>, Error> {
    on_conn!(conn, |conn: Db| {
        let row = s::table.find((scope, key)).select((s::key, s::version, s::value, s::expires_at, s::updated_at));
        row.first::<Row>(conn).await.optional()
    })
    .await
}

pub(super) fn decode<T: DeserializeOwned>(scope: &str, key: &str, json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::StateDecode {
        scope: scope.to_owned(),
        key: key.to_owned(),
        name: std::any::type_name::<T>(),
        reason: error.to_string(),
    })
}

/// The kept versions of a key; `.await` gives them, newest first.
#[derive(Debug)]
#[must_use = "nothing is read until awaited"]
pub struct Versions<'d, D, T> {
    data: &'d D,
    names: Result<(String, String), Error>,
    before: i64,
    limit: u32,
    place: &'static Location<'static>,
    value: PhantomData<fn() -> T>,
}

impl<'d, D, T> Versions<'d, D, T> {
    pub(super) fn new(data: &'d D, names: Result<(String, String), Error>, place: &'static Location<'static>) -> Self {
        Self { data, names, before: i64::MAX, limit: 50, place, value: PhantomData }
    }

    /// Only those older than this one: the last of the page before.
    pub fn before(mut self, version: i64) -> Self {
        self.before = version;
        self
    }

    /// Most that are given, 1 to 1,000. Default: 50.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, VERSIONS);
        self
    }
}

impl<'d, D: Data, T: DeserializeOwned + Send + 'd> IntoFuture for Versions<'d, D, T> {
    type Output = Result<Vec<Version<T>>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'd>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { data, names, before, limit, place, .. } = self;
        Box::pin(async move {
            let (scope, key) = names?;
            let (in_scope, of_key) = (scope.clone(), key.clone());
            let read = work(move |conn| {
                Box::pin(async move {
                    on_conn!(conn, |conn: Db| {
                        h::table
                            .filter(h::scope.eq(in_scope).and(h::key.eq(of_key)).and(h::version.lt(before)))
                            .order(h::version.desc())
                            .limit(limit.into())
                            .select((h::version, h::value, h::written_at))
                            .load::<(i64, Option<String>, Time)>(conn)
                            .await
                    })
                    .await
                })
            });
            let rows = data.run(false, place, read).await?;
            let version = |(version, value, written_at): (i64, Option<String>, Time)| {
                let value = value.map(|json| decode(&scope, &key, &json)).transpose()?;
                Ok(Version { version, value, written_at })
            };
            rows.into_iter().map(version).collect()
        })
    }
}
