//! A state of the whole: the server, the workers, and what is on its way between them.

use super::{
    server::{Consumer, Server},
    worker::{Batch, Read, Worker},
};
use crate::few::Few;

/// Jobs are numbered from 0.
pub type JobId = u8;
/// An entry's id in its stream: the next is higher.
pub type EntryId = u8;

/// Most jobs of a configuration.
pub(crate) const JOBS: usize = 3;
pub(crate) const WORKERS: usize = 2;
/// Most consumers that one worker may be, one after the other.
pub(crate) const TERMS: u8 = 8;

/// A command whose connection died before it was run: it may still run, at any time, and nobody hears the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Late {
    Read(Consumer, Read),
    Finish(Batch),
    HandBack(Consumer, Few<EntryId, 4>),
    FreeUnique(Consumer, JobId),
}

impl Default for Late {
    fn default() -> Self {
        Self::Finish(Batch::default())
    }
}

/// How many of each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Worker processes killed.
    pub crashes: u8,
    /// Consumers fenced although they live: they were frozen, or cut off from the server.
    pub false_fences: u8,
    /// Requests or replies lost with their connection.
    pub losses: u8,
    /// Commands on their way that outlive their connection, term or process, and run late.
    pub late: u8,
    /// Promotions of a replica that stopped receiving some time before.
    pub failovers: u8,
    /// Times `alive` is lost.
    pub alive_losses: u8,
    /// Times the consumer groups are deleted.
    pub group_losses: u8,
    /// Workers asked to stop.
    pub stops: u8,
    /// Times the queue is paused.
    pub pauses: u8,
    /// Cancels asked for.
    pub cancels: u8,
    /// Runs that fail, beyond which all succeed.
    pub failures: u8,
    /// Runs that are snoozed.
    pub snoozes: u8,
}

/// A state of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) server: Server,
    /// Which server this is: a failover makes another.
    pub(crate) server_number: u8,
    /// What a replica holds that stopped receiving.
    pub(crate) replica: Option<Server>,
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) late: Few<Late, 4>,
    pub(crate) left: Faults,
    pub(crate) observed: Observed,
}

/// What the invariants are told of the past. Nothing that happens depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Observed {
    /// One bit per run that was started.
    pub(crate) started: [u16; JOBS],
    /// Jobs whose handler succeeded, a bit each.
    pub(crate) succeeded: u8,
    /// Jobs whose unique key was freed for their start, a bit each.
    pub(crate) released: u8,
    /// Runs may be repeated: the server lost what it had confirmed, which is the documented exception.
    pub(crate) has_forgotten: bool,
    /// Events that may count a crash on an entry: a consumer died, was fenced, or was handed entries after that.
    pub(crate) blows: u8,
    /// For each worker's last consumer that was brought down by a poison job: the job.
    pub(crate) killed_by: [Option<(u8, JobId)>; WORKERS],
    pub(crate) broken: Option<&'static str>,
}

impl State {
    pub(crate) fn consumer(&self, worker: usize) -> Consumer {
        Consumer { worker: worker as u8, term: self.workers[worker].term }
    }

    pub(crate) fn break_invariant(&mut self, invariant: &'static str) {
        self.observed.broken.get_or_insert(invariant);
    }
}
