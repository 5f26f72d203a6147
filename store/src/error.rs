//! What can go wrong between an application and its database.

use std::{error::Error as StdError, time::Duration};

use uuid::Uuid;

/// Every failure of this crate. Messages name the value that was wrong and what would be right; none holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL could not be used.
    #[error("the database URL {url} is refused: {reason}")]
    Url {
        /// The URL without its password.
        url: String,
        /// What was wrong with it and what would be right.
        reason: String,
    },
    /// A setting is missing, unknown or out of its bounds.
    #[error("{field}: {reason}")]
    Config {
        /// The field as it is named where it was read: `store.pool_size in app.toml`, `MILLSTREAM_STORE_POOL_SIZE`.
        field: String,
        /// What was wrong with it and what would be right.
        reason: String,
    },
    /// All connections of a pool stayed in use for too long.
    #[error(
        "all {size} connections of the pool `{pool}` stayed in use for {:.1} s: {holder}; return connections sooner, \
         take no second one while holding one, or raise the pool's size",
        waited.as_secs_f64()
    )]
    Exhausted {
        /// The pool.
        pool: &'static str,
        /// How many connections it has.
        size: u32,
        /// How long the caller waited.
        waited: Duration,
        /// Who has held one for the longest time.
        holder: String,
    },
    /// An operation of one database was asked of the other.
    #[error("{operation} needs a {needed} database, and this store is {database}")]
    WrongDatabase {
        /// What was asked for.
        operation: &'static str,
        /// `Postgres` or `SQLite`.
        needed: &'static str,
        /// The URL without its password.
        database: String,
    },
    /// No connection to the database, or none within the time for it.
    #[error("no connection to {database}: {reason}")]
    Unreachable {
        /// The URL without its password.
        database: String,
        /// The cause as the server or the system names it.
        reason: String,
    },
    /// The tables are not there, or are those of an older version.
    #[error(
        "the database lacks {pending} of Millstream's migrations: run `millstream migrate` or call Store::migrate first"
    )]
    NotMigrated {
        /// How many are not applied.
        pending: usize,
    },
    /// A migration failed; it was rolled back and those before it stay applied.
    #[error("migration {name} failed and was rolled back: {reason}")]
    Migration {
        /// Version and name of the migration.
        name: String,
        /// The database's reason.
        reason: String,
    },
    /// A migration that was applied is not the one that this program carries.
    #[error(
        "migration {name} was applied with other contents than this program's: restore the program or the database that fit"
    )]
    MigrationChanged {
        /// Version and name of the migration.
        name: String,
    },
    /// Someone else held the migration lock for too long.
    #[error("another process holds the migration lock: {reason}")]
    MigrationLock {
        /// What was waited for.
        reason: String,
    },
    /// A list was asked for with something that is not allowed.
    #[error("{parameter}: {reason}")]
    List {
        /// The parameter or column, cut at 64 characters.
        parameter: String,
        /// What was wrong with it and what would be right.
        reason: String,
    },
    /// A row that was to be changed is not there, or is deleted.
    #[error("there is no {key} in {table}")]
    NotFound {
        /// The table.
        table: &'static str,
        /// The key.
        key: String,
    },
    /// A row was changed by someone else since it was read.
    #[error("{key} in {table} is no longer version {version}: read it again and repeat the change")]
    Conflict {
        /// The table.
        table: &'static str,
        /// The key.
        key: String,
        /// The version that was read.
        version: i64,
    },
    /// A handle of a transaction was used after its end, or while a nested one ran.
    #[error("this transaction is over, or a nested one runs; use the innermost handle and don't keep it")]
    TransactionOver,
    /// A transaction in which a statement had failed was to be committed.
    #[error(
        "a statement of this transaction failed, so it was rolled back: return the error, or put what may fail into a \
         nested transaction"
    )]
    TransactionFailed,
    /// The outbox holds as many rows as may wait.
    #[error(
        "the outbox is full, so nothing was written: see that a relay runs and reaches Redis, or allow more with \
         Relay::most_waiting"
    )]
    OutboxFull,
    /// A text that is no cursor of this crate.
    #[error("{text:?} is no cursor; pass on the `next` of the page before")]
    Cursor {
        /// The text as it was given, cut at 64 characters.
        text: String,
    },
    /// The history can't be searched by this field.
    #[error("the history can't be searched by {field:?}: {reason}")]
    Unsearchable {
        /// The field, cut at 64 characters.
        field: String,
        /// What was wrong with it and what would be right.
        reason: String,
    },
    /// History doesn't have what was asked for.
    #[error("the history of job {id} has no {what}: its job type's HISTORY leaves it out, or it had none")]
    NotKept {
        /// The job.
        id: Uuid,
        /// `payload` or `result`.
        what: &'static str,
    },
    /// A kept payload or result could not be read as the type asked for.
    #[error("the {what} of job {id} can't be read as {name}: {reason}")]
    Decode {
        /// The job.
        id: Uuid,
        /// `payload` or `result`.
        what: &'static str,
        /// The expected type.
        name: &'static str,
        /// serde's reason, with the place.
        reason: String,
    },
    /// A row holds a value that this version does not know.
    #[error("row {id} holds {value}; was it written by a newer version?")]
    Row {
        /// The row.
        id: Uuid,
        /// Column and value.
        value: String,
    },
    /// What was set aside still can't be read or written.
    #[error("{id} in millstream_rejected stays there: {reason}")]
    Refused {
        /// Its id.
        id: Uuid,
        /// Why.
        reason: String,
    },
    /// The recorder needs attention.
    #[error("{problems}")]
    Unhealthy {
        /// One sentence each.
        problems: String,
    },
    /// A name, a value, a time or a token of the app state can't be taken; nothing was written.
    #[error("{what}: {reason}")]
    State {
        /// What was wrong: `scope`, `key`, `value`, `expiry`, `resource`, `token`.
        what: &'static str,
        /// Why, and what would be right.
        reason: String,
    },
    /// A value of the app state is not at the version that the write asked for; nothing was written.
    #[error(
        "{key} in {scope} is {}, not {}: read it again and repeat the change",
        at(*current), at(*wanted)
    )]
    StateConflict {
        /// The scope.
        scope: String,
        /// The key.
        key: String,
        /// The version that was asked for; none where there was to be no value.
        wanted: Option<i64>,
        /// The version it has; none where there is no value.
        current: Option<i64>,
    },
    /// A value of the app state could not be read as the type asked for.
    #[error("{key} in {scope} can't be read as {name}: {reason}")]
    StateDecode {
        /// The scope.
        scope: String,
        /// The key.
        key: String,
        /// The expected type.
        name: &'static str,
        /// serde's reason, with the place.
        reason: String,
    },
    /// Changes of this scope may have been missed.
    #[error("{scope} was not read for {:.0} s, and deletions may be forgotten by now: watch it anew", away.as_secs_f64())]
    WatchLost {
        /// The scope.
        scope: String,
        /// How long nothing was read.
        away: Duration,
    },
    /// The writer has lost its lock: a newer holder has written since. Nothing was written, and of a transaction nothing is kept,
    /// whatever becomes of this error inside it.
    #[error("{resource} was written under token {newest}, so a writer with token {token} is refused: its lock is lost")]
    Fenced {
        /// What the tokens guard.
        resource: String,
        /// The writer's token.
        token: u64,
        /// The newest one seen.
        newest: u64,
    },
    /// The database refused or failed a statement.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    /// Postgres refused or failed a statement on a raw connection.
    #[error("database: {}", chain(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// SQLite refused or failed a statement on a raw connection.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The Redis side of the recorder failed.
    #[error(transparent)]
    Queue(#[from] millstream_queue::Error),
}

fn at(version: Option<i64>) -> String {
    version.map_or_else(|| "absent".to_owned(), |version| format!("at version {version}"))
}

/// An error with all its causes in one line; tokio-postgres names only the outermost by itself.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
