//! What a single push changes about its job type's defaults: the field `opt`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The options of one job that differ from its type's defaults, a JSON object on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Options {
    /// Failed attempts until the job is dead, instead of [`Job::ATTEMPTS`](crate::Job::ATTEMPTS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Longest run of one attempt in milliseconds, instead of [`Job::TIMEOUT`](crate::Job::TIMEOUT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Unix milliseconds after which the job is not started any more but recorded as expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
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
        Some(serde_json::to_string(self).expect("optional numbers are JSON"))
    }

    pub(crate) fn timeout(&mut self, timeout: Duration) {
        self.timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    }
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
}
