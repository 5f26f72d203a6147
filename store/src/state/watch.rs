//! Following a scope's changes by their number.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::{
    State,
    listen::Listener,
    name,
    prune::REMEMBERED,
    read::{Row, decode},
};
use crate::{Data, Error, Store, Time, query, schema::millstream_state as s};

/// Changes that are read at a time; a value can have a megabyte.
const PAGE: i64 = 32;
/// Between two tries while the database is away.
const AWAY: Duration = Duration::from_secs(1);

/// A change of a value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// The scope.
    pub scope: String,
    /// The key.
    pub key: String,
    /// The version it has now.
    pub version: i64,
    /// When the value reads as absent.
    pub expires_at: Option<Time>,
    /// When it was changed.
    pub updated_at: Time,
    json: Option<String>,
}

impl Change {
    /// The value; none where it was deleted or has expired.
    ///
    /// # Errors
    /// [`Error::StateDecode`].
    pub fn value<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.json.as_deref().map(|json| decode(&self.scope, &self.key, json)).transpose()
    }
}

/// The changes of a scope or of a key: first the values that are there, then each change as it is committed. Of changes of one
/// key that follow quickly only the last may be told; the last always is. A value that expires is told as deleted once
/// [`Store::prune_state`] has found it.
///
/// On Postgres it holds a connection of its own, apart from the pools.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    scope: String,
    key: Option<String>,
    every: Option<Duration>,
    /// All up to this number were read.
    seen: i64,
    /// The values that are there were read.
    caught_up: bool,
    read_at: Option<Instant>,
    ready: VecDeque<Change>,
    listener: Listener,
}

impl State<'_, Store> {
    /// Watches all keys of the scope.
    ///
    /// # Errors
    /// [`Error::State`] for a bad name.
    pub fn watch(&self) -> Result<Watch, Error> {
        Ok(Watch {
            store: self.data.clone(),
            scope: name("scope", &self.scope)?,
            key: None,
            every: None,
            seen: 0,
            caught_up: false,
            read_at: None,
            ready: VecDeque::new(),
            listener: Listener::default(),
        })
    }

    /// Watches one key.
    ///
    /// # Errors
    /// [`Error::State`] for a bad name.
    pub fn watch_key(&self, key: &str) -> Result<Watch, Error> {
        Ok(Watch { key: Some(name("key", key)?), ..self.watch()? })
    }
}

impl Watch {
    /// The time between two looks. Default: 250 ms on SQLite; on Postgres, which tells of changes, 5 s.
    #[must_use]
    pub fn every(mut self, time: Duration) -> Self {
        self.every = Some(time);
        self
    }

    /// The next change; waits for it. An outage of the database is waited out, once a first read has worked. May be dropped
    /// at any time: what was not returned comes next.
    ///
    /// # Errors
    /// The first read's; [`Error::WatchLost`] where nothing was read for half a day, since deletions are forgotten after a
    /// day.
    pub async fn next(&mut self) -> Result<Change, Error> {
        let mut away = false;
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(change);
            }
            let silent = self.read_at.map(|at| at.elapsed()).unwrap_or_default();
            if silent > REMEMBERED.to_std().unwrap_or_default() / 2 {
                return Err(Error::WatchLost { scope: self.scope.clone(), away: silent });
            }
            // Before the read, so that what is committed after it is told.
            self.listener.listen(&self.store, &self.scope).await;
            match self.read().await {
                Ok(more) => {
                    if std::mem::take(&mut away) {
                        info!(scope = self.scope, "watching goes on");
                    }
                    if !more && self.ready.is_empty() {
                        self.listener.wait(&self.store, self.every).await;
                    }
                }
                Err(error) if self.read_at.is_none() => return Err(error),
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        warn!(%error, scope = self.scope, "watching waits for the database");
                    }
                    tokio::time::sleep(AWAY).await;
                }
            }
        }
    }

    /// Reads on; whether there is more.
    async fn read(&mut self) -> Result<bool, Error> {
        let (scope, key, seen) = (self.scope.clone(), self.key.clone(), self.seen);
        let begun = Instant::now();
        let rows: Vec<Row> = self
            .store
            .read(query!(|conn: Db| {
                let mut rows = s::table
                    .filter(s::scope.eq(scope).and(s::version.gt(seen)))
                    .order(s::version)
                    .limit(PAGE)
                    .select((s::key, s::version, s::value, s::expires_at, s::updated_at))
                    .into_boxed::<Db>();
                if let Some(key) = key {
                    rows = rows.filter(s::key.eq(key));
                }
                rows.load::<Row>(conn).await
            }))
            .await?;
        self.read_at = Some(begun);
        let (now, more) = (Time::now(), rows.len() as i64 == PAGE);
        self.seen = rows.last().map_or(seen, |row| row.version);
        for row in rows.into_iter().filter(|row| self.caught_up || row.is_there(now)) {
            let there = row.is_there(now);
            let Row { key, version, value, expires_at, updated_at } = row;
            let json = value.filter(|_| there);
            self.ready.push_back(Change { scope: self.scope.clone(), key, version, expires_at, updated_at, json });
        }
        self.caught_up |= !more;
        Ok(more)
    }
}
