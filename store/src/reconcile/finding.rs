//! What is reported, with its likely cause and the remedy.

use std::fmt;

use uuid::Uuid;

use super::{
    facts::{DEAD, DONE, LATER},
    watermark::{BOOKS, TAKEN},
};
use crate::Time;

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// Redis has lost entries that it had: jobs, moves of jobs or outcomes.
    RedisLost,
    /// SQL has lost what it had: it is older than Redis knows it.
    SqlLost,
    /// Outcomes wait in Redis, and no recorder lives.
    NotRecorded,
    /// Outcomes were dropped at their limit.
    Dropped,
    /// Outcomes were counted in Redis that are not there any more.
    OutcomesGone,
    /// The recorder has set outcomes aside.
    Rejected,
    /// A job is dead in Redis, and SQL doesn't know it.
    DeadNotInSql,
    /// A job waits for its next run in SQL, and Redis doesn't have it.
    WaitingNotInRedis,
    /// A job has ended in SQL, and waits in Redis: it will run again.
    EndedYetWaiting,
    /// Someone else than Millstream has deleted entries of a lane, or jobs in the hands of workers are not in it any more.
    TakenFromLane,
    /// Someone else than Millstream has deleted delayed jobs or retries.
    TakenFromLater,
    /// Someone else than Millstream has deleted dead letters.
    TakenFromDead,
    /// Someone else than a recorder has deleted packs of outcomes.
    TakenFromDone,
    /// Delayed jobs or dead letters have a time and no payload, or a payload and no time.
    Halved,
    /// Rows of the outbox wait for too long.
    OutboxWaits,
    /// The relay has set rows of the outbox aside.
    OutboxRejected,
}

/// One mismatch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// What does not fit.
    pub trouble: Trouble,
    /// The queue; none where it is not one's.
    pub queue: Option<String>,
    /// How many: entries, outcomes or jobs; at least.
    pub count: u64,
    /// Some of the jobs, at most 10, where they are known.
    pub ids: Vec<Uuid>,
    /// What was found, in words.
    pub found: String,
    /// The likely cause.
    pub cause: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What [`Store::reconcile`](crate::Store::reconcile) has found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many queues are or were known.
    pub queues: usize,
    /// The mismatches; none where all fits.
    pub findings: Vec<Finding>,
    /// Queues of which this look could not tell whether others deleted entries of their streams, each with the reason: their
    /// books begin with this look, or who works on them keeps none.
    pub unbooked: Vec<String>,
}

impl Report {
    /// Whether all fits.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        write!(f, "{} queues compared, {} mismatches", self.queues, self.findings.len())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(queue) = &self.queue {
            write!(f, "queue {queue}: ")?;
        }
        write!(f, "{}; likely cause: {}; {}", self.found, self.cause, self.remedy)?;
        for (at, id) in self.ids.iter().enumerate() {
            write!(f, "{}{id}", if at == 0 { "; such as " } else { ", " })?;
        }
        Ok(())
    }
}

impl Finding {
    pub(super) fn new(trouble: Trouble, queue: &str, count: u64, found: String) -> Self {
        let (cause, remedy) = trouble.explained();
        let queue = Some(queue.to_owned());
        Self { trouble, queue, count, ids: Vec::new(), found, cause: cause.to_owned(), remedy }
    }

    pub(super) fn with_ids(mut self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        self.ids = ids.into_iter().take(10).collect();
        self
    }

