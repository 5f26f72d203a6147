//! When a job is due.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::Error;

/// The last millisecond of the year 9999: scores of sorted sets are exact far beyond it.
const LATEST_MS: i64 = 253_402_300_799_999;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    #[default]
    Now,
    /// Milliseconds from now, on the server's clock.
    After(u128),
    /// Unix milliseconds.
    At(i64),
}

impl When {
    pub(crate) fn after(delay: Duration) -> Self {
        if delay.is_zero() { When::Now } else { When::After(delay.as_millis().max(1)) }
    }

    pub(crate) fn at(time: DateTime<Utc>) -> Self {
        When::At(time.timestamp_millis())
    }

    /// The script's words for it.
    pub(crate) fn argument(self) -> Result<(&'static str, i64), Error> {
        match self {
            When::Now => Ok(("now", 0)),
            When::After(ms) => match i64::try_from(ms) {
                Ok(ms) if ms < LATEST_MS - Utc::now().timestamp_millis() => Ok(("after", ms)),
                _ => Err(Error::Time { time: format!("in {ms} ms") }),
            },
            When::At(ms) if ms > LATEST_MS => Err(Error::Time { time: format!("{ms} ms after 1970") }),
            When::At(ms) => Ok(("at", ms.max(0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_past_the_year_9999_are_refused() {
        assert!(matches!(When::after(Duration::MAX).argument(), Err(Error::Time { .. })));
        assert!(matches!(When::at(DateTime::<Utc>::MAX_UTC).argument(), Err(Error::Time { .. })));
        assert!(When::at(DateTime::<Utc>::MIN_UTC).argument().is_ok());
        assert_eq!(When::after(Duration::ZERO), When::Now);
    }
}
