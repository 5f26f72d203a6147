//! Rows of the history as the application sees them.

use std::any::type_name;

use chrono::{DateTime, Utc};
use diesel::{Queryable, Selectable};
use millstream_queue::{Job, Lane, Progress, State};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Cursor;
use crate::{
    Error,
    schema::{millstream_attempts, millstream_jobs},
    sql_types::JsonText,
};

/// What history knows of a job. The facts of a run are those of the decisive one: the run that ended the job, until then
/// the latest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobRecord {
    /// The job.
    pub id: Uuid,
    /// The queue it ran in.
    pub queue: String,
    /// Its type's stable name.
    pub kind: String,
    /// Version of its payload.
    pub version: u32,
    /// The lane it was read from.
    pub lane: Lane,
    /// How the run ended.
    pub state: State,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Which hand-out of the job the run was, from 1.
    pub run: u32,
    /// How often a worker had died on the job.
    pub crash: u32,
    /// First enqueued.
    pub enqueued_at: DateTime<Utc>,
    /// Start of the first recorded run whose handler started.
    pub first_started_at: Option<DateTime<Utc>>,
    /// Start of the handler; none where it never did.
    pub started_at: Option<DateTime<Utc>>,
    /// End of the run.
    pub finished_at: DateTime<Utc>,
    /// When the next attempt is due.
    pub next_at: Option<DateTime<Utc>>,
    /// The worker that held the run.
    pub worker: String,
    /// The error or reason, for all but completed runs.
    pub error: Option<String>,
    /// The payload's content type where it isn't JSON.
    pub content_type: Option<String>,
    /// The labels given at its push, in the order in which they were given.
    pub tags: Vec<String>,
    /// The trace it belongs to, 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// How far the run's handler last said to be.
    pub progress: Option<Progress>,
    /// The dead job whose next life it is; [`revived_from`](super::History::revived_from) looks the other way.
    pub revived_from: Option<Uuid>,
    payload: Option<Vec<u8>>,
    result: Option<Vec<u8>>,
}

/// One run of a job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// The job.
    pub job_id: Uuid,
    /// Which hand-out of the job this was, from 1; unique per job.
    pub run: u32,
    /// The attempt, from 1. A snooze, a hand-back or a crash reuses a number.
    pub attempt: u32,
    /// How often a worker had died on the job.
    pub crash: u32,
    /// How it ended.
    pub state: State,
    /// Start of the handler; none where it never did.
    pub started_at: Option<DateTime<Utc>>,
    /// Its end.
    pub finished_at: DateTime<Utc>,
    /// When the next attempt is due.
    pub next_at: Option<DateTime<Utc>>,
    /// The worker that held it.
    pub worker: String,
    /// The error or reason, for all but completed runs.
    pub error: Option<String>,
    /// The lines that the handler wrote, the last of them where they were many.
    pub log: Option<String>,
    /// How far the handler last said to be.
    pub progress: Option<Progress>,
}

impl JobRecord {
    /// The payload as the job's type.
    ///
    /// # Errors
    /// [`Error::NotKept`] where the type's `HISTORY` leaves payloads out, [`Error::Decode`] where it doesn't fit.
    pub fn payload<J: Job>(&self) -> Result<J, Error> {
        self.decode("payload", self.payload_bytes())
    }

