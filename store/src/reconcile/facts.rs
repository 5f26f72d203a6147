//! What Redis says of one queue.

use std::{collections::BTreeMap, time::Duration};

use millstream_queue::{
    Client, ServerFacts,
    keys::{Lane, RECORDER, WORKERS},
};
use redis::{FromRedisValue, RedisError, Value, streams::StreamInfoConsumersReply};

use super::{Finding, Trouble};
use crate::Error;

/// A recorder that has read within this time lives.
const SILENCE: Duration = Duration::from_secs(15);
/// How long one may take from its start to its first read.
const STARTING: Duration = Duration::from_secs(1);
/// The field of `control` that holds the number of the watermark.
pub(super) const MARK: &str = "sql:mark";

/// How far a stream has come: entries ever added, and the id of the last.
pub(super) type Come = (i64, (u64, u64));

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) queue: String,
    /// The server's run id.
    pub(super) server: String,
    /// The lanes and `done`, by name; a stream that is not there has come nowhere.
    pub(super) streams: BTreeMap<String, Come>,
    pub(super) recorded: bool,
    /// The number of the newest watermark that Redis knows.
    pub(super) mark: Option<i64>,
    /// Outcomes that wait as they are counted, and packs that are there, at the same moment.
    pub(super) outcomes: i64,
    packs: i64,
    dropped: i64,
    recorders: usize,
    /// Jobs in the hands of workers whose entries are not in their lanes any more.
    taken: i64,
}

impl Facts {
    pub(super) async fn ask(client: &Client, queue: &str) -> Result<Self, Error> {
        let keys = client.keys(queue);
        let mut conn = client.connection().await?;
        let server = ServerFacts::ask(&mut conn).await?.run_id;
        let (mut streams, mut taken) = (BTreeMap::new(), 0);
        let lanes = Lane::ALL.map(|lane| (lane.to_string(), keys.ready(lane)));
        for (name, key) in lanes.into_iter().chain([("done".to_owned(), keys.done())]) {
            let info: Result<Value, RedisError> =
                redis::cmd("XINFO").arg("STREAM").arg(key).arg(&["FULL", "COUNT", "1"]).query_async(&mut conn).await;
            let stream = match info {
                Ok(info) => Stream::read(info)?,
                Err(error) if error.code() == Some("ERR") => Stream::default(), // no such key
                Err(error) => return Err(millstream_queue::Error::from(error).into()),
            };
            // What leaves a lane is acknowledged and deleted by one script.
            taken += (stream.in_hand - stream.length).max(0);
            streams.insert(name, stream.come);
        }
        type Control = (Option<String>, Option<i64>, Option<i64>, Option<i64>);
        let fields = ["record", MARK, "done:outcomes", "done:dropped"];
        let asked: Result<(Control, i64), RedisError> = redis::pipe()
            .atomic()
            .cmd("HMGET")
            .arg(keys.control())
            .arg(&fields)
            .cmd("XLEN")
            .arg(keys.done())
            .query_async(&mut conn)
            .await;
        let ((record, mark, outcomes, dropped), packs) = asked.map_err(millstream_queue::Error::from)?;
        let mut recorders = living_recorders(client, queue).await;
        if recorders == 0 && outcomes.unwrap_or(0) > 0 {
            // One that has just started is in the group from its first read on.
            tokio::time::sleep(STARTING).await;
            recorders = living_recorders(client, queue).await;
        }
        Ok(Self {
            queue: queue.to_owned(),
            server,
            streams,
            recorded: record.is_some(),
            mark,
            outcomes: outcomes.unwrap_or(0),
            packs,
            dropped: dropped.unwrap_or(0),
            recorders,
            taken,
        })
    }

    /// Whether outcomes are gone that SQL has not seen.
    pub(super) fn has_lost_outcomes(&self) -> bool {
        self.dropped > 0 || self.outcomes > 0 && self.packs == 0
    }

