//! What a row of the recorder is in each table.

use diesel::{
    QueryResult,
    sql_types::{BigInt, Binary, Nullable, Text},
};

use super::{
    super::rows::Row,
    insert::{Bind, Values},
};
use crate::sql_types::{DbTime, DbUuid};

pub(super) struct Attempt<'r>(pub(super) &'r Row);

pub(super) struct Job<'r>(pub(super) &'r Row);

/// The job alone, for statements that look at its row.
pub(super) struct Id<'r>(pub(super) &'r Row);

/// The job and its searchable fields, for a statement that looks at its row.
pub(super) struct Fields<'r>(pub(super) &'r Row);

/// A tag of a job whose row shows what `row` says.
pub(super) struct Tag<'r> {
    pub(super) tag: String,
    pub(super) row: &'r Row,
}

/// A searchable field of such a job.
pub(super) struct Field<'r> {
    pub(super) field: String,
    pub(super) value: String,
    pub(super) row: &'r Row,
}

impl Bind for Attempt<'_> {
    fn bind<'b>(&'b self, values: &mut Values<'_, 'b>) -> QueryResult<()> {
        let Self(row) = self;
        values.add::<DbUuid, _>(&row.id)?;
        values.add::<BigInt, _>(&row.run)?;
        values.add::<BigInt, _>(&row.attempt)?;
        values.add::<BigInt, _>(&row.crash)?;
        values.add::<Text, _>(row.state.as_str())?;
        values.add::<Nullable<DbTime>, _>(&row.started_at)?;
        values.add::<DbTime, _>(&row.finished_at)?;
        values.add::<Nullable<DbTime>, _>(&row.next_at)?;
        values.add::<Text, _>(&row.worker)?;
        values.add::<Nullable<Text>, _>(&row.error)?;
        values.add::<Nullable<Text>, _>(&row.log)?;
        values.add::<Nullable<Text>, _>(&row.progress)
    }
}

impl Bind for Job<'_> {
    fn bind<'b>(&'b self, values: &mut Values<'_, 'b>) -> QueryResult<()> {
        let Self(row) = self;
        values.add::<DbUuid, _>(&row.id)?;
        values.add::<Text, _>(&*row.queue)?;
        values.add::<Text, _>(&row.kind)?;
        values.add::<BigInt, _>(&row.version)?;
        values.add::<Text, _>(row.lane.as_str())?;
        values.add::<Text, _>(row.state.as_str())?;
        values.add::<BigInt, _>(&row.attempt)?;
        values.add::<BigInt, _>(&row.run)?;
        values.add::<BigInt, _>(&row.crash)?;
        values.add::<DbTime, _>(&row.enqueued_at)?;
        values.add::<Nullable<DbTime>, _>(&row.first_started_at)?;
        values.add::<Nullable<DbTime>, _>(&row.started_at)?;
        values.add::<DbTime, _>(&row.finished_at)?;
        values.add::<Nullable<DbTime>, _>(&row.next_at)?;
        values.add::<Text, _>(&row.worker)?;
        values.add::<Nullable<Text>, _>(&row.error)?;
        values.add::<Nullable<Text>, _>(&row.content_type)?;
        values.add::<Nullable<Text>, _>(&row.payload.json)?;
        values.add::<Nullable<Binary>, _>(&row.payload.raw)?;
        values.add::<Nullable<Text>, _>(&row.result.json)?;
        values.add::<Nullable<Binary>, _>(&row.result.raw)?;
        values.add::<Nullable<Text>, _>(&row.tags)?;
        match row.trace_id() {
            Some(id) => values.add::<Text, _>(id)?,
            None => values.add::<Nullable<Text>, _>(&None::<String>)?,
        }
        values.add::<Nullable<Text>, _>(&row.progress)?;
        values.add::<Nullable<DbUuid>, _>(&row.revived_from)
    }
}

impl Bind for Id<'_> {
    fn bind<'b>(&'b self, values: &mut Values<'_, 'b>) -> QueryResult<()> {
        values.add::<DbUuid, _>(&self.0.id)
    }
}

impl Bind for Fields<'_> {
    fn bind<'b>(&'b self, values: &mut Values<'_, 'b>) -> QueryResult<()> {
        values.add::<DbUuid, _>(&self.0.id)?;
        values.add::<Nullable<Text>, _>(&self.0.fields)
    }
}

impl Bind for Tag<'_> {
    fn bind<'b>(&'b self, values: &mut Values<'_, 'b>) -> QueryResult<()> {
        values.add::<Text, _>(&self.tag)?;
        values.add::<DbUuid, _>(&self.row.id)?;
        values.add::<DbTime, _>(&self.row.finished_at)?;
        values.add::<DbTime, _>(&self.row.enqueued_at)
    }
}

impl Bind for Field<'_> {
    fn bind<'b>(&'b self, values: &mut Values<'_, 'b>) -> QueryResult<()> {
        values.add::<DbUuid, _>(&self.row.id)?;
        values.add::<Text, _>(&self.field)?;
        values.add::<Text, _>(&self.row.kind)?;
        values.add::<Text, _>(&self.value)?;
        values.add::<DbTime, _>(&self.row.finished_at)?;
        values.add::<DbTime, _>(&self.row.enqueued_at)
    }
}
