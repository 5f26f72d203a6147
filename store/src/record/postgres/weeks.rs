//! The weekly partitions of the history, made before they are needed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::{Client, error::SqlState, types::Type};
use tracing::warn;

use crate::Error;

const HAS_TABLE: &str = include_str!("has_table.sql");
const TABLES: [&str; 2] = ["millstream_jobs", "millstream_attempts"];
/// "millst" in ASCII and a one: several recorders take turns. To attach a partition locks the one for other times for a
/// moment; who reads that one is waited for only so long, and so is this one by who comes after it.
const TURN: &str = "SET LOCAL lock_timeout = '200ms'; SELECT pg_advisory_xact_lock(120433946457089)";
/// Weeks that are further off have no partition of their own.
const PAST: TimeDelta = TimeDelta::days(371);
const FUTURE: TimeDelta = TimeDelta::days(14);
/// A partition that could not be made is tried again so much later; until then its rows go to the one for other times.
const AGAIN: Duration = Duration::from_secs(30);

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
        for week in weeks {
            if self.is_known(week) {
                continue;
            }
            let mut again = None;
            for table in TABLES {
                match attach(client, table, week).await {
                    Ok(()) => {}
                    // It lies in the first partition, or rows of that week lie with the other times.
                    Err(error)
                        if is_one_of(&error, &[SqlState::INVALID_OBJECT_DEFINITION, SqlState::CHECK_VIOLATION]) => {}
                    Err(error)
                        if is_one_of(&error, &[SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED]) =>
                    {
                        again = Some(Instant::now() + AGAIN);
                    }
                    Err(error) if is_one_of(&error, &[SqlState::INSUFFICIENT_PRIVILEGE]) => {
                        warn!(%error, table, "no partition can be made; grant CREATE on the schema to the recorder's role");
                        again = Some(Instant::now() + AGAIN);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.known().insert(week, again);
        }
        Ok(())
    }

    fn is_known(&self, week: Week) -> bool {
        self.known().get(&week).is_some_and(|again| again.is_none_or(|time| Instant::now() < time))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Week, Option<Instant>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the table apart, with all that the others have, and attaches it, for which no reader waits.
async fn attach(client: &mut Client, table: &str, week: Week) -> Result<(), tokio_postgres::Error> {
    let (from, to) = (monday(week), monday(week + 1));
    let partition = format!("{table}_{}", from.format("%Y%m%d"));
    let transaction = client.transaction().await?;
    transaction.batch_execute(TURN).await?;
    let there = transaction.query_typed(HAS_TABLE, &[(&partition, Type::TEXT)]).await?;
    if !there[0].get::<_, bool>(0) {
        let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
        let statements = format!(
            "CREATE TABLE {partition} (LIKE {table} INCLUDING ALL); \
             ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ('{from}') TO ('{to}')"
        );
        transaction.batch_execute(&statements).await?;
    }
    transaction.commit().await
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