    pub(super) fn judge(&self, findings: &mut Vec<Finding>) {
        let Self { queue, outcomes, packs, dropped, recorders, taken, .. } = self;
        let count = outcomes.unsigned_abs();
        if *outcomes > 0 && *packs == 0 {
            let found = format!("{outcomes} outcomes were counted as waiting, and `done` is empty");
            findings.push(Finding::new(Trouble::OutcomesGone, queue, count, found));
        } else if *outcomes > 0 && *recorders == 0 {
            let found = format!("{outcomes} outcomes wait for SQL");
            findings.push(Finding::new(Trouble::NotRecorded, queue, count, found));
        }
        if *dropped > 0 {
            let found = format!("{dropped} outcomes were dropped at their limit");
            findings.push(Finding::new(Trouble::Dropped, queue, dropped.unsigned_abs(), found));
        }
        if *taken > 0 {
            let found = format!("at least {taken} jobs in the hands of workers are not in their lanes any more");
            findings.push(Finding::new(Trouble::TakenFromLane, queue, taken.unsigned_abs(), found));
        }
    }
}

/// What counts in the answer of XINFO STREAM FULL.
#[derive(Default)]
struct Stream {
    come: Come,
    length: i64,
    /// Entries that the workers' group was given and has not acknowledged.
    in_hand: i64,
}

impl Stream {
    fn read(info: Value) -> Result<Self, Error> {
        let mut stream = Self::default();
        for (name, value) in fields(info)? {
            match name.as_str() {
                "length" => stream.length = number(value, "length")?,
                "entries-added" => stream.come.0 = number(value, "entries-added")?,
                "last-generated-id" => {
                    let id = String::from_redis_value(value).map_err(|_| wrong("last-generated-id"))?;
                    let (time, sequence) = id.split_once('-').ok_or_else(|| wrong("last-generated-id"))?;
                    stream.come.1 = (time.parse().unwrap_or(0), sequence.parse().unwrap_or(0));
                }
                "groups" => {
                    for group in value.into_sequence().map_err(|_| wrong("groups"))? {
                        stream.in_hand += in_hand(group)?;
                    }
                }
                _ => {}
            }
        }
        Ok(stream)
    }
}

/// What is in hand of a group, if it is that of the workers.
fn in_hand(group: Value) -> Result<i64, Error> {
    let (mut is_workers, mut count) = (false, 0);
    for (name, value) in fields(group)? {
        match name.as_str() {
            "name" => is_workers = String::from_redis_value(value).is_ok_and(|name| name == WORKERS),
            "pel-count" => count = number(value, "pel-count")?,
            _ => {}
        }
    }
    Ok(if is_workers { count } else { 0 })
}

fn fields(value: Value) -> Result<Vec<(String, Value)>, Error> {
    let fields = value.into_map_iter().map_err(|_| wrong("XINFO STREAM"))?;
    Ok(fields.map(|(name, value)| (String::from_redis_value(name).unwrap_or_default(), value)).collect())
}

fn number(value: Value, what: &'static str) -> Result<i64, Error> {
    i64::from_redis_value(value).map_err(|_| wrong(what))
}

fn wrong(what: &'static str) -> Error {
    let error =
        RedisError::from((redis::ErrorKind::UnexpectedReturnType, "no answer of a Redis stream", what.to_owned()));
    millstream_queue::Error::from(error).into()
}

async fn living_recorders(client: &Client, queue: &str) -> usize {
    let Ok(mut conn) = client.connection().await else { return 0 };
    let group: Result<StreamInfoConsumersReply, RedisError> =
        redis::cmd("XINFO").arg("CONSUMERS").arg(client.keys(queue).done()).arg(RECORDER).query_async(&mut conn).await;
    let lives = |idle: usize| idle as u128 <= SILENCE.as_millis();
    group.map_or(0, |group| group.consumers.iter().filter(|one| lives(one.idle)).count())
}
