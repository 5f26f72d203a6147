//! What a handler returns when a job did not succeed.

use std::{error::Error as StdError, fmt, time::Duration};

/// What a handler returns. The value, where there is one, is the job's result.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Why an attempt did not succeed, and what becomes of the job. Any error and any text becomes a failure that is retried
/// with the job type's backoff, so `?` works on everything.
#[derive(Debug)]
pub struct Failure {
    pub(crate) verdict: Verdict,
    error: Box<dyn StdError + Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Retry,
    RetryIn(Duration),
    Snooze(Duration),
    Cancel,
    Dead,
}

impl Failure {
    /// The attempt failed; the next one is due in `delay` instead of the backoff's delay.
    pub fn retry_in(delay: Duration, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { verdict: Verdict::RetryIn(delay), error: error.into() }
    }

    /// Not now: run again in `delay`. Does not burn an attempt.
    pub fn snooze(delay: Duration, reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { verdict: Verdict::Snooze(delay), error: reason.into() }
    }

    /// The job is pointless: never run again, recorded as cancelled.
    pub fn cancel(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { verdict: Verdict::Cancel, error: reason.into() }
    }

    /// The job can't succeed: no further attempts, it goes to the dead letters.
    pub fn dead(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { verdict: Verdict::Dead, error: error.into() }
    }
}

/// The error with its causes.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { verdict: Verdict::Retry, error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_errors_are_retried() {
        let text: Failure = "no luck".into();
        assert_eq!((text.verdict, text.to_string().as_str()), (Verdict::Retry, "no luck"));
        let error: Failure = std::io::Error::other("disk").into();
        assert_eq!(error.verdict, Verdict::Retry);
        assert_eq!(Failure::dead("corrupt").verdict, Verdict::Dead);
    }
}
