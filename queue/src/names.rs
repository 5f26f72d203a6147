//! The rule for names: they become parts of keys, so what Redis Cluster or this layout gives a meaning is kept out.

use crate::Error;

/// Longest name, in bytes.
pub const LONGEST: usize = 128;

/// Checks the name of a queue, kind, topic or schedule: 1 to 128 of `A-Z a-z 0-9 . _ -`.
///
/// # Errors
/// [`Error::Name`] with the broken rule; `what` says what the name was for.
pub fn check(what: &'static str, name: &str) -> Result<(), Error> {
    let rule = if name.is_empty() {
        "a name needs at least one character"
    } else if name.len() > LONGEST {
        "a name has at most 128 bytes"
    } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        "a name consists of A-Z a-z 0-9 . _ -"
    } else {
        return Ok(());
    };
    Err(Error::Name { what, name: name.to_owned(), rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_pass() {
        for name in ["a", "mail", "send_welcome", "v2.photos-Large", &"x".repeat(128)] {
            assert!(check("queue", name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_that_would_break_keys_are_refused() {
        let long = "x".repeat(129);
        for name in
            ["", "a b", "{mail}", "a:b", "mail#1", "a\r\nb", "../x", "<img onerror>", "\u{202e}mail", "é", &long]
        {
            assert!(matches!(check("queue", name), Err(Error::Name { .. })), "{name}");
        }
    }
}
