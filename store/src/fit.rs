//! Values made to fit both databases, so that a strange one is kept as well as it can be and never refused.

use std::{fmt, ops::RangeInclusive};

use chrono::{DateTime, Utc};
use millstream_queue::Progress;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// Years 1 to 9999 in Unix microseconds: beyond them SQLite's times no longer sort as text.
const TIMES: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
/// Longest text that is part of an index, in bytes; Postgres refuses index rows near 2,700.
const NAME: usize = 512;

/// A payload or result on its way into a pair of columns: at most one of the two is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    /// JSON that both databases hold.
    pub(crate) json: Option<String>,
    /// Everything else.
    pub(crate) raw: Option<Vec<u8>>,
}

impl Document {
    pub(crate) fn new(bytes: Option<Vec<u8>>, content_type: Option<&str>) -> Self {
        let Some(bytes) = bytes else { return Self::default() };
        let claims_json = content_type.is_none_or(|name| name.contains("json"));
        if !claims_json || serde_json::from_slice::<Storable>(&bytes).is_err() {
            return Self { json: None, raw: Some(bytes) };
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self { json: Some(text), raw: None },
            Err(error) => Self { json: None, raw: Some(error.into_bytes()) },
        }
    }

    /// The same without a claim to be JSON.
    pub(crate) fn into_raw(self) -> Self {
        Self { json: None, raw: self.raw.or(self.json.map(String::into_bytes)) }
    }

    pub(crate) fn into_bytes(self) -> Option<Vec<u8>> {
        self.into_raw().raw
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.json.is_none() && self.raw.is_none()
    }
}

/// A text without NUL, which Postgres refuses.
pub(crate) fn text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

/// A text that can be part of an index.
pub(crate) fn name(name: String) -> String {
    let mut name = text(name);
    if name.len() > NAME {
        name.truncate(name.floor_char_boundary(NAME));
    }
    name
}

/// The JSON array of tags; none where there are none.
pub(crate) fn tags(tags: Vec<String>) -> Option<String> {
    if tags.is_empty() {
        return None;
    }
    let tags: Vec<String> = tags.into_iter().map(name).collect();
    Some(serde_json::to_string(&tags).expect("texts are JSON"))
}

/// The JSON object of how far a job is.
pub(crate) fn progress(mut progress: Progress) -> String {
    progress.note = progress.note.map(text);
    progress.to_json()
}

/// The nearest time that both databases hold, to the microsecond.
pub(crate) fn time(time: DateTime<Utc>) -> DateTime<Utc> {
    micros(time.timestamp_micros())
}

/// The nearest time to Unix microseconds.
pub(crate) fn micros(micros: i64) -> DateTime<Utc> {
    let micros = micros.clamp(*TIMES.start(), *TIMES.end());
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// The nearest time to Unix milliseconds.
pub(crate) fn millis(millis: i64) -> DateTime<Utc> {
    micros(millis.saturating_mul(1000))
}

/// Accepts the JSON that jsonb accepts: no NUL or lone surrogate in a text, no number beyond its range (a number that
/// isn't an ordinary float stays raw). What it misses, the recorder finds out by the database's own refusal.
struct Storable;

impl<'de> Deserialize<'de> for Storable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Check)
    }
}

struct Check;

impl<'de> Visitor<'de> for Check {
    type Value = Storable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON that jsonb can hold")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Storable, E> {
        // Positive zero alone is ambiguous: 0.0, or something too small to tell from it.
        if number.is_normal() || (number == 0.0 && number.is_sign_positive()) {
            Ok(Storable)
        } else {
            Err(E::custom("a number jsonb would change"))
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Storable, E> {
        if text.contains('\0') { Err(E::custom("NUL in a text")) } else { Ok(Storable) }
    }

    fn visit_unit<E>(self) -> Result<Storable, E> {
        Ok(Storable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Storable, A::Error> {
        while items.next_element::<Storable>()?.is_some() {}
        Ok(Storable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Storable, A::Error> {
        while entries.next_entry::<Storable, Storable>()?.is_some() {}
        Ok(Storable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(text: &str) -> bool {
        Document::new(Some(text.into()), None).json.is_some()
    }

    #[test]
    fn ordinary_json_stays_json() {
        let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
        for text in
            ["null", "{}", "[]", "0", "0.0", "-1.5e3", "18446744073709551615", r#"{"a":["\u00e9","\\u0000"]}"#, &nested]
        {
            assert!(is_json(text), "{text}");
        }
    }

    #[test]
    fn what_jsonb_refuses_or_changes_stays_raw() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in ["", "{", r#""\u0000""#, r#"{"\u0000":1}"#, r#""\ud800""#, "1e400", "-0.0", "1e-320", &deep] {
            assert!(!is_json(text), "{text}");
        }
        assert_eq!(Document::new(Some(vec![0xff]), None).raw, Some(vec![0xff]));
        assert_eq!(Document::new(Some(b"1".to_vec()), Some("text/plain")).raw, Some(b"1".to_vec()));
    }

    #[test]
    fn times_stay_within_four_digits_of_a_year() {
        assert_eq!(micros(i64::MIN).to_rfc3339(), "0001-01-01T00:00:00+00:00");
        assert_eq!(millis(i64::MAX).to_rfc3339(), "9999-12-31T23:59:59.999999+00:00");
        assert_eq!(time(DateTime::<Utc>::MAX_UTC), micros(i64::MAX));
    }

    #[test]
    fn names_are_cut_between_letters() {
        assert_eq!(name("é".repeat(400)).len(), 512);
        assert_eq!(name("a\0b".into()), "a\u{FFFD}b");
    }
}
