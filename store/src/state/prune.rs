//! Removal of what reads as absent, in small batches.

use std::panic::Location;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::write::{Expects, Write, apply};
use crate::{
    Data, Error, Store, Time,
    data::work,
    on_conn,
    schema::{millstream_state as s, millstream_state_history as h},
};

/// Rows that are looked for at a time.
const BATCH: i64 = 100;
/// How long a deletion is remembered for those who watch.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::days(1);

type Key = (String, String, i64);

impl Store {
    /// Deletes expired values, of which watchers hear then, and forgets deletions of more than a day ago with their kept
    /// versions. Each row is a transaction of its own, so nobody waits for it. A running [`Recorder`](crate::Recorder) does it
    /// every minute; without one, call it now and then, in one process or in several. Returns how many rows it changed.
    ///
    /// # Errors
    /// [`Error::Query`], [`Error::Unreachable`], [`Error::Exhausted`].
    #[track_caller]
    pub fn prune_state(&self) -> impl Future<Output = Result<u64, Error>> + Send + use<'_> {
        let place = Location::caller();
        async move { Ok(self.prune_expired(place).await? + self.forget_deleted(place).await?) }
    }

    async fn prune_expired(&self, place: &'static Location<'static>) -> Result<u64, Error> {
        let (now, mut changed) = (Time::now(), 0);
        loop {
            let look = work(move |conn| {
                on_conn!(conn, |conn: Db| {
                    let rows = s::table.filter(s::expires_at.le(now)).order(s::expires_at).limit(BATCH);
                    rows.select((s::scope, s::key, s::version)).load::<Key>(conn).await
                })
            });
            let found = self.run(false, place, look).await?;
            let last = (found.len() as i64) < BATCH;
            for (scope, key, version) in found {
                let mut write = Write::new(scope, key, None, 0);
                write.expects = Expects::Expired(version);
                let delete = work(move |conn| Box::pin(async move { apply(conn, &write).await }));
                changed += u64::from(self.run(true, place, delete).await?.is_some());
            }
            if last {
                return Ok(changed);
            }
        }
    }

    async fn forget_deleted(&self, place: &'static Location<'static>) -> Result<u64, Error> {
        let (old, mut changed) = (Time(Time::now().0 - REMEMBERED), 0);
        loop {
            let look = work(move |conn| {
                on_conn!(conn, |conn: Db| {
                    let rows = s::table.filter(s::value.is_null().and(s::updated_at.le(old))).order(s::updated_at);
                    rows.limit(BATCH).select((s::scope, s::key, s::version)).load::<Key>(conn).await
                })
            });
            let found = self.run(false, place, look).await?;
            let last = (found.len() as i64) < BATCH;
            for (scope, key, version) in found {
                // The versions go first: were they left behind, nothing would lead to them.
                let forget = work(move |conn| {
                    on_conn!(conn, |conn: Db| {
                        let kept = h::scope.eq(&scope).and(h::key.eq(&key)).and(h::version.le(version));
                        diesel::delete(h::table.filter(kept)).execute(conn).await?;
                        let same = s::version.eq(version).and(s::value.is_null());
                        diesel::delete(s::table.find((&scope, &key)).filter(same)).execute(conn).await
                    })
                });
                changed += self.run(true, place, forget).await? as u64;
            }
            if last {
                return Ok(changed);
            }
        }
    }
}
