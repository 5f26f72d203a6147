//! Jobs that SQL holds as waiting for their next run, and that Redis has in no place.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, Lane, State};
use uuid::Uuid;

use super::{super::ON_ITS_WAY, LONGEST, SAMPLE, dead::set_aside, lane};
use crate::{Data, Error, Id, Store, Time, query, schema::millstream_jobs as j};

/// Entries of each lane that are looked through.
const MOST: usize = 2000;
/// How far the clocks of workers, of which the history has its times, may be off.
const SKEW: TimeDelta = TimeDelta::minutes(15);
/// Rows of a kind in which a completion must be, or its completions count as not kept.
const RECENT: i64 = 100;

struct Suspect {
    id: Id,
    run: i64,
    kind: String,
    finished_at: Time,
    is_due: bool,
}

/// Jobs, each with its last run, whose next run is to come or should have ended or begun by now, and which neither `later`
/// nor a lane has.
pub(super) async fn gone(store: &Store, client: &Client, queue: &str) -> Result<HashSet<(Uuid, i64)>, Error> {
    let mut suspects = waiting(store, queue).await?;
    // First `later`, then the lanes: jobs go that way, and on from there only with an outcome.
    not_later(client, queue, &mut suspects).await?;
    unless_completions_vanish(store, &mut suspects).await?;
    not_ready(client, queue, &mut suspects).await?;
    if !suspects.is_empty() {
        let aside = set_aside(store, queue).await?;
        suspects.retain(|one| !aside.contains(&one.id.0));
    }
    Ok(suspects.into_iter().map(|one| (one.id.0, one.run)).collect())
}

/// The newest jobs that wait in SQL.
async fn waiting(store: &Store, queue: &str) -> Result<Vec<Suspect>, Error> {
    let now = Time::now().0;
    let mut waiting = Vec::new();
    for state in [State::Failed, State::Snoozed, State::Parked] {
        type Row = (String, Id, i64, String, Time, Option<Time>);
        let rows: Vec<Row> = store
            .read(query!(|conn: Db| {
                let newest = j::table.filter(j::state.eq(state.as_str())).order((j::finished_at.desc(), j::id.desc()));
                let columns = (j::queue, j::id, j::run, j::kind, j::finished_at, j::next_at);
                newest.limit(SAMPLE as i64).select(columns).load(conn).await
            }))
            .await?;
        for (of, id, run, kind, finished_at, next_at) in rows {
            let Some(Time(next)) = next_at.filter(|_| of == queue) else { continue };
            let is_due = next < now - ON_ITS_WAY && next > now - LONGEST;
            if is_due || next > now + ON_ITS_WAY {
                waiting.push(Suspect { id, run, kind, finished_at, is_due });
            }
        }
    }
    Ok(waiting)
}

async fn not_later(client: &Client, queue: &str, suspects: &mut Vec<Suspect>) -> Result<(), Error> {
    if suspects.is_empty() {
        return Ok(());
    }
    let mut ask = redis::cmd("ZMSCORE");
    ask.arg(client.keys(queue).later());
    for suspect in suspects.iter() {
        ask.arg(suspect.id.0.to_string());
    }
    let mut conn = client.connection().await?;
    let scores: Result<Vec<Option<f64>>, redis::RedisError> = ask.query_async(&mut conn).await;
    let mut scores = scores.map_err(millstream_queue::Error::from)?.into_iter();
    suspects.retain(|_| matches!(scores.next(), Some(None)));
    Ok(())
}

/// A kind of whose history only failures are kept leaves a job that fails and then completes as failed in SQL.
async fn unless_completions_vanish(store: &Store, suspects: &mut Vec<Suspect>) -> Result<(), Error> {
    let mut completes = HashMap::new();
    for suspect in suspects.iter().filter(|one| one.is_due) {
        if completes.contains_key(&suspect.kind) {
            continue;
        }
        let kind = suspect.kind.clone();
        let states: Vec<String> = store
            .read(query!(|conn: Db| {
                let newest = j::table.filter(j::kind.eq(kind)).order((j::finished_at.desc(), j::id.desc()));
                newest.limit(RECENT).select(j::state).load(conn).await
            }))
            .await?;
        let has = states.iter().any(|state| state == State::Completed.as_str());
        completes.insert(suspect.kind.clone(), has);
    }
    suspects.retain(|one| !one.is_due || completes[&one.kind]);
    Ok(())
}

/// A lane too long to be looked through leaves the jobs that are due in doubt.
async fn not_ready(client: &Client, queue: &str, suspects: &mut Vec<Suspect>) -> Result<(), Error> {
    let Some(first) = suspects.iter().map(|one| one.finished_at.0).min() else { return Ok(()) };
    let (mut ready, mut are_all) = (HashSet::new(), true);
    for lane in Lane::ALL {
        let jobs = lane::since(client, queue, lane, (first - SKEW).timestamp_millis(), MOST).await?;
        ready.extend(jobs.found.into_iter().map(|(_, entry)| entry.id));
        are_all &= jobs.are_all;
    }
    suspects.retain(|one| !ready.contains(&one.id.0) && (are_all || !one.is_due));
    Ok(())
}
