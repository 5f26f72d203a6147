use std::collections::BTreeSet;

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::Pg,
    serialize::{self, Output, ToSql},
    sqlite::Sqlite,
};
use millstream_store::{Id, Json, sql_types::DbJson};
use serde::{Deserialize, Serialize};

/// Lessons, each once; a JSON array of their ids in the database and over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = DbJson)]
#[serde(transparent)]
pub struct LessonSet(pub BTreeSet<Id>);

impl LessonSet {
    fn json(&self) -> Json {
        Json(self.0.iter().map(Id::to_string).collect())
    }
}

impl<DB: Backend> FromSql<DbJson, DB> for LessonSet
where
    Json: FromSql<DbJson, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(serde_json::from_value(Json::from_sql(value)?.0)?)
    }
}

impl ToSql<DbJson, Pg> for LessonSet {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<DbJson, Pg>::to_sql(&self.json(), &mut out.reborrow())
    }
}

impl ToSql<DbJson, Sqlite> for LessonSet {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.json().0.to_string());
        Ok(serialize::IsNull::No)
    }
}
