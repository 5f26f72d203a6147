//! The next batch, read while the one before is sent. So are the rows deleted that arrived with the one before that; until then
//! they are written down as arrived.
//!
//! What was read ahead is as good as what would be read when it is written down: a row of some order key is seen only with all
//! earlier ones of that key, and only the relay that strikes out a target's batch deletes rows of it.

use std::{
    mem,
    time::{Duration, Instant},
};

use chrono::DateTime;
use diesel::{sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;
use futures::{TryStreamExt, pin_mut};
use millstream_queue::{OutboxBatch, Target};
use tokio_postgres::types::Type;

use super::{
    batch::{BYTES, Batch, Packer, ROWS},
    members::{Members, OnItsWay},
    row::{RowRef, Waiting},
};
use crate::{Data, Error, RawPostgres, Store, query};

/// Reads the batches of a target, each behind the one before, as long as nothing is out of the ordinary.
pub(super) struct Ahead<'s> {
    store: &'s Store,
    packer: &'s Packer,
    postgres: Option<RawPostgres>,
    /// Rows that have arrived and are written down as such.
    arrived: Members,
    floor: Floor,
}

/// The number up to which every row was read, those too whose transactions committed late.
#[derive(Debug, Default)]
struct Floor {
    seq: i64,
    /// A number up to which every row was read that a snapshot showed, and the first transaction that had not begun then.
    next: Option<(i64, i64)>,
}

impl Floor {
    /// After a read up to the row `last`, when all transactions before `oldest` had ended and `newest` had not begun. A
    /// transaction begins before it draws a number, so below the number of `next` nothing appears once those have ended that
    /// had begun then.
    fn raise(&mut self, last: i64, oldest: i64, newest: i64) {
        match self.next {
            Some((_, begun)) if oldest < begun => return,
            Some((seq, _)) => self.seq = self.seq.max(seq.min(last)),
            None => {}
        }
        self.next = Some((last, newest));
    }
}

/// A batch that is being filled with rows as a driver lends them.
struct Filling {
    packed: OutboxBatch,
    seqs: Vec<i64>,
    bytes: usize,
    has_bad: bool,
    /// Of the snapshot that showed them: the oldest transaction that had not ended, and the first that had not begun.
    snapshot: Option<(i64, i64)>,
}

impl Filling {
    fn add(&mut self, seq: i64, row: &RowRef<'_>) {
        self.has_bad |= row.add_to(&mut self.packed).is_err();
        self.seqs.push(seq);
        self.bytes += row.body.len();
    }

    fn takes_more(&self) -> bool {
        self.bytes < BYTES && !self.has_bad
    }
}

impl<'s> Ahead<'s> {
    pub(super) fn new(store: &'s Store, packer: &'s Packer) -> Self {
        Self { store, packer, postgres: None, arrived: Members::default(), floor: Floor::default() }
    }

    /// Deletes what has arrived, and reads what would be the batch behind `current`; that is none where nothing waits, or where a
    /// row is to be set aside, which takes a transaction. With it, how long the deletion took.
    pub(super) async fn read(&mut self, current: &Batch) -> Result<(Duration, Option<(Batch, OutboxBatch)>), Error> {
        if self.store.is_postgres() && self.postgres.is_none() {
            self.postgres = Some(self.store.raw_postgres().await?);
        }
        let target = &current.target;
        let arrived = mem::take(&mut self.arrived);
        let (deleting, filling) = tokio::try_join!(self.delete(target, &arrived), self.fill(current, &arrived))?;
        let Some(Filling { packed, seqs, has_bad: false, snapshot, .. }) = filling else { return Ok((deleting, None)) };
        let Some(last) = seqs.last() else { return Ok((deleting, None)) };
        match snapshot {
            Some((oldest, newest)) => self.floor.raise(*last, oldest, newest),
            // SQLite gives numbers in the order of commits.
            None => self.floor.seq = *last,
        }
        Ok((deleting, Some((Batch { target: target.clone(), number: current.number + 1, seqs }, packed))))
    }

    async fn delete(&self, target: &str, arrived: &Members) -> Result<Duration, Error> {
        let began = Instant::now();
        if !arrived.is_empty() {
            let statement = format!("DELETE FROM millstream_outbox WHERE target = $1 AND {}", arrived.condition());
            self.run(target, statement).await?;
        }
        Ok(began.elapsed())
    }

