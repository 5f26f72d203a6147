//! Unique jobs: at most one live job for a payload, or for chosen fields of it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::Error;

/// How a job is unique among the jobs of its kind and queue: by what, for how long, and what a second push does.
///
/// By default the whole payload counts, and the job that is there already is kept.
///
/// ```
/// use std::time::Duration;
/// use millstream_queue::{Conflict, Unique};
///
/// const REINDEX: Unique = Unique::until_started().by(&["document"]).on_conflict(Conflict::Replace);
/// const REMINDER: Unique = Unique::for_time(Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unique {
    until: Until,
    time: Duration,
    fields: &'static [&'static str],
    conflict: Conflict,
}

/// What a push does whose unique key another job holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Conflict {
    /// Nothing: the push returns the id of the job that is there. The default.
    #[default]
    Keep,
    /// A job that still waits takes the new payload and options and keeps its id and its time; in a ready lane it goes to the
    /// end. One that was handed out already is kept as it is.
    Replace,
    /// As [`Replace`](Conflict::Replace), and the job's time is that of the new push: with a delay, it runs once the pushes
    /// have paused for so long.
    Debounce,
}

impl Conflict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Conflict::Keep => "keep",
            Conflict::Replace => "replace",
            Conflict::Debounce => "debounce",
        }
    }
}

/// When a unique key is free again, as the option `unique` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// When a worker starts the job.
    Started,
    /// When the job is over.
    Finished,
    /// When a time has passed since the push.
    Time,
}

impl Until {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Until::Started => "started",
            Until::Finished => "finished",
            Until::Time => "time",
        }
    }
}

/// The unique key that a job holds: the option `unique` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    /// Digest of the kind and of what makes the job unique, 32 hexadecimal digits.
    pub key: String,
    /// When the key is free again.
    pub until: Until,
}

impl Unique {
    /// No second job while one waits or runs.
    pub const fn until_finished() -> Self {
        Self { until: Until::Finished, time: Duration::ZERO, fields: &[], conflict: Conflict::Keep }
    }

    /// No second job while one waits; once it has started, the next may be pushed.
    pub const fn until_started() -> Self {
        Self { until: Until::Started, ..Self::until_finished() }
    }

    /// No second job for `time` from the push on, whether or not the first has completed by then; so at most one runs in
    /// that time. A job that ends dead, cancelled or expired frees its key earlier. At least a millisecond.
    pub const fn for_time(time: Duration) -> Self {
        Self { until: Until::Time, time, ..Self::until_finished() }
    }

    /// Only these fields of the payload count, such as `["user", "address.city"]`; an absent one is an error at the push.
    pub const fn by(mut self, fields: &'static [&'static str]) -> Self {
        self.fields = fields;
        self
    }

    /// What a second push does.
    pub const fn on_conflict(mut self, conflict: Conflict) -> Self {
        self.conflict = conflict;
        self
    }

    pub(crate) fn conflict(self) -> Conflict {
        self.conflict
    }

    /// For how long the key of a `for_time` is taken, in milliseconds.
    pub(crate) fn time_ms(self) -> u64 {
        u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX).clamp(1, LONGEST_MS)
    }

    /// The key of a job of the kind with this payload, in JSON.
    pub(crate) fn key(self, kind: &'static str, body: &[u8]) -> Result<UniqueKey, Error> {
        let mut hash = Sha256::new();
        hash.update(kind.as_bytes());
        hash.update([0]);
        let payload = Payload::read(kind, body)?;
        if self.fields.is_empty() {
            hash.update(payload.canonical());
        }
        for path in self.fields {
            let value = payload.field(path).ok_or_else(|| Error::UniqueField { kind, field: (*path).to_owned() })?;
            hash.update([1]); // no JSON text begins so: fields are never taken for a whole payload
            hash.update(path.as_bytes());
            hash.update([0]);
            hash.update(value.canonical());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let key = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(UniqueKey { key, until: self.until })
    }
}

/// 366 days: a key always has an end.
const LONGEST_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// A JSON value whose numbers and texts stay as they were written, since to read 2^70 as a float would make it equal to
/// its neighbours.
struct Payload<'a>(&'a str);

