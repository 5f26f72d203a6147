//! Batches in SQL. Numbers and members are committed before anything is sent, so that a number means the same rows for ever.

use diesel::{
    QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, OutboxBatch, Target};
use tracing::warn;

use super::{
    course::Done,
    members::{Members, OnItsWay},
    row::Waiting,
};
use crate::{Data, Error, Isolation, Store, Tx, query, schema::millstream_outbox_batches as batches};

/// A batch that is written down. Whoever sends it, and whenever, sends the same.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) target: String,
    pub(super) number: i64,
    /// The numbers of its rows, in the order of their messages.
    pub(super) seqs: Vec<i64>,
}

impl Batch {
    pub(super) fn members(&self) -> Members {
        Members::new(self.seqs.iter().copied())
    }
}

/// Where batches are packed for.
#[derive(Clone, Debug)]
pub(super) struct Packer {
    pub(super) client: Client,
    /// The outbox's id.
    pub(super) outbox: String,
}

impl Packer {
    pub(super) fn begin(&self, target: &Target, number: i64) -> OutboxBatch {
        self.client.outbox_batch(&self.outbox, target, number.unsigned_abs())
    }

    /// Packs rows, and says why the others can't be relayed.
    fn pack(&self, target: &str, number: i64, rows: &[Waiting]) -> (Batch, Option<OutboxBatch>, Vec<(i64, String)>) {
        let (mut seqs, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
        let mut packed = target.parse().map(|target| self.begin(&target, number)).map_err(|error| error.to_string());
        for row in rows {
            match packed.as_mut().map_err(|reason| reason.clone()).and_then(|batch| row.add_to(batch)) {
                Ok(()) => seqs.push(row.seq),
                Err(reason) => bad.push((row.seq, reason)),
            }
        }
        let packed = packed.ok().filter(|_| !seqs.is_empty());
        (Batch { target: target.to_owned(), number, seqs }, packed, bad)
    }
}

/// What is to be done for a target.
#[derive(Debug)]
pub(super) enum Next {
    /// Written down just now; others may follow it.
    Send(Batch, OutboxBatch),
    /// Written down before. Alone, since others may be on their way.
    Again(Batch, OutboxBatch),
    /// A batch with this number is on its way by another relay, unless that one died.
    Elsewhere(i64),
    Nothing,
}

/// One statement for both databases: it makes the target's row where it is missing, locks it until the transaction ends and
/// reads it.
const LOCK: &str = "INSERT INTO millstream_outbox_batches (target, batch) VALUES ($1, 0) \
                    ON CONFLICT (target) DO UPDATE SET batch = millstream_outbox_batches.batch RETURNING batch, members";

/// Rows of a batch, at most: they keep Redis from others for some 3 ms.
pub(super) const ROWS: usize = 2048;
/// Bytes of payload in a batch, unless one row alone has more.
pub(super) const BYTES: usize = 1024 * 1024;

/// Rows of a batch that none was read ahead for, at most. Nothing else goes on while it is written down, so it is short.
const FIRST: usize = 512;

/// The oldest rows of a target, as many as make a batch.
fn oldest() -> String {
    let columns = Waiting::COLUMNS;
    format!(
        "SELECT {columns} FROM (SELECT o.*, octet_length(body) AS bytes, sum(octet_length(body)) OVER (ORDER BY seq) AS total \
         FROM (SELECT * FROM millstream_outbox WHERE target = $1 ORDER BY seq LIMIT {FIRST}) o) t \
         WHERE total - bytes < {BYTES} ORDER BY seq"
    )
}

/// Placeholders stand in their order, since SQLite takes them by their first place.
const SET_ASIDE: &str = "INSERT INTO millstream_outbox_rejected \
                         (seq, target, order_key, kind, id, body, options, created_at, reason) \
                         SELECT seq, target, order_key, kind, id, body, options, created_at, $1 FROM millstream_outbox \
                         WHERE target = $2 AND seq = $3";

/// The targets of waiting rows, each found by one step in the index.
const TARGETS: &str = "WITH RECURSIVE t (target) AS (SELECT min(target) FROM millstream_outbox UNION ALL \
                       SELECT (SELECT min(o.target) FROM millstream_outbox o WHERE o.target > t.target) FROM t \
                       WHERE t.target IS NOT NULL) SELECT target FROM t WHERE target IS NOT NULL";

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = BigInt)]
    batch: i64,
    #[diesel(sql_type = Nullable<Text>)]
    members: Option<String>,
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    target: String,
}

