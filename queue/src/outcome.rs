//! How one attempt of a job ended, and the packs that carry outcomes from workers to the recorder.

use std::{fmt, str::FromStr};

use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{Error, Progress, keys::Lane, msgpack, msgpack::Reader};

/// Number of values in each outcome's array.
const VALUES: u32 = 17;
/// Number of values in the array of an outcome that has any of those added later.
const MORE_VALUES: u32 = 22;
/// Number of values in the array of an outcome that has the last of them too.
const ALL_VALUES: u32 = 23;

/// How one run of a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The job.
    pub id: Uuid,
    /// Its type.
    pub kind: String,
    /// The lane it was read from.
    pub lane: Lane,
    /// Version of its payload.
    pub version: u32,
    /// Which hand-out of the job this was; unique per job.
    pub run: u32,
    /// The attempt, from 1. A snooze, a hand-back or a crash reuses a number.
    pub attempt: u32,
    /// How often a worker had died on the job, this run included.
    pub crash: u32,
    /// How it ended.
    pub state: State,
    /// First enqueued, Unix milliseconds.
    pub enqueued_ms: i64,
    /// Handler started, Unix microseconds; none where it never did.
    pub started_us: Option<i64>,
    /// Ended, Unix microseconds.
    pub finished_us: i64,
    /// The consumer that held the job.
    pub worker: String,
    /// The error or reason, for all but completed runs.
    pub error: Option<String>,
    /// The payload, where the job type's history keeps it.
    pub payload: Option<Vec<u8>>,
    /// The payload's content type where it isn't JSON.
    pub content_type: Option<String>,
    /// The handler's result as JSON.
    pub result: Option<Vec<u8>>,
    /// When the next attempt is due, Unix milliseconds.
    pub next_ms: Option<i64>,
    /// The job's tags.
    pub tags: Vec<String>,
    /// The job's W3C traceparent.
    pub traceparent: Option<String>,
    /// The lines that the handler wrote.
    pub log: Option<String>,
    /// How far the handler last said to be.
    pub progress: Option<Progress>,
    /// The dead job whose next life this is.
    pub of: Option<Uuid>,
    /// When the run could start, Unix milliseconds: when the job came into its lane, having become due or been put back. None
    /// where that was when it was first enqueued.
    pub ready_ms: Option<i64>,
}

/// How a run of a job ended. The numbers are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum State {
    /// The handler returned Ok. Terminal.
    Completed = 0,
    /// The attempt failed, another is due.
    Failed = 1,
    /// The job gave up. Terminal.
    Dead = 2,
    /// The handler or a request called it off. Terminal.
    Cancelled = 3,
    /// Not run: its expiry had passed. Terminal.
    Expired = 4,
    /// The handler asked to run again later; no attempt burned.
    Snoozed = 5,
    /// Its worker died; no attempt burned.
    Crashed = 6,
    /// Handed back at shutdown or by a fenced worker; no attempt burned.
    Interrupted = 7,
    /// No handler for its kind or version here; waits for another worker.
    Parked = 8,
}

impl State {
    /// All states; the index of a state in here is its number on the wire.
    pub const ALL: [State; 9] = [
        State::Completed,
        State::Failed,
        State::Dead,
        State::Cancelled,
        State::Expired,
        State::Snoozed,
        State::Crashed,
        State::Interrupted,
        State::Parked,
    ];

    /// Whether the job ends here.
    pub fn is_terminal(self) -> bool {
        matches!(self, State::Completed | State::Dead | State::Cancelled | State::Expired)
    }

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Completed => "completed",
            State::Failed => "failed",
            State::Dead => "dead",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
            State::Snoozed => "snoozed",
            State::Crashed => "crashed",
            State::Interrupted => "interrupted",
            State::Parked => "parked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = State::ALL.into_iter().find(|state| state.as_str() == name);
        found.ok_or_else(|| format!("{name:?} is no state; one of {} is", State::ALL.map(State::as_str).join(", ")))
    }
}

