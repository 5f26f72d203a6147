//! Handlers by kind, with their types erased: bytes in, bytes out.

use std::{collections::HashMap, future::Future, time::Duration};

use millstream_queue::{Backoff, Entry, History, Job};
use serde::Serialize;

use crate::{Call, Context, Error, Result, Returned, Route};

/// A handler with what its job type says.
pub(crate) struct Handler<S> {
    pub(crate) kind: &'static str,
    pub(crate) queue: &'static str,
    pub(crate) policy: Policy,
    pub(crate) route: Route<S>,
}

/// The constants of a job type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) version: u32,
    pub(crate) attempts: u32,
    pub(crate) timeout: Duration,
    pub(crate) expiry: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) backoff: Backoff,
    /// The job type's own delay after an attempt that failed with an error.
    pub(crate) chosen_backoff: fn(u32, &str) -> Option<Duration>,
    pub(crate) history: History,
    /// Fields by which the history can be searched.
    pub(crate) searchable: &'static [&'static str],
}

impl Policy {
    fn of<J: Job>() -> Self {
        Self {
            version: J::VERSION,
            attempts: J::ATTEMPTS.max(1),
            timeout: J::TIMEOUT,
            expiry: J::EXPIRY,
            deadline: J::DEADLINE,
            backoff: J::BACKOFF,
            chosen_backoff: J::backoff,
            history: J::HISTORY,
            searchable: J::SEARCHABLE,
        }
    }
}

impl<S: Send + Sync + 'static> Handler<S> {
    pub(crate) fn new<J, R, F, Fut>(handler: F) -> Self
    where
        J: Job,
        R: Serialize + Send,
        F: Fn(J, Context<S>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let route = Route::new(move |call: Call<S>| match decode::<J>(call.entry()) {
            Ok(job) => {
                let running = handler(job, call.cx);
                Box::pin(async move { Returned::new(&running.await?) })
            }
            Err(failure) => Box::pin(std::future::ready(Err(failure))),
        });
        Self { kind: J::KIND, queue: J::QUEUE, policy: Policy::of::<J>(), route }
    }
}

fn decode<J: Job>(entry: &Entry) -> Result<J> {
    // A unit struct is JSON's null; clients of other languages may leave the body empty.
    let json = if entry.body.is_empty() { b"null" } else { entry.body.as_slice() };
    let job = if entry.version < J::VERSION {
        serde_json::from_slice(json).map_err(|error| error.to_string()).and_then(|payload| {
            let upcast = J::upcast(payload, entry.version)?;
            serde_path_to_error::deserialize(upcast).map_err(|error| with_path(error.path(), error.inner()))
        })
    } else {
        read(json)
    };
    job.map_err(|error| format!("the payload in version {} is no {}: {error}", entry.version, J::KIND).into())
}

/// Reads JSON. What can't be read is read once more, for the path to the place of the error.
fn read<J: Job>(json: &[u8]) -> std::result::Result<J, String> {
    serde_json::from_slice(json).map_err(|plain| {
        let traced = serde_path_to_error::deserialize::<_, J>(&mut serde_json::Deserializer::from_slice(json));
        traced.map_or_else(|error| with_path(error.path(), error.inner()), |_| plain.to_string())
    })
}

/// Such as `user.address: missing field ...`; the root has no path.
fn with_path(path: &serde_path_to_error::Path, error: &serde_json::Error) -> String {
    if path.iter().next().is_none() { error.to_string() } else { format!("{path}: {error}") }
}

/// All handlers of a worker.
pub(crate) struct Handlers<S> {
    by_kind: HashMap<&'static str, Handler<S>>,
    duplicate: Option<&'static str>,
}

impl<S> Handlers<S> {
    pub(crate) fn new() -> Self {
        Self { by_kind: HashMap::new(), duplicate: None }
    }

    pub(crate) fn add(&mut self, handler: Handler<S>) {
        let kind = handler.kind;
        if self.by_kind.insert(kind, handler).is_some() {
            self.duplicate.get_or_insert(kind);
        }
    }

    /// The handler for a queued job; none where this program is too old, or not meant, for it.
    pub(crate) fn find(&self, entry: &Entry, queue: &str) -> Option<&Handler<S>> {
        let handler = self.by_kind.get(entry.kind.as_str())?;
        (handler.queue == queue && entry.version <= handler.policy.version).then_some(handler)
    }

    /// The queues that the handlers' jobs use, sorted.
    pub(crate) fn queues(&self) -> Vec<&'static str> {
        let mut queues: Vec<_> = self.by_kind.values().map(|handler| handler.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// The kinds of a queue with the fields by which the history can be searched.
    pub(crate) fn searchable(&self, queue: &str) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        let handlers = self.by_kind.values().filter(move |handler| handler.queue == queue);
        handlers.map(|handler| (handler.kind, handler.policy.searchable))
    }

    /// Whether a worker can start with these.
    pub(crate) fn check(&self) -> std::result::Result<(), Error> {
        if let Some(kind) = self.duplicate {
            return Err(Error::DuplicateKind { kind });
        }
        if self.by_kind.is_empty() {
            return Err(Error::NoHandlers);
        }
        for handler in self.by_kind.values() {
            millstream_queue::names::check("kind", handler.kind)?;
            millstream_queue::names::check("queue", handler.queue)?;
            millstream_queue::check_searchable(handler.policy.searchable)?;
        }
        Ok(())
    }
}
