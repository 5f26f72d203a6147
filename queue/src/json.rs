//! Payloads as JSON that everyone can read back.

mod finite;

use std::io;

use serde::{Serialize, de::IgnoredAny, ser::Error as _};
use serde_json::ser::Formatter;

/// Deepest nesting of arrays and objects that serde_json reads.
const DEEPEST: usize = 127;

/// Encodes a payload; one that could not be read back, nested too deeply or with a number that is none, is an error here
/// rather than in a worker.
pub fn to_vec(payload: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let (mut json, mut has_null) = (Vec::with_capacity(128), false);
    payload.serialize(&mut serde_json::Serializer::with_formatter(&mut json, Compact { has_null: &mut has_null }))?;
    if has_null {
        finite::check(payload)?;
    }
    if is_too_deep(&json) {
        return Err(serde_json::Error::custom(format!(
            "nested more than {DEEPEST} levels deep, which can't be read back"
        )));
    }
    Ok(json)
}

/// Checks a text that others wrote: JSON, and not nested more deeply than can be read back.
pub(crate) fn check(text: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string())?;
    match is_too_deep(text.as_bytes()) {
        false => Ok(()),
        true => Err(format!("nested more than {DEEPEST} levels deep")),
    }
}

/// serde_json's compact form, which notes whether a `null` was written: numbers that JSON can't hold become one.
struct Compact<'a> {
    has_null: &'a mut bool,
}

impl Formatter for Compact<'_> {
    fn write_null<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        *self.has_null = true;
        writer.write_all(b"null")
    }
}

/// Whether a valid JSON text can't be read back. Most have fewer brackets than would be needed.
fn is_too_deep(json: &[u8]) -> bool {
    brackets(json) > DEEPEST && depth(json) > DEEPEST
}

/// How many `[` and `{` there are. Counted in bytes, and by the one bit in which they differ, so that the processor counts many at
/// once.
fn brackets(json: &[u8]) -> usize {
    let opens = |byte: &u8| u8::from(byte | b' ' == b'{');
    json.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(chunk.iter().map(opens).sum::<u8>())).sum()
}

/// Levels of nesting in a valid JSON text.
fn depth(json: &[u8]) -> usize {
    let (mut level, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !in_text => level -= 1,
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn nested(levels: usize) -> Value {
        (1..levels).fold(Value::Array(Vec::new()), |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn what_is_written_can_be_read_back() {
        let deepest = to_vec(&nested(127)).expect("127 levels");
        assert!(serde_json::from_slice::<Value>(&deepest).is_ok());
        let error = to_vec(&nested(128)).expect_err("128 levels");
        assert_eq!(error.to_string(), "nested more than 127 levels deep, which can't be read back");
    }

    #[test]
    fn brackets_inside_of_text_are_no_nesting() {
        let text = "[{\\\"[".repeat(200);
        assert_eq!(to_vec(&text).expect("a text"), serde_json::to_vec(&text).expect("a text"));
        assert_eq!(depth(br#"{"a\"[":["\\",[]]}"#), 3);
        assert_eq!(brackets(&[b"]}[;{ +\x0b\xfb".as_slice(), &[b'['; 600]].concat()), 602);
    }

    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(f32),
        Tuple(Option<f64>, u128),
        Struct { list: Vec<(f64, char)>, map: BTreeMap<String, Shape> },
    }

    fn shapes(number: f64) -> [Shape; 4] {
        let map = || BTreeMap::from([("key".to_owned(), Shape::Tuple(None, 1))]);
        [
            Shape::Newtype(number as f32),
            Shape::Tuple(Some(number), 1),
            Shape::Struct { list: vec![(1.0, 'x'), (number, 'y')], map: map() },
            Shape::Struct {
                list: Vec::new(),
                map: BTreeMap::from([("key".to_owned(), Shape::Newtype(number as f32))]),
            },
        ]
    }

    #[test]
    fn numbers_that_json_has_not_are_refused_wherever_they_stand() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for shape in shapes(number) {
                let error = to_vec(&shape).expect_err("not a number").to_string();
                assert_eq!(error, format!("JSON has no number {number}"));
            }
        }
        for shape in shapes(-0.0) {
            assert_eq!(to_vec(&shape).expect("finite"), serde_json::to_vec(&shape).expect("finite"));
        }
        assert_eq!(to_vec(&((), None::<f64>, Shape::Unit)).expect("nothing"), br#"[null,null,"Unit"]"#);
    }

    proptest! {
        #[test]
        fn finite_payloads_are_written_as_serde_json_writes_them(
            text: String, numbers: Vec<Option<i64>>, float in proptest::num::f64::NORMAL, unit: (),
        ) {
            let payload = (text, numbers, float, unit);
            prop_assert_eq!(to_vec(&payload).expect("finite"), serde_json::to_vec(&payload).expect("finite"));
        }
    }
}
