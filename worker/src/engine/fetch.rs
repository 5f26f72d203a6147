//! Reading a queue's lanes on a dedicated connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_queue::{
    Dedicated, Entry, Lane, MalformedEntry, Position,
    keys::{QueueKeys, WORKERS},
};
use redis::{Pipeline, RedisError, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    hands::{InHand, Place},
    lanes::{BY_PRIORITY, LaneOrder},
    lease::Lease,
};
use crate::settings::{BATCH, Settings};

/// What a read brings at most: a batch of each lane.
pub(super) const MOST: usize = BY_PRIORITY.len() * BATCH;

/// With this many slots a third of them is a good batch: lanes need not be asked one by one.
const PLENTY: usize = 384;

/// How long lanes that were found empty are taken to be so: longer only while waiting for slots.
const MOMENT: Duration = Duration::from_millis(20);

/// An entry that was read.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) place: Place,
    /// Shared, because it is handed from future to future and moves cost more than that.
    pub(super) job: Result<Arc<Entry>, MalformedEntry>,
    /// Someone asked to cancel the job.
    pub(super) cancel: CancellationToken,
}

impl Taken {
    /// The job's id; nil for what is no job.
    pub(super) fn job_id(&self) -> Uuid {
        self.job.as_ref().map_or_else(|_| Uuid::nil(), |entry| entry.id)
    }
}

/// Why what was read must go back, as the server knew it just after the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The consumer is not alive.
    Fenced,
    /// The queue is paused.
    Paused,
}

/// What a read brought.
#[derive(Debug, Default)]
pub(super) struct Catch {
    pub(super) taken: Vec<Taken>,
    /// Entries that are pending although they no longer exist: to be acknowledged and counted.
    pub(super) gone: Vec<Place>,
    /// Nothing of it may start.
    pub(super) refusal: Option<Refusal>,
    /// There are requests to cancel jobs, of which these may be some.
    pub(super) cancels: bool,
}

/// The reading end of one consumer.
pub(super) struct Reader {
    connection: Dedicated,
    keys: QueueKeys,
    consumer: String,
    server: u32,
    /// When a read brought less than it asked for, if the last one did.
    found_empty: Option<Instant>,
    order: LaneOrder,
    block: Duration,
}

impl Reader {
    pub(super) fn new(connection: Dedicated, lease: &Lease, server: u32, settings: Settings) -> Self {
        let (keys, consumer) = (lease.keys().clone(), lease.consumer().to_owned());
        let order = LaneOrder::new(settings.priorities);
        Self { connection, keys, consumer, server, found_empty: None, order, block: settings.block() }
    }

    /// The server's number of the connection, for `CLIENT UNBLOCK`.
    pub(super) fn client_id(&self) -> i64 {
        self.connection.client_id
    }

    /// Reads about `slots` jobs. While slots are scarce, lane by lane in their order, without blocking; once
    /// the lanes are empty, or where there are slots for whatever they hold, all at once, blocking. A count is per stream,
    /// so a read of all asks for a third each; with fewer than three slots it may bring two jobs too many, which wait in
    /// hand for a slot.
    pub(super) async fn read(&mut self, slots: usize) -> Result<Catch, RedisError> {
        if slots >= PLENTY || self.lanes_are_empty() {
            let count = (slots / BY_PRIORITY.len()).clamp(1, BATCH);
            let block_ms = self.block.as_millis() as u64;
            let all = self.send(self.command(count, Some(block_ms), &BY_PRIORITY, ">")).await?;
            self.note(all.len() < count);
            return Ok(all);
        }
        let mut all = Catch::default();
        for lane in self.order.next() {
            let left = slots.saturating_sub(all.len()).min(BATCH);
            if left == 0 || all.refusal.is_some() {
                return Ok(all);
            }
            all.merge(self.send(self.command(left, None, &[lane], ">")).await?);
        }
        self.note(all.len() < slots);
        Ok(all)
    }

    fn note(&mut self, is_empty: bool) {
        self.found_empty = is_empty.then(Instant::now);
    }

    /// What was empty a moment ago counts as empty.
    fn lanes_are_empty(&self) -> bool {
        self.found_empty.is_some_and(|found| found.elapsed() < MOMENT)
    }

