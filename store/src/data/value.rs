//! Values of filters and cursors, read from text by the kind of their column.

use chrono::{DateTime, NaiveDate};
use uuid::Uuid;

use crate::{Id, Time, fit};

/// What a column of some kind is compared with. The error says what would be right.
pub trait FromValue: Sized {
    /// Reads it.
    fn from_value(text: &str) -> Result<Self, &'static str>;
}

impl FromValue for String {
    fn from_value(text: &str) -> Result<Self, &'static str> {
        if text.contains('\0') { Err("a text without NUL") } else { Ok(text.to_owned()) }
    }
}

impl FromValue for i64 {
    fn from_value(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "a whole number from -2^63 to 2^63-1")
    }
}

impl FromValue for i32 {
    fn from_value(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "a whole number from -2^31 to 2^31-1")
    }
}

impl FromValue for f64 {
    fn from_value(text: &str) -> Result<Self, &'static str> {
        text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("a finite number such as 1.5")
    }
}

impl FromValue for bool {
    fn from_value(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "true or false")
    }
}

impl FromValue for Id {
    fn from_value(text: &str) -> Result<Self, &'static str> {
        Uuid::try_parse(text).map(Self).map_err(|_| "a UUID such as 0198c0de-0000-7000-8000-000000000000")
    }
}

impl FromValue for Time {
    fn from_value(text: &str) -> Result<Self, &'static str> {
        const RIGHT: &str = "a time such as 2026-01-31T12:00:00Z or 2026-01-31, from the year 1 to 9999";
        let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc().fixed_offset());
        let time = DateTime::parse_from_rfc3339(text).ok().or_else(day).ok_or(RIGHT)?.to_utc();
        let fits = fit::time(time);
        if fits.timestamp() == time.timestamp() { Ok(Self(fits)) } else { Err(RIGHT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_kind_or_refused() {
        assert_eq!(i64::from_value("-7"), Ok(-7));
        assert_eq!(f64::from_value("1e3"), Ok(1000.0));
        assert_eq!(
            Time::from_value("2026-01-31").map(|time| time.to_string()),
            Ok("2026-01-31T00:00:00.000000Z".into())
        );
        assert!(Time::from_value("2026-01-31T12:00:00+02:00").is_ok());
        for wrong in ["", "x", "' OR 1=1--", "9223372036854775808", "1.5"] {
            assert!(i64::from_value(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "yesterday", "2026-02-30", "10000-01-01T00:00:00Z", "+262000-01-01T00:00:00Z"] {
            assert!(Time::from_value(wrong).is_err(), "{wrong}");
        }
        assert!(f64::from_value("NaN").is_err() && f64::from_value("1e400").is_err());
        assert!(Id::from_value("not-a-uuid").is_err() && String::from_value("a\0b").is_err());
        assert!(bool::from_value("1").is_err());
    }
}
