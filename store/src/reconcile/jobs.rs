//! Jobs that one side has and the other lacks, looked for among the newest.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, Filter, State};
use uuid::Uuid;

use super::{Finding, ON_ITS_WAY, SECOND_LOOK, Trouble, facts::Facts, watermark::Watermark};
use crate::{Data, Error, Id, Store, Time, query, schema::millstream_jobs as j};

/// Jobs of each kind of check.
const SAMPLE: usize = 500;

pub(super) async fn check(
    store: &Store,
    client: &Client,
    facts: &Facts,
    seen: Option<&Watermark>,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    // Before the first watermark history may not have been wanted; while outcomes wait, what is missing may be among them.
    let Some(seen) = seen.filter(|_| facts.outcomes == 0) else { return Ok(()) };
    let dead = unknown_dead(store, client, &facts.queue, seen.first_at).await?;
    let gone = gone(store, client, &facts.queue).await?;
    if dead.is_empty() && gone.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let still = unknown_dead(store, client, &facts.queue, seen.first_at).await?;
    let dead: Vec<Uuid> = dead.intersection(&still).copied().collect();
    let still = self::gone(store, client, &facts.queue).await?;
    let gone: Vec<Uuid> = gone.intersection(&still).copied().collect();
    // Neither is certain while an outcome that would explain it waits.
    if Facts::ask(client, &facts.queue).await?.outcomes > 0 {
        return Ok(());
    }
    if !dead.is_empty() {
        let found = format!("{} of the newest {SAMPLE} dead letters are unknown to SQL", dead.len());
        findings.push(Finding::new(Trouble::DeadNotInSql, &facts.queue, dead.len() as u64, found).with_ids(dead));
    }
    if !gone.is_empty() {
        let found = format!("{} of the newest {SAMPLE} jobs that wait for their next run are not in Redis", gone.len());
        findings.push(Finding::new(Trouble::WaitingNotInRedis, &facts.queue, gone.len() as u64, found).with_ids(gone));
    }
    Ok(())
}

/// Dead letters that SQL lacks, of kinds whose history is kept.
async fn unknown_dead(store: &Store, client: &Client, queue: &str, since: Time) -> Result<HashSet<Uuid>, Error> {
    let until = Time::now().0 - ON_ITS_WAY;
    let dead = client.dead_letters(queue).list(&Filter::default(), SAMPLE).await?;
    let dead = dead.into_iter().filter(|dead| dead.died_at > since.0 && dead.died_at < until);
    let dead: Vec<(Uuid, String)> = dead.filter_map(|dead| Some((dead.id, dead.job?.kind))).collect();
    if dead.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Id> = dead.iter().map(|(id, _)| Id(*id)).collect();
    let known: Vec<Id> =
        store.read(query!(|conn: Db| j::table.filter(j::id.eq_any(ids)).select(j::id).load(conn).await)).await?;
    let known: HashSet<Uuid> = known.into_iter().map(|id| id.0).collect();
    let unknown: Vec<_> = dead.into_iter().filter(|(id, _)| !known.contains(id)).collect();
    let kinds: HashSet<String> = unknown.iter().map(|(_, kind)| kind.clone()).collect();
    let mut kept = HashSet::new();
    for kind in kinds {
        let asked = kind.clone();
        let row: Option<Id> = store
            .read(query!(|conn: Db| { j::table.filter(j::kind.eq(asked)).select(j::id).first(conn).await.optional() }))
            .await?;
        if row.is_some() {
            kept.insert(kind);
        }
    }
    Ok(unknown.into_iter().filter(|(_, kind)| kept.contains(kind)).map(|(id, _)| id).collect())
}

/// Jobs whose next run is to come, and which `later` lacks.
async fn gone(store: &Store, client: &Client, queue: &str) -> Result<HashSet<Uuid>, Error> {
    let mut waiting: Vec<Id> = Vec::new();
    for state in [State::Failed, State::Snoozed, State::Parked] {
        let (in_queue, due) = (queue.to_owned(), Time(Time::now().0 + ON_ITS_WAY));
        let rows: Vec<(String, Id, Option<Time>)> = store
            .read(query!(|conn: Db| {
                let newest = j::table.filter(j::state.eq(state.as_str())).order((j::finished_at.desc(), j::id.desc()));
                newest.limit(SAMPLE as i64).select((j::queue, j::id, j::next_at)).load(conn).await
            }))
            .await?;
        let here =
            |(queue, _, next): &(String, Id, Option<Time>)| *queue == in_queue && next.is_some_and(|at| at > due);
        waiting.extend(rows.into_iter().filter(here).map(|(_, id, _)| id));
    }
    if waiting.is_empty() {
        return Ok(HashSet::new());
    }
    let mut ask = redis::cmd("ZMSCORE");
    ask.arg(client.keys(queue).later());
    for id in &waiting {
        ask.arg(id.to_string());
    }
    let mut conn = client.connection().await?;
    let scores: Result<Vec<Option<f64>>, redis::RedisError> = ask.query_async(&mut conn).await;
    let scores = scores.map_err(millstream_queue::Error::from)?;
    let gone = waiting.iter().zip(scores).filter(|(_, score)| score.is_none());
    Ok(gone.map(|(id, _)| id.0).collect())
}
