//! How far a queue's streams had come, kept in SQL, so that Redis can't go back unseen; and the number of that row, kept in
//! Redis, so that SQL can't either.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::Client;
use tracing::error;

use super::{
    facts::{DONE, Facts, MARK},
    stream::{Change, Seen},
};
use crate::{
    Data, Error, Id, Store, Time, query,
    schema::{millstream_losses as l, millstream_watermarks as w},
};

#[derive(Clone, Debug, PartialEq, Queryable)]
pub(super) struct Watermark {
    pub(super) queue: String,
    pub(super) version: i64,
    pub(super) server: String,
    pub(super) streams: String,
    pub(super) first_at: Time,
    pub(super) taken_at: Time,
}

impl Watermark {
    /// Nothing where a newer version wrote it.
    pub(super) fn seen(&self) -> Seen {
        serde_json::from_str(&self.streams).unwrap_or_default()
    }
}

struct Loss {
    what: String,
    entries: i64,
    cause: &'static str,
}

/// Before the name of a stream or set: others than Millstream have deleted some of it.
pub(super) const TAKEN: &str = "taken:";
/// Instead of a stream: the books of all of them.
pub(super) const BOOKS: &str = "books";

/// Takes watermarks of the registered queues. A look that is missed is made up for by the next.
pub(crate) async fn take_watermarks(store: &Store, client: &Client) -> Result<(), Error> {
    for queue in queues(store, client).await? {
        step(store, client, &queue).await?;
    }
    Ok(())
}

/// The registered queues and those that were: FLUSHALL takes the registry too.
pub(super) async fn queues(store: &Store, client: &Client) -> Result<Vec<String>, Error> {
    let mut queues = client.queues().await?;
    let known: Vec<String> = store.read(query!(|conn: Db| w::table.select(w::queue).load(conn).await)).await?;
    queues.extend(known);
    queues.sort_unstable();
    queues.dedup();
    Ok(queues)
}

pub(super) async fn find(store: &Store, queue: &str) -> Result<Option<Watermark>, Error> {
    let queue = queue.to_owned();
    store.read(query!(|conn: Db| w::table.find(queue).first::<Watermark>(conn).await.optional())).await
}

/// Compares with the last watermark, notes what is lost and sets the next one. Gives the one before; none where this is the first.
pub(super) async fn step(store: &Store, client: &Client, queue: &str) -> Result<Option<Watermark>, Error> {
    // SQL is read before Redis: then whatever Redis says is newer, and less is a loss. Of several that look at once, the first
    // sets the next one and the others do nothing.
    let last = find(store, queue).await?;
    let facts = Facts::ask(client, queue).await?;
    let mut losses = last.as_ref().map(|last| lost(last, &facts)).unwrap_or_default();
    let version = last.as_ref().map_or(0, |last| last.version);
    if let Some(mark) = facts.mark.filter(|mark| *mark > version) {
        // Someone else may have set it meanwhile; the row is read again before SQL is blamed.
        let now = find(store, queue).await?;
        if now != last {
            return Ok(last);
        }
        losses.push(Loss { what: "sql".into(), entries: mark - version, cause: SQL_WENT_BACK });
    }
    let next = facts.mark.unwrap_or(0).max(version) + 1;
    if set(store, &facts, last.clone(), next, losses).await? {
        let mut conn = client.connection().await?;
        let keys = client.keys(queue);
        let marked: Result<(), redis::RedisError> =
            redis::cmd("HSET").arg(keys.control()).arg(MARK).arg(next).query_async(&mut conn).await;
        marked.map_err(millstream_queue::Error::from)?;
    }
    Ok(last)
}

const SQL_WENT_BACK: &str = "the database was restored from an older backup, or another one took its place";
const FLUSHED: &str = "FLUSHALL, FLUSHDB or DEL on the running server";
const EMPTY_START: &str = "the server started empty: no append-only file, or another server took its place";
const TAIL_LOST: &str = "a restart without the end of the append-only file, a restored snapshot, or a failover to a replica \
                         that lagged behind";

const REMADE: &str = "DEL or RENAME of the stream on the running server, which was then filled anew";
const NOT_BY_THE_BOOKS: &str = "XDEL, XTRIM or XADD MAXLEN by hand or by another program; or a worker, recorder or client of a \
                                version without books was at work in between";
const SET_NOT_BY_THE_BOOKS: &str = "DEL, ZREM or the like by hand or by another program; or a worker or client of a version without \
                                    books was at work in between";