/// The targets for which rows wait.
pub(super) async fn targets(store: &Store) -> Result<Vec<String>, Error> {
    let named: Vec<Named> = store.read(query!(|conn: Db| sql_query(TARGETS).load(conn).await)).await?;
    Ok(named.into_iter().map(|named| named.target).collect())
}

/// In one transaction: strikes out a batch that was `done`, and writes the next one down. `adopted` is the number of a batch
/// found on its way that this relay may send.
pub(super) async fn advance(
    store: &Store,
    target: &str,
    done: Option<Done>,
    adopted: Option<i64>,
    packer: &Packer,
) -> Result<Next, Error> {
    let (target, packer) = (target.to_owned(), packer.clone());
    // Others' rows matter only as each statement finds them, so nothing is gained by a stricter level.
    let advanced = store.transaction_at(Isolation::ReadCommitted, async move |tx| {
        let (batch, members) = settle(&tx, &target, done.as_ref()).await?;
        match members {
            Some(members) if adopted == Some(batch) => again(&tx, &target, batch, members, &packer).await,
            Some(_) => Ok(Next::Elsewhere(batch)),
            None => write_down(&tx, &target, batch, &packer).await,
        }
    });
    advanced.await
}

/// Strikes out a batch that has arrived, and writes no other one down.
pub(super) async fn finish(store: &Store, target: &str, done: Option<Done>) -> Result<(), Error> {
    let target = target.to_owned();
    let finished = store
        .transaction_at(Isolation::ReadCommitted, async move |tx| settle(&tx, &target, done.as_ref()).await.map(drop));
    finished.await
}

/// Locks the target and strikes out what is `done`, unless another relay did. The number of the last batch, and its members if
/// it is on its way.
async fn settle(tx: &Tx, target: &str, done: Option<&Done>) -> Result<(i64, Option<OnItsWay>), Error> {
    let name = target.to_owned();
    let Locked { batch, members } =
        tx.write(query!(|conn: Db| sql_query(LOCK).bind::<Text, _>(name).get_result::<Locked>(conn).await)).await?;
    let (Some(members), Some((sent, relayed))) = (&members, done) else {
        return Ok((batch, members.as_deref().map(OnItsWay::parse)));
    };
    let on_its_way = OnItsWay::parse(members);
    let is_last = sent.number == batch;
    let is_before = sent.number + 1 == batch && !on_its_way.before.is_empty();
    if relayed.is_early || !(is_last || is_before) {
        return Ok((batch, Some(on_its_way)));
    }
    delete(tx, target, on_its_way.arrived).await?;
    let last = i64::try_from(relayed.last).unwrap_or(i64::MAX);
    if last > batch {
        // The database went back in time, and with it perhaps rows that were relayed: they are sent once more under a number that
        // is new to both.
        warn!(target, batch, last, "the database is older than Redis: was it restored? its last rows are sent again");
        note(tx, target, last, None).await?;
        return Ok((last, None));
    }
    for (place, reason) in &relayed.refused {
        if let Some(seq) = sent.seqs.get(*place) {
            set_aside(tx, target, *seq, reason).await?;
        }
    }
    delete(tx, target, sent.members()).await?;
    let rest = if is_last {
        // It was not taken before that one had arrived with all its messages.
        delete(tx, target, on_its_way.before).await?;
        None
    } else {
        Some(OnItsWay { batch: on_its_way.batch, ..OnItsWay::default() })
    };
    note(tx, target, batch, rest.as_ref().map(OnItsWay::to_text)).await?;
    Ok((batch, rest))
}

