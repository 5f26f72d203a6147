use diesel::prelude::*;
use millstream_store::{Id, Time, model};
use serde::{Deserialize, Serialize};

use crate::{CrmError, Record, Reference, check, schema::companies};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = companies, treat_none_as_null = true)]
pub struct Company {
    pub id: Id,
    pub version: i64,
    /// No other has it.
    pub name: String,
    pub domain: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(skip)]
    pub deleted_at: Option<Time>,
}

model! {
    Company in companies {
        key: id as Id,
        version: version,
        created: created_at,
        updated: updated_at,
        deleted: deleted_at,
        filters: { id: id, name: text, domain: text, created_at: time },
        sorts: { name as String, created_at as Time },
        search: { name, domain },
    }
}

/// What is said of a company.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyFields {
    pub name: String,
    pub domain: Option<String>,
}

impl Record for Company {
    const NAME: &'static str = "company";
    const TAKEN: &'static str = "another company has this name";
    type Fields = CompanyFields;

    fn blank(id: Id) -> Self {
        Self { id, ..Self::default() }
    }

    fn set(&mut self, fields: CompanyFields) -> Result<(), CrmError> {
        self.name = check::text("name", &fields.name, 200).map_err(CrmError::Invalid)?;
        self.domain = check::optional("domain", fields.domain.as_deref(), 253).map_err(CrmError::Invalid)?;
        Ok(())
    }

    fn refers_to(&self) -> Vec<Reference> {
        Vec::new()
    }
}
