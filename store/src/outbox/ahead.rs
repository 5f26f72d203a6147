//! Batches that are read while those before them are sent. So are the rows deleted that have arrived; until then they are written
//! down as arrived.
//!
//! What was read ahead is as good as what would be read when it is written down: a row of some order key is seen only with all
//! earlier ones of that key, and only the relay that strikes out a target's batch deletes rows of it.

mod conn;
mod file;

use std::time::Duration;

use millstream_queue::{OutboxBatch, Target};

use self::conn::Conn;
use super::{
    batch::{BYTES, Batch, Packer, ROWS},
    members::{Members, OnItsWay},
    row::{RowRef, Waiting},
};
use crate::{Error, Store};

/// Reads the batches of a target, as long as nothing is out of the ordinary.
pub(super) struct Ahead {
    packer: Packer,
    target: String,
    conn: Conn,
    floor: Floor,
    /// How many rows the last batch had, and bytes of payload: the next one is likely to have as many.
    room: (usize, usize),
}

/// So many ranges above the floor are kept; a transaction that stays open for long keeps the floor down.
const MOST_RANGES: usize = 4096;

/// The number up to which every row was read, those too whose transactions committed late.
#[derive(Debug, Default)]
struct Floor {
    seq: i64,
    /// What was read above it.
    above: Members,
    /// A number up to which every row was read that a snapshot showed, and the first transaction that had not begun then.
    next: Option<(i64, i64)>,
}

impl Floor {
    /// After a read of `rows`, when all transactions before `oldest` had ended and `newest` had not begun. A transaction begins
    /// before it draws a number, so below the number of `next` nothing appears once those have ended that had begun then. Nor does
    /// anything between numbers without gaps.
    fn raise(&mut self, rows: Members, oldest: i64, newest: i64) {
        let Some(last) = rows.last() else { return };
        self.above.join(rows);
        match self.next {
            Some((_, begun)) if oldest < begun => {}
            next => {
                let seq = next.map_or(0, |(seq, _)| seq.min(last));
                self.seq = self.seq.max(seq);
                self.next = Some((last, newest));
            }
        }
        self.seq = self.above.take_behind(self.seq);
        if self.above.count_ranges() > MOST_RANGES {
            self.above = Members::default();
        }
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

impl Ahead {
    pub(super) fn new(store: &Store, packer: &Packer, target: &str) -> Self {
        Self {
            packer: packer.clone(),
            target: target.to_owned(),
            conn: Conn::new(store),
            floor: Floor::default(),
            room: (0, 0),
        }
    }

    /// Reads what waits beside the batches `sent`, as a batch with the number `number`, and deletes what has `arrived`. There is
    /// none where nothing waits, or where a row is to be set aside, which takes a transaction. With it, how long the deletion took.
    pub(super) async fn read(
        &mut self,
        number: i64,
        sent: &[Members],
        arrived: Members,
    ) -> Result<(Option<(Batch, OutboxBatch)>, Duration), Error> {
        let Ok(target) = self.target.parse::<Target>() else { return Ok(Default::default()) };
        let mut waiting = format!("seq > {}", self.floor.seq);
        for known in sent.iter().chain([&arrived]).filter(|known| known.last() > Some(self.floor.seq)) {
            waiting += &format!(" AND NOT ({})", known.condition());
        }
        let filling = Filling {
            packed: self.packer.begin(&target, number).with_room(self.room.0, self.room.1),
            seqs: Vec::with_capacity(ROWS),
            bytes: 0,
            has_bad: false,
            snapshot: None,
        };
        let gone = arrived.condition();
        let delete = format!("DELETE FROM millstream_outbox WHERE target = $1 AND {gone}");
        let delete = Some(delete).filter(|_| !arrived.is_empty());
        let (filling, deleting) = self.conn.fill_and_delete(&self.target, &waiting, filling, delete).await?;
        let Filling { packed, seqs, bytes, has_bad: false, snapshot } = filling else { return Ok((None, deleting)) };
        let Some(last) = seqs.last() else { return Ok((None, deleting)) };
        self.room = (seqs.len(), bytes);
        match snapshot {
            Some((oldest, newest)) => self.floor.raise(Members::new(seqs.iter().copied()), oldest, newest),
            // SQLite gives numbers in the order of commits.
            None => self.floor.seq = *last,
        }
        Ok((Some((Batch { target: self.target.clone(), number, seqs }, packed)), deleting))
    }

    /// Writes down what is on its way with the batch `number`, if the one before it is still the last. Whether it is so; else
    /// nothing is done.
    pub(super) async fn note(&mut self, number: i64, on_its_way: &OnItsWay) -> Result<bool, Error> {
        // Numbers and arrays of them, so nothing has to be escaped.
        let note = format!(
            "UPDATE millstream_outbox_batches SET batch = {number}, members = '{}' \
             WHERE target = $1 AND batch = {} AND members IS NOT NULL",
            on_its_way.to_text(),
            number - 1
        );
        Ok(self.conn.execute(&self.target, note).await? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seqs: impl IntoIterator<Item = i64>) -> Members {
        Members::new(seqs)
    }

    #[test]
    fn the_floor_rises_once_nothing_can_come_below_it() {
        let mut floor = Floor::default();
        floor.raise(read([90, 100]), 7, 10); // 7 to 9 may still have drawn numbers below 100
        assert_eq!(floor.seq, 0);
        floor.raise(read([102, 200]), 9, 12);
        assert_eq!(floor.seq, 0);
        floor.raise(read([202, 300]), 10, 15);
        assert_eq!(floor.seq, 100);
        floor.raise(read([240, 250]), 20, 20);
        assert_eq!(floor.seq, 250, "a read that was full before the number does not reach it");
    }

    #[test]
    fn the_floor_rises_along_numbers_without_gaps() {
        let mut floor = Floor::default();
        floor.raise(read(2..=5), 7, 10);
        assert_eq!(floor.seq, 0, "1 may come");
        floor.raise(read([1, 6, 8]), 7, 10);
        assert_eq!(floor.seq, 6);
        floor.raise(read([7, 9, 10]), 7, 10);
        assert_eq!(floor.seq, 10);
    }
}
