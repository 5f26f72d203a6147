//! What Redis holds.

use std::fmt;

use super::state::{EntryId, JOBS, JobId, TERMS};
use crate::few::Few;

/// A fetch loop's name, which is its epoch: a worker's `term`-th consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Consumer {
    pub(crate) worker: u8,
    pub(crate) term: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lane {
    #[default]
    Normal,
    Suspect,
}

/// A job as an entry, or as `later` keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    pub(crate) id: JobId,
    pub(crate) lane: Lane,
    pub(crate) attempt: u8,
    pub(crate) run: u8,
    pub(crate) crash: u8,
}

/// Where an entry stands in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// Not delivered yet.
    #[default]
    Nobody,
    Pending(Consumer),
    /// Delivered, and pending for nobody: what a deleted consumer held. No read ever brings it.
    Forgotten,
}

/// Why the run of an entry must not start, as it stood when the entry was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Ban {
    #[default]
    None,
    /// A cancel came before.
    Cancelled,
    /// It was delivered to a consumer that was fenced before.
    Stray,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) id: EntryId,
    pub(crate) job: Job,
    pub(crate) owner: Owner,
    /// Observed, not stored.
    pub(crate) ban: Ban,
}

/// A consumer in `alive`, with the number of the last finish applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Alive {
    pub(crate) consumer: Consumer,
    pub(crate) applied: u8,
}

/// A cancel that waits to be met. The time of a mark is the id that the next entry will get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) job: JobId,
    pub(crate) at: EntryId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) job: JobId,
    pub(crate) consumer: Consumer,
}

/// How a job is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Completed,
    Dead,
    Cancelled,
}

/// What the recorder sees of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(crate) is_pushed: bool,
    /// The push met a unique key and stored nothing.
    pub(crate) is_refused: bool,
    /// One bit per run that has an outcome.
    pub(crate) outcomes: u16,
    pub(crate) end: Option<End>,
    /// A cancel was asked for.
    pub(crate) is_cancelled: bool,
}

/// What Redis holds, and what it has told the recorder. A replica is a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) entries: Few<Entry, 4>,
    pub(crate) next_id: EntryId,
    pub(crate) later: Few<Job, JOBS>,
    pub(crate) alive: Few<Alive, 5>,
    pub(crate) is_paused: bool,
    pub(crate) marks: Few<Mark, JOBS>,
    pub(crate) unique: Option<JobId>,
    pub(crate) slots: Few<Slot, JOBS>,
    pub(crate) history: [History; JOBS],
    /// The consumers of the groups, a bit each: a read makes its consumer. Only where the configuration asks for it.
    pub(crate) consumers: u16,
    /// Observed, not stored: consumers that were taken out of `alive`, a bit each.
    pub(crate) fenced: u16,
}

impl Consumer {
    pub(crate) fn bit(self) -> u16 {
        1 << (self.worker * TERMS + self.term)
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} (term {})", self.worker, self.term)
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "J{} (attempt {} run {} crash {})", self.id, self.attempt, self.run, self.crash)
    }
}
