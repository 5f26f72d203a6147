//! A job as it lies in a ready stream: the fields of its entry.

use redis::Value;
use uuid::Uuid;

use crate::id::derived_id;

/// A queued job: the fields of one stream entry. Absent fields have their defaults, so that a client in any language
/// enqueues with `kind` and `body` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Stable name of the job type.
    pub kind: String,
    /// The payload, JSON unless [`content_type`](Entry::content_type) says otherwise.
    pub body: Vec<u8>,
    /// The job's id.
    pub id: Uuid,
    /// Version of the payload's shape.
    pub version: u32,
    /// The attempt about to run, from 1.
    pub attempt: u32,
    /// How often the job was handed out, this time included; never reset.
    pub run: u32,
    /// How often a worker died on it.
    pub crash: u32,
    /// First enqueued, Unix milliseconds.
    pub at_ms: i64,
    /// JSON object of the options that differ from the job type's defaults.
    pub options: Option<String>,
    /// W3C traceparent.
    pub traceparent: Option<String>,
    /// Content type of the body where it isn't JSON.
    pub content_type: Option<String>,
}

/// Why a stream entry is no job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedEntry {
    /// A required field is absent.
    #[error("the entry has no field {0:?}; a job needs at least `kind` and `body`")]
    Missing(&'static str),
    /// A field holds something else than it should.
    #[error("the entry's field {field:?} holds {value:?}; {expected} is needed")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it holds, lossily decoded and cut to 100 characters.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

/// The parts of an [`Entry`] before its id and time are known: what stands in the fields.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    body: Option<Vec<u8>>,
    id: Option<Uuid>,
    numbers: Numbers,
    at_ms: Option<i64>,
    options: Option<String>,
    traceparent: Option<String>,
    content_type: Option<String>,
}

struct Numbers {
    version: u32,
    attempt: u32,
    run: u32,
    crash: u32,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { version: 1, attempt: 1, run: 1, crash: 0 }
    }
}

impl Entry {
    /// A job that was never handed out.
    pub fn new(kind: impl Into<String>, body: impl Into<Vec<u8>>, id: Uuid, at_ms: i64) -> Self {
        Self {
            kind: kind.into(),
            body: body.into(),
            id,
            version: 1,
            attempt: 1,
            run: 1,
            crash: 0,
            at_ms,
            options: None,
            traceparent: None,
            content_type: None,
        }
    }

    /// Reads the fields of the entry `stream_id` of the lane with the key `lane_key`, a flat list of names and values
    /// as Redis returns them.
    ///
    /// # Errors
    /// [`MalformedEntry`] names the field that is missing or holds something else than it should.
    pub fn decode(lane_key: &str, stream_id: &str, fields: Vec<Value>) -> Result<Self, MalformedEntry> {
        let fields = Fields::read(fields)?;
        Ok(Self {
            kind: fields.kind.ok_or(MalformedEntry::Missing("kind"))?,
            body: fields.body.ok_or(MalformedEntry::Missing("body"))?,
            id: fields.id.unwrap_or_else(|| derived_id(lane_key, stream_id)),
            version: fields.numbers.version,
            attempt: fields.numbers.attempt,
            run: fields.numbers.run,
            crash: fields.numbers.crash,
            at_ms: fields.at_ms.unwrap_or_else(|| stream_time_ms(stream_id)),
            options: fields.options,
            traceparent: fields.traceparent,
            content_type: fields.content_type,
        })
    }

    /// Calls `field` with each field that differs from its default, in the documented order. `at` is left out where the
    /// stream id will say the same (`with_time` false).
    pub fn each_field(&self, with_time: bool, mut field: impl FnMut(&'static str, &[u8])) {
        field("kind", self.kind.as_bytes());
        field("body", &self.body);
        let mut text = Uuid::encode_buffer();
        field("id", self.id.as_hyphenated().encode_lower(&mut text).as_bytes());
        let numbers = [("v", self.version, 1), ("n", self.attempt, 1), ("run", self.run, 1), ("crash", self.crash, 0)];
        for (name, value, default) in numbers {
            if value != default {
                field(name, value.to_string().as_bytes());
            }
        }
        if with_time {
            field("at", self.at_ms.to_string().as_bytes());
        }
        for (name, value) in [("opt", &self.options), ("tp", &self.traceparent), ("ct", &self.content_type)] {
            if let Some(value) = value {
                field(name, value.as_bytes());
            }
        }
    }
}

impl Fields {
    fn read(values: Vec<Value>) -> Result<Self, MalformedEntry> {
        let mut fields = Self::default();
        let mut values = values.into_iter();
        while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (values.next(), values.next()) {
            match name.as_slice() {
                b"kind" => fields.kind = Some(text("kind", value)?),
                b"body" => fields.body = Some(value),
                b"id" => fields.id = Some(uuid(&value)?),
                b"v" => fields.numbers.version = number("v", &value)?,
                b"n" => fields.numbers.attempt = number("n", &value)?,
                b"run" => fields.numbers.run = number("run", &value)?,
                b"crash" => fields.numbers.crash = number("crash", &value)?,
                b"at" => fields.at_ms = Some(time_ms(&value)?),
                b"opt" => fields.options = Some(text("opt", value)?),
                b"tp" => fields.traceparent = Some(text("tp", value)?),
                b"ct" => fields.content_type = Some(text("ct", value)?),
                _ => {} // a newer writer's field: kept by nobody, in nobody's way
            }
        }
        Ok(fields)
    }
}

fn text(field: &'static str, value: Vec<u8>) -> Result<String, MalformedEntry> {
    String::from_utf8(value).map_err(|error| invalid(field, error.as_bytes(), "UTF-8 text"))
}

/// Without a sign, as scripts expect it too.
fn number(field: &'static str, value: &[u8]) -> Result<u32, MalformedEntry> {
    digits(value).ok_or_else(|| invalid(field, value, "a whole number from 0 to 4294967295"))
}

/// Unix milliseconds of at most 15 digits: until the year 33658.
fn time_ms(value: &[u8]) -> Result<i64, MalformedEntry> {
    let fits = value.len() <= 15;
    digits(value).filter(|_| fits).ok_or_else(|| invalid("at", value, "Unix milliseconds of at most 15 digits"))
}

fn digits<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let are_digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| are_digits)?.parse().ok()
}