    /// The payload as it is kept; on Postgres a JSON payload comes back in jsonb's own spelling.
    pub fn payload_bytes(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// The handler's result.
    ///
    /// # Errors
    /// [`Error::NotKept`] where there is none, [`Error::Decode`] where it is no `R`.
    pub fn result<R: DeserializeOwned>(&self) -> Result<R, Error> {
        self.decode("result", self.result_bytes())
    }

    /// The handler's result as JSON.
    pub fn result_bytes(&self) -> Option<&[u8]> {
        self.result.as_deref()
    }

    fn decode<T: DeserializeOwned>(&self, what: &'static str, bytes: Option<&[u8]>) -> Result<T, Error> {
        let bytes = bytes.ok_or(Error::NotKept { id: self.id, what })?;
        serde_json::from_slice(bytes).map_err(|error| Error::Decode {
            id: self.id,
            what,
            name: type_name::<T>(),
            reason: error.to_string(),
        })
    }
}

/// A row of `millstream_jobs`.
#[derive(Queryable, Selectable)]
#[diesel(table_name = millstream_jobs)]
pub(super) struct JobRow {
    id: Uuid,
    queue: String,
    kind: String,
    version: i64,
    lane: String,
    state: String,
    attempt: i64,
    run: i64,
    crash: i64,
    enqueued_at: DateTime<Utc>,
    first_started_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: DateTime<Utc>,
    next_at: Option<DateTime<Utc>>,
    worker: String,
    error: Option<String>,
    content_type: Option<String>,
    payload: Option<JsonText>,
    payload_raw: Option<Vec<u8>>,
    result: Option<JsonText>,
    result_raw: Option<Vec<u8>>,
    tags: Option<JsonText>,
    trace_id: Option<String>,
    progress: Option<JsonText>,
    revived_from: Option<Uuid>,
}

/// A row of `millstream_attempts`.
#[derive(Queryable, Selectable)]
#[diesel(table_name = millstream_attempts)]
pub(super) struct AttemptRow {
    job_id: Uuid,
    run: i64,
    attempt: i64,
    crash: i64,
    state: String,
    started_at: Option<DateTime<Utc>>,
    finished_at: DateTime<Utc>,
    next_at: Option<DateTime<Utc>>,
    worker: String,
    error: Option<String>,
    log: Option<String>,
    progress: Option<JsonText>,
}

impl JobRow {
    /// Where it stands in the order of pages.
    pub(super) fn place(&self) -> Cursor {
        Cursor { finished_at: self.finished_at, id: self.id }
    }
}

impl TryFrom<JobRow> for JobRecord {
    type Error = Error;

    fn try_from(row: JobRow) -> Result<Self, Error> {
        let id = row.id;
        Ok(Self {
            id,
            queue: row.queue,
            kind: row.kind,
            version: number(id, "version", row.version)?,
            lane: lane(id, &row.lane)?,
            state: state(id, &row.state)?,
            attempt: number(id, "attempt", row.attempt)?,
            run: number(id, "run", row.run)?,
            crash: number(id, "crash", row.crash)?,
            enqueued_at: row.enqueued_at,
            first_started_at: row.first_started_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            next_at: row.next_at,
            worker: row.worker,
            error: row.error,
            content_type: row.content_type,
            tags: tags(id, row.tags)?,
            trace_id: row.trace_id,
            progress: progress(id, row.progress)?,
            revived_from: row.revived_from,
            payload: document(row.payload, row.payload_raw),
            result: document(row.result, row.result_raw),
        })
    }
}

impl TryFrom<AttemptRow> for AttemptRecord {
    type Error = Error;

    fn try_from(row: AttemptRow) -> Result<Self, Error> {
        let id = row.job_id;
        Ok(Self {
            job_id: id,
            run: number(id, "run", row.run)?,
            attempt: number(id, "attempt", row.attempt)?,
            crash: number(id, "crash", row.crash)?,
            state: state(id, &row.state)?,
            started_at: row.started_at,
            finished_at: row.finished_at,
            next_at: row.next_at,
            worker: row.worker,
            error: row.error,
            log: row.log,
            progress: progress(id, row.progress)?,
        })
    }
}

fn tags(id: Uuid, json: Option<JsonText>) -> Result<Vec<String>, Error> {
    let Some(JsonText(json)) = json else { return Ok(Vec::new()) };
    serde_json::from_str(&json).map_err(|_| Error::Row { id, value: format!("tags {json}") })
}

fn progress(id: Uuid, json: Option<JsonText>) -> Result<Option<Progress>, Error> {
    let Some(JsonText(json)) = json else { return Ok(None) };
    Progress::parse(&json).map(Some).ok_or_else(|| Error::Row { id, value: format!("progress {json}") })
}

fn document(json: Option<JsonText>, raw: Option<Vec<u8>>) -> Option<Vec<u8>> {
    json.map(|JsonText(text)| text.into_bytes()).or(raw)
}

fn number(id: Uuid, column: &str, value: i64) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::Row { id, value: format!("{column} {value}") })
}

fn lane(id: Uuid, name: &str) -> Result<Lane, Error> {
    let found = Lane::ALL.into_iter().find(|lane| lane.as_str() == name);
    found.ok_or_else(|| Error::Row { id, value: format!("lane {name:?}") })
}

fn state(id: Uuid, name: &str) -> Result<State, Error> {
    name.parse().map_err(|_| Error::Row { id, value: format!("state {name:?}") })
}