impl<'a> Payload<'a> {
    fn read(kind: &'static str, body: &'a [u8]) -> Result<Self, Error> {
        let read = serde_json::from_slice::<&RawValue>(body);
        read.map(|raw| Self(raw.get())).map_err(|source| Error::Encode { name: kind, source })
    }

    fn object(&self) -> Option<BTreeMap<String, &'a RawValue>> {
        if self.0.starts_with('{') { serde_json::from_str(self.0).ok() } else { None }
    }

    fn array(&self) -> Option<Vec<&'a RawValue>> {
        if self.0.starts_with('[') { serde_json::from_str(self.0).ok() } else { None }
    }

    /// The value at a path of field names with dots between.
    fn field(&self, path: &str) -> Option<Payload<'a>> {
        let mut value = Payload(self.0);
        for name in path.split('.') {
            value = Payload(value.object()?.get(name)?.get());
        }
        Some(value)
    }

    /// The value without blanks and with its objects' fields sorted, so that equal values are equal bytes.
    fn canonical(&self) -> String {
        if let Some(object) = self.object() {
            let fields = object.into_iter().map(|(name, value)| {
                let name = serde_json::Value::String(name); // its Display writes JSON
                format!("{name}:{}", Payload(value.get()).canonical())
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        } else if let Some(array) = self.array() {
            let values = array.into_iter().map(|value| Payload(value.get()).canonical());
            format!("[{}]", values.collect::<Vec<_>>().join(","))
        } else {
            self.0.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const WHOLE: Unique = Unique::until_finished();

    fn key(unique: Unique, payload: &Value) -> String {
        unique.key("k", payload.to_string().as_bytes()).expect("a key").key
    }

    #[test]
    fn only_the_chosen_fields_count() {
        const USER: Unique = Unique::until_finished().by(&["user"]);
        const CITY: Unique = Unique::until_finished().by(&["user", "address.city"]);
        let ann = json!({"user": 7, "address": {"city": "Ulm", "street": "A"}});
        let moved = json!({"user": 7, "address": {"city": "Ulm", "street": "B"}});
        let away = json!({"user": 7, "address": {"city": "Kiel"}});
        assert_ne!(key(WHOLE, &ann), key(WHOLE, &moved));
        assert_eq!(key(CITY, &ann), key(CITY, &moved));
        assert_ne!(key(CITY, &ann), key(CITY, &away));
        assert_eq!(key(USER, &ann), key(USER, &away));
        assert_ne!(key(USER, &ann), key(WHOLE, &json!({"user": 7})));
    }

    #[test]
    fn a_field_that_is_not_there_is_named() {
        const TYPO: Unique = Unique::until_finished().by(&["usr"]);
        let error = TYPO.key("send_welcome", br#"{"user":7}"#).expect_err("a typo");
        assert!(error.to_string().contains("send_welcome") && error.to_string().contains("\"usr\""), "{error}");
    }

    #[test]
    fn the_kind_counts_and_large_numbers_keep_all_their_digits() {
        let digest = |kind, body: &str| WHOLE.key(kind, body.as_bytes()).expect("a key").key;
        assert_ne!(digest("a", "1"), digest("b", "1"));
        assert_ne!(digest("a", "1180591620717411303424"), digest("a", "1180591620717411303425"));
        assert_eq!(digest("a", r#"{"x":[1, 2],"y":{"b":1,"a":2}}"#), digest("a", r#"{"y":{"a":2,"b":1},"x":[1,2]}"#));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same value, its objects' fields in the opposite order and blanks in between.
    fn written_backwards(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().rev();
                let fields = fields.map(|(name, value)| format!("{} : {}", json!(name), written_backwards(value)));
                format!("{{ {} }}", fields.collect::<Vec<_>>().join(" , "))
            }
            Value::Array(values) => {
                format!("[ {} ]", values.iter().map(written_backwards).collect::<Vec<_>>().join(" , "))
            }
            leaf => leaf.to_string(),
        }
    }

    proptest! {
        #[test]
        fn how_a_value_is_written_does_not_count(value in any_json()) {
            let backwards = WHOLE.key("k", written_backwards(&value).as_bytes()).expect("a key").key;
            prop_assert_eq!(key(WHOLE, &value), backwards);
        }

        #[test]
        fn other_values_are_other_keys(one in any_json(), other in any_json()) {
            prop_assert_eq!(key(WHOLE, &one) == key(WHOLE, &other), one == other);
        }
    }
}
