use diesel::prelude::*;
use millstream_store::{Id, Time, model};
use serde::{Deserialize, Serialize};

use crate::{CrmError, Record, Reference, check, schema::contacts};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = contacts, treat_none_as_null = true)]
pub struct Contact {
    pub id: Id,
    pub version: i64,
    pub name: String,
    /// In lower case. No other has it.
    pub email: String,
    pub phone: Option<String>,
    pub company: Option<Id>,
    /// The import that brought it, and the row it was.
    pub import: Option<Id>,
    pub import_row: Option<i64>,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(skip)]
    pub deleted_at: Option<Time>,
}

model! {
    Contact in contacts {
        key: id as Id,
        version: version,
        created: created_at,
        updated: updated_at,
        deleted: deleted_at,
        filters: { id: id, name: text, email: text, company: id, import: id, created_at: time },
        sorts: { name as String, email as String, created_at as Time },
        search: { name, email, phone },
    }
}

/// What is said of a contact.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactFields {
    pub name: String,
    pub email: String,
    pub phone: Option<String>,
    pub company: Option<Id>,
}

impl Record for Contact {
    const NAME: &'static str = "contact";
    const TAKEN: &'static str = "another contact has this email";
    type Fields = ContactFields;

    fn blank(id: Id) -> Self {
        Self { id, ..Self::default() }
    }

    fn set(&mut self, fields: ContactFields) -> Result<(), CrmError> {
        self.name = check::text("name", &fields.name, 200).map_err(CrmError::Invalid)?;
        self.email = check::email(&fields.email).map_err(CrmError::Invalid)?;
        self.phone = check::optional("phone", fields.phone.as_deref(), 40).map_err(CrmError::Invalid)?;
        self.company = fields.company;
        Ok(())
    }

    fn refers_to(&self) -> Vec<Reference> {
        self.company.map(Reference::Company).into_iter().collect()
    }
}
