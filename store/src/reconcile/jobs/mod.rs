//! Jobs of which one side says something else than the other, looked for among the newest.

mod again;
mod dead;
mod gone;
mod lane;

use std::{collections::HashSet, hash::Hash};

use chrono::TimeDelta;
use millstream_queue::Client;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::{dead::unknown, gone::gone};
use super::{
    Finding, PATIENCE, SECOND_LOOK, Trouble,
    facts::{DONE, Facts},
    watermark::Watermark,
};
use crate::{Error, Store};

/// Jobs of each kind of check.
const SAMPLE: usize = 500;
/// Further back nothing is looked for: a retention may have deleted one side of it, and it was reported already.
const LONGEST: TimeDelta = TimeDelta::days(1);

pub(super) async fn check(
    store: &Store,
    client: &Client,
    facts: &Facts,
    seen: Option<&Watermark>,
    has_lost_outcomes: bool,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let queue = &facts.queue;
    let again = again::ended(store, client, queue).await?;
    report(findings, Trouble::EndedYetWaiting, queue, again, "jobs that wait in Redis have ended in SQL");
    // Before the first watermark history may not have been wanted; where outcomes went missing, SQL can't know what they said.
    let Some(seen) = seen.filter(|_| !has_lost_outcomes) else { return Ok(()) };
    let dead = unknown(store, client, queue, seen.first_at).await?;
    let gone = gone(store, client, queue).await?;
    if dead.is_empty() && gone.is_empty() || !recorded_meanwhile(client, queue).await? {
        return Ok(());
    }
    // SQL has what ended before the first look was over: whoever was on the way then is not seen the same way again.
    let dead = in_both(dead, &unknown(store, client, queue, seen.first_at).await?);
    let gone = in_both(gone, &self::gone(store, client, queue).await?);
    report(findings, Trouble::DeadNotInSql, queue, dead, "of the newest dead letters are unknown to SQL");
    let gone = gone.into_iter().map(|(id, _)| id).collect();
    let words = "of the newest jobs that wait for their next run are not in Redis";
    report(findings, Trouble::WaitingNotInRedis, queue, gone, words);
    Ok(())
}

fn report(findings: &mut Vec<Finding>, trouble: Trouble, queue: &str, ids: Vec<Uuid>, words: &str) {
    if !ids.is_empty() {
        let found = format!("{} {words}", ids.len());
        findings.push(Finding::new(trouble, queue, ids.len() as u64, found).with_ids(ids));
    }
}

fn in_both<T: Eq + Hash>(first: HashSet<T>, second: &HashSet<T>) -> Vec<T> {
    first.into_iter().filter(|one| second.contains(one)).collect()
}

/// Waits until the outcomes that are there now have been recorded; false where that takes too long to tell.
async fn recorded_meanwhile(client: &Client, queue: &str) -> Result<bool, Error> {
    let last = Facts::ask(client, queue).await?.seen.streams[DONE].last;
    let started = Instant::now();
    sleep(SECOND_LOOK).await;
    while lane::first(client, &client.keys(queue).done()).await?.is_some_and(|first| first <= last) {
        if started.elapsed() > PATIENCE {
            return Ok(false);
        }
        sleep(SECOND_LOOK / 5).await;
    }
    Ok(true)
}