/// The oldest batch that was written down before, for one whose relay died.
async fn again(tx: &Tx, target: &str, number: i64, written: OnItsWay, packer: &Packer) -> Result<Next, Error> {
    // Else they would be read as rows that wait.
    delete(tx, target, written.arrived).await?;
    if let Some((batch, packed)) = repacked(tx, target, number - 1, &written.before, packer).await? {
        return Ok(Next::Again(batch, packed));
    }
    match repacked(tx, target, number, &written.batch, packer).await? {
        Some((batch, packed)) => Ok(Next::Again(batch, packed)),
        None => {
            // Someone deleted its rows by hand; the number stays used.
            note(tx, target, number, None).await?;
            write_down(tx, target, number, packer).await
        }
    }
}

/// A batch that was written down, from its rows that are there.
async fn repacked(
    tx: &Tx,
    target: &str,
    number: i64,
    members: &Members,
    packer: &Packer,
) -> Result<Option<(Batch, OutboxBatch)>, Error> {
    if members.is_empty() {
        return Ok(None);
    }
    let (columns, condition) = (Waiting::COLUMNS, members.condition());
    let statement = format!("SELECT {columns} FROM millstream_outbox WHERE target = $1 AND {condition} ORDER BY seq");
    let name = target.to_owned();
    let rows: Vec<Waiting> =
        tx.write(query!(|conn: Db| sql_query(statement).bind::<Text, _>(name).load(conn).await)).await?;
    let (batch, packed, bad) = packer.pack(target, number, &rows);
    set_aside_all(tx, target, &bad).await?;
    Ok(packed.map(|packed| (batch, packed)))
}

async fn write_down(tx: &Tx, target: &str, last: i64, packer: &Packer) -> Result<Next, Error> {
    loop {
        let name = target.to_owned();
        let rows: Vec<Waiting> =
            tx.write(query!(|conn: Db| sql_query(oldest()).bind::<Text, _>(name).load(conn).await)).await?;
        if rows.is_empty() {
            return Ok(Next::Nothing);
        }
        let (batch, packed, bad) = packer.pack(target, last + 1, &rows);
        set_aside_all(tx, target, &bad).await?;
        if let Some(packed) = packed {
            let on_its_way = OnItsWay { batch: batch.members(), ..OnItsWay::default() };
            note(tx, target, batch.number, Some(on_its_way.to_text())).await?;
            return Ok(Next::Send(batch, packed));
        }
    }
}

async fn note(tx: &Tx, target: &str, number: i64, members: Option<String>) -> Result<(), Error> {
    let name = target.to_owned();
    tx.write(query!(|conn: Db| {
        let row = diesel::update(batches::table.filter(batches::target.eq(name)));
        row.set((batches::batch.eq(number), batches::members.eq(members))).execute(conn).await
    }))
    .await?;
    Ok(())
}

async fn delete(tx: &Tx, target: &str, members: Members) -> Result<(), Error> {
    if members.is_empty() {
        return Ok(());
    }
    let condition = members.condition();
    let statement = format!("DELETE FROM millstream_outbox WHERE target = $1 AND {condition}");
    let name = target.to_owned();
    tx.write(query!(|conn: Db| sql_query(statement).bind::<Text, _>(name).execute(conn).await)).await?;
    Ok(())
}

async fn set_aside_all(tx: &Tx, target: &str, bad: &[(i64, String)]) -> Result<(), Error> {
    for (seq, reason) in bad {
        warn!(target, seq, %reason, "a row of the outbox is set aside");
        set_aside(tx, target, *seq, reason).await?;
    }
    delete(tx, target, Members::new(bad.iter().map(|(seq, _)| *seq))).await
}

async fn set_aside(tx: &Tx, target: &str, seq: i64, reason: &str) -> Result<(), Error> {
    let (name, reason) = (target.to_owned(), reason.replace('\0', "\u{FFFD}"));
    tx.write(query!(|conn: Db| {
        let insert = sql_query(SET_ASIDE).bind::<Text, _>(reason).bind::<Text, _>(name);
        insert.bind::<BigInt, _>(seq).execute(conn).await
    }))
    .await?;
    Ok(())
}