    pub(super) fn loss(queue: String, what: &str, entries: i64, since: Time, cause: String) -> Self {
        let (trouble, found) = match (what, what.strip_prefix(TAKEN)) {
            ("sql", _) => (Trouble::SqlLost, format!("SQL lost what was recorded after {since}")),
            (DONE, _) => (Trouble::RedisLost, format!("Redis lost at least {entries} packs of outcomes after {since}")),
            (BOOKS, _) => (Trouble::RedisLost, format!("the books of what left the streams were lost after {since}")),
            (_, Some(place)) => {
                let (trouble, what, who) = match place {
                    DONE => (Trouble::TakenFromDone, "packs of outcomes".to_owned(), "a recorder"),
                    LATER => (Trouble::TakenFromLater, "delayed jobs".to_owned(), "Millstream"),
                    DEAD => (Trouble::TakenFromDead, "dead letters".to_owned(), "Millstream"),
                    lane => (Trouble::TakenFromLane, format!("entries of {lane}"), "Millstream"),
                };
                (trouble, format!("{entries} {what} were deleted by others than {who} after {since}"))
            }
            (lane, None) => {
                let lost = format!("Redis lost at least {entries} acknowledged entries of {lane} after {since}");
                (Trouble::RedisLost, lost)
            }
        };
        Self { cause, ..Self::new(trouble, &queue, entries.unsigned_abs(), found) }
    }

    pub(super) fn rejected(count: u64) -> Self {
        Self::of_database(Trouble::Rejected, count, format!("the recorder has set {count} packs or outcomes aside"))
    }

    pub(super) fn of_database(trouble: Trouble, count: u64, found: String) -> Self {
        Self { queue: None, ..Self::new(trouble, "", count, found) }
    }
}

impl Trouble {
    fn explained(self) -> (&'static str, &'static str) {
        match self {
            Self::RedisLost => (
                "Redis went back",
                "push again what is missing, turn on appendonly, then `millstream doctor --accept-losses`",
            ),
            Self::SqlLost => (
                "the database was restored from an older backup, or another one took its place",
                "restore a newer backup if there is one, then `millstream doctor --accept-losses`",
            ),
            Self::NotRecorded => ("no recorder runs, or it can't reach Redis", "run a Recorder on this queue"),
            Self::Dropped => (
                "SQL or the recorder was away for longer than the limit allowed",
                "raise Client::limit_unrecorded or let it pause, then HDEL done:dropped in the queue's control",
            ),
            Self::OutcomesGone => (
                "the stream `done` was deleted or trimmed by hand",
                "their history is lost; HSET done:outcomes 0 in the queue's control",
            ),
            Self::Rejected => (
                "a stranger's entry, or a value that the database refuses",
                "SELECT queue, entry, reason FROM millstream_rejected tells why",
            ),
            Self::DeadNotInSql => (
                "rows of the history were deleted, or the database was restored from an older backup",
                "restore them from a backup; the dead letters in Redis are whole",
            ),
            Self::WaitingNotInRedis => (
                "Redis lost the queue's `later` or lanes or went back; or SQL was restored and doesn't know how they ended",
                "push those again whose work is missing, from their payload in history",
            ),
            Self::EndedYetWaiting => (
                "Redis went back to an older append-only file, snapshot or replica",
                "Client::cancel those whose second run would do harm, before a worker takes them",
            ),
            Self::TakenFromLane => (
                "someone deleted or trimmed the lane's stream",
                "leave a queue's streams to Millstream, Client::cancel takes jobs out of them; push again what is missing, then \
                 `millstream doctor --accept-losses`",
            ),
            Self::TakenFromLater => (
                "someone deleted from `later`",
                "Client::cancel takes delayed jobs out; push again what is missing (of a retry the history has the payload), then \
                 `millstream doctor --accept-losses`",
            ),
            Self::TakenFromDead => (
                "someone deleted from `dead`",
                "DeadLetters::delete takes dead letters out; the history has those that are kept, then `millstream doctor \
                 --accept-losses`",
            ),
            Self::TakenFromDone => (
                "someone deleted or trimmed the stream `done`",
                "leave it to the recorders: what the packs told is lost; then `millstream doctor --accept-losses`",
            ),
            Self::Halved => (
                "someone changed only one of the two keys, such as `later` without `later:jobs`",
                "change neither by hand; push again what is missing, and ZREM or HDEL what is left of it",
            ),
            Self::OutboxWaits => ("no relay runs, or it can't reach Redis", "run a Relay on this database"),
            Self::OutboxRejected => (
                "a row with a target, a kind or options that Redis can't be given",
                "SELECT * FROM millstream_outbox_rejected tells why; insert it again, corrected",
            ),
        }
    }
}