    async fn fill(&self, current: &Batch, arrived: &Members) -> Result<Option<Filling>, Error> {
        let Ok(target) = current.target.parse::<Target>() else { return Ok(None) };
        let packed = self.packer.begin(&target, current.number + 1);
        let filling = Filling { packed, seqs: Vec::with_capacity(ROWS), bytes: 0, has_bad: false, snapshot: None };
        let (sent, arrived) = (current.members().condition(), arrived.condition());
        let condition = format!("seq > {} AND NOT ({sent}) AND NOT ({arrived})", self.floor.seq);
        Ok(Some(match &self.postgres {
            Some(conn) => from_postgres(conn, &current.target, &condition, filling).await?,
            None => from_sqlite(self.store, &current.target, &condition, filling).await?,
        }))
    }

    /// Writes down that `done` has arrived completely and that `next`, which was read ahead, is on its way, if `done` is still the
    /// batch on its way. Whether it is so; else nothing is done.
    pub(super) async fn follow(&mut self, done: &Batch, next: &Batch) -> Result<bool, Error> {
        let on_its_way = OnItsWay { batch: next.members(), arrived: done.members() };
        // Numbers and arrays of them, so nothing has to be escaped.
        let note = format!(
            "UPDATE millstream_outbox_batches SET batch = {}, members = '{}' \
             WHERE target = $1 AND batch = {} AND members IS NOT NULL",
            next.number,
            on_its_way.to_text(),
            done.number
        );
        let is_noted = self.run(&done.target, note).await? > 0;
        if is_noted {
            self.arrived = on_its_way.arrived;
        }
        Ok(is_noted)
    }

    /// Runs a statement about a target; returns how many rows it changed.
    async fn run(&self, target: &str, statement: String) -> Result<u64, Error> {
        if let Some(conn) = &self.postgres {
            return Ok(conn.execute_typed(&statement, &[(&target, Type::TEXT)]).await?);
        }
        let name = target.to_owned();
        let run = query!(|conn: Db| sql_query(statement).bind::<Text, _>(name).execute(conn).await);
        Ok(self.store.write(run).await? as u64)
    }
}

async fn from_postgres(
    conn: &RawPostgres,
    target: &str,
    condition: &str,
    mut filling: Filling,
) -> Result<Filling, Error> {
    let columns = Waiting::COLUMNS;
    let statement = format!(
        "SELECT {columns}, (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint), \
         (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint) FROM millstream_outbox \
         WHERE target = $1 AND {condition} ORDER BY seq LIMIT {ROWS}"
    );
    let rows = conn.query_typed_raw(&statement, [(target, Type::TEXT)]).await?;
    pin_mut!(rows);
    while filling.takes_more()
        && let Some(row) = rows.try_next().await?
    {
        let (kind, id, body) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let (options, created_at) = (row.try_get(4)?, row.try_get(5)?);
        filling.add(row.try_get(0)?, &RowRef { kind, id, body, options, created_at });
        if filling.snapshot.is_none() {
            filling.snapshot = Some((row.try_get(6)?, row.try_get(7)?));
        }
    }
    Ok(filling)
}

async fn from_sqlite(store: &Store, target: &str, condition: &str, mut filling: Filling) -> Result<Filling, Error> {
    let columns = Waiting::COLUMNS;
    let statement =
        format!("SELECT {columns} FROM millstream_outbox WHERE target = ?1 AND {condition} ORDER BY seq LIMIT {ROWS}");
    let target = target.to_owned();
    let read = store.raw_sqlite(move |conn| {
        let mut statement = conn.prepare(&statement)?;
        let mut rows = statement.query([target])?;
        while filling.takes_more()
            && let Some(row) = rows.next()?
        {
            let (kind, body) = (row.get_ref(1)?.as_str()?, row.get_ref(3)?.as_str()?);
            let (options, time) = (row.get_ref(4)?.as_str_or_null()?, row.get_ref(5)?.as_str()?);
            match DateTime::parse_from_rfc3339(time).map(|time| time.to_utc()) {
                Ok(created_at) => {
                    filling.add(row.get(0)?, &RowRef { kind, id: row.get(2)?, body, options, created_at });
                }
                Err(_) => filling.has_bad = true,
            }
        }
        Ok(filling)
    });
    read.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_once_nothing_can_come_below_it() {
        let mut floor = Floor::default();
        floor.raise(100, 7, 10); // 7 to 9 may still have drawn numbers below 100
        assert_eq!(floor.seq, 0);
        floor.raise(200, 9, 12);
        assert_eq!(floor.seq, 0);
        floor.raise(300, 10, 15);
        assert_eq!(floor.seq, 100);
        floor.raise(250, 20, 20);
        assert_eq!(floor.seq, 250, "a read that was full before the number does not reach it");
    }
}
