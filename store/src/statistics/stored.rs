//! The rows of `millstream_statistics`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Sketch;
use crate::{
    Error,
    schema::millstream_statistics,
    sql_types::{Id, Time},
};

/// Widths of buckets in seconds.
pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 3600;

/// What one row says of a bucket: part of it or all.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = millstream_statistics)]
pub(crate) struct StoredRow {
    pub(super) id: Id,
    pub(super) kind: String,
    pub(super) queue: String,
    pub(super) state: String,
    pub(super) seconds: i64,
    pub(super) bucket: Time,
    pub(super) runs: i64,
    pub(super) waits: Vec<u8>,
    pub(super) run_times: Vec<u8>,
    /// Whether it was made of others; those that the recorder writes were not.
    pub(super) folded: bool,
}

impl StoredRow {
    /// Its sketches of waits and run times.
    pub(super) fn sketches(&self) -> Result<(Sketch, Sketch), Error> {
        let read = |bytes: &[u8], what| {
            let unknown = || Error::Row { id: self.id.0, value: format!("an unknown form in {what}") };
            Sketch::from_bytes(bytes).ok_or_else(unknown)
        };
        Ok((read(&self.waits, "waits")?, read(&self.run_times, "run_times")?))
    }
}

/// The beginning of the bucket, of so many seconds since 1970, in which the time lies.
pub(super) fn floor(time: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    let since_1970 = time.timestamp();
    DateTime::from_timestamp(since_1970 - since_1970.rem_euclid(seconds), 0).unwrap_or(time)
}
