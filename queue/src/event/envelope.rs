//! CloudEvents 1.0: binary mode in streams, where the attributes are the entry's fields, and structured JSON on channels.

use chrono::{DateTime, SecondsFormat, Utc};
use redis::Value;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Event, Position};
use crate::{Client, Error, id};

/// An event with its context attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<E> {
    /// Unique per event; the same when an event is delivered again.
    pub id: String,
    /// Where it came from, a URI reference.
    pub source: String,
    /// What it is about, such as a room or an album.
    pub subject: Option<String>,
    /// When it happened, on its publisher's clock.
    pub time: DateTime<Utc>,
    /// Version of the payload's shape.
    pub version: u32,
    /// Its place in the topic; none for broadcasts, which are not kept.
    pub position: Option<Position>,
    /// The event itself.
    pub data: E,
}

/// A stream entry of a topic before its data is read as a type.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) position: Position,
    /// Names and values in the order in which they were written.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a publisher writes, in either form.
pub(crate) struct Outgoing<'a> {
    pub(crate) id: Uuid,
    pub(crate) source: &'a str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) time: DateTime<Utc>,
    pub(crate) name: &'a str,
    pub(crate) version: u32,
    pub(crate) data: &'a [u8],
}

const JSON: &str = "application/json";

impl<'a> Outgoing<'a> {
    /// An event that happens now, under a fresh id; `data` is its payload as JSON.
    pub(super) fn now<E: Event>(client: &'a Client, subject: Option<&'a str>, data: &'a [u8]) -> Self {
        Self {
            id: id::fresh(),
            source: client.source(),
            subject,
            time: Utc::now(),
            name: E::NAME,
            version: E::VERSION,
            data,
        }
    }

    /// The fields of the stream entry, in their constant order.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut fields = vec![
            ("specversion", b"1.0".to_vec()),
            ("id", self.id.to_string().into_bytes()),
            ("source", self.source.as_bytes().to_vec()),
            ("type", self.name.as_bytes().to_vec()),
            ("time", rfc3339(self.time).into_bytes()),
            ("datacontenttype", JSON.as_bytes().to_vec()),
        ];
        if let Some(subject) = self.subject {
            fields.push(("subject", subject.as_bytes().to_vec()));
        }
        if self.version != 1 {
            fields.push(("dataversion", self.version.to_string().into_bytes()));
        }
        fields.push(("data", self.data.to_vec()));
        fields
    }

    /// The JSON document of structured mode.
    pub(super) fn document(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Document {
            specversion: "1.0".into(),
            id: self.id.to_string(),
            source: self.source.to_owned(),
            kind: self.name.to_owned(),
            time: Some(rfc3339(self.time)),
            datacontenttype: Some(JSON.to_owned()),
            subject: self.subject.map(str::to_owned),
            dataversion: (self.version != 1).then_some(self.version),
            data: Some(serde_json::from_slice(self.data)?),
        })
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[derive(Serialize, Deserialize)]
struct Document {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number_or_text")]
    dataversion: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

/// Other writers know extension attributes as text only. What is no number is the default.
fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Number(number) => Some(number),
        Either::Text(text) => text.parse().ok(),
        Either::Other(_) => None,
    })
}

impl Kept {
    /// Reads `[id, [field, value, …]]`; none for what is no entry (an entry deleted meanwhile has nil fields).
    pub(super) fn from_value(value: Value) -> Option<Self> {
        let Value::Array(pair) = value else { return None };
        let [Value::BulkString(id), Value::Array(fields)] = <[Value; 2]>::try_from(pair).ok()? else { return None };
        let position = std::str::from_utf8(&id).ok()?.parse().ok()?;
        let mut pairs = Vec::with_capacity(fields.len() / 2);
        let mut fields = fields.into_iter();
        while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (fields.next(), fields.next()) {
            pairs.push((name, value));
        }
        Some(Self { position, fields: pairs })
    }

    /// The entries of an `XRANGE` reply.
    pub(super) fn list(value: Value) -> Vec<Self> {
        match value {
            Value::Array(entries) => entries.into_iter().filter_map(Self::from_value).collect(),
            _ => Vec::new(),
        }
    }

    /// The event's id, its position where a foreign writer left the id out.
    pub(super) fn id(&self) -> String {
        self.attribute("id").unwrap_or_else(|| self.position.to_string())
    }

    pub(super) fn decode<E: Event>(&self) -> Result<Envelope<E>, Error> {
        let data = self.field("data").unwrap_or(b"null");
        Ok(Envelope {
            id: self.id(),
            source: self.attribute("source").unwrap_or_default(),
            subject: self.attribute("subject"),
            time: parse_time(self.attribute("time").as_deref()),
            version: self.attribute("dataversion").and_then(|version| version.parse().ok()).unwrap_or(1),
            position: Some(self.position),
            data: decode_data::<E>(data, || format!("the event at {}", self.position))?,
        })
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len() + 64).sum()
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    fn attribute(&self, name: &str) -> Option<String> {
        self.field(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// Reads a broadcast.
pub(super) fn decode_document<E: Event>(json: &[u8]) -> Result<Envelope<E>, Error> {
    let document: Document = serde_json::from_slice(json).map_err(|error| Error::Decode {
        what: "a broadcast".to_owned(),
        name: E::NAME,
        reason: error.to_string(),
    })?;
    let data = document.data.as_deref().map_or("null", RawValue::get);
    Ok(Envelope {
        data: decode_data::<E>(data.as_bytes(), || format!("the broadcast {}", document.id))?,
        id: document.id,
        source: document.source,
        subject: document.subject,
        time: parse_time(document.time.as_deref()),
        version: document.dataversion.unwrap_or(1),
        position: None,
    })
}

fn decode_data<E: Event>(data: &[u8], what: impl FnOnce() -> String) -> Result<E, Error> {
    serde_json::from_slice(data).map_err(|error| Error::Decode {
        what: what(),
        name: E::NAME,
        reason: error.to_string(),
    })
}

/// `time` is optional in CloudEvents; the epoch stands for an absent or unreadable one.
fn parse_time(text: Option<&str>) -> DateTime<Utc> {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
