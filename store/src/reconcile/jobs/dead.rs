//! Dead letters that SQL lacks.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, Filter};
use uuid::Uuid;

use super::{super::ON_ITS_WAY, LONGEST, SAMPLE};
use crate::{
    Data, Error, Id, Store, Time, query,
    schema::{millstream_jobs as j, millstream_rejected as r, millstream_statistics as s},
};

/// Dead letters that SQL lacks, of kinds whose history is kept.
pub(super) async fn unknown(store: &Store, client: &Client, queue: &str, since: Time) -> Result<HashSet<Uuid>, Error> {
    let now = Time::now().0;
    let (since, until) = (since.0.max(now - LONGEST), now - ON_ITS_WAY);
    let dead = client.dead_letters(queue).list(&Filter::default(), SAMPLE).await?;
    let dead = dead.into_iter().filter(|dead| dead.died_at > since && dead.died_at < until);
    let mut dead: HashMap<Uuid, String> = dead.filter_map(|dead| Some((dead.id, dead.job?.kind))).collect();
    if dead.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Id> = dead.keys().copied().map(Id).collect();
    let known: Vec<Id> =
        store.read(query!(|conn: Db| j::table.filter(j::id.eq_any(ids)).select(j::id).load(conn).await)).await?;
    for id in known.into_iter().map(|id| id.0).chain(set_aside(store, queue).await?) {
        dead.remove(&id);
    }
    let mut kept = HashMap::new();
    for kind in dead.values() {
        if !kept.contains_key(kind) {
            kept.insert(kind.clone(), is_kept(store, kind.clone()).await?);
        }
    }
    Ok(dead.into_iter().filter(|(_, kind)| kept[kind]).map(|(id, _)| id).collect())
}

/// Whether anything of this kind was ever recorded: the statistics tell it of a kind whose rows were all deleted.
async fn is_kept(store: &Store, kind: String) -> Result<bool, Error> {
    let found: Option<Id> = store
        .read(query!(|conn: Db| {
            let row = j::table.filter(j::kind.eq(&kind)).select(j::id).first(conn).await.optional()?;
            match row {
                Some(row) => QueryResult::Ok(Some(row)),
                None => s::table.filter(s::kind.eq(&kind)).select(s::id).first(conn).await.optional(),
            }
        }))
        .await?;
    Ok(found.is_some())
}

/// The newest jobs whose outcomes the recorder could not write.
pub(super) async fn set_aside(store: &Store, queue: &str) -> Result<Vec<Uuid>, Error> {
    let queue = queue.to_owned();
    let ids: Vec<Option<Id>> = store
        .read(query!(|conn: Db| {
            let newest = r::table.filter(r::queue.eq(queue)).order(r::rejected_at.desc()).limit(SAMPLE as i64);
            newest.select(r::job_id).load(conn).await
        }))
        .await?;
    Ok(ids.into_iter().flatten().map(|id| id.0).collect())
}
