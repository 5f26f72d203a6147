//! What contacts, companies and deals have in common: how they are made, changed and deleted.

use diesel::result::{DatabaseErrorKind, Error as Diesel};
use millstream_store::{Data, Error, Id, Model, Store, Tx};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Company, Contact, CrmError};

/// A row that people write, with a version that guards it.
pub trait Record: Model<Key = Id> + Serialize {
    const NAME: &'static str;
    /// What to say where a unique column has the value already.
    const TAKEN: &'static str;
    /// What is said of it from outside.
    type Fields: Clone + DeserializeOwned + Send + Sync + 'static;

    fn blank(id: Id) -> Self;
    /// Takes over what is said of it; [`CrmError::Invalid`] where that can't be.
    fn set(&mut self, fields: Self::Fields) -> Result<(), CrmError>;
    /// The rows that must be there, and not deleted, when it is written.
    fn refers_to(&self) -> Vec<Reference>;
}

/// A row that another one points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Company(Id),
    Contact(Id),
}

/// Inserts a new row.
pub async fn create<M: Record>(store: &Store, fields: M::Fields) -> Result<M, CrmError> {
    let mut row = M::blank(Id::new());
    row.set(fields)?;
    let created = store.transaction(async move |tx| {
        check_references(&tx, row.refers_to()).await?;
        Ok(tx.insert(&row).await?)
    });
    created.await.map_err(taken::<M>)
}

/// Changes the row if it still has this version; otherwise [`CrmError::Stale`] with the current one.
pub async fn change<M: Record>(store: &Store, id: Uuid, version: i64, fields: M::Fields) -> Result<M, CrmError> {
    let changed = store.transaction(async move |tx| {
        let mut row = tx.get::<M>(Id(id)).await?.ok_or_else(|| missing::<M>(id))?;
        if row.version() != version {
            let current = serde_json::to_value(&row).unwrap_or_default().into();
            return Err(CrmError::Stale { what: M::NAME, id: id.to_string(), version, current });
        }
        row.set(fields.clone())?;
        check_references(&tx, row.refers_to()).await?;
        Ok(tx.update(&row).await?)
    });
    changed.await.map_err(taken::<M>)
}

/// Deletes the row softly: lists and references know it no more, what pointed to it still does.
pub async fn remove<M: Record>(store: &Store, id: Uuid) -> Result<(), CrmError> {
    if store.delete::<M>(Id(id)).await? { Ok(()) } else { Err(missing::<M>(id)) }
}

async fn check_references(tx: &Tx, references: Vec<Reference>) -> Result<(), CrmError> {
    for reference in references {
        let (name, id, is_there) = match reference {
            Reference::Company(id) => (Company::NAME, id, tx.get::<Company>(id).await?.is_some()),
            Reference::Contact(id) => (Contact::NAME, id, tx.get::<Contact>(id).await?.is_some()),
        };
        if !is_there {
            return Err(CrmError::Invalid(format!("there is no {name} {id}")));
        }
    }
    Ok(())
}

fn missing<M: Record>(id: Uuid) -> CrmError {
    CrmError::Missing { what: M::NAME, id: id.to_string() }
}

fn taken<M: Record>(error: CrmError) -> CrmError {
    if is_taken(&error) { CrmError::Taken(M::TAKEN) } else { error }
}

/// Whether a unique index refused the write.
pub(crate) fn is_taken(error: &CrmError) -> bool {
    let CrmError::Store(Error::Query(Diesel::DatabaseError(kind, _))) = error else { return false };
    matches!(kind, DatabaseErrorKind::UniqueViolation)
}