    /// Reads one suspect, if there is one. While it runs the other lanes fill.
    pub(super) async fn read_suspect(&mut self) -> Result<Catch, RedisError> {
        self.note(false);
        self.send(self.command(1, None, &[Lane::Suspect], ">")).await
    }

    /// Reads what is pending for this consumer from the start: what a lost reply delivered unseen.
    pub(super) async fn reread(&mut self, slots: usize, in_hand: &InHand) -> Result<Catch, RedisError> {
        let mut all = Catch::default();
        for lane in Lane::ALL {
            let mut behind = Position::START;
            loop {
                let page = self.command(BATCH, None, &[lane], &behind.to_string());
                let catch = self.send(page).await?;
                let last = catch.places().map(|place| place.position).max();
                all.merge(catch);
                match last {
                    Some(last) => behind = last,
                    None => break,
                }
            }
        }
        all.taken.retain(|taken| !in_hand.contains(taken.place, taken.job_id()));
        all.taken.truncate(slots);
        Ok(all)
    }

    /// A read, and behind it the looks at whether what it brings may start.
    fn command(&self, count: usize, block_ms: Option<u64>, lanes: &[Lane], from: &str) -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.cmd("XREADGROUP").arg("GROUP").arg(WORKERS).arg(&self.consumer).arg("COUNT").arg(count);
        if let Some(block_ms) = block_ms {
            pipeline.arg("BLOCK").arg(block_ms);
        }
        pipeline.arg("STREAMS");
        for lane in lanes {
            pipeline.arg(self.keys.ready(*lane));
        }
        for _ in lanes {
            pipeline.arg(from);
        }
        pipeline.cmd("HEXISTS").arg(self.keys.alive()).arg(&self.consumer);
        pipeline.cmd("HMGET").arg(self.keys.control()).arg("paused").arg("cancel");
        pipeline
    }

    async fn send(&mut self, pipeline: Pipeline) -> Result<Catch, RedisError> {
        let (streams, is_alive, (paused, cancels)): (Value, bool, (Option<String>, Option<String>)) =
            pipeline.query_async(&mut self.connection.conn).await?;
        let cancels = cancels.is_some();
        let refusal = match (is_alive, paused) {
            (false, _) => Some(Refusal::Fenced),
            (true, Some(_)) => Some(Refusal::Paused),
            (true, None) => None,
        };
        let mut catch = Catch { refusal, cancels, ..Catch::default() };
        let Value::Array(streams) = streams else { return Ok(catch) };
        for stream in streams {
            if let Value::Array(pair) = stream
                && let Ok([Value::BulkString(key), Value::Array(entries)]) = <[Value; 2]>::try_from(pair)
                && let Some(lane) = Lane::ALL.into_iter().find(|lane| self.keys.ready(*lane).as_bytes() == key)
            {
                self.take_in(lane, entries, &mut catch);
            }
        }
        Ok(catch)
    }

    fn take_in(&self, lane: Lane, entries: Vec<Value>, catch: &mut Catch) {
        let lane_key = self.keys.ready(lane);
        for entry in entries {
            let Value::Array(pair) = entry else { continue };
            let Ok([Value::BulkString(id), fields]) = <[Value; 2]>::try_from(pair) else { continue };
            let Ok(id) = std::str::from_utf8(&id) else { continue };
            let Ok(position) = id.parse() else { continue };
            let place = Place { server: self.server, lane, position };
            match fields {
                Value::Array(fields) => {
                    let job = Entry::decode(&lane_key, id, fields).map(Arc::new);
                    catch.taken.push(Taken { place, job, cancel: CancellationToken::new() });
                }
                _ => catch.gone.push(place),
            }
        }
    }
}

impl Catch {
    fn len(&self) -> usize {
        self.taken.len() + self.gone.len()
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.taken.iter().map(|taken| &taken.place).chain(&self.gone)
    }

    fn merge(&mut self, other: Catch) {
        self.taken.extend(other.taken);
        self.gone.extend(other.gone);
        self.refusal = other.refusal.or(self.refusal);
        self.cancels |= other.cancels;
    }
}
