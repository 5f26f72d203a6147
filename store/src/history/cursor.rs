//! Where a page ends.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Error;

/// The place between two rows of a history. Opaque: [`Display`](fmt::Display) gives a text for a URL, [`FromStr`] reads
/// it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub(super) finished_at: DateTime<Utc>,
    pub(super) id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The two's complement of the microseconds keeps times before 1970 in one form.
        write!(f, "{:016x}{}", self.finished_at.timestamp_micros(), self.id.simple())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        read(text).ok_or_else(|| Error::Cursor { text: text.chars().take(64).collect() })
    }
}

fn read(text: &str) -> Option<Cursor> {
    let (time, id) = text.split_at_checked(16)?;
    if text.len() != 48 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let micros = u64::from_str_radix(time, 16).ok()?.cast_signed();
    let finished_at = DateTime::from_timestamp_micros(micros)?;
    Some(Cursor { finished_at, id: Uuid::try_parse(id).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        for micros in [0, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            let finished_at = DateTime::from_timestamp_micros(micros).expect("in range");
            let cursor = Cursor { finished_at, id: Uuid::from_u128(7) };
            assert_eq!(cursor.to_string().parse::<Cursor>().expect("a cursor"), cursor);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let far = format!("7{}", "f".repeat(47));
        for text in ["", "1", "' OR 1=1--", "+00000000000000000000000000000000000000000000000", &far, &"0".repeat(49)] {
            assert!(matches!(text.parse::<Cursor>(), Err(Error::Cursor { .. })), "{text}");
        }
    }
}
