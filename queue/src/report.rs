//! What a job reports while it runs: the fields of its hash.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Client, Error, msgpack, names};

/// How far a job is, as its handler last said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// Steps that are done.
    pub done: u64,
    /// Steps in all, as far as the handler knows.
    pub total: u64,
    /// What it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Progress {
    /// `done` of `total` steps; an empty note is none.
    pub fn new(done: u64, total: u64, note: impl Into<String>) -> Self {
        let note = note.into();
        Self { done, total, note: (!note.is_empty()).then_some(note) }
    }

    /// Reads the JSON of the field `progress`; none where it is something else.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The JSON of the field `progress`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and a text are JSON")
    }
}

impl Client {
    /// How far the job `id` of `queue` is; none where it has not reported, or has ended a while ago.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`] or [`Error::Redis`].
    pub async fn progress(&self, queue: &str, id: Uuid) -> Result<Option<Progress>, Error> {
        names::check("queue", queue)?;
        let mut conn = self.connection().await?;
        let json: Option<String> =
            redis::cmd("HGET").arg(self.keys(queue).job(id)).arg("progress").query_async(&mut conn).await?;
        Ok(json.as_deref().and_then(Progress::parse))
    }
}

/// Fields of a job's hash as a script takes them: a MessagePack array, name after value.
pub fn pack_fields(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut packed = Vec::new();
    msgpack::array(&mut packed, 2 * fields.len() as u32);
    for (name, value) in fields {
        msgpack::text(&mut packed, name.as_bytes());
        msgpack::text(&mut packed, value);
    }
    packed
}
