//! A calendar month in UTC.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// Written `2026-10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month(NaiveDate);

impl Month {
    /// The last month that was over at `now`.
    pub fn before(now: DateTime<Utc>) -> Self {
        let first = now.date_naive().with_day(1).expect("every month has a first day");
        Self(first.checked_sub_months(Months::new(1)).unwrap_or(first))
    }

    /// Its first moment.
    pub fn start(self) -> DateTime<Utc> {
        self.0.and_hms_opt(0, 0, 0).expect("every day has a midnight in UTC").and_utc()
    }

    /// The first moment after it.
    pub fn end(self) -> DateTime<Utc> {
        Self(self.0.checked_add_months(Months::new(1)).unwrap_or(self.0)).start()
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok();
        let month = first.filter(|day| (1..=9998).contains(&day.year())).map(Self);
        month.filter(|month| month.to_string() == text).ok_or(format!("{text:?} is no month such as \"2026-10\""))
    }
}

impl TryFrom<String> for Month {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_reaches_from_its_first_moment_to_the_next_ones() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(month.start().to_rfc3339(), "2026-12-01T00:00:00+00:00");
        assert_eq!(month.end().to_rfc3339(), "2027-01-01T00:00:00+00:00");
        assert_eq!(Month::before(month.start()).to_string(), "2026-11");
        assert_eq!(Month::before(month.end()), month);
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for wrong in
            ["", "2026", "2026-13", "2026-1", "2026-00", "26-10", "2026-10-01", "0000-01", "9999-12", "-2026-10"]
        {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }
}