impl Outcome {
    /// Appends the packed outcome: a MessagePack array in the order of the fields. A pack is such arrays one after
    /// another, so that a script can leave some out by cutting the bytes.
    pub fn pack_into(&self, out: &mut Vec<u8>) {
        let has_more = !self.tags.is_empty()
            || self.traceparent.is_some()
            || self.log.is_some()
            || self.progress.is_some()
            || self.of.is_some();
        let values = match self.ready_ms {
            Some(_) => ALL_VALUES,
            None if has_more => MORE_VALUES,
            None => VALUES,
        };
        msgpack::array(out, values);
        msgpack::text(out, self.id.as_bytes());
        msgpack::text(out, self.kind.as_bytes());
        msgpack::integer(out, i64::from(self.lane.index()));
        for number in [self.version, self.run, self.attempt, self.crash] {
            msgpack::integer(out, i64::from(number));
        }
        msgpack::integer(out, i64::from(self.state as u8));
        msgpack::integer(out, self.enqueued_ms);
        msgpack::optional_integer(out, self.started_us);
        msgpack::integer(out, self.finished_us);
        msgpack::text(out, self.worker.as_bytes());
        msgpack::optional_text(out, self.error.as_deref().map(str::as_bytes));
        msgpack::optional_text(out, self.payload.as_deref());
        msgpack::optional_text(out, self.content_type.as_deref().map(str::as_bytes));
        msgpack::optional_text(out, self.result.as_deref());
        msgpack::optional_integer(out, self.next_ms);
        if values > VALUES {
            let tags = (!self.tags.is_empty()).then(|| serde_json::to_vec(&self.tags).expect("texts are JSON"));
            msgpack::optional_text(out, tags.as_deref());
            msgpack::optional_text(out, self.traceparent.as_deref().map(str::as_bytes));
            msgpack::optional_text(out, self.log.as_deref().map(str::as_bytes));
            msgpack::optional_text(out, self.progress.as_ref().map(Progress::to_json).as_deref().map(str::as_bytes));
            msgpack::optional_text(out, self.of.as_ref().map(|of| &of.as_bytes()[..]));
        }
        if values == ALL_VALUES {
            msgpack::optional_integer(out, self.ready_ms);
        }
    }

