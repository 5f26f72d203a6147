//! How an outbox is: what waits, for how long, and what was set aside.

use std::{fmt::Write, time::Duration};

use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use crate::{Data, Error, Store, Time, query, sql_types::DbTime};

/// What waits in the outbox.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutboxStatus {
    /// The database's URL without its password.
    pub database: String,
    /// Rows that wait for their relay.
    pub waiting: u64,
    /// How long the oldest has waited, by the clock of this process; none where nothing waits.
    pub oldest: Option<Duration>,
    /// Rows that may wait; beyond it inserts are refused.
    pub most: u64,
    /// Rows that can't be relayed and were set aside.
    pub rejected: u64,
}

impl OutboxStatus {
    /// Whether nothing has waited for longer than `longest`, and less than half of what may wait does.
    pub fn is_healthy(&self, longest: Duration) -> bool {
        self.oldest.is_none_or(|oldest| oldest <= longest) && self.waiting < self.most / 2
    }

    /// The numbers in Prometheus' text format, version 0.0.4.
    pub fn to_prometheus(&self) -> String {
        let database = self.database.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let oldest = self.oldest.unwrap_or_default().as_secs_f64();
        let mut text = String::new();
        for (name, help, value) in [
            ("waiting", "Rows that wait for their relay.", self.waiting as f64),
            ("oldest_seconds", "How long the oldest row has waited.", oldest),
            ("limit", "Rows that may wait.", self.most as f64),
            ("rejected", "Rows that were set aside.", self.rejected as f64),
        ] {
            // Writing to a String doesn't fail.
            let _ = writeln!(
                text,
                "# HELP millstream_outbox_{name} {help}\n# TYPE millstream_outbox_{name} gauge\n\
                 millstream_outbox_{name}{{database=\"{database}\"}} {value}"
            );
        }
        text
    }
}

/// The oldest row is the first of its target.
const STATUS: &str = "WITH RECURSIVE t (target) AS (SELECT min(target) FROM millstream_outbox UNION ALL \
                      SELECT (SELECT min(o.target) FROM millstream_outbox o WHERE o.target > t.target) FROM t \
                      WHERE t.target IS NOT NULL) \
                      SELECT s.id, s.most, (SELECT count(*) FROM millstream_outbox) AS waiting, \
                      (SELECT count(*) FROM millstream_outbox_rejected) AS rejected, \
                      (SELECT min((SELECT o.created_at FROM millstream_outbox o WHERE o.target = t.target \
                      ORDER BY o.seq LIMIT 1)) FROM t WHERE t.target IS NOT NULL) AS oldest \
                      FROM millstream_outbox_state s";

#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = BigInt)]
    most: i64,
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = BigInt)]
    rejected: i64,
    #[diesel(sql_type = Nullable<DbTime>)]
    oldest: Option<Time>,
}

async fn facts(store: &Store) -> Result<Facts, Error> {
    let facts = store.read(query!(|conn: Db| sql_query(STATUS).get_result::<Facts>(conn).await)).await;
    match facts {
        Ok(facts) => Ok(facts),
        Err(error) => Err(store.explain(error).await),
    }
}

/// The id under which Redis keeps the numbers of this outbox.
pub(super) async fn id(store: &Store) -> Result<String, Error> {
    Ok(facts(store).await?.id)
}

impl Store {
    /// How the outbox is: a count of its rows, so for a look every few seconds.
    ///
    /// # Errors
    /// [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`].
    pub async fn outbox(&self) -> Result<OutboxStatus, Error> {
        let facts = facts(self).await?;
        let age = |oldest: Time| (Time::now().0 - oldest.0).to_std().unwrap_or_default();
        Ok(OutboxStatus {
            database: self.name().to_owned(),
            waiting: facts.waiting.unsigned_abs(),
            oldest: facts.oldest.map(age),
            most: facts.most.unsigned_abs(),
            rejected: facts.rejected.unsigned_abs(),
        })
    }
}