/// With hyphens or without; not in braces, nor as a URN.
fn uuid(value: &[u8]) -> Result<Uuid, MalformedEntry> {
    let is_plain = matches!(value.len(), 32 | 36);
    let id = Uuid::try_parse_ascii(value).ok().filter(|_| is_plain);
    id.ok_or_else(|| invalid("id", value, "a UUID"))
}

fn invalid(field: &'static str, value: &[u8], expected: &'static str) -> MalformedEntry {
    MalformedEntry::Invalid { field, value: String::from_utf8_lossy(value).chars().take(100).collect(), expected }
}

/// The Unix milliseconds in a stream id, 0 for what is no stream id.
fn stream_time_ms(stream_id: &str) -> i64 {
    stream_id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LANE: &str = "ms:{mail}:ready:normal";

    fn flat(entry: &Entry, with_time: bool) -> Vec<Value> {
        let mut fields = Vec::new();
        entry.each_field(with_time, |name, value| {
            fields.push(Value::BulkString(name.into()));
            fields.push(Value::BulkString(value.into()));
        });
        fields
    }

    #[test]
    fn kind_and_body_are_enough() {
        let fields = ["kind", "send_welcome", "body", "{}"].map(|f| Value::BulkString(f.into())).to_vec();
        let entry = Entry::decode(LANE, "1700000000123-4", fields).expect("a job");
        assert_eq!(entry.kind, "send_welcome");
        assert_eq!((entry.attempt, entry.run, entry.crash, entry.version), (1, 1, 0, 1));
        assert_eq!(entry.at_ms, 1_700_000_000_123);
        assert_eq!(entry.id, derived_id(LANE, "1700000000123-4"));
    }

    #[test]
    fn garbage_names_the_field() {
        let decode = |fields: &[&str]| {
            Entry::decode(LANE, "1-0", fields.iter().map(|f| Value::BulkString(f.as_bytes().into())).collect())
        };
        assert_eq!(decode(&[]), Err(MalformedEntry::Missing("kind")));
        assert_eq!(decode(&["kind", "x"]), Err(MalformedEntry::Missing("body")));
        let wrong = decode(&["kind", "x", "body", "1", "n", "many"]).expect_err("not a number");
        let expected = r#"the entry's field "n" holds "many"; a whole number from 0 to 4294967295 is needed"#;
        assert_eq!(wrong.to_string(), expected);
        assert!(decode(&["kind", "x", "body", "1", "id", "7"]).is_err());
    }

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        let decode = |name: &str, value: &str| {
            let fields = ["kind", "x", "body", "1", name, value];
            Entry::decode(LANE, "1-0", fields.map(|field| Value::BulkString(field.into())).to_vec())
        };
        for name in ["v", "n", "run", "crash"] {
            for fine in ["0", "1", "4294967295", "007"] {
                assert!(decode(name, fine).is_ok(), "{name} {fine}");
            }
            for wrong in ["4294967296", "-1", "+1", "1.0", "1e3", "", " 1", "0x1", "99999999999999999999"] {
                assert!(matches!(decode(name, wrong), Err(MalformedEntry::Invalid { .. })), "{name} {wrong}");
            }
        }
        for (time, fits) in [("0", true), ("999999999999999", true), ("1000000000000000", false), ("-1", false)] {
            assert_eq!(decode("at", time).is_ok(), fits, "{time}");
        }
        let id = "0190a5d3-7e1c-7abc-8def-0123456789ab";
        assert!(decode("id", id).is_ok() && decode("id", &id.replace('-', "")).is_ok());
        assert!(decode("id", &format!("{{{id}}}")).is_err() && decode("id", &format!("urn:uuid:{id}")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            kind in "[a-z_]{1,20}", body: Vec<u8>, id: u128, version: u32, attempt: u32, run: u32, crash: u32,
            at_ms in 0..1_000_000_000_000_000_i64, options: Option<String>,
        ) {
            let entry = Entry {
                version, attempt, run, crash, options,
                ..Entry::new(kind, body, Uuid::from_u128(id), at_ms)
            };
            prop_assert_eq!(Entry::decode(LANE, "5-0", flat(&entry, true)), Ok(entry));
        }

        #[test]
        fn no_garbage_panics(fields: Vec<Vec<u8>>) {
            let _ = Entry::decode(LANE, "5-0", fields.into_iter().map(Value::BulkString).collect());
        }
    }
}