    /// Reads the pack in field `b` of an entry of a `done` stream.
    ///
    /// # Errors
    /// [`Error::Decode`] says which outcome of the pack can't be read, and why.
    pub fn decode_pack(bytes: &[u8]) -> Result<Vec<Outcome>, Error> {
        let mut reader = Reader::new(bytes);
        let mut outcomes = Vec::new();
        while !reader.is_at_end() {
            let outcome = Self::read(&mut reader).map_err(|reason| Error::Decode {
                what: format!("outcome {} of a pack", outcomes.len() + 1),
                name: "Outcome",
                reason,
            })?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Outcome, String> {
        let values = reader.array()?;
        if values < VALUES {
            return Err(format!("{values} values where {VALUES} are needed"));
        }
        let mut outcome = Outcome {
            id: read_id(reader.bytes()?)?,
            kind: text(reader.bytes()?),
            lane: u8::try_from(reader.integer()?).ok().and_then(Lane::from_index).ok_or("no such lane")?,
            version: read_u32(reader)?,
            run: read_u32(reader)?,
            attempt: read_u32(reader)?,
            crash: read_u32(reader)?,
            state: read_state(reader)?,
            enqueued_ms: reader.integer()?,
            started_us: reader.optional_integer()?,
            finished_us: reader.integer()?,
            worker: text(reader.bytes()?),
            error: reader.optional_bytes()?.map(text),
            payload: reader.optional_bytes()?.map(<[u8]>::to_vec),
            content_type: reader.optional_bytes()?.map(text),
            result: reader.optional_bytes()?.map(<[u8]>::to_vec),
            next_ms: reader.optional_integer()?,
            tags: Vec::new(),
            traceparent: None,
            log: None,
            progress: None,
            of: None,
            ready_ms: None,
        };
        // One by one: a writer may know some of them and not yet the others.
        for index in VALUES..values {
            match index {
                17 => outcome.tags = read_json(reader)?.unwrap_or_default(),
                18 => outcome.traceparent = reader.optional_bytes()?.map(text),
                19 => outcome.log = reader.optional_bytes()?.map(text),
                20 => outcome.progress = read_json(reader)?,
                21 => outcome.of = reader.optional_bytes()?.and_then(|id| read_id(id).ok()),
                22 => outcome.ready_ms = reader.optional_integer()?,
                _ => reader.skip()?,
            }
        }
        Ok(outcome)
    }
}

/// An id is 16 bytes where a worker wrote it and hyphenated text where a script did.
fn read_id(bytes: &[u8]) -> Result<Uuid, String> {
    let id = Uuid::from_slice(bytes).or_else(|_| Uuid::try_parse_ascii(bytes));
    id.map_err(|error| format!("no id: {error}"))
}

fn read_u32(reader: &mut Reader<'_>) -> Result<u32, String> {
    let number = reader.integer()?;
    u32::try_from(number).map_err(|_| format!("{number} is out of range"))
}

fn read_state(reader: &mut Reader<'_>) -> Result<State, String> {
    let number = reader.integer()?;
    let state = usize::try_from(number).ok().and_then(|index| State::ALL.get(index)).copied();
    state.ok_or_else(|| format!("{number} is no state"))
}

/// What is no JSON of the kind counts as absent: it is not worth a whole pack.
fn read_json<T: DeserializeOwned>(reader: &mut Reader<'_>) -> Result<Option<T>, String> {
    Ok(reader.optional_bytes()?.and_then(|json| serde_json::from_slice(json).ok()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_on_the_wire_are_the_index() {
        for (index, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(index, state as usize);
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn outcomes_of_other_writers_are_read_as_far_as_they_go() {
        let outcome = Outcome {
            id: Uuid::nil(),
            kind: "k".into(),
            lane: Lane::High,
            version: 1,
            run: 1,
            attempt: 1,
            crash: 0,
            state: State::Completed,
            enqueued_ms: 0,
            started_us: None,
            finished_us: 0,
            worker: "w".into(),
            error: None,
            payload: None,
            content_type: None,
            result: None,
            next_ms: None,
            tags: Vec::new(),
            traceparent: None,
            log: None,
            progress: None,
            of: None,
            ready_ms: None,
        };
        let more: [&[u8]; 8] =
            [b"\xa7[\"a\",1]", b"\xa2tp", b"\xa3log", b"\xa2{}", b"\xa2id", b"\xc0", b"\x07", b"\xc4\x01x"];
        let mut pack = Vec::new();
        for length in 0..=more.len() {
            let mut one = Vec::new();
            outcome.pack_into(&mut one);
            one[2] = VALUES as u8 + length as u8;
            pack.extend(one);
            more[..length].iter().for_each(|value| pack.extend_from_slice(value));
        }
        let read = Outcome::decode_pack(&pack).expect("a pack");
        assert_eq!(read.len(), 9);
        assert_eq!(read[0], outcome);
        let full = Outcome { traceparent: Some("tp".into()), log: Some("log".into()), ..outcome };
        assert_eq!(read[2], Outcome { log: None, ..full.clone() });
        assert!(
            read[3..].iter().all(|read| *read == full),
            "tags, progress, a life before and a time that are none are left out"
        );
    }

    proptest! {
        #[test]
        fn a_pack_is_read_back(
            id: u128, kind in "[a-z]{1,9}", run: u32, state in 0..9_usize, enqueued_ms: i64, started_us: Option<i64>,
            error: Option<String>, payload: Option<Vec<u8>>, next_ms: Option<i64>, copies in 1..5_usize,
            tags: Vec<String>, traceparent: Option<String>, log: Option<String>, progress: Option<(u64, u64, String)>,
            of: Option<u128>, ready_ms: Option<i64>,
        ) {
            let progress = progress.map(|(done, total, note)| Progress::new(done, total, note));
            let outcome = Outcome {
                id: Uuid::from_u128(id), kind, lane: Lane::Low, version: 1, run, attempt: 2, crash: 0,
                state: State::ALL[state], enqueued_ms, started_us, finished_us: -1, worker: "w".into(), error,
                payload, content_type: None, result: None, next_ms, tags, traceparent, log, progress,
                of: of.map(Uuid::from_u128), ready_ms,
            };
            let mut pack = Vec::new();
            for _ in 0..copies {
                outcome.pack_into(&mut pack);
            }
            prop_assert_eq!(Outcome::decode_pack(&pack).expect("a pack"), vec![outcome; copies]);
        }

        #[test]
        fn no_garbage_panics(bytes: Vec<u8>) {
            let _ = Outcome::decode_pack(&bytes);
        }
    }
}
