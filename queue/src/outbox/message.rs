//! What waits in an outbox.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Conflict, Error, Options, json, names, push::when::When, tags, trace};

/// Where a message goes: all messages of a target are relayed in batches with one row of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A queue; as text `queue:<name>`.
    Queue(String),
    /// A topic; as text `topic:<name>`.
    Topic(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Queue(name) => write!(f, "queue:{name}"),
            Target::Topic(name) => write!(f, "topic:{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        const RULE: &str = "a target is `queue:<name>` or `topic:<name>`";
        match text.split_once(':') {
            Some(("queue", name)) => names::check("queue", name).map(|()| Target::Queue(name.to_owned())),
            Some(("topic", name)) => names::check("topic", name).map(|()| Target::Topic(name.to_owned())),
            _ => Err(Error::Name { what: "target", name: text.chars().take(100).collect(), rule: RULE }),
        }
    }
}

/// A job or an event that waits for its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub target: Target,
    /// The id of the job or of the event.
    pub id: Uuid,
    /// The job's kind or the event's name.
    pub kind: String,
    /// The payload, JSON.
    pub body: String,
    /// Messages of a target with one key are relayed in the order in which their transactions commit.
    pub order_key: Option<String>,
    /// What differs from the defaults.
    pub options: MessageOptions,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// What differs from the defaults: a JSON object in the outbox. Members that are not known are an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MessageOptions {
    /// Version of the payload's shape. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// A job's lane: `high`, `normal`, `low`. Default: `normal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// A job's delay in milliseconds, from its relay on the Redis server's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// When a job is due, Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// A job's idempotency key, as [`Push::id`](crate::Push::id) takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The job's field `opt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt: Option<Options>,
    /// W3C traceparent of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tp: Option<String>,
    /// For how long a job's unique key is taken, in milliseconds, where that ends with a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_ms: Option<u64>,
    /// What becomes of a job whose unique key another holds: `keep`, `replace`, `debounce`. Default: `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
    /// An event's subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl MessageOptions {
    /// Reads what stands in an outbox.
    ///
    /// # Errors
    /// What is wrong with it, with the place.
    pub fn parse(text: Option<&str>) -> Result<Self, String> {
        match text {
            Some(text) => serde_json::from_str(text).map_err(|error| format!("the options can't be read: {error}")),
            None => Ok(Self::default()),
        }
    }

    /// The text for an outbox, none where nothing differs.
    pub fn to_text(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).expect("numbers and texts are JSON"))
    }

    pub(super) fn when(&self) -> When {
        match (self.at_ms, self.after_ms) {
            (Some(ms), _) => When::At(ms),
            (None, Some(ms)) if ms > 0 => When::After(ms.into()),
            (None, _) => When::Now,
        }
    }
}

/// A [`Message`] whose target is known otherwise, as it is relayed.
#[derive(Clone, Copy, Debug)]
pub struct MessageRef<'m> {
    /// The id of the job or of the event.
    pub id: Uuid,
    /// The job's kind or the event's name.
    pub kind: &'m str,
    /// The payload, JSON.
    pub body: &'m str,
    /// What differs from the defaults.
    pub options: &'m MessageOptions,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl MessageRef<'_> {
    /// Checks everything that a push or a publish checks, for rows that others wrote.
    pub(super) fn check(&self, target: &Target, payload_limit: usize) -> Result<(), String> {
        let what = match target {
            Target::Queue(_) => "kind",
            Target::Topic(_) => "topic",
        };
        names::check(what, self.kind).map_err(|error| error.to_string())?;
        if let Target::Topic(topic) = target
            && topic != self.kind
        {
            return Err(format!("an event of the topic {topic} has the kind {}; it needs the topic's name", self.kind));
        }
        if self.body.len() > payload_limit {
            return Err(format!("the payload is {} bytes, the limit is {payload_limit}", self.body.len()));
        }
        json::check(self.body).map_err(|error| format!("the payload is no JSON that can be read back: {error}"))?;
        self.check_options()
    }

    fn check_options(&self) -> Result<(), String> {
        let options = self.options;
        if let Some(lane) = &options.lane
            && !["high", "normal", "low"].contains(&lane.as_str())
        {
            return Err(format!("there is no lane {lane:?}; use high, normal or low"));
        }
        options.when().argument().map_err(|error| error.to_string())?;
        if let Some(traceparent) = &options.tp {
            trace::check(traceparent.clone()).map_err(|error| error.to_string())?;
        }
        let Some(opt) = &options.opt else { return Ok(()) };
        tags::check(&opt.tags).map_err(|error| error.to_string())?;
        match &opt.unique {
            Some(unique) if unique.key.len() != 32 || !unique.key.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Err(format!("the unique key {:?} is refused: it is a digest of 32 hexadecimal digits", unique.key))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(target: &str, kind: &str, body: &str, options: &str) -> Message {
        Message {
            target: target.parse().expect("a target"),
            id: Uuid::nil(),
            kind: kind.to_owned(),
            body: body.to_owned(),
            order_key: None,
            options: MessageOptions::parse(Some(options)).expect("options"),
            created_at: DateTime::default(),
        }
    }

    fn check(message: &Message, payload_limit: usize) -> Result<(), String> {
        let Message { target, id, kind, body, options, created_at, .. } = message;
        MessageRef { id: *id, kind, body, options, created_at: *created_at }.check(target, payload_limit)
    }

    #[test]
    fn a_target_is_read_back_and_anything_else_refused() {
        for text in ["queue:mail", "topic:order_paid"] {
            assert_eq!(text.parse::<Target>().expect("a target").to_string(), text);
        }
        for text in ["", "mail", "queue:", "queue:a b", "topic:{x}", "other:mail", "queue:a:b"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_push_would_refuse_is_refused_with_the_reason() {
        assert_eq!(check(&message("queue:mail", "send", "{}", "{}"), 10), Ok(()));
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        for (kind, body, options, reason) in [
            ("", "{}", "{}", "at least one character"),
            ("send", "{", "{}", "no JSON"),
            ("send", deep.as_str(), "{}", "127 levels"),
            ("send", "{}", r#"{"lane":"suspect"}"#, "no lane"),
            ("send", "{}", r#"{"at_ms":999999999999999}"#, "year 9999"),
            ("send", "{}", r#"{"tp":"x"}"#, "traceparent"),
            ("send", "{}", r#"{"opt":{"tags":[""]}}"#, "tag"),
            ("send", "{}", r#"{"opt":{"unique":{"key":"}:x","until":"time"}}}"#, "digest"),
        ] {
            let refused = check(&message("queue:mail", kind, body, options), 1000).expect_err("refused");
            assert!(refused.contains(reason), "{refused}");
        }
        let large = message("queue:mail", "send", "\"0123456789\"", "{}");
        assert!(check(&large, 10).expect_err("large").contains("12 bytes"));
        assert!(check(&message("topic:paid", "other", "{}", "{}"), 10).is_err());
        assert!(MessageOptions::parse(Some(r#"{"dely":3}"#)).expect_err("a typo").contains("dely"));
    }
}