const BOOKS_GONE: &str = "the key `books` was deleted; or Redis went back, and had come further again by the next look";

fn lost(last: &Watermark, facts: &Facts) -> Vec<Loss> {
    let is_empty = facts.seen.streams.iter().all(|(name, stream)| name == DONE || stream.added == 0);
    let went_back = match (facts.server == last.server, is_empty) {
        (true, _) => FLUSHED,
        (false, true) => EMPTY_START,
        (false, false) => TAIL_LOST,
    };
    let (mut losses, mut books_went_back, mut any_went_back) = (Vec::new(), false, false);
    let before = last.seen();
    // Others say nothing of what happened in between.
    let are_the_same_books = before.begun == facts.seen.begun;
    books_went_back |= before.has_books() && !are_the_same_books;
    for (name, mut had) in before.streams {
        let has = facts.seen.streams.get(&name).copied().unwrap_or_default();
        had.books = had.books.filter(|_| are_the_same_books);
        match has.since(&had) {
            Change::Balanced => {}
            Change::BooksWentBack => books_went_back = true,
            Change::WentBack(entries) => {
                any_went_back = true;
                losses.push(Loss { what: name, entries, cause: went_back });
            }
            Change::Remade(entries) => losses.push(Loss { what: name, entries, cause: REMADE }),
            Change::Taken(entries) => {
                losses.push(Loss { what: [TAKEN, &*name].concat(), entries, cause: NOT_BY_THE_BOOKS });
            }
        }
    }
    for (name, missed) in before.missing.into_iter().filter(|_| are_the_same_books) {
        let more = facts.seen.missing.get(&name).map_or(0, |missing| missing - missed);
        // Less is missing where others have put jobs there, or Redis went back to where they had not been deleted.
        if more > 0 {
            losses.push(Loss { what: [TAKEN, &*name].concat(), entries: more, cause: SET_NOT_BY_THE_BOOKS });
        }
    }
    // Where all went back, the streams tell it.
    if books_went_back && !any_went_back {
        losses.push(Loss { what: BOOKS.to_owned(), entries: 1, cause: BOOKS_GONE });
    }
    losses
}

/// Sets the watermark if it is still `last`, and its losses with it. Whether it did.
async fn set(
    store: &Store,
    facts: &Facts,
    last: Option<Watermark>,
    version: i64,
    losses: Vec<Loss>,
) -> Result<bool, Error> {
    let now = Time::now();
    let streams = serde_json::to_string(&facts.seen).expect("names and numbers are JSON");
    let (queue, server) = (facts.queue.clone(), facts.server.clone());
    for Loss { what, entries, cause } in &losses {
        error!(queue, what, entries, cause, "something recorded or acknowledged is lost");
    }
    let since = last.as_ref().map_or(now, |last| last.taken_at);
    let rows: Vec<_> = losses.into_iter().map(|loss| (Id::new(), loss)).collect();
    store
        .write(crate::data::work(move |conn| {
            Box::pin(async move {
                conn.open(crate::Isolation::ReadCommitted).await?;
                let set = crate::on_conn!(conn, |conn: Db| {
                    let changed = match last {
                        None => {
                            let row = (
                                w::queue.eq(&queue),
                                w::version.eq(version),
                                w::server.eq(server),
                                w::streams.eq(streams),
                                w::first_at.eq(now),
                                w::taken_at.eq(now),
                            );
                            diesel::insert_into(w::table).values(row).on_conflict_do_nothing().execute(conn).await?
                        }
                        Some(last) => {
                            let row = (
                                w::version.eq(version),
                                w::server.eq(server),
                                w::streams.eq(streams),
                                w::taken_at.eq(now),
                            );
                            let same = w::table.find(&queue).filter(w::version.eq(last.version));
                            diesel::update(same).set(row).execute(conn).await?
                        }
                    };
                    if changed > 0 {
                        for (id, loss) in rows {
                            let row = (
                                l::id.eq(id),
                                l::queue.eq(&queue),
                                l::what.eq(loss.what),
                                l::entries.eq(loss.entries),
                                l::since.eq(since),
                                l::found_at.eq(now),
                                l::cause.eq(loss.cause),
                            );
                            diesel::insert_into(l::table).values(row).execute(conn).await?;
                        }
                    }
                    QueryResult::Ok(changed > 0)
                })
                .await;
                let ended = if set.is_ok() { conn.keep().await } else { conn.undo().await };
                let set = set?;
                ended?;
                Ok(set)
            })
        }))
        .await
}
