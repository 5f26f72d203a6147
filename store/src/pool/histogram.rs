//! How long things took, counted into fixed buckets.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets in microseconds: 50 µs to 30 s.
const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 30_000_000,
];

/// Durations counted so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bound of each bucket and how many durations were at most that long: cumulative, as Prometheus has it.
    pub buckets: Vec<(Duration, u64)>,
    /// All durations together.
    pub sum: Duration,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    /// An upper bound of the `share` (0 to 1) of all durations, to the next bucket; none where there were none or it
    /// lies beyond the last bucket.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (share.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        self.buckets.iter().find(|(_, count)| *count >= wanted).map(|(bound, _)| *bound)
    }
}

/// The counters behind a [`Histogram`].
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    pub(crate) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            buckets.push((Duration::from_micros(*bound), count));
        }
        count += self.buckets[BOUNDS.len()].load(Ordering::Relaxed);
        Histogram { buckets, sum: Duration::from_micros(self.micros.load(Ordering::Relaxed)), count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_cumulative_buckets() {
        let durations = Durations::default();
        for micros in [0, 50, 51, 31_000_000] {
            durations.add(Duration::from_micros(micros));
        }
        let histogram = durations.snapshot();
        assert_eq!(histogram.buckets[..2], [(Duration::from_micros(50), 2), (Duration::from_micros(100), 3)]);
        assert_eq!(histogram.buckets.last(), Some(&(Duration::from_secs(30), 3)));
        assert_eq!((histogram.count, histogram.sum), (4, Duration::from_micros(31_000_101)));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(50)));
        assert_eq!(histogram.quantile(1.0), None);
    }
}
