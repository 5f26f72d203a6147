//! Postgres' index of trigrams names all rows with a text before the first is read. So each partition is asked apart, for no
//! more than a few rows and for no longer than a moment.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tokio_postgres::{
    Client,
    error::SqlState,
    types::{ToSql, Type},
};

use super::{FEW, Few, Key, Span};
use crate::{Error, history::Cursor, postgres::Postgres};

const PARTITIONS: &str = include_str!("partitions.sql");
/// How many rows of one partition are few.
const FEW_OF_EACH: usize = 500;
/// More trigrams of a text don't make its rows fewer.
const TRIGRAMS: usize = 24;
/// Longest look into one partition.
const LOOK: Duration = Duration::from_millis(200);
/// No further partition is looked into after so long.
const LOOKS: Duration = Duration::from_millis(600);

/// The keys of rows that have all trigrams of the text, in the partitions in which they are few.
pub(super) async fn few(database: &Postgres, text: &str, after: Cursor) -> Result<Few, Error> {
    let (mut few, trigrams) = (Few::default(), trigrams(text));
    if trigrams.is_empty() {
        return Ok(few);
    }
    let (started, mut read) = (Instant::now(), 0);
    let mut client = database.raw().await?;
    for row in client.query_typed(PARTITIONS, &[]).await? {
        if read + FEW_OF_EACH >= FEW || started.elapsed() > LOOKS {
            break;
        }
        match look(&mut client, row.get(0), &trigrams, after).await {
            Ok(Some(keys)) => {
                read += keys.len();
                if keys.len() <= FEW_OF_EACH {
                    few.keys.extend(keys);
                    few.spans.push(Span { from: row.get(1), until: row.get(2) });
                }
            }
            Ok(None) => {}
            // Trigrams that are in most rows; the other partitions would take as long.
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => break,
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(few)
}

/// Rows of a partition with the trigrams, one more at most than are few; none where no failed row lies behind `after`. The
/// name is quoted where it must be, by Postgres.
///
/// Each trigram is a condition of its own: whoever is named by the index then fulfils them all, and the limit is one on the rows
/// that are read. With the text as one condition it would be read in vain from rows that have its trigrams elsewhere.
async fn look(
    client: &mut Client,
    partition: &str,
    trigrams: &[String],
    after: Cursor,
) -> Result<Option<Vec<Key>>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let settings = format!(
        "SET LOCAL statement_timeout = {}; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL jit = off",
        LOOK.as_millis()
    );
    transaction.batch_execute(&settings).await?;
    let any = format!("SELECT EXISTS (SELECT FROM ONLY {partition} WHERE error IS NOT NULL AND finished_at <= $1)");
    let any = transaction.query_typed(&any, &[(&after.finished_at, Type::TIMESTAMPTZ)]).await?;
    if !any[0].get::<_, bool>(0) {
        return Ok(None);
    }
    // Left are bitmaps, and only the index of trigrams makes one.
    transaction.batch_execute("SET LOCAL enable_bitmapscan = on; SET LOCAL enable_indexscan = off").await?;
    let mut found = format!("SELECT id, finished_at, enqueued_at FROM ONLY {partition} WHERE error IS NOT NULL");
    for number in 1..=trigrams.len() {
        found += &format!(" AND lower(error) LIKE ${number}");
    }
    found += &format!(" LIMIT {}", FEW_OF_EACH + 1);
    let values: Vec<(&(dyn ToSql + Sync), Type)> =
        trigrams.iter().map(|trigram| (trigram as &(dyn ToSql + Sync), Type::TEXT)).collect();
    let found = transaction.query_typed(&found, &values).await?;
    let key = |row: &tokio_postgres::Row| Key {
        place: Cursor { id: row.get(0), finished_at: row.get(1) },
        enqueued_at: row.get(2),
    };
    Ok(Some(found.iter().map(key).collect()))
}

/// Patterns for trigrams of the text: three of the letters and digits in a row that are such in every locale.
fn trigrams(text: &str) -> Vec<String> {
    let text = text.to_ascii_lowercase();
    let words = text.as_bytes().split(|letter| !letter.is_ascii_alphanumeric());
    let all: BTreeSet<String> =
        words.flat_map(|word| word.windows(3)).map(|three| format!("%{}%", three.escape_ascii())).collect();
    all.into_iter().take(TRIGRAMS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigrams_are_three_letters_or_digits_in_a_row() {
        assert_eq!(trigrams("Disk 404->a disk"), ["%404%", "%dis%", "%isk%"]);
        for text in ["", "ms", "a b c", "---", "é à ü", "日本語の誤り", "%_\\"] {
            assert_eq!(trigrams(text), [""; 0], "{text}");
        }
        assert_eq!(trigrams(&"0123456789abcdefghijklmnopqrstuvwxyz".repeat(9)).len(), TRIGRAMS);
    }
}
