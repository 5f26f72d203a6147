//! How long a failed job waits. Pure: time and randomness are arguments.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::millis;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The delay before the next attempt, as a function of the attempt that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
#[non_exhaustive]
pub enum Backoff {
    /// attempt⁴ + 15 seconds, ± 10 %, at most 24 hours (the curve of Sidekiq, without its upward drift).
    #[default]
    Quartic,
    /// The same delay each time.
    Constant(Duration),
    /// Grows by `step` with each attempt up to `most`, ± 10 %.
    Linear {
        /// Delay after the first failed attempt, and what each further one adds.
        step: Duration,
        /// The largest delay.
        most: Duration,
    },
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
            Backoff::Linear { step, most } => {
                spread(millis(step).saturating_mul(u64::from(attempt)), millis(most), jitter)
            }
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

/// A [`Backoff`] as JSON: its name, with its milliseconds where it has any.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wire {
    Quartic,
    ConstantMs(u64),
    LinearMs(u64, u64),
    ExponentialMs(u64, u64),
}

impl From<Backoff> for Wire {
    fn from(backoff: Backoff) -> Self {
        match backoff {
            Backoff::Quartic => Wire::Quartic,
            Backoff::Constant(delay) => Wire::ConstantMs(millis(delay)),
            Backoff::Linear { step, most } => Wire::LinearMs(millis(step), millis(most)),
            Backoff::Exponential { first, most } => Wire::ExponentialMs(millis(first), millis(most)),
        }
    }
}

impl From<Wire> for Backoff {
    fn from(wire: Wire) -> Self {
        let ms = Duration::from_millis;
        match wire {
            Wire::Quartic => Backoff::Quartic,
            Wire::ConstantMs(delay) => Backoff::Constant(ms(delay)),
            Wire::LinearMs(step, most) => Backoff::Linear { step: ms(step), most: ms(most) },
            Wire::ExponentialMs(first, most) => Backoff::Exponential { first: ms(first), most: ms(most) },
        }
    }
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

    #[test]
    fn a_linear_curve_grows_by_its_step() {
        let linear = Backoff::Linear { step: Duration::from_secs(10), most: Duration::from_secs(25) };
        let delays: Vec<_> = (1..=4).map(|attempt| linear.delay(attempt, 0.5).as_secs()).collect();
        assert_eq!(delays, [10, 20, 25, 25]);
    }

    proptest! {
        #[test]
        fn every_delay_is_bounded(attempt: u32, jitter in 0.0..1.0_f64, first: u64, most: u64) {
            prop_assert!(Backoff::DEFAULT.delay(attempt, jitter) <= Duration::from_secs(24 * 3600));
            let most = Duration::from_millis(most);
            let exponential = Backoff::Exponential { first: Duration::from_millis(first), most };
            prop_assert!(exponential.delay(attempt, jitter) <= most);
            let linear = Backoff::Linear { step: Duration::from_millis(first), most };
            prop_assert!(linear.delay(attempt, jitter) <= most);
            for backoff in [exponential, linear, Backoff::Constant(most), Backoff::Quartic] {
                let json = serde_json::to_string(&backoff).expect("JSON");
                prop_assert_eq!(serde_json::from_str::<Backoff>(&json).expect("a backoff"), backoff);
            }
        }
    }
}
