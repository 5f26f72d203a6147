//! Texts of errors: few rows are found by their trigrams, many are met along the index of failed rows.

use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;

use crate::{Error, Store, store::Backend};

/// How many rows of SQLite's index of trigrams are few enough to be put in order. Postgres weighs it by its statistics.
const FEW: i64 = 2000;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// What to ask SQLite's index of trigrams for, where it has few rows with the text; none where it has many, or can't tell.
pub(super) async fn rare(store: &Store, text: &str) -> Result<Option<String>, Error> {
    if !matches!(store.backend(), Backend::Sqlite(_)) || text.chars().count() < 3 {
        return Ok(None);
    }
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let asked = phrase.clone();
    let found: Count = with_conn!(store, read conn: Db => {
        let count = format!(
            "SELECT count(*) AS count FROM \
             (SELECT rowid FROM millstream_error_text WHERE millstream_error_text MATCH ? LIMIT {})",
            FEW + 1
        );
        sql_query(count).bind::<Text, _>(asked).get_result(conn).await
    })?;
    Ok((found.count <= FEW).then_some(phrase))
}
