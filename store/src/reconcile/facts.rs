//! What Redis says of one queue.

use std::{sync::LazyLock, time::Duration};

use millstream_queue::{
    Client, ServerFacts,
    keys::{Lane, RECORDER, WORKERS},
};
use redis::{RedisError, Script, streams::StreamInfoConsumersReply};

use super::{
    Finding, Trouble,
    stream::{Books, Seen, Stream, StreamId},
    watermark::Watermark,
};
use crate::Error;

static FACTS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("facts.lua")));

/// A recorder that has read within this time lives.
const SILENCE: Duration = Duration::from_secs(15);
/// How long one may take from its start to its first read.
const STARTING: Duration = Duration::from_secs(1);
/// The field of `control` that holds the number of the watermark.
pub(super) const MARK: &str = "sql:mark";
/// The stream of outcomes among a queue's streams; the others are its lanes.
pub(super) const DONE: &str = "done";
/// What waits elsewhere than in a stream.
pub(super) const LATER: &str = "later";
pub(super) const DEAD: &str = "dead";
const SETS: [&str; 2] = [LATER, DEAD];

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) queue: String,
    /// The server's run id.
    pub(super) server: String,
    pub(super) seen: Seen,
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
    /// Workers and recorders of a version that keeps no books.
    unsigned: i64,
    /// Delayed jobs and dead letters of which one half is missing.
    halves: [i64; 2],
}

impl Facts {
    pub(super) async fn ask(client: &Client, queue: &str) -> Result<Self, Error> {
        let keys = client.keys(queue);
        let mut conn = client.connection().await?;
        let server = ServerFacts::ask(&mut conn).await?.run_id;
        let mut ask = FACTS.key(keys.control());
        ask.key(keys.books()).key(keys.alive()).key(keys.later()).key(keys.later_jobs());
        ask.key(keys.dead()).key(keys.dead_jobs()).key(keys.done());
        for lane in Lane::ALL {
            ask.key(keys.ready(lane));
        }
        ask.arg(WORKERS).arg(RECORDER).arg(MARK);
        let answer: Result<Vec<String>, RedisError> = ask.invoke_async(&mut conn).await;
        let mut answer = Answer(answer.map_err(millstream_queue::Error::from)?.into_iter());
        let begun = answer.text()?;
        let (recorded, mark) = (answer.number()? == 1, answer.text()?.parse().ok());
        let (outcomes, dropped) = (answer.number()?, answer.number()?);
        let (workers, unsigned_recorders) = (answer.number()?, answer.number()?);
        let mut seen = Seen { begun, ..Seen::default() };
        let (mut halves, mut taken, mut packs) = ([0; 2], 0, 0);
        for (halves, name) in halves.iter_mut().zip(SETS) {
            *halves = answer.number()?;
            let missing = answer.number()?;
            if workers == 0 {
                seen.missing.insert(name.to_owned(), missing);
            }
        }
        for name in std::iter::once(DONE).chain(Lane::ALL.map(Lane::as_str)) {
            let (added, last, there) = (answer.number()?, answer.id()?, answer.number()?);
            let (pending, left) = (answer.number()?, answer.number()?);
            let unsigned = if name == DONE {
                packs = there;
                unsigned_recorders
            } else {
                // What leaves a lane is acknowledged and deleted by one script.
                taken += (pending - there).max(0);
                workers
            };
            let books = (unsigned == 0).then_some(Books { there, left });
            seen.streams.insert(name.to_owned(), Stream { added, last, books });
        }
        let mut recorders = living_recorders(client, queue).await;
        if recorders == 0 && outcomes > 0 {
            // One that has just started is in the group from its first read on.
            tokio::time::sleep(STARTING).await;
            recorders = living_recorders(client, queue).await;
        }
        let (queue, unsigned) = (queue.to_owned(), workers + unsigned_recorders);
        Ok(Self { queue, server, seen, recorded, mark, outcomes, packs, dropped, recorders, taken, unsigned, halves })
    }

    /// Whether outcomes are gone that SQL has not seen.
    pub(super) fn has_lost_outcomes(&self) -> bool {
        self.dropped > 0 || self.outcomes > 0 && self.packs == 0
    }

    /// Why what has left the streams can't be balanced by this look, which follows on `seen`; none where it can.
    pub(super) fn unbooked(&self, seen: Option<&Watermark>) -> Option<String> {
        let queue = &self.queue;
        if self.unsigned > 0 {
            let count = self.unsigned;
            return Some(format!("{queue}: {count} of its workers and recorders have not signed its books"));
        }
        let is_begun = seen.is_some_and(|seen| seen.seen().has_books());
        (!is_begun).then(|| format!("{queue}: its books begin with this look"))
    }

    /// `is_taken_known`: that entries are missing in the lanes is reported already, with their exact number.
    pub(super) fn judge(&self, is_taken_known: bool, findings: &mut Vec<Finding>) {
        let Self { queue, outcomes, packs, dropped, recorders, taken, halves, .. } = self;
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
        if *taken > 0 && !is_taken_known {
            let found = format!("at least {taken} jobs in the hands of workers are not in their lanes any more");
            findings.push(Finding::new(Trouble::TakenFromLane, queue, taken.unsigned_abs(), found));
        }
        for (count, what) in halves.iter().zip(["delayed jobs", "dead letters"]).filter(|(count, _)| **count > 0) {
            let found = format!("at least {count} {what} have lost their time or their payload");
            findings.push(Finding::new(Trouble::Halved, queue, count.unsigned_abs(), found));
        }
    }
}

/// The texts that the script returns, one after another.
struct Answer(std::vec::IntoIter<String>);

impl Answer {
    fn text(&mut self) -> Result<String, Error> {
        self.0.next().ok_or_else(|| wrong("nothing".to_owned()))
    }

    fn number(&mut self) -> Result<i64, Error> {
        let text = self.text()?;
        text.parse().map_err(|_| wrong(text))
    }

    fn id(&mut self) -> Result<StreamId, Error> {
        let text = self.text()?;
        let id = text.split_once('-').and_then(|(time, number)| Some((time.parse().ok()?, number.parse().ok()?)));
        id.ok_or_else(|| wrong(text))
    }
}

fn wrong(text: String) -> Error {
    let error = RedisError::from((redis::ErrorKind::UnexpectedReturnType, "not what a queue's keys hold", text));
    millstream_queue::Error::from(error).into()
}

async fn living_recorders(client: &Client, queue: &str) -> usize {
    let Ok(mut conn) = client.connection().await else { return 0 };
    let group: Result<StreamInfoConsumersReply, RedisError> =
        redis::cmd("XINFO").arg("CONSUMERS").arg(client.keys(queue).done()).arg(RECORDER).query_async(&mut conn).await;
    let lives = |idle: usize| idle as u128 <= SILENCE.as_millis();
    group.map_or(0, |group| group.consumers.iter().filter(|one| lives(one.idle)).count())
}
