//! What a worker process knows.

use super::{
    server::{Ban, Consumer, Entry, Job, Lane},
    state::{EntryId, JobId},
};
use crate::few::Few;

/// How a run ended, as the worker decided it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// The handler succeeded.
    #[default]
    Completed,
    /// It failed.
    Failed,
    /// It asked to be run again, without an attempt burned.
    Snoozed,
    /// Cut off at shutdown.
    Interrupted,
    /// Cancelled before its start, or while it ran.
    Cancelled,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Must ask whether it is marked before it may start.
    #[default]
    Asking,
    /// May start once it has what it needs (a slot, its unique key freed).
    Ready,
    Running,
    Ended(Ending),
    /// Its finish is on its way.
    Sent,
}

/// An entry in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) entry: EntryId,
    pub(crate) job: Job,
    /// The server that it was read from; a failover makes another.
    pub(crate) server: u8,
    pub(crate) stage: Stage,
    pub(crate) ban: Ban,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Read {
    /// What was not delivered yet, of the normal lanes: at most as many as slots are free.
    Fresh { most: u8 },
    /// One suspect, by a worker that is alone.
    Suspect { most: u8 },
    /// What is pending for this consumer; what was in hand when it was sent.
    Again { before: Few<EntryId, 4> },
}

/// What the server said behind a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Look {
    pub(crate) is_alive: bool,
    pub(crate) is_paused: bool,
    pub(crate) has_marks: bool,
}

pub(crate) type Entries = Few<Entry, 4>;

/// The fetch loop: one thing after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Fetch {
    #[default]
    Idle,
    Sent(Read),
    /// The server has read; its look behind the read is still to come.
    Delivered(Read, Entries),
    Answered(Read, Entries, Look),
    HandingBack(Few<EntryId, 4>),
    HandedBack(Few<EntryId, 4>),
    /// It is not known whether a hand-back was applied.
    HandBackUnanswered(Few<EntryId, 4>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Finished {
    pub(crate) entry: EntryId,
    pub(crate) job: Job,
    pub(crate) server: u8,
    pub(crate) ending: Ending,
}

/// One call of the finish script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Batch {
    pub(crate) consumer: Consumer,
    pub(crate) number: u8,
    pub(crate) finished: Few<Finished, 4>,
}

/// The finisher: one batch after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Finish {
    #[default]
    Idle,
    Sent(Batch),
    Answered {
        batch: Batch,
        is_applied: bool,
    },
    /// It is not known whether it was applied.
    Unanswered(Batch),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    #[default]
    Up,
    /// Asked to stop: fetches nothing, lets running jobs end.
    Stopping,
    /// The process is gone.
    Down,
}

/// A worker process with one fetch loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) life: Life,
    pub(crate) term: u8,
    pub(crate) is_registered: bool,
    pub(crate) knows_paused: bool,
    pub(crate) must_reread: bool,
    /// Nothing starts beside a suspect: from before it is read until its finish is confirmed.
    pub(crate) is_alone: bool,
    pub(crate) fetch: Fetch,
    pub(crate) hand: Few<Held, 4>,
    pub(crate) finish: Finish,
    /// Finishes sent so far.
    pub(crate) number: u8,
}

impl Worker {
    pub(crate) fn holds(&self, entry: EntryId, job: JobId) -> bool {
        self.hand.iter().any(|held| held.entry == entry && held.job.id == job)
    }

    /// Slots taken: a slot is free again as soon as its run has ended.
    pub(crate) fn busy(&self) -> u8 {
        let is_busy = |held: &&Held| !matches!(held.stage, Stage::Ended(_) | Stage::Sent);
        self.hand.iter().filter(is_busy).count() as u8
    }

    pub(crate) fn has_suspect(&self) -> bool {
        self.hand.iter().any(|held| held.job.lane == Lane::Suspect)
    }

    pub(crate) fn set_stage(&mut self, index: usize, stage: Stage) {
        let held = self.hand.iter_mut().nth(index);
        held.expect("the index is of the hand").stage = stage;
    }

    /// What is left of a worker whose process or term is over.
    pub(crate) fn forget_everything(&mut self) {
        *self = Self { life: self.life, term: self.term, ..Self::default() };
    }
}
