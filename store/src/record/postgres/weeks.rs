//! The weekly partitions of the history, made before they are needed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::{Client, error::SqlState, types::Type};
use tracing::{info, warn};

use crate::Error;

const HAS_TABLE: &str = include_str!("has_table.sql");
const MISPLACED: &str = include_str!("misplaced.sql");
const TABLES: [&str; 2] = ["millstream_jobs", "millstream_attempts"];
/// "millst" in ASCII and a one: several recorders take turns.
const TURN: &str = "SELECT pg_advisory_xact_lock(120433946457089)";
/// To attach a partition locks the one for other times for a moment; who reads or writes that one is waited for only so long, and
/// so is this one by who comes after it. Then it tries again.
const LOCK: &str = "SET LOCAL lock_timeout = '200ms'";
/// How long outcomes wait for their partitions, all turns and tries together. Then their rows go to the one for other times.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Weeks that are further off have no partition of their own.
const PAST: TimeDelta = TimeDelta::days(371);
const FUTURE: TimeDelta = TimeDelta::days(14);
/// A partition that could not be made is tried again so much later.
const AGAIN: Duration = Duration::from_secs(30);
/// Most rows of a week that are moved from the partition for other times into their own. They go in one transaction, since they
/// must be in one of the two for whoever reads, and who writes there waits for it, 4 s for so many; a week with more stays where
/// it is.
const MOVED: i64 = 200_000;
/// Longest look for weeks that lie with the other times.
const LOOK: &str = "SET LOCAL statement_timeout = '200ms'";

/// Number of a week, from the one of Monday, 1970-01-05.
type Week = i64;

/// Which partitions are known to be there, shared by all that write to one database.
#[derive(Clone, Default)]
pub(crate) struct Weeks {
    /// When to try again; none for those that are there.
    known: Arc<Mutex<HashMap<Week, Option<Instant>>>>,
}

impl Weeks {
    /// Makes the partitions for jobs enqueued at these times, for now, and for the week to come, so that its Monday waits for
    /// nobody. Call it outside of any transaction.
    pub(crate) async fn prepare(
        &self,
        client: &mut Client,
        enqueued: impl Iterator<Item = DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let near = enqueued.filter(|time| (now - PAST..now + FUTURE).contains(time));
        let weeks: BTreeSet<Week> = near.chain([now, now + TimeDelta::days(7)]).map(week_of).collect();
        let deadline = Instant::now() + PATIENCE;
        for week in weeks {
            if self.is_known(week) {
                continue;
            }
            let mut again = None;
            for table in TABLES {
                if !attach_until(client, table, week, deadline).await? {
                    again = Some(Instant::now() + AGAIN);
                }
            }
            self.known().insert(week, again);
        }
        Ok(())
    }

    /// Makes the partitions of weeks whose rows lie with the other times, and moves them there.
    pub(crate) async fn adopt(&self, client: &mut Client, now: DateTime<Utc>) -> Result<(), Error> {
        let looking = client.transaction().await?;
        looking.batch_execute(LOOK).await?;
        let near = [(now - PAST), (now + FUTURE)];
        let near = [(&near[0] as _, Type::TIMESTAMPTZ), (&near[1] as _, Type::TIMESTAMPTZ)];
        let found = match looking.query_typed(MISPLACED, &near).await {
            Ok(found) => found,
            // So many other rows that another pass may have more time, or tables that someone changed.
            Err(error) if is_one_of(&error, &[SqlState::QUERY_CANCELED, SqlState::UNDEFINED_TABLE]) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        looking.commit().await?;
        let times: Vec<DateTime<Utc>> = found.iter().map(|row| row.get(0)).collect();
        if times.is_empty() {
            return Ok(());
        }
        self.known().retain(|week, _| !times.iter().any(|time| week_of(*time) == *week));
        self.prepare(client, times.into_iter(), now).await
    }

    fn is_known(&self, week: Week) -> bool {
        self.known().get(&week).is_some_and(|again| again.is_none_or(|time| Instant::now() < time))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Week, Option<Instant>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the partition is there, or the first one is in its place. Tries until the deadline.
async fn attach_until(client: &mut Client, table: &str, week: Week, deadline: Instant) -> Result<bool, Error> {
    let busy = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::CHECK_VIOLATION];
    loop {
        match attach(client, table, week, deadline).await {
            Ok(is_there) => return Ok(is_there),
            Err(error) if is_one_of(&error, &[SqlState::INVALID_OBJECT_DEFINITION]) => return Ok(true),
            // Others use the tables, or have just written rows of that week to the one for other times.
            Err(error) if is_one_of(&error, &busy) => {
                if Instant::now() + PAUSE >= deadline {
                    return Ok(false);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if is_one_of(&error, &[SqlState::INSUFFICIENT_PRIVILEGE]) => {
                warn!(%error, table, "no partition can be made; grant CREATE on the schema to the recorder's role");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes the table apart, with all that the others have, moves the rows there that lie with the other times, and attaches it, for
/// which no reader of other weeks waits. Whether it is there: not where too many rows would have to be moved.
async fn attach(
    client: &mut Client,
    table: &str,
    week: Week,
    deadline: Instant,
) -> Result<bool, tokio_postgres::Error> {
    let (from, to) = (monday(week), monday(week + 1));
    let partition = format!("{table}_{}", from.format("%Y%m%d"));
    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
    let transaction = client.transaction().await?;
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = {left}; {TURN}; {LOCK}")).await?;
    let there = transaction.query_typed(HAS_TABLE, &[(&partition, Type::TEXT)]).await?;
    if !there[0].get::<_, bool>(0) {
        let its = format!("FROM ONLY {table}_other WHERE enqueued_at >= '{from}' AND enqueued_at < '{to}'");
        let misplaced = format!("SELECT count(*) FROM (SELECT {its} LIMIT {MOVED} + 1) AS its");
        let misplaced: i64 = transaction.query_one(&misplaced, &[]).await?.get(0);
        if misplaced > MOVED {
            return Ok(false);
        }
        transaction.batch_execute(&format!("CREATE TABLE {partition} (LIKE {table} INCLUDING ALL)")).await?;
        if misplaced > 0 {
            // Nobody writes more of them meanwhile; readers go on.
            let statements = format!(
                "LOCK TABLE ONLY {table}_other IN SHARE ROW EXCLUSIVE MODE; \
                 WITH its AS (DELETE {its} RETURNING *) INSERT INTO {partition} SELECT * FROM its"
            );
            transaction.batch_execute(&statements).await?;
            info!(partition, rows = misplaced, "rows that lay with the other times are moved to their partition");
        }
        let attach = format!("ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ('{from}') TO ('{to}')");
        transaction.batch_execute(&attach).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

fn is_one_of(error: &tokio_postgres::Error, states: &[SqlState]) -> bool {
    error.code().is_some_and(|code| states.contains(code))
}

fn week_of(time: DateTime<Utc>) -> Week {
    (time.timestamp().div_euclid(86_400) - 4).div_euclid(7)
}

fn monday(week: Week) -> DateTime<Utc> {
    DateTime::from_timestamp((week * 7 + 4) * 86_400, 0).expect("weeks are near now")
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Weekday};

    use super::*;

    #[test]
    fn a_week_holds_its_times_and_begins_on_a_monday() {
        for seconds in [0, -1, 345_600, 345_599, 1_767_268_800, 1_795_609_862] {
            let time = DateTime::from_timestamp(seconds, 0).expect("in range");
            let week = week_of(time);
            assert!(monday(week) <= time && time < monday(week + 1), "{time}");
            assert_eq!(monday(week).weekday(), Weekday::Mon);
        }
    }
}
