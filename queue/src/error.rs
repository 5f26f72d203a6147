//! What can go wrong between an application and its Redis.

use std::time::Duration;

use redis::RedisError;
use uuid::Uuid;

use crate::State;

/// Every failure of this crate. Messages name the value that was wrong and what would be right; none holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL could not be read.
    #[error("the Redis URL can't be read ({reason}); it should look like redis://user:password@host:6379/0")]
    Url {
        /// What the parser said.
        reason: String,
    },
    /// No connection to the server.
    #[error("no connection to Redis at {server}: {source}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The first cause, never a mere "timed out waiting for the pool".
        source: RedisError,
    },
    /// The server is older than what the scripts need.
    #[error("Redis at {server} is version {version}; Millstream needs 7.0 or newer, or any Valkey")]
    TooOld {
        /// Host and port.
        server: String,
        /// As the server names it.
        version: String,
    },
    /// The server would evict jobs or locks when memory runs short.
    #[error(
        "Redis at {server} has maxmemory-policy {policy}, which deletes jobs when memory is short; set it to noeviction"
    )]
    Evicts {
        /// Host and port.
        server: String,
        /// The policy's name.
        policy: String,
    },
    /// A name that can't be part of a key.
    #[error("{what} {name:?} is refused: {rule}")]
    Name {
        /// What the name is for: queue, kind, topic, namespace, group.
        what: &'static str,
        /// The name as it was given.
        name: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A tag that is refused.
    #[error("the tag {tag:?} is refused: {rule}")]
    Tag {
        /// The tag as it was given.
        tag: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A text that is no W3C traceparent.
    #[error("{value:?} is no traceparent: {rule}")]
    Traceparent {
        /// The text as it was given, cut to 100 characters.
        value: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A payload could not be turned into JSON.
    #[error("the payload of {name} can't be written as JSON: {source}")]
    Encode {
        /// The job's kind or the event's name.
        name: &'static str,
        /// serde's reason.
        source: serde_json::Error,
    },
    /// A stored payload could not be read back as its type.
    #[error("{what} can't be read as {name}: {reason}")]
    Decode {
        /// Which entry, event or pack.
        what: String,
        /// The expected type.
        name: &'static str,
        /// What was wrong, with the place inside the payload.
        reason: String,
    },
    /// A job type is unique by a field that this payload does not have.
    #[error(
        "a {kind} is unique by the field {field:?}, which its payload does not have; name a field that each payload has"
    )]
    UniqueField {
        /// The job's kind.
        kind: &'static str,
        /// The field, or path of fields.
        field: String,
    },
    /// A payload is over the limit.
    #[error(
        "the payload of {name} is {size} bytes, the limit is {limit}; store the data elsewhere and push a reference to it"
    )]
    TooLarge {
        /// The job's kind or the event's name.
        name: &'static str,
        /// Bytes of the encoded payload.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A time that can't be stored.
    #[error("the time {time} is out of range; a job can wait until the year 9999")]
    Time {
        /// The time as it was given.
        time: String,
    },
    /// No answer came: the write may or may not have been applied.
    #[error(
        "no answer from Redis to the push of {id}, which may or may not have been stored ({source}); push it again with the same `.id(…)` if it must not run twice"
    )]
    Indeterminate {
        /// The job's id.
        id: Uuid,
        /// What broke.
        source: RedisError,
    },
    /// Too few replicas have confirmed a job in time, or the answer was lost. The job *is* stored on the primary.
    #[error(
        "the job {id} is stored on the primary, but {confirmed} of {wanted} replicas are known to have it after {timeout:?}; it will run unless a failover loses it, so push it again only with the same `.id(…)`"
    )]
    TooFewReplicas {
        /// The job, or the first one of a pipeline.
        id: Uuid,
        /// Replicas that have it for sure.
        confirmed: u32,
        /// Replicas that should.
        wanted: u32,
        /// How long was waited.
        timeout: Duration,
        /// Why the server did not say how many have it, where it didn't.
        #[source]
        cause: Option<RedisError>,
    },
    /// Some of many jobs were stored before this went wrong.
    #[error("at least {stored} jobs are stored, then: {source}")]
    PartlyPushed {
        /// How many are stored for sure.
        stored: u64,
        /// What went wrong.
        source: Box<Error>,
    },
    /// A job whose result was awaited ended without one.
    #[error("the job {id} ended as {state}: {error}")]
    NotCompleted {
        /// The job.
        id: Uuid,
        /// Dead, cancelled or expired.
        state: State,
        /// Its last error, or the reason.
        error: String,
    },
    /// The time to wait for a job's result is over.
    #[error(
        "no result of the job {id} within {waited:?}: it has not ended yet, or keeps none; push it with `.keep_result(…)`"
    )]
    NoResult {
        /// The job.
        id: Uuid,
        /// How long was waited.
        waited: Duration,
    },
    /// Redis refused or failed a command.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
}

impl Error {
    /// The code word of a server's error, such as `NOGROUP`; of the first one where a pipeline failed.
    pub fn server_code(&self) -> Option<String> {
        let Error::Redis(error) = self else { return None };
        let errors = error.clone().into_server_errors()?;
        errors.first().map(|(_, error)| error.code().to_owned())
    }

    /// Whether no answer came, so that a write may or may not have been applied.
    pub fn is_indeterminate(&self) -> bool {
        match self {
            Error::Indeterminate { .. } => true,
            Error::PartlyPushed { source, .. } => source.is_indeterminate(),
            _ => false,
        }
    }
}
