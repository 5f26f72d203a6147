//! How long things took, in little room and to a stated error.

use std::{collections::BTreeMap, time::Duration};

/// Largest relative error of a quantile.
const ERROR: f64 = 0.02;
/// Each bin ends at this many times its beginning.
const GAMMA: f64 = (1.0 + ERROR) / (1.0 - ERROR);
/// First byte of the stored form, for this error.
const VERSION: u8 = 1;

/// The distribution of durations: how many there were, and quantiles with a relative error of at most 2 %, or of 1 µs where
/// that is more.
///
/// The bins grow geometrically, as in C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch
/// with Relative-Error Guarantees", PVLDB 12(12), 2019. There are at most 1,110 of them, whatever is added, and merging two
/// sketches gives the sketch of all their durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// How many durations lie in each bin: bin 0 ends at 1 µs, bin i at γ^i µs.
    bins: BTreeMap<u16, u64>,
    count: u64,
}

impl Sketch {
    /// Adds a duration.
    pub fn add(&mut self, duration: Duration) {
        self.add_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn add_micros(&mut self, micros: u64) {
        self.put(bin(micros), 1);
    }

    /// Adds all durations of another one.
    pub fn merge(&mut self, other: &Sketch) {
        for (bin, count) in &other.bins {
            self.put(*bin, *count);
        }
    }

    /// How many durations were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The duration that the `share` (0 to 1, others mean the nearest of these) of all were no longer than: the one that
    /// stands at ⌊share · (count − 1)⌋, from 0, in their order. None where there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let before = (share.clamp(0.0, 1.0) * self.count.checked_sub(1)? as f64).floor() as u64;
        let mut seen = 0_u64;
        let found = self.bins.iter().find(|(_, count)| {
            seen = seen.saturating_add(**count);
            seen > before
        });
        // A share of NaN finds the shortest.
        found.or(self.bins.last_key_value()).map(|(bin, _)| middle(*bin))
    }

    /// Half of all were no longer.
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// 95 % of all were no longer.
    pub fn p95(&self) -> Option<Duration> {
        self.quantile(0.95)
    }

    /// 99 % of all were no longer.
    pub fn p99(&self) -> Option<Duration> {
        self.quantile(0.99)
    }

    fn put(&mut self, bin: u16, count: u64) {
        let into = self.bins.entry(bin).or_default();
        *into = into.saturating_add(count);
        self.count = self.count.saturating_add(count);
    }

    /// The stored form: the version, then of each bin the distance from the one before and its count, seven bits to a byte.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let mut last = 0;
        for (bin, count) in &self.bins {
            put_number(&mut bytes, u64::from(bin - last));
            put_number(&mut bytes, *count);
            last = *bin;
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let (mut sketch, mut last) = (Self::default(), 0_u16);
        while !rest.is_empty() {
            last = last.checked_add(u16::try_from(take_number(&mut rest)?).ok()?)?;
            sketch.put(last, take_number(&mut rest)?);
        }
        Some(sketch)
    }
}

fn bin(micros: u64) -> u16 {
    // Never negative and below 1,110, since ln(2^64) / ln(γ) is.
    ((micros.max(1) as f64).ln() / GAMMA.ln()).ceil() as u16
}

/// The value that is within the relative error of all in the bin.
fn middle(bin: u16) -> Duration {
    let micros = 2.0 * GAMMA.powi(i32::from(bin)) / (GAMMA + 1.0);
    Duration::try_from_secs_f64(micros / 1e6).unwrap_or(Duration::MAX)
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(micros: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        micros.iter().for_each(|micros| sketch.add_micros(*micros));
        sketch
    }

    #[test]
    fn an_empty_sketch_has_no_quantiles() {
        assert_eq!((Sketch::default().count(), Sketch::default().p99()), (0, None));
    }

    #[test]
    fn the_largest_duration_has_a_bin() {
        let mut longest = sketch(&[u64::MAX]);
        longest.add(Duration::MAX);
        assert!(bin(u64::MAX) < 1110);
        assert!(longest.p50() > Some(Duration::from_secs(365 * 86_400 * 500_000)));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&[][..], &[2], &[VERSION, 0x80], &[VERSION, 1], &[VERSION, 0xff, 0xff, 0x7f, 1], &[0xff; 30]] {
            assert_eq!(Sketch::from_bytes(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_two_percent_of_the_exact_one(
            mut micros in prop::collection::vec(prop_oneof![0..2_000_u64, 0..100_000_000_000_u64, any::<u64>()], 1..300),
            share in 0.0..=1.0_f64,
        ) {
            let sketch = sketch(&micros);
            micros.sort_unstable();
            let place = (share * (micros.len() - 1) as f64) as usize;
            let exact = micros[place] as f64;
            let told = sketch.quantile(share).expect("there are some").as_secs_f64() * 1e6;
            prop_assert!((told - exact).abs() <= (exact * (ERROR + 2e-5)).max(1.0), "{told} for {exact}");
        }

        #[test]
        fn merging_is_adding_all(one: Vec<u64>, other: Vec<u64>) {
            let mut merged = sketch(&one);
            merged.merge(&sketch(&other));
            prop_assert_eq!(&merged, &sketch(&[&one[..], &other[..]].concat()));
            prop_assert_eq!(merged.count(), (one.len() + other.len()) as u64);
        }

        #[test]
        fn a_sketch_is_read_back(micros: Vec<u64>) {
            prop_assert_eq!(Sketch::from_bytes(&sketch(&micros).to_bytes()), Some(sketch(&micros)));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Sketch::from_bytes(&bytes);
            let _ = Sketch::from_bytes(&[&[VERSION], &bytes[..]].concat());
        }
    }
}
