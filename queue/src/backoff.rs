//! How long a failed job waits. Pure: time and randomness are arguments.

use std::time::Duration;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The delay before the next attempt, as a function of the attempt that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// attempt⁴ + 15 seconds, ± 10 %, at most 24 hours (the curve of Sidekiq, without its upward drift).
    #[default]
    Quartic,
    /// The same delay each time.
    Constant(Duration),
    /// Doubles from `first` up to `most`, ± 10 %.
    Exponential {
        /// Delay after the first failed attempt.
        first: Duration,
        /// The largest delay.
        most: Duration,
    },
}

impl Backoff {
    /// [`Backoff::Quartic`].
    pub const DEFAULT: Backoff = Backoff::Quartic;

    /// The delay after the failed attempt number `attempt` (from 1). `jitter` is a random number in `0.0..1.0`.
    /// Saturates: no attempt number overflows.
    pub fn delay(self, attempt: u32, jitter: f64) -> Duration {
        match self {
            Backoff::Quartic => {
                let seconds = u64::from(attempt).saturating_pow(4).saturating_add(15);
                spread(seconds.saturating_mul(1000), DAY_MS, jitter)
            }
            Backoff::Constant(delay) => delay,
            Backoff::Exponential { first, most } => {
                let doubled = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
                spread(millis(first).saturating_mul(doubled), millis(most), jitter)
            }
        }
    }
}

fn spread(ms: u64, most: u64, jitter: f64) -> Duration {
    let factor = 0.9 + 0.2 * jitter.clamp(0.0, 1.0);
    Duration::from_millis(((ms.min(most) as f64 * factor) as u64).min(most))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_curve_is_attempt_to_the_fourth_plus_fifteen_seconds() {
        assert_eq!(Backoff::DEFAULT.delay(1, 0.5), Duration::from_secs(16));
        assert_eq!(Backoff::DEFAULT.delay(5, 0.5), Duration::from_secs(640));
        assert_eq!(Backoff::DEFAULT.delay(1000, 0.5), Duration::from_secs(24 * 3600));
    }

    proptest! {
        #[test]
        fn every_delay_is_bounded(attempt: u32, jitter in 0.0..1.0_f64, first: u64, most: u64) {
            prop_assert!(Backoff::DEFAULT.delay(attempt, jitter) <= Duration::from_secs(24 * 3600));
            let most = Duration::from_millis(most);
            let exponential = Backoff::Exponential { first: Duration::from_millis(first), most };
            prop_assert!(exponential.delay(attempt, jitter) <= most);
        }
    }
}
