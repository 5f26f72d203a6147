//! Writing rows, whatever the rows are: a bad one is set aside, a missing database is told apart from it.

use std::{ops::Range, sync::Arc};

use tokio_postgres::error::SqlState;

use super::{postgres, rows::Row, sqlite};
use crate::{Error, Store, store::Backend};

/// A row that could be written in no form.
pub(super) struct Refused {
    pub(super) row: Row,
    pub(super) reason: String,
}

/// Writes the rows and returns those that the database refuses, each with its reason.
///
/// # Errors
/// Only where the database as a whole can't be written now: the same call later may succeed. Part of the rows may be
/// written then, which does no harm, since writing is idempotent.
pub(super) async fn write(store: &Store, rows: &Arc<[Row]>) -> Result<Vec<Refused>, Error> {
    let mut refused = Vec::new();
    // Halves of a refused range go back on the stack, until the bad row stands alone.
    let mut ranges: Vec<Range<usize>> = std::iter::once(0..rows.len()).filter(|all| !all.is_empty()).collect();
    while let Some(range) = ranges.pop() {
        match attempt(store, rows, range.clone()).await {
            Ok(()) => {}
            Err(error) if !blames_the_data(&error) => return Err(error),
            Err(_) if range.len() > 1 => {
                let middle = range.start + range.len() / 2;
                ranges.extend([middle..range.end, range.start..middle]);
            }
            Err(_) => {
                // The likeliest cause: a document that jsonb refuses for a reason not known here.
                let mut row = rows[range.start].clone();
                row.payload = std::mem::take(&mut row.payload).into_raw();
                row.result = std::mem::take(&mut row.result).into_raw();
                match attempt(store, &Arc::from([row]), 0..1).await {
                    Err(error) if blames_the_data(&error) => {
                        refused.push(Refused { row: rows[range.start].clone(), reason: error.to_string() });
                    }
                    other => other?,
                }
            }
        }
    }
    Ok(refused)
}

async fn attempt(store: &Store, rows: &Arc<[Row]>, range: Range<usize>) -> Result<(), Error> {
    let written = match store.backend() {
        Backend::Postgres(database) => postgres::write(database, &rows[range]).await,
        Backend::Sqlite(database) => sqlite::write(database.clone(), rows.clone(), range).await,
    };
    match written {
        Err(error) => Err(store.explain(error).await),
        Ok(()) => Ok(()),
    }
}

/// Whether the rows are at fault, and not the database or the way to it.
fn blames_the_data(error: &Error) -> bool {
    use diesel::result::{DatabaseErrorKind::*, Error as Diesel};
    match error {
        // Classes: 22 data exception, 23 integrity constraint, 54 program limit exceeded.
        Error::Postgres(error) => {
            let class = error.code().map(SqlState::code).and_then(|code| code.get(..2));
            matches!(class, Some("22" | "23" | "54"))
        }
        Error::Query(Diesel::DatabaseError(
            UniqueViolation | ForeignKeyViolation | NotNullViolation | CheckViolation,
            _,
        ))
        | Error::Query(Diesel::SerializationError(_)) => true,
        // SQLite's words for a row over its limits or of a type that a STRICT table refuses.
        Error::Query(Diesel::DatabaseError(Unknown, facts)) => {
            ["too big", "cannot store"].iter().any(|words| facts.message().contains(words))
        }
        _ => false,
    }
}
