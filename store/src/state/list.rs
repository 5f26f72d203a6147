//! Pages of a scope's values.

use std::{future::IntoFuture, marker::PhantomData, panic::Location, pin::Pin};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::de::DeserializeOwned;

use super::{
    name,
    read::{Entry, Row},
};
use crate::{Data, Error, Time, data::work, on_conn, schema::millstream_state as s};

/// Most values of a page.
const LIMIT: u32 = 1000;

/// A page of a scope's values, by key in the order of bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatePage<T> {
    /// The values.
    pub rows: Vec<Entry<T>>,
    /// What [`ListState::after`] takes for the next page; none on the last.
    pub next: Option<String>,
}

/// The values of a scope; `.await` gives a page.
#[derive(Debug)]
#[must_use = "nothing is read until awaited"]
pub struct ListState<'d, D, T> {
    data: &'d D,
    scope: String,
    prefix: String,
    after: String,
    limit: u32,
    place: &'static Location<'static>,
    value: PhantomData<fn() -> T>,
}

impl<'d, D, T> ListState<'d, D, T> {
    pub(super) fn new(data: &'d D, scope: String, place: &'static Location<'static>) -> Self {
        Self { data, scope, prefix: String::new(), after: String::new(), limit: 50, place, value: PhantomData }
    }

    /// Only keys that begin so.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Only keys behind this one: the `next` of the page before.
    pub fn after(mut self, key: impl Into<String>) -> Self {
        self.after = key.into();
        self
    }

    /// Most values of the page, 1 to 1,000. Default: 50.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, LIMIT);
        self
    }
}

impl<'d, D: Data, T: DeserializeOwned + Send + 'd> IntoFuture for ListState<'d, D, T> {
    type Output = Result<StatePage<T>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'd>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { data, scope, prefix, after, limit, place, .. } = self;
        Box::pin(async move {
            let in_scope = name("scope", &scope)?;
            for text in [&prefix, &after].into_iter().filter(|text| !text.is_empty()) {
                name("key", text)?;
            }
            let now = Time::now();
            let read = work(move |conn| {
                Box::pin(async move {
                    on_conn!(conn, |conn: Db| {
                        let mut rows = s::table
                            .filter(s::scope.eq(in_scope).and(s::value.is_not_null()).and(s::key.ge(prefix.clone())))
                            .filter(s::expires_at.is_null().or(s::expires_at.gt(now)))
                            .order(s::key)
                            .limit(i64::from(limit) + 1)
                            .select((s::key, s::version, s::value, s::expires_at, s::updated_at))
                            .into_boxed::<Db>();
                        if let Some(end) = successor(&prefix) {
                            rows = rows.filter(s::key.lt(end));
                        }
                        if !after.is_empty() {
                            rows = rows.filter(s::key.gt(after));
                        }
                        rows.load::<Row>(conn).await
                    })
                    .await
                })
            });
            let mut rows: Vec<Row> = data.run(false, place, read).await?;
            let more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let next = rows.last().filter(|_| more).map(|row| row.key.clone());
            let rows = rows.into_iter().map(|row| row.entry(&scope)).collect::<Result<_, _>>()?;
            Ok(StatePage { rows, next })
        })
    }
}

/// The least text behind all that begin with `prefix`; none where there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut letters: Vec<char> = prefix.chars().collect();
    while let Some(last) = letters.pop() {
        // Leaps over the surrogates, which are no letters.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_letter_does() {
        assert_eq!(successor("ab").as_deref(), Some("ac"));
        assert_eq!(successor("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(successor("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(successor("\u{10FFFF}"), None);
        assert_eq!(successor(""), None);
    }
}
