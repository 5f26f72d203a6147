//! Interleaved pairs: ours, limit, ours, limit … so that a machine that slows down slows both.

use anyhow::Result;

/// The measurements of both sides, in the order they were taken.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) ours: Vec<f64>,
    pub(crate) limits: Vec<f64>,
}

impl Pairs {
    /// Takes `count` pairs.
    pub(crate) async fn measure(
        count: u64,
        ours: impl AsyncFn() -> Result<f64>,
        limit: impl AsyncFn() -> Result<f64>,
    ) -> Result<Self> {
        let mut pairs = Self::default();
        for _ in 0..count {
            pairs.ours.push(ours().await?);
            pairs.limits.push(limit().await?);
        }
        Ok(pairs)
    }

    pub(crate) fn ratios(&self) -> Vec<f64> {
        self.ours.iter().zip(&self.limits).map(|(ours, limit)| ours / limit).collect()
    }
}

/// The middle of the values, the mean of the two middle ones where their number is even; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The value below which the part `p` of the values lies; 0 of none.
pub(crate) fn percentile(values: &mut [f64], p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * p) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn percentiles_stay_inside() {
        let mut values: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.5), 50.0);
        assert_eq!(percentile(&mut values, 1.0), 99.0);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
