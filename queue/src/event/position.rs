//! A place in a topic's stream.

use std::{fmt, str::FromStr};

/// The place of a published event in its topic: later events have greater positions. Text form: `milliseconds-number`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    ms: u64,
    number: u64,
}

impl Position {
    /// Before the first event.
    pub const START: Position = Position { ms: 0, number: 0 };

    /// Just before the events of a time, in Unix milliseconds on the server's clock.
    pub fn at_ms(ms: u64) -> Self {
        match ms.checked_sub(1) {
            Some(before) => Self { ms: before, number: u64::MAX },
            None => Self::START,
        }
    }

    /// When the entry was appended, in Unix milliseconds on the server's clock.
    pub fn ms(self) -> u64 {
        self.ms
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (ms, number) = text.split_once('-')?;
            Some(Self { ms: ms.parse().ok()?, number: number.parse().ok()? })
        };
        parse().ok_or_else(|| format!("{text:?} is no position; one looks like 1700000000000-0"))
    }
}

impl serde::Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_order_by_time_then_number() {
        let [a, b, c] = ["9-5", "10-0", "10-1"].map(|text| text.parse::<Position>().expect("a position"));
        assert!(a < b && b < c);
        assert_eq!(c.to_string(), "10-1");
        assert!(Position::at_ms(10) < b && a < Position::at_ms(10));
        assert!("10".parse::<Position>().is_err());
    }
}
