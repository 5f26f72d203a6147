//! Imports of CSV files: a job each, that goes on where it was however often it is interrupted.
//!
//! Every batch is written in one transaction with the count of rows in [`Import`], so no row is written twice or left out.
//! The job's checkpoint only spares a new attempt reading the file from its beginning.

mod job;
mod rows;
mod run;
mod upload;
mod write;

use diesel::prelude::*;
use millstream_store::{Id, Time, model};
use serde::{Deserialize, Serialize};

pub use job::{App, ImportContacts, ask_for, ask_for_unfinished, begin, import_contacts};
pub use rows::Place;
pub use run::Run;
pub use upload::Uploads;

use crate::schema::{bad_rows, imports};

/// A file that is, or was, imported: its report.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Queryable, Selectable, Insertable, AsChangeset,
)]
#[diesel(table_name = imports, treat_none_as_null = true)]
pub struct Import {
    pub id: Id,
    pub version: i64,
    /// The file's name where it came from.
    pub file: String,
    pub bytes: i64,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: String,
    /// Rows that are dealt with: `imported` and `bad` ones.
    pub rows: i64,
    pub imported: i64,
    pub bad: i64,
    /// Why it failed.
    pub error: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    pub finished_at: Option<Time>,
}

model! {
    Import in imports {
        key: id as Id,
        version: version,
        created: created_at,
        updated: updated_at,
        filters: { id: id, file: text, state: text, created_at: time },
        sorts: { file as String, created_at as Time },
        search: { file },
    }
}

impl Import {
    pub fn is_over(&self) -> bool {
        self.finished_at.is_some()
    }

    fn ended(self, state: &str) -> Self {
        Self { state: state.into(), finished_at: Some(Time::now()), ..self }
    }
}

/// A row of a file that became no contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = bad_rows)]
pub struct BadRow {
    pub id: Id,
    pub import: Id,
    /// The first is 1, the header aside.
    pub number: i64,
    /// Where it begins in the file; the header is on line 1.
    pub line: i64,
    pub reason: String,
}

model! {
    BadRow in bad_rows {
        key: id as Id,
        filters: { import: id, number: int, line: int, reason: text },
        sorts: { line as i64 },
        search: { reason },
    }
}
