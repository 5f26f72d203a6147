//! Consuming a topic as a durable group: at least once, acknowledged one by one.

use std::{
    collections::HashSet,
    future::IntoFuture,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    Envelope, Event, Position,
    envelope::Kept,
    redelivery::{Redelivered, Redelivery},
};
use crate::{Client, Error, client::BoxFuture, keys, names, retry::Retry};

/// Longest blocking read.
const BLOCK: Duration = Duration::from_secs(2);
/// Events read ahead of the application.
const AHEAD: usize = 32;

impl Client {
    /// Reads a topic as the durable group `group`: every member of the group gets some of the events, the group gets all
    /// of them at least once, across restarts.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`] at the start; later troubles are waited out.
    pub fn consume<E: Event>(&self, group: impl Into<String>) -> Consume<'_, E> {
        Consume {
            client: self,
            group: group.into(),
            from: Position::START,
            redeliver_after: Duration::from_secs(30),
            event: PhantomData,
        }
    }
}

/// A consumer on its way; `.await` makes the group where it is new and joins it.
#[must_use = "nothing is consumed until awaited"]
pub struct Consume<'a, E> {
    client: &'a Client,
    group: String,
    from: Position,
    redeliver_after: Duration,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Consume<'_, E> {
    /// Where a new group begins. Default: with the first event that is kept. An existing group goes on where it was.
    pub fn from(mut self, position: Position) -> Self {
        self.from = position;
        self
    }

    /// After how long an event that nobody acknowledged is delivered again. Default: 30 seconds. A consumer that holds an
    /// event keeps it; the time runs when its process died or the [`Delivery`] was dropped. The fifth failed delivery
    /// moves an event to the topic `<name>.dead`.
    pub fn redeliver_after(mut self, idle: Duration) -> Self {
        self.redeliver_after = idle.max(Duration::from_millis(10));
        self
    }

    async fn consume(self) -> Result<Consumer<E>, Error> {
        names::check("topic", E::NAME)?;
        names::check("group", &self.group)?;
        let member = Member {
            log: keys::event_log(self.client.namespace(), E::NAME),
            dead_log: keys::event_log(self.client.namespace(), &format!("{}.dead", E::NAME)),
            group: self.group,
            name: Uuid::new_v4().simple().to_string(),
            redeliver_after: self.redeliver_after,
            client: self.client.clone(),
            held: Arc::default(),
        };
        member.create_group(self.from).await?;
        let member = Arc::new(member);
        let (events, incoming) = mpsc::channel(AHEAD);
        tokio::spawn(member.clone().run(events));
        Ok(Consumer { incoming, member, event: PhantomData })
    }
}

impl<'a, E: Event> IntoFuture for Consume<'a, E> {
    type Output = Result<Consumer<E>, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.consume())
    }
}

/// A member of a durable group.
pub struct Consumer<E> {
    incoming: mpsc::Receiver<Kept>,
    member: Arc<Member>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Consumer<E> {
    /// The next event. May be dropped and called again without loss; waits as long as Redis is away.
    ///
    /// # Errors
    /// [`Error::Decode`] for an event that can't be read as its type: it is delivered again like one that was not
    /// acknowledged, and ends in the dead-letter topic; the next call goes on behind it.
    pub async fn next(&mut self) -> Result<Delivery<E>, Error> {
        let Some(event) = self.incoming.recv().await else {
            unreachable!("the member's task holds the sender for as long as there is a receiver")
        };
        let hold = Hold { member: self.member.clone(), position: event.position };
        let envelope = event.decode()?;
        Ok(Delivery { envelope, hold })
    }
}

/// An event that waits for its acknowledgement. Dropped without one, it is delivered again later.
pub struct Delivery<E> {
    /// The event with its attributes.
    pub envelope: Envelope<E>,
    hold: Hold,
}

impl<E> Delivery<E> {
    /// Tells that the event is dealt with: it won't be delivered to this group again.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Redis`]: it may be delivered again.
    pub async fn ack(self) -> Result<(), Error> {
        let member = &self.hold.member;
        let mut conn = member.client.connection().await?;
        let position = self.hold.position.to_string();
        redis::cmd("XACK").arg(&member.log).arg(&member.group).arg(position).exec_async(&mut conn).await?;
        Ok(())
    }
}

/// While it lives, the event stays with this member.
struct Hold {
    member: Arc<Member>,
    position: Position,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.member.held().remove(&self.position);
    }
}

