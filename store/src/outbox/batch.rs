//! Batches in SQL. Numbers and members are committed before anything is sent, so that a number means the same rows for ever.

use diesel::{
    QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use millstream_queue::{Message, Relayed, Target};
use tracing::warn;

use super::row::Waiting;
use crate::{
    Data, Error, Isolation, Store, Tx, query,
    schema::{millstream_outbox as outbox, millstream_outbox_batches as batches},
};

/// A batch that is written down. Whoever sends it, and whenever, sends the same.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) target: Target,
    pub(super) number: i64,
    pub(super) seqs: Vec<i64>,
    pub(super) messages: Vec<Message>,
}

/// What is to be done for a target.
#[derive(Debug)]
pub(super) enum Next {
    Send(Batch),
    /// A batch with this number is on its way by another relay, unless that one died.
    Elsewhere(i64),
    Nothing,
}

/// One statement for both databases: it makes the target's row where it is missing, locks it until the transaction ends and
/// reads it.
const LOCK: &str = "INSERT INTO millstream_outbox_batches (target, batch) VALUES ($1, 0) \
                    ON CONFLICT (target) DO UPDATE SET batch = millstream_outbox_batches.batch RETURNING batch, members";

/// The oldest rows of a target, at most 512 and about 1 MiB of payload, at least one.
const OLDEST: &str = "SELECT seq, target, order_key, kind, id, body, options, created_at FROM \
                      (SELECT o.*, octet_length(body) AS bytes, sum(octet_length(body)) OVER (ORDER BY seq) AS total FROM \
                      (SELECT * FROM millstream_outbox WHERE target = $1 ORDER BY seq LIMIT 512) o) t \
                      WHERE total - bytes < 1048576 ORDER BY seq";

const MEMBERS: &str = "SELECT seq, target, order_key, kind, id, body, options, created_at FROM millstream_outbox \
                       WHERE target = $1 ORDER BY seq";

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
    done: Option<(Batch, Relayed)>,
    adopted: Option<i64>,
    payload_limit: usize,
) -> Result<Next, Error> {
    let target = target.to_owned();
    // Others' rows matter only as each statement finds them, so nothing is gained by a stricter level.
    let advanced = store.transaction_at(Isolation::ReadCommitted, async move |tx| {
        let (batch, members) = settle(&tx, &target, done.as_ref()).await?;
        match members {
            Some(members) if adopted == Some(batch) => again(&tx, &target, batch, &members, payload_limit).await,
            Some(_) => Ok(Next::Elsewhere(batch)),
            None => write_down(&tx, &target, batch, payload_limit).await,
        }
    });
    advanced.await
}

/// Strikes out a batch that has arrived, and writes no other one down.
pub(super) async fn finish(store: &Store, target: &str, done: Option<(Batch, Relayed)>) -> Result<(), Error> {
    let target = target.to_owned();
    let finished = store
        .transaction_at(Isolation::ReadCommitted, async move |tx| settle(&tx, &target, done.as_ref()).await.map(drop));
    finished.await
}

/// Locks the target and strikes out what is `done`, unless another relay did. The number of the last batch, and its members if
/// it is on its way.
async fn settle(tx: &Tx, target: &str, done: Option<&(Batch, Relayed)>) -> Result<(i64, Option<String>), Error> {
    let name = target.to_owned();
    let Locked { batch, members } =
        tx.write(query!(|conn: Db| sql_query(LOCK).bind::<Text, _>(name).get_result::<Locked>(conn).await)).await?;
    match done {
        Some((sent, relayed)) if members.is_some() && sent.number == batch => {
            Ok((strike_out(tx, target, sent, relayed).await?, None))
        }
        _ => Ok((batch, members)),
    }
}

