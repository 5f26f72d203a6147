//! What the loops of a queue, and the beat thread, say of themselves. Said once per read, not per job.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::report::{Doing, QueueHealth};
use crate::{
    engine::{Hands, Lease},
    settings::Settings,
};

/// How long a round of beats may take: a connection attempt and a beat, each given a second, and the pause.
const LONGEST_ROUND: Duration = Duration::from_secs(5);

/// A loop is not called still before the beat thread has found out whether Redis answers.
const SHORTEST_BOUND: Duration = Duration::from_millis(2500);

/// The beat thread's signs of life.
#[derive(Debug)]
pub(crate) struct Pulse {
    round: Mutex<Instant>,
    has_failed: AtomicBool,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { round: Mutex::new(Instant::now()), has_failed: AtomicBool::new(false) }
    }

    /// Notes that a round begins.
    pub(crate) fn begin_round(&self) {
        *self.round.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Notes whether Redis takes beats; that it does not was logged.
    pub(crate) fn note(&self, has_failed: bool) {
        self.has_failed.store(has_failed, Ordering::Relaxed);
    }

    fn is_felt(&self, settings: Settings) -> bool {
        let round = *self.round.lock().unwrap_or_else(PoisonError::into_inner);
        round.elapsed() < LONGEST_ROUND + settings.beat_interval()
    }

    /// Whether Redis does not answer the beats either, and that was logged.
    fn feels_trouble(&self, settings: Settings) -> bool {
        self.has_failed.load(Ordering::Relaxed) && self.is_felt(settings)
    }
}

/// The progress of one queue's fetch loop, over all its consumers.
#[derive(Debug)]
pub(crate) struct Progress {
    queue: String,
    concurrency: u32,
    now: Mutex<Now>,
}

struct Now {
    doing: Doing,
    since: Instant,
    last_read: Option<Instant>,
    consumer: Option<(Arc<Lease>, Arc<Hands>)>,
}

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Now").field("doing", &self.doing).field("since", &self.since).finish_non_exhaustive()
    }
}

impl Progress {
    pub(crate) fn new(queue: &str, concurrency: u32) -> Self {
        let now = Now { doing: Doing::Registering, since: Instant::now(), last_read: None, consumer: None };
        Self { queue: queue.to_owned(), concurrency, now: Mutex::new(now) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the loop does from now on.
    pub(crate) fn enter(&self, doing: Doing) {
        let mut now = self.now();
        (now.doing, now.since) = (doing, Instant::now());
    }

    /// Notes that a read returned.
    pub(crate) fn read_returned(&self) {
        let mut now = self.now();
        now.since = Instant::now();
        now.last_read = Some(now.since);
    }

    /// Notes under which lease the loop runs.
    pub(crate) fn run_under(&self, consumer: Option<(Arc<Lease>, Arc<Hands>)>) {
        self.now().consumer = consumer;
    }

    pub(super) fn health(&self, pulse: &Pulse, settings: Settings) -> QueueHealth {
        let now = self.now();
        let is_recent = now.since.elapsed() < SHORTEST_BOUND.max(settings.block() * 3);
        let is_live = match now.doing {
            // What these wait for, others bring about; or their waits are short, with an error logged before each.
            Doing::Paused | Doing::Full | Doing::WaitingForSlot | Doing::Registering | Doing::Ending => true,
            Doing::BackingOff => is_recent || pulse.feels_trouble(settings),
            Doing::WaitingForLease => is_recent || pulse.is_felt(settings),
            // A server that answers nobody is not this loop's fault; one that answers the beats is no excuse.
            Doing::ReadingSettings | Doing::Fetching => is_recent || pulse.feels_trouble(settings),
        };
        let consumer = now.consumer.as_ref();
        QueueHealth {
            queue: self.queue.clone(),
            is_live,
            doing: now.doing,
            doing_for: now.since.elapsed(),
            last_read: now.last_read.map(|last| last.elapsed()),
            in_hand: consumer.map_or(0, |(_, hands)| hands.count()),
            concurrency: self.concurrency,
            lease_age: consumer.map(|(lease, _)| lease.age()),
        }
    }
}
