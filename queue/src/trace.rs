//! The trace that a job belongs to, as a W3C traceparent.

use crate::Error;

/// The current span's traceparent; none where spans are not traced.
pub fn current_traceparent() -> Option<String> {
    None
}

/// Gives back a traceparent that is well-formed: `00-<32 hex>-<16 hex>-<2 hex>`, or a later version's, which may go on
/// behind another hyphen.
pub(crate) fn check(value: String) -> Result<String, Error> {
    let rule = match broken_rule(&value) {
        None => return Ok(value),
        Some(rule) => rule,
    };
    Err(Error::Traceparent { value: value.chars().take(100).collect(), rule })
}

fn broken_rule(value: &str) -> Option<&'static str> {
    const SHAPE: &str = "it is <2>-<32>-<16>-<2> digits of lower-case hexadecimal";
    let parts: Vec<&str> = value.split('-').collect();
    let &[version, trace, parent, flags, ref more @ ..] = parts.as_slice() else { return Some(SHAPE) };
    let is_hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|digit| digit == b'0');
    if ![(version, 2), (trace, 32), (parent, 16), (flags, 2)].iter().all(|(part, length)| is_hex(part, *length)) {
        Some(SHAPE)
    } else if version == "ff" || (version == "00" && !more.is_empty()) {
        Some("version 00 ends with its flags, and version ff is none")
    } else if is_zero(trace) || is_zero(parent) {
        Some("its ids are not all zeros")
    } else if value.len() > 256 || value.chars().any(char::is_control) {
        Some("it has at most 256 bytes without control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_held_against_the_standard() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(check(good.to_owned()).expect("well-formed"), good);
        assert!(check(format!("01{}-more-of-it", &good[2..])).is_ok(), "a later version may say more");
        let bad = [
            "",
            "hello",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ];
        for value in bad {
            assert!(matches!(check(value.to_owned()), Err(Error::Traceparent { .. })), "{value}");
        }
    }
}
