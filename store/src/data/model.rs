//! What an application says about a table once, and gets its operations for.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

use super::{Checked, Conn, FromValue, QueryFuture};
use crate::{Error, Id, Time};

/// A table's row type with its operations on both databases; [`model!`](crate::model) makes it. The operations are called
/// through [`Data`](crate::Data).
pub trait Model: Clone + Debug + Send + Sync + 'static {
    /// The type of the primary key.
    type Key: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The table's name.
    const TABLE: &'static str;
    /// The key's column.
    const KEY: &'static str;
    /// The columns that lists may be filtered by.
    const COLUMNS: &'static [Column];
    /// The columns that lists may be sorted by, besides the key.
    const SORTS: &'static [&'static str];
    /// The columns that a search looks into.
    const SEARCH: &'static [&'static str];
    /// The columns that can be summed up.
    const SUMS: &'static [&'static str];
    /// Whether a version guards updates.
    const VERSIONED: bool;
    /// Whether deleting keeps the row.
    const SOFT_DELETED: bool;

    /// The row's key.
    fn key(&self) -> Self::Key;
    /// The row's version, 0 without one.
    fn version(&self) -> i64;
    /// Sets version and times of a row that is about to be written.
    #[doc(hidden)]
    fn stamp(&mut self, version: i64, now: Time, is_new: bool);
    /// Keeps what an existing row must not lose.
    #[doc(hidden)]
    fn inherit(&mut self, existing: &Self);
    #[doc(hidden)]
    fn insert_all(conn: &mut Conn, rows: Vec<Self>) -> QueryFuture<'_, usize>;
    #[doc(hidden)]
    fn insert_missing(conn: &mut Conn, row: Self) -> QueryFuture<'_, usize>;
    #[doc(hidden)]
    fn find(conn: &mut Conn, key: Self::Key, deleted: bool) -> QueryFuture<'_, Option<Self>>;
    #[doc(hidden)]
    fn replace(conn: &mut Conn, row: Self, version: i64) -> QueryFuture<'_, usize>;
    #[doc(hidden)]
    fn mark_deleted(conn: &mut Conn, key: Self::Key, now: Time) -> QueryFuture<'_, usize>;
    #[doc(hidden)]
    fn erase(conn: &mut Conn, key: Self::Key) -> QueryFuture<'_, usize>;
    #[doc(hidden)]
    fn select(conn: &mut Conn, list: Checked) -> QueryFuture<'_, Vec<Self>>;
    #[doc(hidden)]
    fn count(conn: &mut Conn, list: Checked) -> QueryFuture<'_, i64>;
    #[doc(hidden)]
    fn summary<'c>(conn: &'c mut Conn, list: Checked, column: &'static str) -> QueryFuture<'c, Summary>;
    #[doc(hidden)]
    fn cursor(&self, list: &Checked) -> Option<String>;
    #[doc(hidden)]
    fn read_cursor(list: &Checked, text: &str) -> Result<String, Error>;
}

/// A column that may be named from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds, which decides how a value for it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(non_camel_case_types, reason = "the names of the macro's list")]
pub enum Kind {
    /// `Text`.
    text,
    /// `BigInt`.
    int,
    /// `Integer`.
    int32,
    /// `Double`.
    real,
    /// `Bool`.
    bool,
    /// `DbUuid`.
    id,
    /// `DbTime`.
    time,
}

impl Column {
    #[doc(hidden)]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    pub(super) fn is_text(&self) -> bool {
        self.kind == Kind::text
    }

    pub(super) fn check(&self, value: &str) -> Result<(), &'static str> {
        match self.kind {
            Kind::text => String::from_value(value).map(drop),
            Kind::int => i64::from_value(value).map(drop),
            Kind::int32 => i32::from_value(value).map(drop),
            Kind::real => f64::from_value(value).map(drop),
            Kind::bool => bool::from_value(value).map(drop),
            Kind::id => Id::from_value(value).map(drop),
            Kind::time => Time::from_value(value).map(drop),
        }
    }
}

/// A column of whole numbers summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// How many rows have a value.
    pub count: i64,
    /// Their sum; none without rows. One beyond 64 bits is an error of the database.
    pub sum: Option<i64>,
    /// The least.
    pub min: Option<i64>,
    /// The greatest.
    pub max: Option<i64>,
}

impl Summary {
    #[doc(hidden)]
    pub fn new((count, sum, min, max): (i64, Option<i64>, Option<i64>, Option<i64>)) -> Self {
        Self { count, sum, min, max }
    }

    /// The mean; none without rows.
    pub fn mean(&self) -> Option<f64> {
        self.sum.filter(|_| self.count > 0).map(|sum| sum as f64 / self.count as f64)
    }
}
