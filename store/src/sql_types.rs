//! Column types that mean the same on both databases, so that one schema and one query serve both.

use std::{fmt, io::Write};

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    query_builder::QueryId,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{Binary, SqlType, Text, Timestamptz},
    sqlite::Sqlite,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id: `uuid` on Postgres, 16 bytes of `BLOB` on SQLite; both order by byte.
#[derive(SqlType, QueryId)]
#[diesel(postgres_type(oid = 2950, array_oid = 2951))]
#[diesel(sqlite_type(name = "Binary"))]
pub struct DbUuid;

/// A time in UTC to the microsecond: `timestamptz` on Postgres, `TEXT` of fixed width on SQLite, which sorts by time and
/// which SQLite's date functions read.
#[derive(SqlType, QueryId)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Text"))]
pub struct DbTime;

/// A JSON document: `jsonb` on Postgres, `TEXT` on SQLite.
#[derive(SqlType, QueryId)]
#[diesel(postgres_type(oid = 3802, array_oid = 3807))]
#[diesel(sqlite_type(name = "Text"))]
pub struct DbJson;

/// An id as models hold it: in a column, in an expression, in JSON and in a URL.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[diesel(sql_type = DbUuid)]
#[serde(transparent)]
pub struct Id(pub Uuid);

impl Id {
    /// A new one, a UUIDv7: those made later are greater.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time as models hold it, kept to the microsecond.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[diesel(sql_type = DbTime)]
#[serde(transparent)]
pub struct Time(pub DateTime<Utc>);

impl Time {
    /// Now, cut to the microsecond so that it reads back as the same.
    #[must_use]
    pub fn now() -> Self {
        Self(crate::fit::time(Utc::now()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// A JSON document as models hold it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = DbJson)]
#[serde(transparent)]
pub struct Json(pub serde_json::Value);

/// The text of a JSON document.
#[derive(Clone, Debug, FromSqlRow)]
pub(crate) struct JsonText(pub(crate) String);

/// SQLite's form of a [`DbTime`].
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

impl ToSql<DbUuid, Pg> for Uuid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<DbUuid, Pg> for Uuid {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Uuid::from_slice(value.as_bytes())?)
    }
}

impl ToSql<DbUuid, Sqlite> for Uuid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}

impl FromSql<DbUuid, Sqlite> for Uuid {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
        Ok(Uuid::from_slice(&bytes)?)
    }
}

impl ToSql<DbTime, Pg> for DateTime<Utc> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<Timestamptz, Pg>::to_sql(self, out)
    }
}

impl FromSql<DbTime, Pg> for DateTime<Utc> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        FromSql::<Timestamptz, Pg>::from_sql(value)
    }
}

impl ToSql<DbTime, Sqlite> for DateTime<Utc> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(text(self));
        Ok(IsNull::No)
    }
}

/// The time by [`TIME`]; directly for the years in which that has four digits, since a recorder makes five of each outcome.
fn text(time: &DateTime<Utc>) -> String {
    if !(0..=9999).contains(&time.year()) {
        return time.format(TIME).to_string();
    }
    let (date, clock, micros) = (time.date_naive(), time.time(), time.timestamp_subsec_micros());
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    for (place, digits, number) in [
        (0, 4, date.year().unsigned_abs()),
        (5, 2, date.month()),
        (8, 2, date.day()),
        (11, 2, clock.hour()),
        (14, 2, clock.minute()),
        (17, 2, clock.second()),
        (20, 6, micros),
    ] {
        let mut rest = number;
        for digit in text[place..place + digits].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

impl FromSql<DbTime, Sqlite> for DateTime<Utc> {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
        Ok(DateTime::parse_from_rfc3339(&text)?.to_utc())
    }
}

impl FromSql<DbJson, Pg> for JsonText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // The wire form of jsonb is a version number before the text.
        match value.as_bytes().split_first() {
            Some((1, text)) => Ok(JsonText(String::from_utf8(text.to_vec())?)),
            _ => Err("unknown jsonb encoding".into()),
        }
    }
}

impl FromSql<DbJson, Sqlite> for JsonText {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        <String as FromSql<Text, Sqlite>>::from_sql(value).map(JsonText)
    }
}

impl<DB: Backend> ToSql<DbUuid, DB> for Id
where
    Uuid: ToSql<DbUuid, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB: Backend> ToSql<DbTime, DB> for Time
where
    DateTime<Utc>: ToSql<DbTime, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB: Backend> FromSql<DbUuid, DB> for Id
where
    Uuid: FromSql<DbUuid, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Uuid::from_sql(value).map(Self)
    }
}

impl<DB: Backend> FromSql<DbTime, DB> for Time
where
    DateTime<Utc>: FromSql<DbTime, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        DateTime::from_sql(value).map(Self)
    }
}

impl<DB: Backend> FromSql<DbJson, DB> for Json
where
    JsonText: FromSql<DbJson, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let JsonText(text) = JsonText::from_sql(value)?;
        Ok(Self(serde_json::from_str(&text)?))
    }
}

impl ToSql<DbJson, Pg> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[1])?; // the version of jsonb's wire form
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

impl ToSql<DbJson, Sqlite> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(serde_json::to_string(&self.0)?);
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel::sql_types::{HasSqlType, Jsonb};

    #[test]
    fn a_time_on_sqlite_has_a_fixed_width() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999] {
            let time = DateTime::from_timestamp_micros(micros).expect("in range");
            assert_eq!((text(&time), text(&time).len()), (time.format(TIME).to_string(), 27));
        }
    }

    #[test]
    fn the_types_are_postgres_own() {
        fn same<A, B>()
        where
            Pg: HasSqlType<A> + HasSqlType<B>,
        {
            struct NoLookup;
            impl diesel::pg::PgMetadataLookup for NoLookup {
                fn lookup_type(&mut self, name: &str, _: Option<&str>) -> diesel::pg::PgTypeMetadata {
                    panic!("{name} is looked up by name")
                }
            }
            let a = <Pg as HasSqlType<A>>::metadata(&mut NoLookup);
            let b = <Pg as HasSqlType<B>>::metadata(&mut NoLookup);
            assert_eq!(a.oid().ok(), b.oid().ok());
            assert_eq!(a.array_oid().ok(), b.array_oid().ok());
        }
        same::<DbUuid, diesel::sql_types::Uuid>();
        same::<DbTime, Timestamptz>();
        same::<DbJson, Jsonb>();
    }
}
