//! Searchable fields of payloads, and the texts by which they are compared.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

/// Longest text that can be searched for, in bytes.
pub(crate) const LONGEST: usize = 500;

/// What a searchable field can hold: a text, a number or a boolean, each apart from the others.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// A text of at most 500 bytes.
    Text(String),
    /// A number; 7 and 7.0 are the same.
    Number(Number),
    /// A boolean.
    Bool(bool),
}

macro_rules! from {
    ($($type:ty => $value:ident: $make:expr),+ $(,)?) => {$(
        impl From<$type> for FieldValue {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )+};
}

from! {
    &str => text: Self::Text(text.to_owned()),
    String => text: Self::Text(text),
    bool => value: Self::Bool(value),
    i32 => number: Self::Number(number.into()),
    i64 => number: Self::Number(number.into()),
    u32 => number: Self::Number(number.into()),
    u64 => number: Self::Number(number.into()),
}

impl FieldValue {
    /// The text that stands for it in SQL; none where it is too long.
    pub(crate) fn to_column(&self) -> Option<String> {
        match self {
            Self::Text(text) => (text.len() <= LONGEST && !text.contains('\0')).then(|| format!("s:{text}")),
            Self::Number(number) => Some(number_text(number)),
            Self::Bool(value) => Some(format!("b:{value}")),
        }
    }
}

/// One spelling per number.
fn number_text(number: &Number) -> String {
    // Beyond these a float has no fraction, and its digits say more than it knows.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= WHOLE => format!("n:{float:.0}"),
        _ => format!("n:{number}"),
    }
}

/// The searchable ones of a payload as a JSON object of path and text; none where it has none of them.
pub(crate) fn found_in(payload: &str, paths: &[String]) -> Option<String> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    let found: BTreeMap<&str, String> = paths.iter().filter_map(|path| Some((&**path, at(&payload, path)?))).collect();
    (!found.is_empty()).then(|| serde_json::to_string(&found).expect("texts are JSON"))
}

fn at(payload: &Value, path: &str) -> Option<String> {
    let value = match path.split('.').try_fold(payload, |value, name| value.get(name))? {
        Value::String(text) => FieldValue::Text(text.clone()),
        Value::Number(number) => FieldValue::Number(number.clone()),
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    value.to_column()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_paths() {
        let paths = ["user", "order.country", "missing", "order", "list", "none"].map(str::to_owned);
        let payload = r#"{"user":7,"order":{"country":"ZA"},"list":[1],"none":null}"#;
        assert_eq!(found_in(payload, &paths).as_deref(), Some(r#"{"order.country":"s:ZA","user":"n:7"}"#));
        assert_eq!(found_in("7", &paths), None);
        assert_eq!(found_in("", &paths), None);
    }

    #[test]
    fn values_of_different_types_differ_and_equal_numbers_do_not() {
        let column = |json: &str| at(&serde_json::from_str(json).expect("JSON"), "v");
        assert_eq!(column(r#"{"v":7}"#), column(r#"{"v":7.0}"#));
        assert_eq!(column(r#"{"v":7}"#), FieldValue::from(7).to_column());
        assert_ne!(column(r#"{"v":"7"}"#), column(r#"{"v":7}"#));
        assert_ne!(column(r#"{"v":"true"}"#), column(r#"{"v":true}"#));
        assert_eq!(column(r#"{"v":18446744073709551615}"#), FieldValue::from(u64::MAX).to_column());
        let long = "x".repeat(501);
        assert_eq!(column(&format!(r#"{{"v":"{long}"}}"#)), None);
    }
}
