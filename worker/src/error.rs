//! Why a worker can't start, and why a handler can't report.

use uuid::Uuid;

/// A worker that is set up wrongly, or has no connection at its start; a report of a run that can't be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No handler was registered.
    #[error("the worker has no handler; register one with `.handle(…)`")]
    NoHandlers,
    /// Two handlers for one kind.
    #[error("two handlers are registered for the kind {kind:?}; each kind needs exactly one")]
    DuplicateKind {
        /// The kind.
        kind: &'static str,
    },
    /// Concurrency was set for a queue without handlers.
    #[error("concurrency is set for the queue {queue:?}, but no handler's job uses it; handled queues: {handled}")]
    UnhandledQueue {
        /// The queue as it was given.
        queue: String,
        /// The queues that handlers' jobs use, by commas.
        handled: String,
    },
    /// A number that can't be.
    #[error("the {what} {value} is refused: {rule}")]
    Setting {
        /// What was set.
        what: &'static str,
        /// To what.
        value: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A report of a run that is over: its worker was fenced, it timed out, was cancelled or cut
    /// off, or its handler has returned.
    #[error("run {run} of the job {id} is over and can't report any more; stop working on it")]
    Over {
        /// The job.
        id: Uuid,
        /// The run.
        run: u32,
    },
    /// A checkpoint that can't be kept, or read as what is asked for.
    #[error("the checkpoint of the job {id} is refused: {reason}")]
    Checkpoint {
        /// The job.
        id: Uuid,
        /// What is wrong with it.
        reason: String,
    },
    /// Redis.
    #[error(transparent)]
    Queue(#[from] millstream_queue::Error),
    /// The process can't hear of SIGINT and SIGTERM, or can't start the thread that keeps its leases.
    #[error("the worker can't be set up in this process: {0}")]
    Process(#[from] std::io::Error),
}
