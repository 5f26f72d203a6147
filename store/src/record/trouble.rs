//! Waiting out an outage: one line in the log when it begins, one when it ends, and longer and longer waits between.

use std::{fmt::Display, time::Duration};

use tracing::{info, warn};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// An outage of one thing, or none.
pub(crate) struct Trouble {
    what: &'static str,
    failures: u32,
}

impl Trouble {
    /// `what` is done when all is well, as in "reading outcomes".
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, failures: 0 }
    }

    /// How long to wait after this failure. Only the first of a row is logged.
    pub(crate) fn failed(&mut self, error: &impl Display) -> Duration {
        if self.failures == 0 {
            warn!(%error, "{} failed, trying again until it works", self.what);
        }
        self.failures += 1;
        FIRST.saturating_mul(1 << self.failures.min(6).saturating_sub(1)).min(LONGEST)
    }

    /// It worked.
    pub(crate) fn worked(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            info!("{} works again", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_start_afresh_after_a_success() {
        let mut trouble = Trouble::new("testing");
        let waits: Vec<u128> = (0..8).map(|_| trouble.failed(&"no").as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        trouble.worked();
        assert_eq!(trouble.failed(&"no"), FIRST);
    }
}
