//! One write of a value, the same for putting, deleting and expiring.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;

use super::{
    fence,
    read::{Row, VERSIONS, find},
};
use crate::{
    Conn, Error, Isolation, Time,
    data::{AnyConn, TRIES, is_conflict, pause},
    on_conn,
    schema::{millstream_state as s, millstream_state_history as h},
};

/// What must be there for a write to be made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expects {
    Anything,
    Absent,
    Version(i64),
    /// This version, past its expiry; else nothing is done.
    Expired(i64),
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) scope: String,
    pub(super) key: String,
    /// JSON; none to delete.
    pub(super) value: Option<String>,
    pub(super) expires_at: Option<Time>,
    pub(super) expects: Expects,
    /// How many versions to keep in history.
    pub(super) keep: u32,
    pub(super) fence: Option<(String, u64)>,
}

impl Write {
    pub(super) fn new(scope: String, key: String, value: Option<String>, keep: u32) -> Self {
        Self { scope, key, value, expires_at: None, expects: Expects::Anything, keep, fence: None }
    }

    /// Whether to write, or to leave it since there is nothing to delete.
    fn allowed(&self, found: Option<&Row>, now: Time) -> Result<bool, Error> {
        let current = found.filter(|row| row.is_there(now)).map(|row| row.version);
        let conflict = |wanted| {
            let (scope, key) = (self.scope.clone(), self.key.clone());
            Err(Error::StateConflict { scope, key, wanted, current })
        };
        match self.expects {
            Expects::Absent if current.is_some() => conflict(None),
            Expects::Version(version) if current != Some(version) => conflict(Some(version)),
            Expects::Expired(version) => {
                Ok(current.is_none() && found.is_some_and(|row| row.version == version && row.value.is_some()))
            }
            _ => Ok(self.value.is_some() || current.is_some()),
        }
    }
}

/// Makes the write in the transaction that is open, or else in one of its own. The new version; none where there was nothing to
/// delete. Refusals come before the first write.
pub(super) async fn apply(conn: &mut Conn, write: &Write) -> Result<Option<i64>, Error> {
    if conn.depth() > 0 {
        return inside(conn, write).await;
    }
    let mut tried = 1;
    loop {
        let done = alone(conn, write).await;
        match done {
            Err(error) if tried < TRIES && is_conflict(&error) => tried += 1,
            done => return done,
        }
        tokio::time::sleep(pause(tried)).await;
    }
}

async fn alone(conn: &mut Conn, write: &Write) -> Result<Option<i64>, Error> {
    // What it reads is under its scope's lock, so one statement's view is enough.
    conn.open(Isolation::ReadCommitted).await?;
    let done = inside(conn, write).await;
    let ended = if done.is_ok() { conn.keep().await } else { conn.undo().await };
    let version = done?;
    ended?;
    Ok(version)
}

/// The order of locks is the same for all: first the fence's, then the scope's.
async fn inside(conn: &mut Conn, write: &Write) -> Result<Option<i64>, Error> {
    if let Some((resource, token)) = &write.fence {
        fence::admit(conn, resource, *token).await?;
    }
    lock(conn, &write.scope).await?;
    let now = Time::now();
    let found = find(conn, &write.scope, &write.key).await?;
    if !write.allowed(found.as_ref(), now)? {
        return Ok(None);
    }
    let version = next_version(conn).await?;
    let (scope, key, value) = (&write.scope, &write.key, &write.value);
    let row =
        || (s::version.eq(version), s::value.eq(value), s::expires_at.eq(write.expires_at), s::updated_at.eq(now));
    on_conn!(conn, |conn: Db| {
        diesel::insert_into(s::table)
            .values((s::scope.eq(scope), s::key.eq(key), row()))
            .on_conflict((s::scope, s::key))
            .do_update()
            .set(row())
            .execute(conn)
            .await
    })
    .await?;
    if write.keep > 0 {
        keep(conn, write, version, now).await?;
    }
    Ok(Some(version))
}

/// Until the transaction ends nobody else takes a version of this scope, so versions become visible in their order. SQLite has
/// one writer anyway.
async fn lock(conn: &mut Conn, scope: &str) -> Result<(), Error> {
    if let AnyConn::Postgres(conn) = conn.any() {
        sql_query("SELECT pg_advisory_xact_lock(hashtextextended('millstream_state ' || $1, 0))")
            .bind::<Text, _>(scope)
            .execute(conn)
            .await?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    next: i64,
}

async fn next_version(conn: &mut Conn) -> Result<i64, Error> {
    let number: Number = match conn.any() {
        AnyConn::Postgres(conn) => {
            sql_query("SELECT nextval('millstream_state_changes') AS next").get_result(conn).await?
        }
        AnyConn::Sqlite(conn) => {
            const NEXT: &str = "UPDATE millstream_state_changes SET last = last + 1 RETURNING last AS next";
            sql_query(NEXT).get_result(conn).await?
        }
    };
    Ok(number.next)
}

/// Keeps this version, and of the older ones as many as asked for.
async fn keep(conn: &mut Conn, write: &Write, version: i64, now: Time) -> Result<(), Error> {
    let (scope, key, value) = (&write.scope, &write.key, &write.value);
    let last = i64::from(write.keep.min(VERSIONS));
    on_conn!(conn, |conn: Db| {
        diesel::insert_into(h::table)
            .values((
                h::scope.eq(scope),
                h::key.eq(key),
                h::version.eq(version),
                h::value.eq(value),
                h::written_at.eq(now),
            ))
            .execute(conn)
            .await?;
        let kept = h::table.filter(h::scope.eq(scope).and(h::key.eq(key)));
        let too_old: Option<i64> =
            kept.order(h::version.desc()).offset(last).select(h::version).first(conn).await.optional()?;
        match too_old {
            Some(version) => diesel::delete(kept.filter(h::version.le(version))).execute(conn).await.map(drop),
            None => Ok(()),
        }
    })
    .await
}
