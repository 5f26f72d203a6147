//! The gallery's settings, kept as app state.

use millstream_store::{Data, Entry, Error, Store};
use serde::{Deserialize, Serialize};

const SCOPE: &str = "gallery";
const KEY: &str = "settings";

/// What can be changed while the gallery runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the gallery is called.
    pub title: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { title: "Gallery".to_owned() }
    }
}

impl Settings {
    /// The settings and their version, 0 where nobody has changed them.
    pub async fn read(store: &Store) -> Result<(Self, i64), Error> {
        let entry: Option<Entry<Self>> = store.state(SCOPE).entry(KEY).await?;
        Ok(entry.map_or_else(|| (Self::default(), 0), |entry| (entry.value, entry.version)))
    }

    /// Writes them if they are still at the version that was read; gives the new one. The last twenty are kept.
    pub async fn write(&self, store: &Store, version: i64) -> Result<i64, Error> {
        let put = store.state(SCOPE).keep_versions(20).put(KEY, self);
        if version == 0 { put.create().await } else { put.version(version).await }
    }
}
