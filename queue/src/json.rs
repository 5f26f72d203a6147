//! Payloads as JSON that everyone can read back.

use serde::{Serialize, ser::Error as _};

/// Deepest nesting of arrays and objects that serde_json reads.
const DEEPEST: usize = 127;

/// Encodes a payload; one that would be nested too deeply to be read back is an error here rather than in a worker.
pub(crate) fn to_vec(payload: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(payload)?;
    // Each level takes two bytes, so that most payloads need no look.
    if json.len() > 2 * DEEPEST && depth(&json) > DEEPEST {
        return Err(serde_json::Error::custom(format!(
            "nested more than {DEEPEST} levels deep, which can't be read back"
        )));
    }
    Ok(json)
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
    }
}