/// Deletes the rows of a batch that has arrived; returns the number of the last batch. A server that knows a later number than
/// the database has given out means that the database went back in time, and with it perhaps rows that were relayed: they are
/// sent once more under a number that is new to both.
async fn strike_out(tx: &Tx, target: &str, sent: &Batch, relayed: &Relayed) -> Result<i64, Error> {
    let last = i64::try_from(relayed.last).unwrap_or(i64::MAX);
    let went_back = last > sent.number;
    if went_back {
        warn!(
            target,
            batch = sent.number,
            last,
            "the database is older than Redis: was it restored? the batch is sent again"
        );
    } else {
        for (place, reason) in &relayed.refused {
            if let Some(seq) = sent.seqs.get(*place) {
                set_aside(tx, target, *seq, reason).await?;
            }
        }
        delete(tx, target, sent.seqs.clone()).await?;
    }
    let number = last.max(sent.number);
    note(tx, target, number, None).await?;
    Ok(number)
}

/// The batch that was written down before, for one whose relay died.
async fn again(tx: &Tx, target: &str, number: i64, members: &str, payload_limit: usize) -> Result<Next, Error> {
    let seqs: Vec<i64> = serde_json::from_str(members).unwrap_or_default();
    let (name, chosen) = (target.to_owned(), seqs);
    let list = chosen.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let rows: Vec<Waiting> = if chosen.is_empty() {
        Vec::new()
    } else {
        // Numbers only, so nothing has to be escaped.
        let statement = MEMBERS.replace("ORDER BY", &format!("AND seq IN ({list}) ORDER BY"));
        tx.write(query!(|conn: Db| { sql_query(statement).bind::<Text, _>(name).load(conn).await })).await?
    };
    let (good, bad) = sorted(rows, payload_limit);
    for (seq, reason) in bad {
        set_aside(tx, target, seq, &reason).await?;
        delete(tx, target, vec![seq]).await?;
    }
    if good.is_empty() {
        // Someone deleted its rows by hand; the number stays used.
        note(tx, target, number, None).await?;
        return write_down(tx, target, number, payload_limit).await;
    }
    Ok(batch(target, number, good))
}

async fn write_down(tx: &Tx, target: &str, last: i64, payload_limit: usize) -> Result<Next, Error> {
    loop {
        let name = target.to_owned();
        let rows: Vec<Waiting> =
            tx.write(query!(|conn: Db| sql_query(OLDEST).bind::<Text, _>(name).load(conn).await)).await?;
        if rows.is_empty() {
            return Ok(Next::Nothing);
        }
        let (good, bad) = sorted(rows, payload_limit);
        for (seq, reason) in &bad {
            warn!(target, seq, %reason, "a row of the outbox is set aside");
            set_aside(tx, target, *seq, reason).await?;
        }
        delete(tx, target, bad.into_iter().map(|(seq, _)| seq).collect()).await?;
        if !good.is_empty() {
            let seqs: Vec<i64> = good.iter().map(|(seq, _)| *seq).collect();
            let members = serde_json::to_string(&seqs).expect("numbers are JSON");
            note(tx, target, last + 1, Some(members)).await?;
            return Ok(batch(target, last + 1, good));
        }
    }
}

type Good = Vec<(i64, Message)>;
type Bad = Vec<(i64, String)>;

fn sorted(rows: Vec<Waiting>, payload_limit: usize) -> (Good, Bad) {
    let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match row.message(payload_limit) {
            Ok(message) => good.push((row.seq, message)),
            Err(reason) => bad.push((row.seq, reason)),
        }
    }
    (good, bad)
}

fn batch(target: &str, number: i64, good: Good) -> Next {
    let target: Target = target.parse().expect("messages were made of its rows, which parses it");
    let (seqs, messages) = good.into_iter().unzip();
    Next::Send(Batch { target, number, seqs, messages })
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

async fn delete(tx: &Tx, target: &str, seqs: Vec<i64>) -> Result<(), Error> {
    if seqs.is_empty() {
        return Ok(());
    }
    let name = target.to_owned();
    tx.write(query!(|conn: Db| {
        let rows = outbox::table.filter(outbox::target.eq(name).and(outbox::seq.eq_any(seqs)));
        diesel::delete(rows).execute(conn).await
    }))
    .await?;
    Ok(())
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
