//! What a worker's health is reported as.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// What a worker does, by its own account.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Liveness {
    /// Where the worker stands in its life.
    pub phase: Phase,
    /// Its queues; none before it runs.
    pub queues: Vec<QueueHealth>,
}

/// Where a worker stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// `run` was not called yet.
    NotStarted,
    /// It runs.
    Running,
    /// It was told to stop: running jobs may finish.
    Stopping,
    /// It stopped, or its future was dropped.
    Ended,
}

/// One queue of a worker.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct QueueHealth {
    /// The queue's name.
    pub queue: String,
    /// Whether its fetch loop makes progress.
    pub is_live: bool,
    /// What the fetch loop does.
    pub doing: Doing,
    /// For how long it has been doing that.
    #[serde(rename = "doing_for_ms", serialize_with = "millis")]
    pub doing_for: Duration,
    /// How long ago a read returned.
    #[serde(rename = "last_read_ms", serialize_with = "some_millis")]
    pub last_read: Option<Duration>,
    /// Jobs received whose finish Redis has not confirmed yet.
    pub in_hand: usize,
    /// Jobs that may run at once.
    pub concurrency: u32,
    /// How long ago the last confirmed beat was sent; none while no consumer is registered.
    #[serde(rename = "lease_age_ms", serialize_with = "some_millis")]
    pub lease_age: Option<Duration>,
}

/// What a fetch loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Doing {
    /// It enters a consumer among the living, again and again while Redis is away.
    Registering,
    /// It waits until the queue's settings are read for the first time.
    ReadingSettings,
    /// The queue is paused.
    Paused,
    /// Too many outcomes wait for a recorder: fetching pauses until one has caught up.
    Full,
    /// No beat was confirmed for a while: nothing new is started.
    WaitingForLease,
    /// All slots are taken by running jobs.
    WaitingForSlot,
    /// It reads jobs, or starts what it read.
    Fetching,
    /// It waits a moment after an error, which was logged.
    BackingOff,
    /// It has ended: the worker stops, or a new consumer takes its place.
    Ending,
}

/// Whether Redis answers.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RedisHealth {
    /// Host and port.
    pub server: String,
    /// How long the answer took, a new connection included where one was needed.
    #[serde(rename = "latency_ms", serialize_with = "some_millis")]
    pub latency: Option<Duration>,
    /// Why there was none.
    pub error: Option<String>,
}

/// The outcomes of one queue that wait for a recorder.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Backlog {
    /// The queue's name.
    pub queue: String,
    /// How many wait.
    pub outcomes: u64,
    /// How many may wait.
    pub limit: u64,
}

impl Backlog {
    /// Whether at least half of what may wait does.
    pub fn is_high(&self) -> bool {
        self.outcomes.saturating_mul(2) >= self.limit
    }
}

/// A check that the program added.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CheckHealth {
    /// Its name.
    pub name: String,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    pub took: Duration,
    /// Why it failed, in the words of its error.
    pub error: Option<String>,
}

/// Everything about a worker's health.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What the worker does.
    #[serde(flatten)]
    pub liveness: Liveness,
    /// Whether Redis answers.
    pub redis: RedisHealth,
    /// What waits for recorders; nothing while Redis does not answer.
    pub backlogs: Vec<Backlog>,
    /// The program's checks.
    pub checks: Vec<CheckHealth>,
}

impl Liveness {
    /// Whether every fetch loop makes progress: within three times the longest blocking read, and at least 2.5 seconds, a
    /// read has returned, unless the loop waits for a free slot or for the end of a pause, or Redis answers nobody, which
    /// is logged. A worker that has ended is not live; one that was not started yet is.
    pub fn is_live(&self) -> bool {
        self.phase != Phase::Ended && self.queues.iter().all(|queue| queue.is_live)
    }

    /// What stands still, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.phase == Phase::Ended {
            problems.push("the worker has ended".to_owned());
        }
        let still = self.queues.iter().filter(|queue| !queue.is_live);
        problems.extend(still.map(|QueueHealth { queue, doing, doing_for, .. }| {
            format!("the fetch loop of the queue {queue:?} stands still: {doing:?} for {} ms", doing_for.as_millis())
        }));
        problems
    }
}

impl Report {
    /// Whether every fetch loop makes progress.
    pub fn is_live(&self) -> bool {
        self.liveness.is_live()
    }

    /// Whether the worker runs, Redis answers and no check fails.
    pub fn is_ready(&self) -> bool {
        self.liveness.phase == Phase::Running && self.obstacles().is_empty()
    }

    /// Whether nothing at all needs attention: live, ready, and no queue with [half](Backlog::is_high) of the outcomes
    /// that may wait for a recorder.
    pub fn is_healthy(&self) -> bool {
        self.problems().is_empty()
    }

    /// What needs attention, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.liveness.problems();
        problems.extend(self.obstacles());
        problems.extend(self.backlogs.iter().filter(|backlog| backlog.is_high()).map(
            |Backlog { queue, outcomes, limit }| {
                format!(
                    "{outcomes} outcomes of the queue {queue:?} wait for a recorder, of at most {limit}: does one run?"
                )
            },
        ));
        problems
    }

    /// Why it is not ready.
    fn obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        match self.liveness.phase {
            Phase::NotStarted => obstacles.push("the worker has not started".to_owned()),
            Phase::Stopping => obstacles.push("the worker stops".to_owned()),
            Phase::Running | Phase::Ended => {} // that it has ended, its liveness says
        }
        obstacles.extend(self.redis.error.iter().map(|error| format!("Redis at {}: {error}", self.redis.server)));
        let failed = |check: &CheckHealth| check.error.as_ref().map(|error| format!("check {:?}: {error}", check.name));
        obstacles.extend(self.checks.iter().filter_map(failed));
        obstacles
    }
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

fn some_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}
