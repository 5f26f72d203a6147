//! App state: typed values by scope and key, with versions, expiry, kept versions and changes to watch.

mod fence;
mod list;
mod listen;
mod prune;
mod put;
mod read;
mod watch;
mod write;

use std::panic::Location;

use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    list::{ListState, StatePage},
    put::{Delete, Put},
    read::{Entry, Version, Versions},
    watch::{Change, Watch},
};
use self::{read::Row, write::Write};
use crate::{Data, Error, Time, data::work};

/// Longest scope, key and resource in bytes.
const NAME: usize = 512;
/// Largest value in bytes of JSON, unless [`State::limit`] says otherwise.
const VALUE: usize = 1024 * 1024;

/// The values of one scope: on a [`Store`](crate::Store), each operation by itself, and on a [`Tx`](crate::Tx), all or none.
///
/// Writes of one scope take turns until their transactions end, so keep transactions short that write state.
#[derive(Debug)]
pub struct State<'d, D> {
    data: &'d D,
    scope: String,
    limit: usize,
    keep: u32,
}

impl<'d, D: Data> State<'d, D> {
    pub(crate) fn new(data: &'d D, scope: String) -> Self {
        Self { data, scope, limit: VALUE, keep: 0 }
    }

    /// The largest value that is written, in bytes of JSON. Default: 1 MiB.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Keeps the newest `count` versions, at most 1,000, of every key that is written through this handle;
    /// [`State::versions`] lists them. Default: none but the value itself.
    #[must_use]
    pub fn keep_versions(mut self, count: u32) -> Self {
        self.keep = count;
        self
    }

    /// The value of a key; none where there is none or it has expired.
    ///
    /// # Errors
    /// [`Error::StateDecode`], [`Error::State`] for a bad name, [`Error::Query`].
    #[track_caller]
    pub fn get<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<T>, Error>> + Send + use<'_, 'd, T, D> {
        let found = self.entry::<T>(key);
        async move { Ok(found.await?.map(|entry| entry.value)) }
    }

    /// The value of a key with its version and times.
    ///
    /// # Errors
    /// Those of [`State::get`].
    #[track_caller]
    pub fn entry<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Entry<T>>, Error>> + Send + use<'_, 'd, T, D> {
        let (place, names) = (Location::caller(), names(&self.scope, key));
        async move {
            let (scope, key) = names?;
            let found = work(move |conn| Box::pin(async move { read::find(conn, &scope, &key).await }));
            let row: Option<Row> = self.data.run(false, place, found).await?;
            row.filter(|row| row.is_there(Time::now())).map(|row| row.entry(&self.scope)).transpose()
        }
    }

    /// Writes a value, over whatever is there unless the chain says otherwise; `.await` gives its version.
    #[track_caller]
    pub fn put<T: Serialize>(&self, key: &str, value: &T) -> Put<'d, D> {
        let write = names(&self.scope, key).and_then(|(scope, key)| {
            let value = self.encode(value)?;
            Ok(Write::new(scope, key, Some(value), self.keep))
        });
        Put::new(self.data, write, Location::caller())
    }

    /// Deletes a value; `.await` tells whether there was one.
    #[track_caller]
    pub fn delete(&self, key: &str) -> Delete<'d, D> {
        let write = names(&self.scope, key).map(|(scope, key)| Write::new(scope, key, None, self.keep));
        Delete::new(self.data, write, Location::caller())
    }

    /// The values of the scope by key: conditions first, then `.await` for a page.
    #[track_caller]
    pub fn list<T: DeserializeOwned>(&self) -> ListState<'d, D, T> {
        ListState::new(self.data, self.scope.clone(), Location::caller())
    }

    /// The kept versions of a key, newest first; see [`State::keep_versions`].
    #[track_caller]
    pub fn versions<T: DeserializeOwned>(&self, key: &str) -> Versions<'d, D, T> {
        Versions::new(self.data, names(&self.scope, key), Location::caller())
    }

    fn encode(&self, value: &impl Serialize) -> Result<String, Error> {
        let refuse = |reason: String| Error::State { what: "value", reason };
        let json = millstream_queue::to_json(value).map_err(|error| refuse(error.to_string()))?;
        if json.len() > self.limit {
            return Err(refuse(format!(
                "it has {} bytes of JSON, over the limit of {}: store less, or raise State::limit",
                json.len(),
                self.limit
            )));
        }
        String::from_utf8(json).map_err(|error| refuse(error.to_string()))
    }
}

/// Scope and key, where both databases can hold them.
fn names(scope: &str, key: &str) -> Result<(String, String), Error> {
    Ok((name("scope", scope)?, name("key", key)?))
}

fn name(what: &'static str, name: &str) -> Result<String, Error> {
    let refuse = |reason: String| Err(Error::State { what, reason });
    match name {
        "" => refuse(format!("it is empty; 1 to {NAME} bytes are right")),
        long if long.len() > NAME => refuse(format!("it has {} bytes; 1 to {NAME} are right", long.len())),
        nul if nul.contains('\0') => refuse(format!("{nul:?} has a NUL, which Postgres can't hold")),
        name => Ok(name.to_owned()),
    }
}
