//! Outcomes as rows, and which of them speaks for its job.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use millstream_queue::{Lane, Outcome, State};
use uuid::Uuid;

use crate::{
    fit::{self, Document},
    statistics::Run,
};

/// One outcome made to fit both databases. All of them become rows of `millstream_attempts`; the `head` of each job in a
/// batch is held against the job's row too.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) queue: Arc<str>,
    pub(super) kind: String,
    pub(super) version: i64,
    pub(super) lane: Lane,
    pub(super) state: State,
    pub(super) attempt: i64,
    pub(super) run: i64,
    pub(super) crash: i64,
    pub(super) enqueued_at: DateTime<Utc>,
    pub(super) first_started_at: Option<DateTime<Utc>>,
    pub(super) started_at: Option<DateTime<Utc>>,
    /// When the run could start, where that isn't when the job was enqueued.
    pub(super) ready_at: Option<DateTime<Utc>>,
    pub(super) finished_at: DateTime<Utc>,
    pub(super) next_at: Option<DateTime<Utc>>,
    pub(super) worker: String,
    pub(super) error: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) payload: Document,
    pub(super) result: Document,
    /// JSON array.
    pub(super) tags: Option<String>,
    pub(super) traceparent: Option<String>,
    pub(super) log: Option<String>,
    /// JSON object.
    pub(super) progress: Option<String>,
    /// The dead job whose next life it is.
    pub(super) revived_from: Option<Uuid>,
    /// The payload's searchable fields, a JSON object of their texts; only of heads.
    pub(super) fields: Option<String>,
    /// Whether it speaks for its job.
    pub(super) head: bool,
    /// Which stream entry it came in.
    pub(super) entry: Arc<str>,
}

impl Row {
    pub(super) fn new(queue: &Arc<str>, entry: &Arc<str>, outcome: Outcome) -> Self {
        let started_at = outcome.started_us.map(fit::micros);
        let payload = Document::new(outcome.payload, outcome.content_type.as_deref());
        Self {
            id: outcome.id,
            queue: queue.clone(),
            kind: fit::name(outcome.kind),
            version: outcome.version.into(),
            lane: outcome.lane,
            state: outcome.state,
            attempt: outcome.attempt.into(),
            run: outcome.run.into(),
            crash: outcome.crash.into(),
            enqueued_at: fit::millis(outcome.enqueued_ms),
            first_started_at: started_at,
            started_at,
            ready_at: outcome.ready_ms.map(fit::millis),
            finished_at: fit::micros(outcome.finished_us),
            next_at: outcome.next_ms.map(fit::millis),
            worker: fit::name(outcome.worker),
            error: outcome.error.map(fit::text),
            content_type: outcome.content_type.map(fit::text),
            payload,
            result: Document::new(outcome.result, None),
            tags: fit::tags(outcome.tags),
            traceparent: outcome.traceparent.map(fit::text),
            log: outcome.log.map(fit::text),
            progress: outcome.progress.map(fit::progress),
            revived_from: outcome.of,
            fields: None,
            head: false,
            entry: entry.clone(),
        }
    }

    /// The run as statistics count it.
    pub(super) fn counted(&self) -> Run<'_> {
        Run {
            kind: &self.kind,
            queue: &self.queue,
            state: self.state,
            ready_at: self.ready_at.unwrap_or(self.enqueued_at),
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }

    /// The trace that the job belongs to, where its traceparent is well-formed so far.
    pub(super) fn trace_id(&self) -> Option<&str> {
        let id = self.traceparent.as_deref()?.split('-').nth(1)?;
        (id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(id)
    }

    /// Whether tags may have to follow it: its own, or those that an earlier run gave.
    pub(super) fn may_move_tags(&self) -> bool {
        self.head && (self.tags.is_some() || self.run > 1)
    }

    /// Whether fields that an earlier run's payload had may have to follow it.
    pub(super) fn may_move_fields(&self) -> bool {
        self.head && self.fields.is_none() && self.run > 1
    }

    /// Whether this says more of the job than `other`: an end before no end, the first end before later ones (a terminal
    /// state is never left), else the higher run.
    fn decides_over(&self, other: &Row) -> bool {
        match (self.state.is_terminal(), other.state.is_terminal()) {
            (true, true) => self.run < other.run,
            (false, false) => self.run > other.run,
            (ended, _) => ended,
        }
    }
}

/// Sorts a batch by job and run, and makes one row per job its head, with what the job's other rows add: the first start, and
/// the payload, tags and trace where a later run left them out.
///
/// Sorted, because several recorders that lock the same rows in one order can't deadlock, and because ids grow with time,
/// so that neighbours share pages of the index.
pub(super) fn choose_heads(rows: &mut [Row]) {
    rows.sort_by_key(|row| (row.id, row.run));
    for runs in rows.chunk_by_mut(|a, b| a.id == b.id) {
        let mut head = 0;
        for index in 1..runs.len() {
            if runs[index].decides_over(&runs[head]) {
                head = index;
            }
        }
        runs[head].head = true;
        if runs.len() > 1 {
            complete(runs, head);
        }
    }
}

fn complete(runs: &mut [Row], head: usize) {
    runs[head].first_started_at = runs.iter().filter_map(|run| run.started_at).min();
    if runs[head].payload.is_absent()
        && let Some(donor) = runs.iter().find(|run| !run.payload.is_absent())
    {
        let (payload, content_type) = (donor.payload.clone(), donor.content_type.clone());
        (runs[head].payload, runs[head].content_type) = (payload, content_type);
    }
    if runs[head].tags.is_none() {
        runs[head].tags = runs.iter().find_map(|run| run.tags.clone());
    }
    if runs[head].traceparent.is_none() {
        runs[head].traceparent = runs.iter().find_map(|run| run.traceparent.clone());
    }
}
