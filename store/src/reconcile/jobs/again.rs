//! Jobs that wait in Redis although they have ended: they will run again.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, Entry, Lane, State};
use uuid::Uuid;

use super::lane;
use crate::{Data, Error, Id, Store, Time, query, schema::millstream_jobs as j};

/// Jobs that are looked at in each place, those that run first.
const FRONT: usize = 100;

/// Where a job waits: in a lane with the id of its entry, or in `later`.
type Place = Option<(Lane, String)>;

/// Of the jobs at the front of each lane and of `later`, those that have ended.
pub(super) async fn ended(store: &Store, client: &Client, queue: &str) -> Result<Vec<Uuid>, Error> {
    let mut waiting: Vec<(Place, Entry)> = Vec::new();
    for lane in Lane::ALL {
        let jobs = lane::since(client, queue, lane, 0, FRONT).await?;
        waiting.extend(jobs.found.into_iter().map(|(id, entry)| (Some((lane, id)), entry)));
    }
    waiting.extend(soonest(client, queue).await?.into_iter().map(|entry| (None, entry)));
    let known = terminal(store, waiting.iter().map(|(_, entry)| Id(entry.id)).collect()).await?;
    let mut again = Vec::new();
    for (place, entry) in waiting {
        // A later push may reuse the id of a caller's key: the same job was enqueued at the same time.
        let has_ended = known.get(&entry.id).is_some_and(|(at, run)| *at == entry.at_ms && *run >= entry.run.into());
        // Asked after SQL: a job leaves Redis before its end is recorded, so that one which ended just now isn't there.
        if has_ended && is_there(client, queue, place, entry.id).await? {
            again.push(entry.id);
        }
    }
    Ok(again)
}

/// When each of these jobs that have ended was enqueued, in Unix milliseconds, and in which run it ended.
async fn terminal(store: &Store, ids: Vec<Id>) -> Result<HashMap<Uuid, (i64, i64)>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ends: Vec<&str> = State::ALL.into_iter().filter(|state| state.is_terminal()).map(State::as_str).collect();
    let rows: Vec<(Id, Time, i64)> = store
        .read(query!(|conn: Db| {
            let ended = j::table.filter(j::id.eq_any(ids)).filter(j::state.eq_any(ends));
            ended.select((j::id, j::enqueued_at, j::run)).load(conn).await
        }))
        .await?;
    Ok(rows.into_iter().map(|(id, at, run)| (id.0, (at.0.timestamp_millis(), run))).collect())
}

/// The jobs of `later` that are due first.
async fn soonest(client: &Client, queue: &str) -> Result<Vec<Entry>, Error> {
    let (keys, mut conn) = (client.keys(queue), client.connection().await?);
    let asked = async {
        let soonest: Vec<String> =
            redis::cmd("ZRANGE").arg(keys.later()).arg(0).arg(FRONT - 1).query_async(&mut conn).await?;
        if soonest.is_empty() {
            return Ok(Vec::new());
        }
        redis::cmd("HMGET").arg(keys.later_jobs()).arg(soonest).query_async(&mut conn).await
    };
    let jobs: Result<Vec<Option<Vec<u8>>>, redis::RedisError> = asked.await;
    let jobs = jobs.map_err(millstream_queue::Error::from)?;
    Ok(jobs.into_iter().flatten().filter_map(|packed| Entry::unpack(&packed)).collect())
}

async fn is_there(client: &Client, queue: &str, place: Place, id: Uuid) -> Result<bool, Error> {
    if let Some((lane, entry)) = place {
        return lane::has(client, queue, lane, &entry).await;
    }
    let mut conn = client.connection().await?;
    let mut ask = redis::cmd("ZSCORE");
    ask.arg(client.keys(queue).later()).arg(id.to_string());
    let score: Result<Option<f64>, redis::RedisError> = ask.query_async(&mut conn).await;
    Ok(score.map_err(millstream_queue::Error::from)?.is_some())
}
