//! What can be set of a worker, and what follows from it.

use std::time::Duration;

/// How the priorities of a queue share a worker's slots while these are scarce. With plenty of free slots every priority gets
/// some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priorities {
    /// Jobs of a higher priority first; one read in sixteen begins with the lowest, so that none starves. The default.
    #[default]
    Strict,
    /// Of the reads, so many begin with each priority, in proportion. Zero counts as one.
    Weighted {
        /// Of [`Priority::High`](millstream_queue::Priority::High).
        high: u32,
        /// Of [`Priority::Normal`](millstream_queue::Priority::Normal).
        normal: u32,
        /// Of [`Priority::Low`](millstream_queue::Priority::Low).
        low: u32,
    },
}

/// Settings of a worker process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// A consumer whose beats stand still for this long is dead.
    pub(crate) lease: Duration,
    /// How long running jobs may go on after a stop.
    pub(crate) grace: Duration,
    /// How long the runtime may stand still before the process stops beating.
    pub(crate) hang: Duration,
    /// How priorities share the slots.
    pub(crate) priorities: Priorities,
    /// How long a job that must run alone waits for the runs of its process to end.
    pub(crate) solitude_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            grace: Duration::from_secs(25),
            hang: Duration::from_secs(5 * 60),
            priorities: Priorities::Strict,
            solitude_wait: LONGEST_SOLITUDE_WAIT,
        }
    }
}

/// For as long a job that killed two workers may keep others of its process from starting before it starts itself.
const LONGEST_SOLITUDE_WAIT: Duration = Duration::from_secs(60);

/// Dead jobs kept per queue.
pub(crate) const DEAD_KEPT: u64 = 10_000;
/// For how long dead jobs are kept.
pub(crate) const DEAD_KEPT_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// For how long a job that no worker understands is parked before it is dead.
pub(crate) const PARKED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Entries and outcomes per script.
pub(crate) const BATCH: usize = 512;

impl Settings {
    /// Between two beats: ten to a lease.
    pub(crate) fn beat_interval(self) -> Duration {
        self.lease / 10
    }

    /// How long a beat, or the connection for it, may take before that connection is given up: a second, and so little of a
    /// short lease that one lost beat and its repetition fit into what is left of it.
    pub(crate) fn beat_patience(self) -> Duration {
        Duration::from_secs(1).min(self.lease / 4)
    }

    /// Longest blocking read. Far shorter than a lease: a frozen worker's read must have ended before its jobs are given
    /// to others, or the server would hand one of them to it once more.
    pub(crate) fn block(self) -> Duration {
        Duration::from_secs(2).min(self.lease / 5)
    }

    /// Looks at the others further apart than this prove nothing about them.
    pub(crate) fn longest_look_gap(self) -> Duration {
        self.lease / 5
    }

    /// New work starts only while the last confirmed beat is younger than this.
    pub(crate) fn freshness(self) -> Duration {
        self.lease / 2
    }

    /// This long after the sending of the last confirmed beat, handlers are told that the lease may be lost.
    pub(crate) fn lost_after(self) -> Duration {
        self.lease * 4 / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_beat_costs_no_lease() {
        for lease in [500, 1000, 3000, 10_000, 60_000].map(Duration::from_millis) {
            let settings = Settings { lease, ..Settings::default() };
            let until_repeated = settings.beat_interval() + settings.beat_patience();
            assert!(until_repeated < settings.freshness(), "{lease:?}: a repetition only after {until_repeated:?}");
        }
    }
}
