//! One blocking reader that tails all followed topics and fans out to any number of followers.
//!
//! Followers own their positions; the reader only makes them fast. Whenever it can't vouch for having passed everything
//! on (a new connection, which may lead to another server; retention at its heels), it says [`TailItem::Resumed`], and each follower reads its
//! own way back to the tail.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::Notify;

use super::{
    super::{Position, envelope::Kept},
    ring::{Ring, Tap},
};
use crate::{Error, connection::Connections, retry::Retry};

/// Longest read. A topic that joins interrupts it.
const BLOCK: Duration = Duration::from_secs(2);
/// Events per read and topic.
const COUNT: usize = 256;

#[derive(Clone)]
pub(in super::super) enum TailItem {
    Event(Arc<Kept>),
    /// Something may lie between the last event and the next one.
    Resumed,
}

#[derive(Clone)]
pub(in super::super) struct Tail {
    shared: Arc<Shared>,
}

struct Shared {
    connections: Connections,
    state: Mutex<State>,
    /// Told whenever a read starts.
    reading: Notify,
}

#[derive(Default)]
struct State {
    topics: HashMap<String, Topic>,
    running: bool,
    /// The connection whose read must be interrupted when a topic joins.
    client_id: Option<i64>,
}

struct Topic {
    ring: Ring<TailItem>,
    /// The end of the stream as far as it was read; none until the first look.
    position: Option<Position>,
}

impl Tail {
    pub(super) fn new(connections: Connections) -> Self {
        let shared = Shared { connections, state: Mutex::default(), reading: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Every event that the stream `log` gets from the time this returns on arrives in the ring, or `Resumed` does.
    pub(in super::super) async fn join(&self, log: &str) -> Tap<TailItem> {
        let tap = {
            let mut state = self.shared.state();
            if !state.running {
                state.running = true;
                tokio::spawn(self.shared.clone().run());
            }
            let topic = state.topics.entry(log.to_owned());
            topic.or_insert_with(|| Topic { ring: Ring::new(), position: None }).ring.tap()
        };
        while !self.shared.reads(log) {
            let reading = self.shared.reading.notified();
            self.shared.interrupt().await;
            let _ = tokio::time::timeout(Duration::from_millis(20), reading).await;
        }
        tap
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether the topic's end is known, so that the reader misses nothing from here on.
    fn reads(&self, log: &str) -> bool {
        self.state().topics.get(log).is_none_or(|topic| topic.position.is_some())
    }

    /// Ends the blocked read, so that the next one includes a topic that joined.
    async fn interrupt(&self) {
        let Some(client_id) = self.state().client_id else { return };
        if let Ok(mut conn) = self.connections.shared().await {
            let _ = redis::cmd("CLIENT").arg("UNBLOCK").arg(client_id).exec_async(&mut conn).await;
        }
    }

    async fn run(self: Arc<Self>) {
        let mut retry = Retry::new("follow");
        while self.anyone_left() {
            let ended = self.read_on(&mut retry).await;
            // The number may be another connection's by now, after a restart of the server.
            self.state().client_id = None;
            match ended {
                Ok(()) => return,
                Err(error) => retry.failed(&error).await,
            }
        }
    }

    /// Forgets topics without followers; false, and no longer running, when none is left.
    fn anyone_left(&self) -> bool {
        let mut state = self.state();
        state.topics.retain(|_, topic| topic.ring.has_taps());
        state.running = !state.topics.is_empty();
        state.running
    }

    /// Reads on one connection until it fails or nobody follows.
    async fn read_on(&self, retry: &mut Retry) -> Result<(), Error> {
        let mut dedicated = self.connections.dedicated(BLOCK).await?;
        {
            let mut state = self.state();
            state.client_id = Some(dedicated.client_id);
            state.topics.values_mut().for_each(|topic| topic.position = None);
        }
        while self.anyone_left() {
            self.find_ends(&mut dedicated.conn).await?;
            self.reading.notify_waiters();
            self.read_once(&mut dedicated.conn).await?;
            retry.worked();
        }
        Ok(())
    }

    /// Looks up where the streams of new topics end; followers who were there before must look for themselves.
    async fn find_ends(&self, conn: &mut MultiplexedConnection) -> Result<(), Error> {
        let is_new = |topic: &Topic| topic.position.is_none();
        let new: Vec<String> = {
            let state = self.state();
            state.topics.iter().filter(|(_, topic)| is_new(topic)).map(|(log, _)| log.clone()).collect()
        };
        for log in new {
            let last =
                redis::cmd("XREVRANGE").arg(&log).arg("+").arg("-").arg("COUNT").arg(1).query_async(conn).await?;
            let end = Kept::list(last).first().map_or(Position::START, |kept| kept.position);
            if let Some(topic) = self.state().topics.get_mut(&log) {
                topic.position = Some(end);
                topic.ring.send(TailItem::Resumed, 0);
            }
        }
        Ok(())
    }

    /// Reads once. Right behind the read, in the same round trip, the server is asked for each topic's last event: while
    /// that is still there, retention can't have passed the reader.
    async fn read_once(&self, conn: &mut MultiplexedConnection) -> Result<(), Error> {
        let followed: Vec<(String, Position)> = {
            let state = self.state();
            state.topics.iter().filter_map(|(log, topic)| Some((log.clone(), topic.position?))).collect()
        };
        let mut pipeline = redis::pipe();
        let read = pipeline.cmd("XREAD").arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        read.arg("STREAMS");
        for (log, _) in &followed {
            read.arg(log);
        }
        for (_, position) in &followed {
            read.arg(position.to_string());
        }
        for (log, position) in &followed {
            pipeline.cmd("XRANGE").arg(log).arg(position.to_string()).arg(position.to_string());
        }
        let mut replies = pipeline.query_async::<Vec<Value>>(conn).await?.into_iter();
        let Some(Value::Array(streams)) = replies.next() else { return Ok(()) };
        let last_events = followed.iter().map(|(log, _)| log.as_str()).zip(replies.map(Kept::list));
        let lost: HashSet<&str> = last_events.filter(|(_, last)| last.is_empty()).map(|(log, _)| log).collect();
        for stream in streams {
            if let Value::Array(pair) = stream
                && let Ok([Value::BulkString(log), entries]) = <[Value; 2]>::try_from(pair)
            {
                let log = String::from_utf8_lossy(&log);
                self.pass_on(&log, Kept::list(entries), lost.contains(&*log));
            }
        }
        Ok(())
    }

    fn pass_on(&self, log: &str, events: Vec<Kept>, may_lack_some: bool) {
        let mut state = self.state();
        let Some(topic) = state.topics.get_mut(log) else { return };
        if may_lack_some {
            topic.ring.send(TailItem::Resumed, 0);
        }
        for event in events {
            topic.position = Some(event.position);
            let bytes = event.bytes();
            topic.ring.send(TailItem::Event(Arc::new(event)), bytes);
        }
    }
}
