//! Many jobs spread over an interval. Pure: time is an argument.

use std::time::Duration;

use super::when::When;

/// 2^64 divided by the golden ratio: multiples of it, taken modulo 2^64, fall evenly into any interval, however many they are.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// When each of many jobs is due.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    first: When,
    interval_ms: u64,
    /// How many jobs there are, where the iterator knows.
    total: Option<u64>,
    next: u64,
}

impl Spread {
    /// The first job is due at `first`, the others within `interval` from then on. `size` is the iterator's hint.
    pub(super) fn new(first: When, interval: Duration, size: (usize, Option<usize>)) -> Self {
        let total = match size {
            (least, Some(most)) if least == most && most > 0 => Some(most as u64),
            _ => None,
        };
        Self { first, interval_ms: crate::options::millis(interval), total, next: 0 }
    }

    /// When the next job is due, `elapsed` after the first was taken: what was to be due since then is due now.
    pub(super) fn next(&mut self, elapsed: Duration) -> When {
        let index = self.next;
        self.next = index.wrapping_add(1);
        let interval = u128::from(self.interval_ms);
        let offset = match self.total {
            Some(total) => interval * u128::from(index % total) / u128::from(total),
            None => (interval * u128::from(index.wrapping_mul(GOLDEN))) >> 64,
        };
        match self.first {
            When::Now => When::After(offset.saturating_sub(elapsed.as_millis())),
            When::After(delay) => When::After(delay.saturating_add(offset).saturating_sub(elapsed.as_millis())),
            When::At(ms) => When::At(ms.saturating_add(i64::try_from(offset).unwrap_or(i64::MAX))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn offsets(spread: &mut Spread, count: u64) -> Vec<u128> {
        let offset = |when| if let When::After(ms) = when { ms } else { panic!("{when:?}") };
        (0..count).map(|_| offset(spread.next(Duration::ZERO))).collect()
    }

    #[test]
    fn a_known_number_of_jobs_keeps_its_order_at_even_distances() {
        let mut spread = Spread::new(When::Now, MINUTE, (4, Some(4)));
        assert_eq!(offsets(&mut spread, 4), [0, 15_000, 30_000, 45_000]);
    }

    #[test]
    fn what_was_to_be_due_meanwhile_is_due_now() {
        let mut spread = Spread::new(When::After(1_000), MINUTE, (2, Some(2)));
        assert_eq!(spread.next(Duration::from_secs(5)), When::After(0));
        assert_eq!(spread.next(Duration::from_secs(5)), When::After(26_000));
        let mut spread = Spread::new(When::At(1_000), MINUTE, (2, Some(2)));
        spread.next(MINUTE);
        assert_eq!(spread.next(MINUTE), When::At(31_000));
    }

    proptest! {
        #[test]
        fn any_number_of_jobs_falls_evenly_into_the_interval(count in 1..5_000_u64) {
            let mut spread = Spread::new(When::Now, MINUTE, (0, None));
            let mut offsets = offsets(&mut spread, count);
            offsets.sort_unstable();
            offsets.push(60_000);
            prop_assert_eq!(offsets[0], 0);
            let widest = offsets.windows(2).map(|pair| pair[1] - pair[0]).max().expect("two");
            // The three-gap theorem: no gap is wider than the golden ratio's square, about 2.6, times the mean one.
            prop_assert!(widest <= 27 * 60_000 / 10 / u128::from(count) + 2, "{} of {}", widest, count);
        }

        #[test]
        fn no_interval_overflows(interval: u64, count: usize, ms: i64) {
            for (first, size) in [(When::At(ms), (count, Some(count))), (When::After(u128::MAX), (count, None))] {
                let mut spread = Spread::new(first, Duration::from_millis(interval), size);
                spread.next(Duration::MAX);
                spread.next(Duration::ZERO);
            }
        }
    }
}
