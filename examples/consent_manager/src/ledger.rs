//! The ledger: its tables, and who has granted what.

use diesel::prelude::*;
use millstream_store::{Data, Id, List, Migrator, Op, Store, Time, model};
use serde::Serialize;

use crate::{
    Action, ConsentError, Record,
    schema::{MIGRATIONS, consents},
    statement::{check_purpose, check_subject},
};

/// Consents in a database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
}

/// The present state of one subject's consent to one purpose: the last record about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = consents, primary_key(seq))]
pub struct Consent {
    /// The record's place in the chain.
    pub seq: i64,
    /// The record's id.
    pub id: Id,
    /// Whose consent it is.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// The version of the text that was agreed to.
    pub version: i64,
    /// Whether it is granted.
    pub action: Action,
    /// Since when.
    pub at: Time,
}

model! {
    Consent in consents {
        key: seq as i64,
        filters: { subject: text, purpose: text, version: int, action: text, at: time },
        sorts: { at as Time, subject as String },
    }
}

impl Ledger {
    /// The ledger of this database, whose tables are made or brought up to date.
    ///
    /// # Errors
    /// [`ConsentError::Store`].
    pub async fn open(store: Store) -> Result<Self, ConsentError> {
        Self::migrator(&store).up().await?;
        Ok(Self { store })
    }

    /// What makes, shows and takes back the tables of this ledger, beside those of Millstream.
    pub fn migrator(store: &Store) -> Migrator {
        store.migrator().with(MIGRATIONS)
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether `subject` agrees to `purpose` now. Ask this before every use of what the consent is for.
    ///
    /// # Errors
    /// [`ConsentError::NotFound`] where the subject never said anything about it, [`ConsentError::Invalid`],
    /// [`ConsentError::Store`].
    pub async fn consent(&self, subject: &str, purpose: &str) -> Result<Consent, ConsentError> {
        check_subject(subject)?;
        check_purpose(purpose)?;
        let found = present(&self.store, subject, purpose).await?;
        found.ok_or_else(|| ConsentError::NotFound(format!("record of {subject:?} about {purpose:?}")))
    }

    /// The record with this id.
    ///
    /// # Errors
    /// [`ConsentError::NotFound`], [`ConsentError::Store`].
    pub async fn record(&self, id: Id) -> Result<Record, ConsentError> {
        record(&self.store, id).await?.ok_or_else(|| ConsentError::NotFound(format!("record {id}")))
    }
}

/// The last record about this, if there is one.
pub(crate) async fn present(data: &impl Data, subject: &str, purpose: &str) -> Result<Option<Consent>, ConsentError> {
    let list = List::new().filter("subject", Op::Eq, subject).filter("purpose", Op::Eq, purpose).limit(1);
    Ok(data.list::<Consent>(list).await?.rows.pop())
}

pub(crate) async fn record(data: &impl Data, id: Id) -> Result<Option<Record>, ConsentError> {
    Ok(data.list::<Record>(List::new().filter("id", Op::Eq, id).limit(1)).await?.rows.pop())
}