/// One consumer of the group, under a fresh name.
pub(super) struct Member {
    pub(super) client: Client,
    pub(super) log: String,
    pub(super) dead_log: String,
    pub(super) group: String,
    pub(super) name: String,
    pub(super) redeliver_after: Duration,
    held: Arc<Mutex<HashSet<Position>>>,
}

impl Member {
    pub(super) fn held(&self) -> MutexGuard<'_, HashSet<Position>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn create_group(&self, from: Position) -> Result<(), Error> {
        let mut conn = self.client.connection().await?;
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(&self.log).arg(&self.group).arg(from.to_string()).arg("MKSTREAM");
        match create.exec_async(&mut conn).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Reads for as long as the consumer is there. A read is never dropped half-way: it ends by itself, and what it
    /// brought for a consumer that left is delivered to another after a while.
    async fn run(self: Arc<Self>, events: mpsc::Sender<Kept>) {
        let mut retry = Retry::new("consume");
        while !events.is_closed() {
            match self.read_on(&events, &mut retry).await {
                Ok(()) => return,
                Err(Error::Redis(error)) if matches!(error.code(), Some("NOGROUP" | "UNBLOCKED")) => {
                    // The stream was deleted: the group begins anew with whatever comes.
                    let recreated = self.create_group(Position::START).await;
                    retry.failed(&recreated.err().unwrap_or(Error::Redis(error))).await;
                }
                Err(error) => retry.failed(&error).await,
            }
        }
    }

    async fn read_on(&self, events: &mpsc::Sender<Kept>, retry: &mut Retry) -> Result<(), Error> {
        let mut dedicated = self.client.dedicated(BLOCK).await?;
        let mut redelivery = Redelivery::new(self);
        loop {
            for again in redelivery.due(&mut dedicated.conn, events.capacity()).await? {
                match again {
                    Redelivered::Event(event) => self.hand_over(events, event).await,
                    Redelivered::Dead(position) => self.acknowledge(&mut dedicated.conn, position).await?,
                }
            }
            match tokio::time::timeout(redelivery.interval(), events.reserve()).await {
                Ok(Err(_)) => return Ok(()), // the consumer left
                Err(_) => continue,          // it is busy: what it holds must be renewed
                Ok(Ok(_room)) => {}
            }
            for event in self.read(&mut dedicated.conn, events.capacity()).await? {
                self.hand_over(events, event).await;
            }
            retry.worked();
        }
    }

    async fn read(&self, conn: &mut MultiplexedConnection, count: usize) -> Result<Vec<Kept>, Error> {
        let block = BLOCK.min(self.redeliver_after).as_millis() as u64;
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.group).arg(&self.name).arg("COUNT").arg(count).arg("BLOCK").arg(block);
        let reply: Value = read.arg("STREAMS").arg(&self.log).arg(">").query_async(conn).await?;
        let Value::Array(mut streams) = reply else { return Ok(Vec::new()) };
        match streams.pop() {
            Some(Value::Array(mut pair)) => Ok(pair.pop().map(Kept::list).unwrap_or_default()),
            _ => Ok(Vec::new()),
        }
    }

    async fn hand_over(&self, events: &mpsc::Sender<Kept>, event: Kept) {
        self.held().insert(event.position);
        // A closed channel means that the consumer left: the events come to another member.
        let _ = events.send(event).await;
    }

    async fn acknowledge(&self, conn: &mut MultiplexedConnection, position: Position) -> Result<(), Error> {
        redis::cmd("XACK").arg(&self.log).arg(&self.group).arg(position.to_string()).exec_async(conn).await?;
        Ok(())
    }
}
