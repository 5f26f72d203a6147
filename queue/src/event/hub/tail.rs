//! One blocking reader that tails all followed topics and fans out to any number of followers.
//!
//! Followers own their positions; the reader only makes them fast. Whenever it can't vouch for having passed everything
//! on (a new connection, which may lead to another server), it says [`TailItem::Resumed`], and each follower reads its
//! own way back to the tail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::{Notify, broadcast};

use super::super::{Position, envelope::Kept};
use crate::{Error, connection::Connections, retry::Retry};

/// Events that a follower may be behind before it goes to the stream for them.
const RING: usize = 1024;
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
    ring: broadcast::Sender<TailItem>,
    /// The end of the stream as far as it was read; none until the first look.
    position: Option<Position>,
}

impl Tail {
    pub(super) fn new(connections: Connections) -> Self {
        let shared = Shared { connections, state: Mutex::default(), reading: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Every event that the stream `log` gets from the time this returns on arrives in the ring, or `Resumed` does.
    pub(in super::super) async fn join(&self, log: &str) -> broadcast::Receiver<TailItem> {
        let receiver = {
            let mut state = self.shared.state();
            if !state.running {
                state.running = true;
                tokio::spawn(self.shared.clone().run());
            }
            let topic = state.topics.entry(log.to_owned());
            topic.or_insert_with(|| Topic { ring: broadcast::channel(RING).0, position: None }).ring.subscribe()
        };
        while !self.shared.reads(log) {
            let reading = self.shared.reading.notified();
            self.shared.interrupt().await;
            let _ = tokio::time::timeout(Duration::from_millis(20), reading).await;
        }
        receiver
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
            match self.read_on(&mut retry).await {
                Ok(()) => return,
                Err(error) => retry.failed(&error).await,
            }
        }
    }

    /// Forgets topics without followers; false, and no longer running, when none is left.
    fn anyone_left(&self) -> bool {
        let mut state = self.state();
        state.topics.retain(|_, topic| topic.ring.receiver_count() > 0);
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
                let _ = topic.ring.send(TailItem::Resumed);
            }
        }
        Ok(())
    }

    async fn read_once(&self, conn: &mut MultiplexedConnection) -> Result<(), Error> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS");
        {
            let state = self.state();
            let followed = || state.topics.iter().filter_map(|(log, topic)| Some((log, topic.position?)));
            followed().for_each(|(log, _)| {
                read.arg(log);
            });
            followed().for_each(|(_, position)| {
                read.arg(position.to_string());
            });
        }
        let streams = read.query_async::<Value>(conn).await?;
        let Value::Array(streams) = streams else { return Ok(()) };
        for stream in streams {
            if let Value::Array(pair) = stream
                && let Ok([Value::BulkString(log), entries]) = <[Value; 2]>::try_from(pair)
            {
                self.pass_on(&String::from_utf8_lossy(&log), Kept::list(entries));
            }
        }
        Ok(())
    }

    fn pass_on(&self, log: &str, events: Vec<Kept>) {
        let mut state = self.state();
        let Some(topic) = state.topics.get_mut(log) else { return };
        for event in events {
            topic.position = Some(event.position);
            let _ = topic.ring.send(TailItem::Event(Arc::new(event)));
        }
    }
}
