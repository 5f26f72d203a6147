//! What a single push changes about its job type's defaults: the field `opt`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::UniqueKey;

use crate::Backoff;

/// The options of one job that differ from its type's defaults, a JSON object on the wire. Members that can't be read
/// count as absent, so that a newer writer's value takes none of the others with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Options {
    /// Failed attempts until the job is dead, instead of [`Job::ATTEMPTS`](crate::Job::ATTEMPTS).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub attempts: Option<u32>,
    /// Longest run of one attempt in milliseconds, instead of [`Job::TIMEOUT`](crate::Job::TIMEOUT).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub timeout_ms: Option<u64>,
    /// Unix milliseconds from which on the job is not started any more but recorded as expired, instead of
    /// [`Job::EXPIRY`](crate::Job::EXPIRY).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub expires_ms: Option<i64>,
    /// Unix milliseconds at which a running attempt is cut off and the job dead, instead of
    /// [`Job::DEADLINE`](crate::Job::DEADLINE).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub deadline_ms: Option<i64>,
    /// The delay between a failed attempt and the next, instead of [`Job::BACKOFF`](crate::Job::BACKOFF).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub backoff: Option<Backoff>,
    /// Milliseconds for which the result is kept once the job has ended; written also where that is the job type's
    /// [`KEEP_RESULT`](crate::Job::KEEP_RESULT), for whoever ends the job without its worker.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub result_ms: Option<u64>,
    /// Labels that the history keeps.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// The unique key that the job holds.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub unique: Option<UniqueKey>,
    /// The dead job whose next life this is.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_default")]
    pub of: Option<Uuid>,
}

fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(member: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(member)?).unwrap_or_default())
}

impl Options {
    /// Reads the field; what can't be read, or is absent, changes nothing.
    pub fn parse(field: Option<&str>) -> Self {
        field.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// The field's text, none where nothing differs.
    pub fn to_field(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        Some(serde_json::to_string(self).expect("numbers and texts are JSON"))
    }
}

/// Whole milliseconds, as many as there can be at most.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_are_written() {
        assert_eq!(Options::default().to_field(), None);
        let options = Options { attempts: Some(3), ..Options::default() };
        assert_eq!(options.to_field().as_deref(), Some(r#"{"attempts":3}"#));
        assert_eq!(Options::parse(Some(r#"{"attempts":3,"of":"x"}"#)), options);
        assert_eq!(Options::parse(Some("garbage")), Options::default());
    }

    #[test]
    fn what_can_not_be_read_takes_nothing_else_with_it() {
        let options = Options::parse(Some(r#"{"attempts":"many","timeout_ms":-1,"tags":7,"expires_ms":5}"#));
        assert_eq!(options, Options { expires_ms: Some(5), ..Options::default() });
    }
}
